"""Loading an unpacked archive without a server."""

from __future__ import annotations

from flambeau.compat.embedded import ModelLoader as ModelLoader
from flambeau.compat.embedded import ModelLoaderFactory as ModelLoaderFactory
from flambeau.compat.embedded import Service as Service
from flambeau.compat.embedded import TsModelLoader as TsModelLoader
from flambeau.compat.functions import list_classes_from_module as list_classes_from_module
from flambeau.worker.metrics import MetricsCacheYamlImpl as MetricsCacheYamlImpl
