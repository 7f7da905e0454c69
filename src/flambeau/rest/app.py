"""The application of one REST listener: match, gate, call, answer.

``server`` makes one per listener, with the APIs that listener serves; ``http.protocol`` calls it
with every exchange. A prediction whose target has been seen before takes the short way: one
dictionary look-up, one job, no task. Everything else goes through the router; what must wait runs
as a task owned here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flambeau.errors import FlambeauError, MethodNotAllowed
from flambeau.jobs.job import Job, Part, pack_headers
from flambeau.rest.payload import kind_of, parts_of
from flambeau.rest.prediction import Prediction
from flambeau.rest.query import split_target
from flambeau.rest.replies import fresh_id
from flambeau.rest.route import (
    Api,
    Call,
    Inference,
    Key,
    Reply,
    Router,
    Site,
    authorization_of,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from flambeau.http.exchange import Exchange
    from flambeau.http.head import Headers
    from flambeau.rest.desk import Desk

MAX_KNOWN = 1024
"""Targets kept for the short way; with more, all are forgotten and learnt anew."""
MAX_KNOWN_LENGTH = 256
NO_CONTENT = 204


class _Asked:
    """What the head of an inference request says, worked out once for all with the same bytes."""

    __slots__ = (
        "authorization",
        "content_type",
        "form",
        "headers",
        "media_type",
        "name",
        "query_parts",
        "translator",
        "version",
    )

    def __init__(
        self, inference: Inference, headers: Headers, query: list[tuple[str, str]]
    ) -> None:
        self.name = inference.name
        self.version = inference.version
        self.translator = inference.translator
        self.content_type = b""
        self.authorization: bytes | None = None
        pairs = []
        for key, value in headers:
            pairs.append((key.decode("latin-1"), value.decode("latin-1")))
            lower = key.lower()
            if lower == b"content-type":
                self.content_type = value
            elif lower == b"authorization":
                self.authorization = value
        self.headers = pack_headers([*pairs, *inference.server_headers])
        self.media_type, self.form = kind_of(self.content_type)
        self.query_parts = [Part(name, "", [value.encode()]) for name, value in query]


class RestApp:
    """Answers exchanges. Call it with each one; it returns at once."""

    def __init__(self, site: Site, desk: Desk) -> None:
        self._site = site
        self._desk = desk
        self._gate = site.gate
        self._plane = site.plane
        self._router = Router(site.endpoints)
        self._known: dict[bytes, Inference] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, exchange: Exchange) -> None:
        """Answer ``exchange``, now or later."""
        request_id = fresh_id()
        try:
            asked = exchange.head.memo
            if asked is None:
                inference = self._known.get(exchange.target)
                if inference is None or exchange.method == b"OPTIONS":
                    self._serve(exchange, request_id)
                    return
                asked = exchange.head.memo = _Asked(inference, exchange.headers, [])
            assert isinstance(asked, _Asked)
            if self._gate.tokens is not None:
                self._gate.check("inference", asked.authorization, model=asked.name)
            self._predict(exchange, request_id, asked)
        except Exception as error:  # noqa: BLE001 - the edge of this face: logged and answered
            self._desk.fail(exchange, request_id, error)

    async def close(self) -> None:
        """Cancel what still runs and wait for it to end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _predict(self, exchange: Exchange, request_id: str, asked: _Asked) -> None:
        """Hand a request for a model to the plane. Raises FlambeauError."""
        translation = None if asked.translator is None else asked.translator(exchange)
        try:
            parts = None if translation is None else translation.parts()
            if parts is None and asked.form:
                parts = parts_of(asked.content_type, exchange.body)
            elif parts is None:
                parts = [Part("body", asked.media_type, exchange.body)]
            if asked.query_parts:
                parts = asked.query_parts + parts
            prediction = Prediction(self._desk, exchange, translation)
            job = Job(request_id, asked.headers, parts, prediction.answered)
            exchange.on_gone = job.cancel
            self._plane.submit(asked.name, asked.version, job)
        except FlambeauError as error:
            if translation is None:
                raise
            self._desk.fail(exchange, request_id, error, translation.error_body)

    def _serve(self, exchange: Exchange, request_id: str) -> None:
        """The long way: find the row, ask the gate, call the function. Raises FlambeauError."""
        if exchange.method == b"OPTIONS" and self._desk.blocks.allows(exchange):
            self._desk.send(exchange, request_id, Reply(b"", NO_CONTENT, content_type=""))
            return
        call = self._matched(exchange)
        result = call.endpoint.function(call)
        if isinstance(result, Reply):
            self._desk.send(exchange, request_id, result)
        elif isinstance(result, Inference):
            query = call.query.pairs if result.with_query else []
            asked = _Asked(result, exchange.headers, query)
            if result.remembered:
                exchange.head.memo = asked
                if b"?" not in exchange.target:
                    self._remember(exchange.target, result)
            self._predict(exchange, request_id, asked)
        else:
            self._start(exchange, request_id, result)

    def _matched(self, exchange: Exchange) -> Call:
        """The row and its values. Raises InvalidKey before anything tells what exists."""
        segments, query = split_target(exchange.target)
        try:
            endpoint, path = self._router.match(exchange.method.decode("latin-1"), segments)
        except FlambeauError:
            if segments:  # The root tells nothing: it is open.
                self._check_any(authorization_of(exchange))
            raise
        if endpoint.key is Key.LISTENER:
            self._check_any(authorization_of(exchange), path.get("model_name"))
        elif endpoint.key:
            self._gate.check(
                endpoint.key,
                authorization_of(exchange),
                model=path.get("model_name", "" if endpoint.names_all else None),
                write=endpoint.writes,
            )
        if endpoint.changes_models and not self._gate.model_api:
            raise MethodNotAllowed
        return Call(self._site, exchange, endpoint, path, query)

    def _check_any(self, authorization: bytes | None, model: str | None = None) -> None:
        """Let a request pass with a key of any API served here; metrics alone need none."""
        refusal: FlambeauError | None = None
        for api in sorted(self._site.apis - {Api.METRICS}):
            try:
                self._gate.check(api, authorization, model=model)
            except FlambeauError as error:
                refusal = error
            else:
                return
        if refusal is not None:
            raise refusal

    def _remember(self, target: bytes, inference: Inference) -> None:
        if len(target) > MAX_KNOWN_LENGTH:
            return
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[target] = inference

    def _start(self, exchange: Exchange, request_id: str, work: Coroutine[Any, Any, Reply]) -> None:
        task = asyncio.get_running_loop().create_task(self._finish(exchange, request_id, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(
        self, exchange: Exchange, request_id: str, work: Coroutine[Any, Any, Reply]
    ) -> None:
        try:
            self._desk.send(exchange, request_id, await work)
        except Exception as error:  # noqa: BLE001 - the edge of this face: logged and answered
            self._desk.fail(exchange, request_id, error)
