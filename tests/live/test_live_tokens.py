"""Every route with every kind of token, against the page that says which key opens what."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.running import free_ports

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "tokens.md"
ECHO = "def handle(data, context):\n    return data and ['ok'] * len(data)\n"
REFUSED = "Token {} failed. Token either incorrect, expired, or not provided correctly"
GRANTS = {
    "inference, this model": {"allow": ["inference"], "models": ["echo"]},
    "inference, another model": {"allow": ["inference"], "models": ["another"]},
    "read": {"allow": ["read"]},
    "read, this model": {"allow": ["read"], "models": ["echo"]},
    "manage, this model": {"allow": ["manage"], "models": ["echo"]},
    "manage, another model": {"allow": ["manage"], "models": ["another"]},
    "expired": {"allow": ["inference", "manage", "renew"], "expires": "2020-01-01T00:00:00Z"},
}
"""Keys given from outside; the others come from the key file."""
FILE = ("inference", "management", "API")
NOTHING = {
    "missing": None,
    "wrong": "Bearer " + "w" * 43,
    "without a scheme": "{inference}",
    "another scheme": "bearer {inference}",
    "followed by more": "Bearer {inference} x",
    "expired": "Bearer {expired}",
}
"""Authorization headers that open what no key opens."""


def text_of(kind):
    return re.sub(r"[^a-z]+", "-", kind).ljust(40, "-")


def table():
    """``(api, methods, path, kinds that open it)`` for each line of the page."""
    rows, kinds, api = [], [], ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            api = line[3:].lower()
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "route":
            kinds = cells[1:]
        elif kinds and (matched := re.fullmatch(r"([\w, ]+) `(.+)`", cells[0])):
            methods = ["GET", "POST"] if matched[1] == "any" else matched[1].split(", ")
            opened = {kind for kind, cell in zip(kinds, cells[1:], strict=True) if cell == "yes"}
            rows.append((api, methods, matched[2], opened))
    return rows, kinds


class Site:
    """A server with tokens on, and a key of every kind."""

    def __init__(self, server):
        self.server = server
        self.addresses = {
            "inference": server.inference,
            "management": server.management,
            "metrics": server.metrics,
        }

    def authorization(self, kind):
        """The header that shows a key of ``kind``; None for no header."""
        document = json.loads((self.server.folder / "key_file.json").read_text())
        keys = {name: document[name]["key"] for name in FILE}
        keys |= {name: text_of(name) for name in GRANTS}
        template = NOTHING[kind] if kind in NOTHING else "Bearer {" + kind + "}"
        return template and re.sub(r"\{(.+)\}", lambda found: keys[found[1]], template)

    def opened(self, api, method, path, kind):
        """Whether a call got past the gate; its refusal must have the contract's form."""
        path = path.replace("{model_name}", "echo").replace("{model_version}", "1.0")
        path = path.replace("{workflow_name}", "w")
        query = {
            "/invocations": {"model_name": "echo"},
            "/token": {"type": "inference"},
        }.get(path, {})
        shown = self.authorization(kind)
        answer = self.server.client.request(
            method,
            self.addresses[api] + path,
            params=query,
            headers={"Authorization": shown} if shown else {},
        )
        if answer.status_code != 400 or method == "HEAD":
            return answer.status_code != 400
        body = answer.json()
        if body["type"] != "InvalidKeyException":
            return True
        word = "Authentication" if path == "/token" else "Authorization"
        assert body == {"code": 400, "type": body["type"], "message": REFUSED.format(word)}
        assert "www-authenticate" not in answer.headers
        assert answer.headers["connection"] == "close"
        return False


@pytest.fixture(params=["three addresses", "one address"])
def site(request, serve):
    settings = {"disable_token_authorization": "false", "enable_model_api": "false"}
    if request.param == "one address":
        (port,) = free_ports(1)
        names = ("inference_address", "management_address", "metrics_address")
        settings |= dict.fromkeys(names, f"http://127.0.0.1:{port}")
    grants = [{"name": name, "key": text_of(name)} | grant for name, grant in GRANTS.items()]
    return Site(
        serve(
            {"echo.mar": {"echo.py": ECHO}},
            models="echo.mar",
            settings=settings,
            environment={"FLAMBEAU_TOKENS": json.dumps(grants)},
        )
    )


def test_every_route_is_opened_by_the_keys_the_page_names_and_by_no_other(site):
    rows, kinds = table()
    assert len(rows) > 30
    assert set(kinds) == {"none", *FILE, *GRANTS} - {"expired"}
    shared = len(set(site.addresses.values())) == 1
    wrong, seen = [], set()
    if shared:  # there, one route may belong to two APIs, and opens with a key of either
        both = {}
        for _, _, path, opened in rows:
            both.setdefault(path, set()).update(opened)
        rows = [
            (api, methods, path, both[path] if path == "/v1/models/{model_name}" else opened)
            for api, methods, path, opened in rows
        ]
    for api, methods, path, opened in rows:
        for method in methods:
            if shared and (method, path) in seen:
                continue
            seen.add((method, path))
            for kind in [*NOTHING, *(kind for kind in kinds if kind != "none")]:
                expected = ("none" if kind in NOTHING else kind) in opened
                if site.opened(api, method, path, kind) is not expected:
                    wrong.append(f"{api} {method} {path}: {kind} should open: {expected}")
    assert wrong == []


def test_what_does_not_exist_is_shown_only_to_those_with_a_key_of_the_listener(site):
    for api, key in (("inference", "inference"), ("management", "management")):
        for method, path in (
            ("GET", "/nothing"),
            ("PATCH", "/workflows"),
            ("GET", "/models/a/b/c"),
        ):
            for kind in (*NOTHING, "API"):
                assert not site.opened(api, method, path, kind), (path, kind)
            answer = site.server.client.request(
                method,
                site.addresses[api] + path,
                headers={"Authorization": site.authorization(key)},
            )
            assert answer.status_code in {404, 405}


def test_the_key_file_is_for_its_owner_and_a_renewed_key_replaces_the_old_one(site):
    path = site.server.folder / "key_file.json"
    assert path.stat().st_mode & 0o777 == 0o600
    before = json.loads(path.read_text())
    assert list(before) == ["management", "inference", "API"]
    assert all(len(before[kind]["key"]) >= 43 for kind in before)
    old = {"Authorization": site.authorization("management")}
    address = site.addresses["management"]
    renewed = httpx.get(
        f"{address}/token?type=management", headers={"Authorization": site.authorization("API")}
    )
    after = json.loads(path.read_text())
    assert renewed.json()["key"] == after["management"]["key"] != before["management"]["key"]
    assert after["inference"] == before["inference"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert httpx.get(f"{address}/models", headers=old).status_code == 400
    new = {"Authorization": site.authorization("management")}
    assert httpx.get(f"{address}/models", headers=new).status_code == 200
