from __future__ import annotations

import json
import re
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from flambeau.errors import InvalidKey
from flambeau.security.tokens import (
    Allow,
    Credential,
    KeyFileError,
    Tokens,
    digest_of,
    write_key_file,
)

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "key_file.json"


def keys_in(key_file: Path) -> dict[str, str]:
    return {kind: entry["key"] for kind, entry in json.loads(key_file.read_text()).items()}


def header(key: str) -> bytes:
    return b"Bearer " + key.encode()


def test_key_file_has_the_layout_tools_read(key_file):
    Tokens(key_file, 60, clock=Clock())
    text = key_file.read_text()
    document = json.loads(text)
    assert list(document) == ["management", "inference", "API"]
    assert list(document["management"]) == ["key", "expiration time"]
    assert list(document["API"]) == ["key"]
    assert text == json.dumps(document, indent=2)
    expires = datetime.fromisoformat(document["inference"]["expiration time"])
    assert expires == datetime.fromtimestamp(1_800_003_600, UTC)


def test_keys_have_256_random_bits_and_differ(key_file):
    Tokens(key_file)
    keys = list(keys_in(key_file).values())
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", key) for key in keys)
    assert len(set(keys)) == 3


def test_only_the_owner_can_read_the_key_file_even_if_it_was_open_before(key_file):
    key_file.write_text("{}")
    key_file.chmod(0o666)
    Tokens(key_file)
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


def test_a_link_in_place_of_the_key_file_is_replaced_not_followed(key_file, tmp_path):
    other = tmp_path / "other"
    other.write_text("precious")
    key_file.symlink_to(other)
    Tokens(key_file)
    assert other.read_text() == "precious"
    assert not key_file.is_symlink()


def test_writing_leaves_no_other_file_behind(key_file):
    tokens = Tokens(key_file)
    tokens.rotate("inference")
    assert [path.name for path in key_file.parent.iterdir()] == ["key_file.json"]


@pytest.mark.parametrize("kind", ["management", "inference", "API"])
def test_each_key_names_its_credential(key_file, kind):
    tokens = Tokens(key_file)
    found = tokens.finds(header(keys_in(key_file)[kind]))
    assert found is not None
    assert found.name == kind


def test_several_blanks_may_stand_before_the_key(key_file):
    tokens = Tokens(key_file)
    assert tokens.finds(b"Bearer    " + keys_in(key_file)["inference"].encode()) is not None


@pytest.mark.parametrize(
    "form",
    ["{}", "bearer {}", "Bearer{}", "Basic {}", "Bearer {} ", "Bearer {}x", "Bearer x{}", ""],
)
def test_other_forms_of_the_header_are_not_taken(key_file, form):
    tokens = Tokens(key_file)
    assert tokens.finds(form.format(keys_in(key_file)["inference"]).encode()) is None


def test_a_key_dies_when_its_time_is_over(key_file):
    clock = Clock()
    tokens = Tokens(key_file, 0.05, clock=clock)
    inference = header(keys_in(key_file)["inference"])
    clock.now += 2.9
    assert tokens.finds(inference) is not None
    clock.now += 0.2
    assert tokens.finds(inference) is None
    assert tokens.finds(header(keys_in(key_file)["API"])) is not None


@pytest.mark.parametrize("minutes", [0, -5])
def test_no_minutes_mean_expired_from_the_start(key_file, minutes):
    tokens = Tokens(key_file, minutes)
    assert tokens.finds(header(keys_in(key_file)["inference"])) is None


def test_very_many_minutes_end_with_the_calendar(key_file):
    Tokens(key_file, 1e15)
    assert json.loads(key_file.read_text())["inference"]["expiration time"].startswith("9999-12-31")


def test_renewal_replaces_one_key_and_its_time_only(key_file):
    clock = Clock()
    tokens = Tokens(key_file, 60, clock=clock)
    before = keys_in(key_file)
    clock.now += 1800
    new = tokens.rotate("inference")
    after = keys_in(key_file)
    assert after == {**before, "inference": new}
    assert tokens.finds(header(before["inference"])) is None
    clock.now += 1900  # The first hour is over, the new key's is not.
    assert tokens.finds(header(new)) is not None
    assert tokens.finds(header(before["management"])) is None


@pytest.mark.parametrize("kind", ["API", "Inference", "INFERENCE", "", "models"])
def test_other_kinds_cannot_be_renewed(key_file, kind):
    tokens = Tokens(key_file)
    with pytest.raises(InvalidKey, match="Token Authentication failed"):
        tokens.rotate(kind)


def test_renewal_writes_a_deleted_file_in_full(key_file):
    tokens = Tokens(key_file)
    before = keys_in(key_file)
    key_file.unlink()
    new = tokens.rotate("management")
    assert keys_in(key_file) == {**before, "management": new}


def test_a_renewal_that_cannot_be_written_keeps_the_old_key(key_file):
    tokens = Tokens(key_file)
    old = header(keys_in(key_file)["management"])
    key_file.unlink()
    key_file.mkdir()
    with pytest.raises(InvalidKey, match="old key stays good"):
        tokens.rotate("management")
    assert tokens.finds(old) is not None
    assert [path.name for path in key_file.parent.iterdir()] == ["key_file.json"]


def test_a_folder_that_is_missing_is_an_error_at_start(tmp_path):
    with pytest.raises(KeyFileError, match="tokens_file"):
        Tokens(tmp_path / "missing" / "key_file.json")


def test_keys_from_outside_make_up_for_a_file_that_cannot_be_written(tmp_path):
    grant = Credential("ci", digest_of(b"k" * 40), frozenset({Allow.INFERENCE}))
    tokens = Tokens(tmp_path / "missing" / "key_file.json", grants=[grant])
    assert "cannot be written" in tokens.problem
    assert tokens.finds(b"Bearer " + b"k" * 40) is grant
    with pytest.raises(InvalidKey):
        tokens.rotate("inference")


def test_a_hashed_key_is_found_again_after_the_first_time(key_file):
    grant = Credential("ci", digest_of(b"k" * 40), frozenset({Allow.INFERENCE}))
    tokens = Tokens(key_file, grants=[grant])
    for _ in range(3):
        assert tokens.finds(b"Bearer  " + b"k" * 40) is grant
        assert tokens.finds(b"Bearer " + b"l" * 40) is None


def test_a_hashed_key_expires(key_file):
    clock = Clock()
    grant = Credential(
        "ci", digest_of(b"k" * 40), frozenset({Allow.INFERENCE}), expires=clock.now + 1
    )
    tokens = Tokens(key_file, grants=[grant], clock=clock)
    assert tokens.finds(b"Bearer " + b"k" * 40) is grant
    clock.now += 1
    assert tokens.finds(b"Bearer " + b"k" * 40) is None


def test_a_failed_write_leaves_the_old_file(key_file):
    Tokens(key_file)
    before = key_file.read_text()
    with pytest.raises(TypeError):
        write_key_file(key_file, {"inference": (object(), None)})  # type: ignore[dict-item] # on purpose
    assert key_file.read_text() == before
    assert [path.name for path in key_file.parent.iterdir()] == ["key_file.json"]
