"""The steps of packing, one by one."""

from __future__ import annotations

from flambeau.archive.manifest import MANIFEST_NAME as MANIFEST_FILE_NAME
from flambeau.archive.manifest import MAR_INF, RuntimeType
from flambeau.archive.mar import BUILT_IN_HANDLERS as model_handlers  # noqa: N811 -- the old name
from flambeau.archive.mar import SUFFIXES as archiving_options  # noqa: N811 -- the old name
from flambeau.archive.mar import ModelArchiverConfig
from flambeau.archive.packing import PackingError as ModelArchiverError
from flambeau.compat.model_export import Manifest, Model
from flambeau.compat.model_export import ModelExport as ModelExportUtils

MODEL_ARCHIVE_VERSION = "1.0"
MODEL_SERVER_VERSION = "1.0"

__all__ = [
    "MANIFEST_FILE_NAME",
    "MAR_INF",
    "MODEL_ARCHIVE_VERSION",
    "MODEL_SERVER_VERSION",
    "Manifest",
    "Model",
    "ModelArchiverConfig",
    "ModelArchiverError",
    "ModelExportUtils",
    "RuntimeType",
    "archiving_options",
    "model_handlers",
]
