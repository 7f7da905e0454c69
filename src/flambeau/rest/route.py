"""What one row of the endpoint table is, and matching a path to a row.

``rest.endpoints`` makes the rows, ``rest.app`` asks the router for every request, ``rest.openapi``
and the reference pages read the rows. A row decides nothing by itself: its function does.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from flambeau.errors import FlambeauError, MethodNotAllowed, UnknownPath

if TYPE_CHECKING:
    import msgspec

    from flambeau.control.plane import ControlPlane
    from flambeau.http.exchange import Exchange
    from flambeau.jobs.job import Answer, Part
    from flambeau.metrics.registry import Metrics
    from flambeau.rest.query import Query
    from flambeau.security.gate import Gate


class Api(StrEnum):
    """The three APIs; a listener serves one of them or several."""

    INFERENCE = "inference"
    MANAGEMENT = "management"
    METRICS = "metrics"


class Key(StrEnum):
    """Which token opens an endpoint."""

    NONE = ""
    INFERENCE = "inference"
    MANAGEMENT = "management"
    LISTENER = "listener"
    """A key of any API that the listener serves."""
    TOKENS = "token"
    """The key that renews the other two."""


class When(StrEnum):
    """A condition without which an endpoint does not exist."""

    TOKENS = "token authorization"


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer that a function of the table gives back."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    """Behind those that every answer has."""


class Translation(Protocol):
    """Stands between the client and the handler of one request where their forms differ."""

    def parts(self) -> list[Part] | None:
        """What the handler gets; None for the body as it came. Raises FlambeauError."""

    def answer(self, request_id: str, answer: Answer) -> Answer:
        """What the client gets for a whole answer. Raises FlambeauError."""

    def error_body(self, error: FlambeauError) -> bytes:
        """What the client gets for an error."""


@dataclass(frozen=True, slots=True)
class Inference:
    """A request for a model: whom it is for and what the server adds to it."""

    name: str
    version: str | None = None
    server_headers: tuple[tuple[str, str], ...] = ()
    """Appended after the client's headers, so that a client cannot forge them."""
    with_query: bool = False
    """Query parameters become inputs of the handler."""
    remembered: bool = True
    """The same target always means the same; False where the body or the query decides."""
    translator: Callable[[Exchange], Translation] | None = None
    """Gives what stands between the client and the handler; called for every request."""


Result = Reply | Inference | Coroutine[Any, Any, Reply]
Function = Callable[["Call"], Result]


@dataclass(frozen=True, slots=True)
class Site:
    """What the functions of one listener may use."""

    plane: ControlPlane
    endpoints: tuple[Endpoint, ...]
    apis: frozenset[Api]
    gate: Gate
    metrics: Metrics | None = None
    server_version: str = ""
    elsewhere: tuple[Endpoint, ...] = ()
    """Rows that the API description names although another listener serves them."""
    elsewhere_url: str = ""
    """That other listener."""
    documents: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """API descriptions made so far, by API and model: each takes milliseconds to make."""


