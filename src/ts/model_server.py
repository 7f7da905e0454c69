"""The torchserve command as a function."""

from __future__ import annotations

from flambeau.compat.command import TS_NAMESPACE as TS_NAMESPACE
from flambeau.compat.command import ArgParser as ArgParser
from flambeau.compat.command import load_properties as load_properties
from flambeau.compat.command import start as start
from ts.version import __version__ as __version__
