from __future__ import annotations

import hashlib
import json

import pytest

from flambeau.security.grants import GrantsError, parse_grants, read_grants
from flambeau.security.tokens import Allow

KEY = "k" * 43
HASH = hashlib.sha256(KEY.encode()).hexdigest()


def parsed(**entry):
    return parse_grants(json.dumps([{"name": "ci", **entry}]).encode(), "here")[0]


def test_a_hash_and_the_key_itself_give_the_same_credential():
    by_hash = parsed(sha256=HASH, allow=["inference"])
    by_key = parsed(key=KEY, allow=["inference"])
    assert by_hash.digest == by_key.digest
    assert by_hash.allow == {Allow.INFERENCE}
    assert by_hash.models is None
    assert by_hash.expires is None


def test_who_manages_may_also_read():
    assert parsed(sha256=HASH, allow=["manage"]).allow == {Allow.MANAGE, Allow.READ}


def test_models_and_end_are_taken():
    found = parsed(
        sha256=HASH, allow=["read"], models=["digits"], expires="2027-01-15T08:00:00+00:00"
    )
    assert found.models == {"digits"}
    assert found.expires == 1_800_000_000


def test_a_time_without_zone_is_utc():
    assert (
        parsed(sha256=HASH, allow=["read"], expires="2027-01-15T08:00:00").expires == 1_800_000_000
    )


@pytest.mark.parametrize(
    ("entry", "cause"),
    [
        ({"allow": ["inference"]}, "either key or sha256"),
        ({"allow": ["inference"], "key": KEY, "sha256": HASH}, "either key or sha256"),
        ({"allow": ["inference"], "key": "short"}, "has 5 characters"),
        ({"allow": ["inference"], "sha256": "12"}, "sha256"),
        ({"allow": [], "sha256": HASH}, "allow"),
        ({"allow": ["everything"], "sha256": HASH}, "allow"),
        ({"sha256": HASH}, "allow"),
        ({"allow": ["read"], "sha256": HASH, "model": "x"}, "unknown field `model`"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_cause(entry, cause):
    with pytest.raises(GrantsError, match=cause) as caught:
        parsed(**entry)
    assert str(caught.value).startswith("here: ")
    assert KEY not in str(caught.value)


def test_file_and_variable_add_up(tmp_path):
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps([{"name": "a", "sha256": HASH, "allow": ["read"]}]))
    other = json.dumps([{"name": "b", "key": "m" * 40, "allow": ["inference"]}])
    found = read_grants(file, {"FLAMBEAU_TOKENS": other})
    assert [credential.name for credential in found] == ["a", "b"]


def test_a_name_given_twice_is_refused(tmp_path):
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps([{"name": "a", "sha256": HASH, "allow": ["read"]}] * 2))
    with pytest.raises(GrantsError, match="'a' is given twice"):
        read_grants(file, {})


def test_nothing_given_gives_nothing():
    assert read_grants(None, {}) == []


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(GrantsError, match=r"nope\.json cannot be read"):
        read_grants(tmp_path / "nope.json", {})
