"""The parsers of the command lines."""

from __future__ import annotations

from flambeau.cli.old_command import ArgParser as ArgParser
