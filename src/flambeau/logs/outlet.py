"""One log's way out: to its file, and to the copies where the plan asks for them.

Lines that come by the thousand are collected and handed to the writing thread together, now and
then: each time that thread wakes it takes the interpreter from the event loop for a moment.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from flambeau.logs.rolling import RollingFile

if TYPE_CHECKING:
    from flambeau.logs.plan import LogPlan, Stream
    from flambeau.logs.rolling import Writer


class Copies(Protocol):
    """Where copies of lines go: the server's log and the console. None is wanted by most logs."""

    def copy(self, text: str) -> None:
        """Take finished lines."""


class Outlet:
    """The end of one log."""

    def __init__(self, stream: Stream, plan: LogPlan, writer: Writer, copies: Copies) -> None:
        self.stream = stream
        self.json = plan.json
        place = plan.files[stream]
        self.on = place.level <= logging.INFO
        self.copied = stream in plan.copied
        self._file = RollingFile(place.path, place.max_bytes, place.keep) if place.path else None
        self._writer = writer
        self._copies = copies
        self._texts: list[str] = []
        self._copied: list[str] = []

    def collect(self, text: str, copies: str = "") -> None:
        """Keep finished lines for the next ``hand_over``.

        ``copies`` are the same lines in the server log's form; blank when they look the same.
        """
        self._texts.append(text)
        if self.copied:
            self._copied.append(copies or text)

    def hand_over(self) -> None:
        """Send out what was collected."""
        if not self._texts:
            return
        self.append("".join(self._texts))
        self._texts.clear()
        if self._copied:
            self._copies.copy("".join(self._copied))
            self._copied.clear()

    def append(self, text: str) -> None:
        """Send finished lines to the file only, at once."""
        if self._file is not None:
            self._writer.put(self._file, text)
