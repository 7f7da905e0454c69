"""Keys given from outside: the setting ``tokens_file`` or a variable, parsed and checked.

For containers with a read-only disk and for keys with a narrower reach than those of the key
file. ``server`` calls ``read_grants`` once and hands the result to ``Tokens``. The document is a
JSON list, ``[{"name": "ci", "sha256": "<hex>", "allow": ["inference"], "models": ["digits"],
"expires": "2027-01-31T00:00:00Z"}]``, with ``key`` (at least 32 characters) in place of
``sha256`` where the plain key may be written down.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from flambeau.security.tokens import Allow, Credential, digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TOKENS_VARIABLE = "FLAMBEAU_TOKENS"
_SHORTEST_KEY = 32


class GrantsError(ValueError):
    """The list of outside keys cannot be used; the message says which entry and why."""


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the list, as written."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    allow: Annotated[list[Allow], msgspec.Meta(min_length=1)]
    key: str = ""
    sha256: Annotated[str, msgspec.Meta(pattern="^([0-9a-fA-F]{64})?$")] = ""
    models: list[str] | None = None
    expires: datetime | None = None

    def credential(self) -> Credential:
        """The entry as the gate uses it. Raises GrantsError."""
        if bool(self.key) == bool(self.sha256):
            raise GrantsError(f"token {self.name!r}: give either key or sha256.")
        if self.key and len(self.key) < _SHORTEST_KEY:
            raise GrantsError(
                f"token {self.name!r}: the key has {len(self.key)} characters; "
                f"{_SHORTEST_KEY} or more are needed. `flambeau token` makes strong ones."
            )
        allow = set(self.allow)
        if Allow.MANAGE in allow:
            allow.add(Allow.READ)
        return Credential(
            self.name,
            bytes.fromhex(self.sha256) if self.sha256 else digest_of(self.key.encode()),
            frozenset(allow),
            models=None if self.models is None else frozenset(self.models),
            expires=None if self.expires is None else _seconds(self.expires),
        )


def read_grants(tokens_file: Path | None, environment: Mapping[str, str]) -> list[Credential]:
    """The credentials of the file and of FLAMBEAU_TOKENS, the file's first. Raises GrantsError."""
    found: list[Credential] = []
    if tokens_file is not None:
        try:
            text = tokens_file.read_bytes()
        except OSError as error:
            raise GrantsError(
                f"tokens_file {tokens_file} cannot be read: {error.strerror}."
            ) from error
        found += parse_grants(text, f"tokens_file {tokens_file}")
    if environment.get(TOKENS_VARIABLE):
        found += parse_grants(environment[TOKENS_VARIABLE].encode(), TOKENS_VARIABLE)
    names = [credential.name for credential in found]
    for name in names:
        if names.count(name) > 1:
            raise GrantsError(f"token {name!r} is given twice; names must differ.")
    return found


def parse_grants(text: bytes, source: str) -> list[Credential]:
    """The credentials in a JSON list; ``source`` names it in errors. Raises GrantsError."""
    try:
        return [grant.credential() for grant in msgspec.json.decode(text, type=list[Grant])]
    except (msgspec.DecodeError, GrantsError) as error:
        raise GrantsError(f"{source}: {error}") from error


def _seconds(instant: datetime) -> float:
    # A time without a zone is taken as UTC, the zone of every time flambeau writes.
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
