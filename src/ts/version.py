"""The TorchServe version this package is compatible with."""

from __future__ import annotations

from flambeau.worker.loading import COMPAT_VERSION

__version__ = COMPAT_VERSION
