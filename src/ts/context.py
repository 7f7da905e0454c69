"""What a handler may know: ``Context`` and ``RequestProcessor``."""

from __future__ import annotations

from flambeau.worker.context import Context as Context
from flambeau.worker.context import RequestProcessor as RequestProcessor
