"""What one setting is: its sentence, its bounds, where it may be set, whether it has an effect.

The table (``options``) annotates every field with one ``Setting``; ``table`` reads them back for
loading, for the commands' help and for the reference page. Nothing here knows a setting's name.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class ConfigurationError(Exception):
    """The configuration cannot be used; the message says what, where, and what is expected."""

    def __init__(self, text: str) -> None:
        super().__init__(f"Invalid configuration: {text}")
        self.text = text


class Effect(StrEnum):
    """What setting it does today."""

    NOW = "now"
    LATER = "not yet in effect"
    NONE = "no meaning here"
    RECORDED = "recorded only"
    """Written into snapshots by the original; read back without a word."""


class Syntax(StrEnum):
    """How the text of a value is read. Plain types are read by their type alone."""

    BY_TYPE = "by type"
    REGEX = "regular expression"
    REGEX_LIST = "comma list of regular expressions"
    INFERENCE_ADDRESS = "address, port 80 or 443"
    MANAGEMENT_ADDRESS = "address, port 8081 or 8444"
    METRICS_ADDRESS = "address, port 8082 or 8445"
    FALLS_BACK = "a bad value is reported and the default used"


class Setting(msgspec.Struct, frozen=True):
    """The annotation of one field of the table."""

    sentence: str
    env: str | None = ""
    """Environment variable; empty: by rule (``TS_`` + the key in capitals); None: there is none."""
    flag: str = ""
    """Command line flag of ``torchserve`` and ``flambeau serve`` that sets it."""
    effect: Effect = Effect.NOW
    syntax: Syntax = Syntax.BY_TYPE
    least: int | None = None
    most: int | None = None
    in_file: bool = True
    """False: comes from the command line or the environment only."""


def later(sentence: str, *, env: str | None = "", least: int | None = None) -> Setting:
    """A setting whose feature is not built yet: accepted, typed, reported once at start."""
    return Setting(sentence, env=env, effect=Effect.LATER, least=least)


def jvm_only(sentence: str, *, env: str | None = "") -> Setting:
    """A setting of the original that means nothing without a JVM: accepted, reported once."""
    return Setting(sentence, env=env, effect=Effect.NONE)


def of_run(sentence: str, *, env: str | None = None, flag: str = "") -> Setting:
    """A value the command line or the environment brings, never the file."""
    return Setting(sentence, env=env, flag=flag, in_file=False)
