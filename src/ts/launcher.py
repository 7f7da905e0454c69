"""Starting, stopping and filling a server from Python."""

from __future__ import annotations

from flambeau.cli.launcher import PrintTillTheEnd as PrintTillTheEnd
from flambeau.cli.launcher import Tee as Tee
from flambeau.cli.launcher import register_model as register_model
from flambeau.cli.launcher import register_model_with_params as register_model_with_params
from flambeau.cli.launcher import start as start
from flambeau.cli.launcher import stop as stop
