"""The metrics row: one scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.rest.route import Reply
from flambeau.spread import spread

if TYPE_CHECKING:
    from flambeau.rest.route import Call

STRETCH = 0.0001
"""Seconds of the loop at a time: somebody waits for the whole."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def scrape(call: Call) -> Reply:
    """All metric families, or those that ``name[]`` asks for."""
    source = call.site.metrics
    body = bytearray()
    if source is not None:
        await spread(map(body.extend, source.exposition(call.query.every("name[]"))), STRETCH)
    return Reply(bytes(body), content_type=CONTENT_TYPE)
