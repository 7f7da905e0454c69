"""Loading an unpacked archive without a server."""

from __future__ import annotations

from flambeau.worker.metrics import MetricsCacheYamlImpl as MetricsCacheYamlImpl
from flambeau.worker.older import list_classes_from_module as list_classes_from_module
from flambeau.worker.standalone import ModelLoader as ModelLoader
from flambeau.worker.standalone import ModelLoaderFactory as ModelLoaderFactory
from flambeau.worker.standalone import Service as Service
from flambeau.worker.standalone import TsModelLoader as TsModelLoader
