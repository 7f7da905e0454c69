"""Starting, stopping and filling a server from Python."""

from __future__ import annotations

from flambeau.compat.launcher import PrintTillTheEnd as PrintTillTheEnd
from flambeau.compat.launcher import Tee as Tee
from flambeau.compat.launcher import register_model as register_model
from flambeau.compat.launcher import register_model_with_params as register_model_with_params
from flambeau.compat.launcher import start as start
from flambeau.compat.launcher import stop as stop
