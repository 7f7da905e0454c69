from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from flambeau.rest.route import Api
from flambeau.security.gate import Gate
from flambeau.security.tokens import Tokens


class Elements(HTMLParser):
    """Every start tag of a page with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("api", list(Api))
async def test_every_listener_has_the_page_with_or_without_tokens(listen, tmp_path, api):
    for gate in (Gate.off(), Gate(Tokens(tmp_path / "key_file.json"))):
        response = await listen(api, gate=gate).send("GET", "/docs")
        assert response.status == 200
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.body.startswith(b"<!doctype html>")


async def test_the_page_loads_nothing_and_runs_only_its_own_script(inference):
    response = await inference.send("GET", "/docs")
    text = response.body.decode()
    elements = Elements(text).found
    for tag, attributes in elements:
        assert not attributes.keys() & {"src", "href", "style", "action", "srcset"}, tag
        assert not [name for name in attributes if name.startswith("on")], tag
    assert "://" not in text.replace("${", "")
    policy = dict(
        part.strip().split(" ", 1)
        for part in response.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = b64encode(sha256(content.encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"


async def test_the_page_puts_no_text_of_the_server_into_markup(inference):
    text = (await inference.send("GET", "/docs")).body.decode()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in text


async def test_a_page_that_is_only_looked_at_has_no_other_methods(inference):
    assert (await inference.send("POST", "/docs")).status == 405
    head = await inference.send("HEAD", "/docs")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) > 1000
