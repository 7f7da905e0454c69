"""Handler base classes of the time before BaseHandler."""

from __future__ import annotations

from flambeau.compat.model_service import ModelService as ModelService
from flambeau.compat.model_service import SingleNodeService as SingleNodeService
