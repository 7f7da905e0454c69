"""What one value of a version is: its sentence, its bounds, its places, and who wins.

The table (``versions.table``) annotates every field with one ``Value``; ``versions.rows`` reads
them back. Nothing here knows a value's name.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Form(StrEnum):
    """Where a value may stand, with a spelling of its own; most are sources, some only show it."""

    SNAPSHOT = "snapshot"
    REGISTER = "register call"
    SCALE = "scale call"
    CONFIG = "model-config.yaml"
    MODELS = "models setting"
    MANIFEST = "manifest"
    SERVER = "server setting"
    DESCRIBE = "describe"


class Unit(StrEnum):
    """Of a number; the short form is for tables."""

    NONE = ""
    SECONDS = "s"
    MILLISECONDS = "ms"

    @property
    def words(self) -> str:
        """``, in seconds``: what follows a sentence."""
        return f", in {self.name.lower()}" if self else ""


class Value(msgspec.Struct, frozen=True):
    """The annotation of one field of the table.

    A spelling that is empty keeps the value out of that form.
    """

    sentence: str
    unit: Unit = Unit.NONE
    wins: tuple[Form, ...] = ()
    """The sources that count, strongest first. A snapshot beats them all; the default is last."""
    startup_only: tuple[Form, ...] = ()
    """Those of them that count only for models loaded at start-up."""
    asked: tuple[Form, ...] = ()
    """The calls with a parameter of its name. What a scale call has changes the live version."""
    config: str = ""
    """Key in model-config.yaml."""
    models: str = ""
    """Key in the ``models`` setting and in snapshots, which share their form."""
    setting: str = ""
    """The server setting that gives the default of all versions."""
    described: str = ""
    """Field of describe."""
    least: int | None = None
    lifted: bool = False
    """A number below ``least`` in model-config.yaml means ``least``; else it is left out."""
    choices: tuple[str, ...] = ()
    """The only texts it may have, in model-config.yaml and on the command line."""
    otherwise: str = ""
    """What holds when it is not given, in words, where that is no constant."""
    needs: str = ""
    """The value without which this one has no effect."""
    later: bool = False
    """Its feature is not built yet: an archive that asks for it is refused."""
