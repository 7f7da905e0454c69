"""The page on which a person reads the API of a listener and tries it.

The function of the ``/docs`` row. The page is one file of this package, without anything from
elsewhere: its content policy names the digests of its own script and style, and lets the script
talk to this listener only. It draws what the OpenAPI document says and holds nothing secret.
"""

from __future__ import annotations

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from flambeau.rest.route import Reply

if TYPE_CHECKING:
    from flambeau.rest.route import Call

_PAGE = "browse.html"


def page(_: Call) -> Reply:
    """The page."""
    return _reply()


@cache
def _reply() -> Reply:
    html = (files("flambeau.rest") / _PAGE).read_bytes()
    policy = (
        "default-src 'none'; "
        f"script-src {_digest(html, b'script')}; style-src {_digest(html, b'style')}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = (
        ("Content-Security-Policy", policy),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
    )
    return Reply(html, content_type="text/html; charset=utf-8", headers=headers)


def _digest(html: bytes, tag: bytes) -> str:
    """The source expression that allows the one inline ``tag`` of the page and no other."""
    found = re.search(b"<%b>(.*?)</%b>" % (tag, tag), html, re.DOTALL)
    assert found is not None, f"{_PAGE} has no {tag.decode()}"
    return f"'sha256-{b64encode(sha256(found[1]).digest()).decode()}'"
