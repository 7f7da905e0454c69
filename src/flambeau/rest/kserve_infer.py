"""v2 requests that ask for more than their handler can see: binary tensors, chosen outputs.

``rest.kserve`` names the translation; ``rest.app`` and ``rest.prediction`` use it: the handler
gets plain JSON, the client a v2 response in the form it asked for. Errors carry the protocol's
``error`` beside the members all errors of this server have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.errors import BadRequest, FlambeauError, HandlerFailed, ModelNotFound
from flambeau.jobs.job import Answer, Part
from flambeau.rest.replies import as_json
from flambeau.rest.replies import error_body as plain_error_body
from flambeau.rest.route import Reply, header
from flambeau.tensors.answers import Answered, AnswerError, NoSuchOutput
from flambeau.tensors.asked import Asked, asked_in, id_in, split
from flambeau.tensors.datatypes import TensorError
from flambeau.tensors.packing import body_of

if TYPE_CHECKING:
    from flambeau.control.plane import ControlPlane
    from flambeau.http.exchange import Exchange

JSON = "application/json"
LENGTH = "Inference-Header-Content-Length"
_LENGTH = LENGTH.lower().encode()
_ENCODING = b"content-encoding"
_FIRST_ERROR = 300


def refused(error: FlambeauError) -> Reply:
    """An error as clients of v2 read it."""
    return Reply(error_body(error), error.status)


def error_body(error: FlambeauError) -> bytes:
    """The body of an error, with the member clients of v2 look for."""
    return as_json(
        {
            "code": error.status,
            "type": error.type_name,
            "message": error.message,
            "error": error.message,
        }
    )


class V2Translation:
    """Stands between one client and its handler."""

    __slots__ = ("_asked", "_exchange", "_name", "_plane", "_speaks", "_version")

    def __init__(
        self, plane: ControlPlane, name: str, version: str | None, exchange: Exchange
    ) -> None:
        self._plane = plane
        self._name = name
        self._version = version
        self._exchange = exchange
        self._asked: Asked | None = None
        self._speaks = False
        """The client asks for more than the handler's answer."""

    def parts(self) -> list[Part] | None:
        """What the handler gets: a JSON document as ``body``; None for the body as it came.

        Raises BadRequest for tensors that cannot be read.
        """
        exchange = self._exchange
        body = b"".join(exchange.body)
        length = header(exchange, _LENGTH)
        if length is None:
            self._asked = asked_in(body)
            self._speaks = self._asked is not None
            return [Part("body", JSON, [body])] if self._speaks else None
        self._speaks = True
        if header(exchange, _ENCODING) not in {None, b"", b"identity"}:
            raise BadRequest("Binary tensors are read uncompressed only: send no Content-Encoding.")
        try:
            document, self._asked = split(body, length.decode("latin-1"), self._name)
        except TensorError as error:
            raise BadRequest(f"The request cannot be read: {error}.") from error
        return [Part("body", JSON, [document])]

    def answer(self, request_id: str, answer: Answer) -> Answer:
        """The handler's answer as a v2 response.

        One with a status that means no success stays as it is, and so does one to a request that
        asked for nothing more, unless it is a response without the names that clients need.
        Raises HandlerFailed when it is no usable response, BadRequest when it lacks an output
        that was asked for.
        """
        if answer.status >= _FIRST_ERROR:
            return answer
        asked = self._asked
        if asked is None:
            if b'"outputs"' not in answer.body or b'"model_name"' in answer.body:
                return answer
            asked = Asked(id_in(b"".join(self._exchange.body)))
        try:
            response = self._answered(request_id).response(answer.body, asked)
            body, length = body_of(response, asked)
        except NoSuchOutput as error:
            raise BadRequest(str(error)) from error
        except AnswerError as error:
            if not self._speaks:
                return answer
            raise HandlerFailed(f"The handler's answer is no v2 response: {error}") from error
        return Answer(answer.status, answer.phrase, _headers(answer, length), body)

    def error_body(self, error: FlambeauError) -> bytes:
        """The body of an error."""
        return error_body(error) if self._speaks else plain_error_body(error)

    def _answered(self, request_id: str) -> Answered:
        version = self._version
        if version is None:
            try:
                version = self._plane.versions(self._name)[0]
            except ModelNotFound:  # unregistered in between
                version = ""
        return Answered(self._name, version, request_id)


def _headers(answer: Answer, length: int | None) -> list[tuple[str, str]]:
    """The handler's headers, with those that tell the form of the body."""
    shaped = {"content-type", _LENGTH.decode()}
    headers = [pair for pair in answer.headers if pair[0].lower() not in shaped]
    if length is None:
        return [*headers, ("Content-Type", JSON)]
    return [*headers, ("Content-Type", "application/octet-stream"), (LENGTH, str(length))]
