"""The access log: one line for each answered request.

``rest`` and ``grpc`` make an ``AccessLine`` for what they answered and ``add`` it, which costs one
append; ``logs.logs`` has the lines formed piece by piece, between requests.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from flambeau.logs.lines import JsonLine, Stamps, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flambeau.logs.outlet import Outlet

_REMEMBERED = 2048
"""Most beginnings of access lines kept."""
PIECE = 16
"""Lines formed at a stretch: some 20 microseconds."""


class Details(NamedTuple):
    """What a JSON access line says beyond the text form; None for unknown."""

    model: str = ""
    version: str = ""
    worker: str = ""
    queue_ms: float | None = None
    handler_ms: float | None = None


_NOTHING = Details()


class AccessLine(msgspec.Struct, gc=False):
    """One request that was answered. It refers to nothing that could refer back: no garbage."""

    at: float
    """Seconds since the epoch."""
    peer: str
    method: bytes
    target: bytes
    version: str
    """Of HTTP."""
    status: int
    ms: int
    """From its arrival to the answer."""
    request_id: str = ""
    details: Details | None = None


class AccessLog:
    """Where the lines wait, and their form."""

    def __init__(self, outlet: Outlet) -> None:
        self.detailed = outlet.json
        """Lines may carry details; in text form they would be thrown away."""
        self._outlet = outlet
        self._stamps = Stamps()
        self._lines: deque[AccessLine] = deque()
        self.add: Callable[[AccessLine], None] = self._lines.append
        """Take a line. Called for every request, so it is the append itself."""
        self._asked: dict[tuple[str, bytes, bytes, str], str] = {}

    @property
    def waiting(self) -> bool:
        """Lines have come since the last time."""
        return bool(self._lines)

    def form(self) -> Iterator[None]:
        """Form the lines so far and collect them in the outlet; a step is one piece."""
        lines, left = self._lines, len(self._lines)
        while left > 0:
            piece = [lines.popleft() for _ in range(min(left, PIECE))]
            left -= PIECE
            if self._outlet.on:
                self._form(piece)
            yield

    def _form(self, piece: list[AccessLine]) -> None:
        if self._outlet.json:
            self._outlet.collect("".join([self._as_json(line) for line in piece]))
            return
        stamp, known, copied = self._stamps.of, self._asked, self._outlet.copied
        texts: list[str] = []
        copies: list[str] = []
        for line in piece:
            key = (line.peer, line.method, line.target, line.version)
            asked = known.get(key) or self._remember(*key)
            at = stamp(line.at)
            texts.append(f"{at} - {asked}{line.status} {line.ms}\n")
            if copied:
                copies.append(f"{at} [INFO ] main ACCESS_LOG - {asked}{line.status} {line.ms}\n")
        self._outlet.collect("".join(texts), "".join(copies))

    def _remember(self, peer: str, method: bytes, target: bytes, version: str) -> str:
        """The part of a line that the requests of one client often share."""
        asked = f'{peer} "{method.decode("latin-1")} {_target(target)} HTTP/{version}" '
        if len(self._asked) >= _REMEMBERED:
            self._asked.clear()
        self._asked[peer, method, target, version] = asked
        return asked

    def _as_json(self, line: AccessLine) -> str:
        details = line.details or _NOTHING
        return JsonLine(
            time=self._stamps.of(line.at),
            level="INFO",
            logger="ACCESS_LOG",
            peer=line.peer,
            method=line.method.decode("latin-1"),
            target=line.target.decode("latin-1"),
            protocol=f"HTTP/{line.version}",
            status=line.status,
            ms=line.ms,
            request_id=line.request_id,
            model=details.model,
            version=details.version,
            worker=details.worker,
            queue_ms=details.queue_ms,
            handler_ms=details.handler_ms,
        ).text()


def _target(target: bytes) -> str:
    text = target.decode("latin-1")
    if text.isprintable() and '"' not in text:
        return text
    return visible(text).replace('"', "%22").replace("\t", "%09")
