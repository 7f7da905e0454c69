"""Handler base classes of the time before BaseHandler."""

from __future__ import annotations

from ts.model_service import model_service as model_service
