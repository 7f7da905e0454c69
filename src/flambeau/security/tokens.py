"""The keys that open the server: made, kept in the key file, renewed, expired.

``server`` makes one ``Tokens`` at start and hands it to ``security.gate``, which asks ``finds``.
The token operation of the management face calls ``rotate``. Keys given from outside (``grants``)
are held as SHA-256 digests only. Nothing here knows a request, and no key is ever logged.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from hmac import compare_digest
from typing import TYPE_CHECKING

from flambeau.errors import InvalidKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

KEY_FILE_NAME = "key_file.json"
AUTHENTICATION_FAILED = (
    "Token Authentication failed. Token either incorrect, expired, or not provided correctly"
)
_BEARER = re.compile(rb"Bearer +([^\s]+)")
_LAST_INSTANT = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


class Allow(StrEnum):
    """What a key opens."""

    INFERENCE = "inference"
    READ = "read"
    """Management calls that change nothing."""
    MANAGE = "manage"
    """Every management call."""
    RENEW = "renew"
    """Only the renewal of the two keys of the key file."""


class Credential:
    """One key: its digest, what it opens, for which models, until when."""

    __slots__ = ("allow", "digest", "expires", "header", "models", "name")

    def __init__(
        self,
        name: str,
        digest: bytes,
        allow: frozenset[Allow],
        *,
        models: frozenset[str] | None = None,
        expires: float | None = None,
    ) -> None:
        self.name = name
        self.digest = digest
        self.allow = allow
        self.models = models
        """The only models it is good for; None means all."""
        self.expires = expires
        """Seconds since the epoch; None means never."""
        self.header: bytes | None = None
        """The Authorization value that last proved right: spares the next call the hashing."""

    @classmethod
    def of_key(
        cls,
        name: str,
        key: str,
        allow: frozenset[Allow],
        expires: float | None,
        models: frozenset[str] | None = None,
    ) -> Credential:
        """A credential for a key whose text is known."""
        credential = cls(name, digest_of(key.encode()), allow, models=models, expires=expires)
        credential.header = b"Bearer " + key.encode()
        return credential


def digest_of(key: bytes) -> bytes:
    """The SHA-256 of a key. Keys are long and random, so no salt or stretching is needed."""
    return hashlib.sha256(key).digest()


_KINDS: dict[str, frozenset[Allow]] = {
    "management": frozenset({Allow.READ, Allow.MANAGE}),
    "inference": frozenset({Allow.INFERENCE}),
    "API": frozenset({Allow.RENEW}),
}
"""The keys of the key file, in its order, and what each opens."""


class KeyFileError(OSError):
    """The key file could not be written and no key was given from outside."""


class Tokens:
    """All keys that are good now.

    Constructing makes the keys of the key file anew and writes it. ``key_file`` None means that
    only the keys in ``grants`` exist. Raises KeyFileError when the file cannot be written and
    there are no grants; with grants, the file's keys are given up and ``problem`` says why.
    """

    def __init__(
        self,
        key_file: Path | None,
        minutes: float = 60.0,
        grants: Iterable[Credential] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.key_file = key_file
        self.problem = ""
        self._minutes = minutes
        self._clock = clock
        self._grants = list(grants)
        self._keys: dict[str, tuple[str, float | None]] = {}
        self._own: dict[str, Credential] = {}
        if key_file is not None:
            self._make_all(key_file)
        self._arrange()

    def finds(self, authorization: bytes) -> Credential | None:
        """The unexpired credential an Authorization header value names, in constant time.

        None for a malformed, unknown or expired one.
        """
        for credential in self._all:
            known = credential.header
            if known is not None and compare_digest(known, authorization):
                expires = credential.expires
                return credential if expires is None or self._clock() < expires else None
        return self._find_by_digest(authorization)

    def rotate(self, kind: str) -> str:
        """Make a new ``management`` or ``inference`` key and return it; the old one dies at once.

        The key file is replaced first: if that fails the old key stays good. Raises InvalidKey.
        """
        if self.key_file is None or kind not in ("management", "inference"):
            raise InvalidKey(AUTHENTICATION_FAILED)
        keys = {**self._keys, kind: (_new_key(), self._expiry())}
        try:
            write_key_file(self.key_file, keys)
        except OSError as error:
            raise InvalidKey(
                f"The new {kind} key could not be written to {self.key_file} "
                f"({error.strerror}); the old key stays good."
            ) from error
        self._take(keys)
        self._arrange()
        return keys[kind][0]

    def _make_all(self, key_file: Path) -> None:
        keys = {kind: (_new_key(), None if kind == "API" else self._expiry()) for kind in _KINDS}
        try:
            write_key_file(key_file, keys)
        except OSError as error:
            self.problem = (
                f"The key file {key_file} cannot be written ({error.strerror}). Make its folder "
                "writable, or give keys by the setting tokens_file or the environment variable "
                "FLAMBEAU_TOKENS."
            )
            if not self._grants:
                raise KeyFileError(self.problem) from error
            self.key_file = None
            return
        self._take(keys)

    def _take(self, keys: dict[str, tuple[str, float | None]]) -> None:
        self._keys = keys
        self._own = {
            kind: Credential.of_key(kind, key, _KINDS[kind], expires)
            for kind, (key, expires) in keys.items()
        }

    def _arrange(self) -> None:
        # The inference key first: it is asked for most.
        self.inference = self._own.get("inference")
        others = [self._own[kind] for kind in self._own if kind != "inference"]
        self._all = ([self.inference] if self.inference else []) + others + self._grants

    def _find_by_digest(self, authorization: bytes) -> Credential | None:
        matched = _BEARER.fullmatch(authorization)
        if matched is None:
            return None
        digest = digest_of(matched[1])
        for credential in self._all:
            if compare_digest(credential.digest, digest):
                credential.header = b"Bearer " + matched[1]
                return self.finds(credential.header)
        return None

    def _expiry(self) -> float:
        return min(self._clock() + self._minutes * 60.0, _LAST_INSTANT)


def write_key_file(path: Path, keys: dict[str, tuple[str, float | None]]) -> None:
    """Replace the key file at once with one that only its owner can read. Raises OSError."""
    document: dict[str, dict[str, str]] = {}
    for kind, (key, expires) in keys.items():
        document[kind] = {"key": key}
        if expires is not None:
            instant = datetime.fromtimestamp(max(expires, 0.0), UTC)
            document[kind]["expiration time"] = instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    text = json.dumps(document, indent=2)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise


def _new_key() -> str:
    """256 random bits, URL-safe: 43 characters of ``A-Za-z0-9_-``."""
    return secrets.token_urlsafe(32)
