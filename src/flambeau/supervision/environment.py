"""The environment a worker sees.

The server's own, without the names that ``blacklist_env_vars`` matches in full, plus what the
server sets for the model. The rule also takes server-made names away, as measured. A worker has
it before its program starts.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class EnvironmentRule:
    """Which variables workers may see. ``hidden`` is a regular expression; empty hides none.

    Raises ValueError for a broken expression.
    """

    def __init__(self, hidden: str = "", server: Mapping[str, str] | None = None) -> None:
        try:
            self._hidden = re.compile(hidden) if hidden else None
        except re.error as error:
            raise ValueError(
                f"blacklist_env_vars: {hidden!r} is no regular expression: {error}"
            ) from error
        self._server = dict(os.environ if server is None else server)

    def allow(self, variables: Mapping[str, str]) -> dict[str, str]:
        """``variables`` without the hidden names."""
        if self._hidden is None:
            return dict(variables)
        return {k: v for k, v in variables.items() if not self._hidden.fullmatch(k)}

    def inherited(self) -> dict[str, str]:
        """What every worker gets from the server."""
        return self.allow(self._server)

    def for_model(self, model_dir: Path, handler: str, extra: Mapping[str, str]) -> dict[str, str]:
        """All that a worker of one model sees: what is inherited, its import path and ``extra``.

        The import path is the directory part of a ``dir/file.py:function`` handler, the server's
        own PYTHONPATH, the real model directory and, for a linked one, the folder above the link.
        """
        path = []
        folder, _, _ = handler.partition(":")[0].rpartition("/")
        if folder:
            path.append(folder)
        if self._server.get("PYTHONPATH"):
            path.append(self._server["PYTHONPATH"])
        path.append(str(model_dir.resolve()))
        if model_dir.is_symlink():
            path.append(str(model_dir.parent))
        return self.allow({**self._server, "PYTHONPATH": os.pathsep.join(path), **extra})