@dataclass(frozen=True, slots=True)
class Call:
    """One matched request, as the functions of the table see it."""

    site: Site
    exchange: Exchange
    endpoint: Endpoint
    path: dict[str, str]
    """Values of the path's placeholders; ``rest`` holds what follows an open path."""
    query: Query

    @property
    def authorization(self) -> bytes | None:
        """The Authorization header; None when there is none."""
        return authorization_of(self.exchange)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the table. ``methods`` empty means any; documents then show ``shown``."""

    methods: tuple[str, ...]
    path: str
    apis: tuple[Api, ...]
    """The APIs it belongs to: one, except for what every listener answers."""
    operation: str
    """Unique name, the operationId of the API description."""
    function: Function
    sentence: str
    key: Key = Key.NONE
    takes: type[msgspec.Struct] | None = None
    query: tuple[str, ...] = ()
    """Fields of ``takes`` that are query parameters."""
    gives: Any = None
    """Type of the JSON answer; None where the handler, or another format, decides."""
    errors: tuple[type[FlambeauError], ...] = ()
    open_path: bool = False
    """Further segments are accepted behind the path."""
    spellings: dict[str, str] = field(default_factory=dict)
    """Further query parameters (name: sentence): other spellings, and ignored ones."""
    when: When | None = None
    names_all: bool = False
    """Tells of every model: a key limited to some does not open it."""
    changes_models: bool = False
    """Refused while the registration API is off."""
    body: str = ""
    """What a request body holds; empty for none."""
    json_body: bool = False
    """``takes`` may also come as a JSON object in the body."""
    succeeds: bool = True
    """False for a path that only says that nothing is there."""
    refusal: int = 0
    """A status that comes with the same JSON answer and says no; 0 for none."""
    accepted: bool = False
    """May answer 202: the work goes on after the answer."""
    content_type: str = "application/json"
    """Of the answer; ``*/*`` where the handler decides."""

    @property
    def shown(self) -> str:
        """The method documents name."""
        return self.methods[0] if self.methods else ("POST" if self.body else "GET")

    @property
    def writes(self) -> bool:
        """It changes something: a read-only management token does not open it."""
        return self.key is Key.MANAGEMENT and not {"GET", "OPTIONS"}.issuperset(self.methods)


def authorization_of(exchange: Exchange) -> bytes | None:
    """The Authorization header of a request; None when there is none."""
    return header(exchange, b"authorization")


def header(exchange: Exchange, name: bytes) -> bytes | None:
    """The first header called ``name``, given in lower case; None when there is none."""
    for key, value in exchange.headers:
        if key.lower() == name:
            return value
    return None


class WrongMethod(MethodNotAllowed):
    """The path exists, the method does not; ``allow`` names those that do."""

    def __init__(self, allow: tuple[str, ...]) -> None:
        super().__init__()
        self.allow = allow


class Router:
    """Finds the row of a request. Rows that come first win."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._by_first: dict[str, list[_Pattern]] = {}
        self._free: list[_Pattern] = []
        for endpoint in endpoints:
            pattern = _Pattern(endpoint)
            first = pattern.pieces[0].literal if pattern.pieces else ""
            if first is None:
                self._free.append(pattern)
            else:
                self._by_first.setdefault(first, []).append(pattern)

    def match(self, method: str, segments: list[str]) -> tuple[Endpoint, dict[str, str]]:
        """The row for ``method`` on ``segments`` and the values of its placeholders.

        Raises UnknownPath when no row has that path, WrongMethod when it has other methods.
        """
        patterns = self._by_first.get(segments[0] if segments else "", self._free)
        known: list[str] = []
        for pattern in patterns:
            values = pattern.values(segments)
            if values is None:
                continue
            endpoint = pattern.endpoint
            if not endpoint.methods or method in endpoint.methods:
                return endpoint, values
            if not (pattern.verbs and ":" in segments[-1]):
                known += endpoint.methods
        if not known:
            raise UnknownPath
        raise WrongMethod(tuple(dict.fromkeys(known)))


_WITH_VERBS = "/v1/"
"""Paths whose last segment may end in a colon and a verb: an unknown verb is an unknown path."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """One segment: a literal, or a placeholder with the text that must follow it."""

    literal: str | None
    name: str = ""
    suffix: str = ""
    verbless: bool = False
    """No verb may follow: a segment with a colon is another path's."""


class _Pattern:
    """The path of one row, ready to be matched."""

    __slots__ = ("endpoint", "pieces", "verbs")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.pieces = [_piece(text) for text in endpoint.path.split("/")[1:] if text]
        self.verbs = endpoint.path.startswith(_WITH_VERBS)

    def values(self, segments: list[str]) -> dict[str, str] | None:
        """The placeholders' values, or None when the path is another."""
        pieces = self.pieces
        extra = len(segments) - len(pieces)
        if extra < 0 or (extra and not self.endpoint.open_path):
            return None
        found: dict[str, str] = {}
        for piece, segment in zip(pieces, segments, strict=False):
            if piece.literal is not None:
                if segment != piece.literal:
                    return None
            elif segment.endswith(piece.suffix):
                found[piece.name] = segment.removesuffix(piece.suffix)
            else:
                return None
        if extra:
            found["rest"] = "/".join(segments[len(pieces) :])
        return found


def _piece(text: str) -> _Piece:
    if not text.startswith("{"):
        return _Piece(text)
    name, _, suffix = text[1:].partition("}")
    return _Piece(None, name, suffix)
