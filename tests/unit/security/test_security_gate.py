from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from flambeau.errors import InvalidKey
from flambeau.security.gate import Gate
from flambeau.security.tokens import Allow, Credential, Tokens, digest_of

if TYPE_CHECKING:
    from pathlib import Path

AUTHORIZATION = (
    "Token Authorization failed. Token either incorrect, expired, or not provided correctly"
)
AUTHENTICATION = AUTHORIZATION.replace("Authorization", "Authentication")
KINDS = ["management", "inference", "API"]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "key_file.json"


@pytest.fixture
def gate(key_file: Path) -> Gate:
    return Gate(Tokens(key_file))


def header_of(key_file: Path, kind: str) -> bytes:
    return b"Bearer " + json.loads(key_file.read_text())[kind]["key"].encode()


def passes(gate: Gate, api: str, authorization: bytes | None, **how) -> bool:
    try:
        gate.check(api, authorization, **how)
    except InvalidKey:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("api", "opened_by"),
    [("inference", "inference"), ("management", "management"), ("token", "API")],
)
def test_each_api_opens_to_its_own_key_only(gate, key_file, api, opened_by, kind):
    assert passes(gate, api, header_of(key_file, kind)) == (kind == opened_by)


def test_the_management_key_may_read_and_change(gate, key_file):
    management = header_of(key_file, "management")
    for write in (False, True):
        for model in (None, "digits"):
            assert passes(gate, "management", management, model=model, write=write)


@pytest.mark.parametrize("authorization", [None, b"", b"Bearer ", b"Bearer wrong", b"\xff\x00"])
@pytest.mark.parametrize(
    ("api", "text"),
    [("inference", AUTHORIZATION), ("management", AUTHORIZATION), ("token", AUTHENTICATION)],
)
def test_a_refusal_is_spelled_as_clients_match_on(gate, api, authorization, text):
    with pytest.raises(InvalidKey) as caught:
        gate.check(api, authorization)
    assert caught.value.message == text
    assert caught.value.status == 400


def test_metrics_need_no_key(gate):
    gate.check("metrics", None)


def test_a_gate_that_is_off_lets_everything_pass():
    for api in ("inference", "management", "token", "metrics"):
        Gate.off().check(api, None, write=True)


def scoped(key_file: Path, *allow: Allow, models: set[str] | None = None) -> tuple[Gate, bytes]:
    reach = None if models is None else frozenset(models)
    grant = Credential("ci", digest_of(b"k" * 40), frozenset(allow), models=reach)
    return Gate(Tokens(key_file, grants=[grant])), b"Bearer " + b"k" * 40


def test_a_read_only_key_cannot_change_anything(key_file):
    gate, key = scoped(key_file, Allow.READ)
    assert passes(gate, "management", key)
    assert not passes(gate, "management", key, write=True)
    assert not passes(gate, "inference", key)
    assert not passes(gate, "token", key)


def test_an_inference_key_cannot_manage(key_file):
    gate, key = scoped(key_file, Allow.INFERENCE)
    assert passes(gate, "inference", key, model="digits")
    assert not passes(gate, "management", key)


def test_a_key_for_one_model_opens_no_other(key_file):
    gate, key = scoped(key_file, Allow.INFERENCE, Allow.READ, Allow.MANAGE, models={"digits"})
    assert passes(gate, "inference", key, model="digits")
    assert not passes(gate, "inference", key, model="secret")
    assert passes(gate, "management", key, model="digits", write=True)
    assert not passes(gate, "management", key, model="secret")


def test_a_key_for_one_model_sees_health_but_no_list(key_file):
    gate, key = scoped(key_file, Allow.INFERENCE, Allow.READ, models={"digits"})
    assert passes(gate, "inference", key)
    assert not passes(gate, "management", key)


def test_a_refused_reach_is_logged_by_name_without_the_key(key_file, caplog):
    gate, key = scoped(key_file, Allow.READ)
    with caplog.at_level("INFO", logger="flambeau.security"):
        assert not passes(gate, "management", key, write=True)
    assert "name=ci" in caplog.text
    assert "k" * 40 not in caplog.text
