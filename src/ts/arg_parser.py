"""The parsers of the command lines."""

from __future__ import annotations

from flambeau.compat.command import ArgParser as ArgParser
