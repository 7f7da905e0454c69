"""The metrics row: one scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.rest.route import Reply

if TYPE_CHECKING:
    from flambeau.rest.route import Call

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def scrape(call: Call) -> Reply:
    """All metric families, or those that ``name[]`` asks for."""
    source = call.site.metrics
    body = b"" if source is None else source.expose(call.query.every("name[]"))
    return Reply(body, content_type=CONTENT_TYPE)
