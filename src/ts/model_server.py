"""The torchserve command as a function."""

from __future__ import annotations

from flambeau.cli.old_command import TS_NAMESPACE as TS_NAMESPACE
from flambeau.cli.old_command import ArgParser as ArgParser
from flambeau.cli.old_command import load_properties as load_properties
from flambeau.cli.old_command import start as start
from ts.version import __version__ as __version__
