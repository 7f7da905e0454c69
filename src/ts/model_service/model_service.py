"""Handler base classes of the time before BaseHandler."""

from __future__ import annotations

from flambeau.worker.old_service import ModelService as ModelService
from flambeau.worker.old_service import SingleNodeService as SingleNodeService
