"""What this face says to requests that ended inside the protocol.

``rest.desk`` asks for every refusal of ``http``: the protocol knows why, this table knows which
error that is in the contract, and which of them come without a body or in a form of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.errors import (
    BadRequest,
    ExpectationFailed,
    FlambeauError,
    InternalError,
    OnlyHttps,
    RequestTooLarge,
    RequestTooSlow,
    TooManyConnections,
    VersionNotServed,
)
from flambeau.http.refusal import Spelling, Why
from flambeau.rest.replies import as_json, error_body, phrase_of

if TYPE_CHECKING:
    from flambeau.rest.replies import HeaderBlocks

_INVALID = "Invalid HTTP message"

ERRORS: dict[Why, FlambeauError] = {
    Why.MALFORMED: BadRequest(f"{_INVALID}."),
    Why.NO_HOST: BadRequest(f"{_INVALID}: one Host header is needed."),
    Why.OTHER_VERSION: VersionNotServed(),
    Why.SLOW_HEAD: RequestTooSlow("The request came too slowly."),
    Why.SLOW_BODY: RequestTooSlow("The body came too slowly."),
    Why.TOO_LARGE: RequestTooLarge(),
    Why.EXPECTATION: ExpectationFailed(),
    Why.CROWDED: TooManyConnections(),
    Why.PLAIN: OnlyHttps(),
    Why.APPLICATION_FAILED: InternalError("Internal server error."),
}
_BARE = frozenset((Why.TOO_LARGE, Why.EXPECTATION))
"""Answered with a status and nothing else, as the original does."""


def spelled(why: Why, blocks: HeaderBlocks, request_id: str) -> Spelling:
    """Status, phrase, header block and body of a refusal."""
    error = ERRORS[why]
    phrase = phrase_of(error.status)
    if why in _BARE:
        return Spelling(error.status, phrase, b"", b"")
    if why is Why.PLAIN:
        body = as_json({"status": error.message})
        return Spelling(error.status, phrase, b"content-type: application/json\r\n", body)
    return Spelling(error.status, phrase, blocks.of_error(request_id, error), error_body(error))
