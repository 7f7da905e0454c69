"""TorchServe's Python package, answered by flambeau: every name handlers import.

Each module below only names again what lives in ``flambeau``; no logic is here.
"""

from __future__ import annotations

from ts.version import __version__ as __version__
