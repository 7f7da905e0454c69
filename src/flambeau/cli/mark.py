"""The word by which tools find a server among all processes; imports nothing."""

from typing import Final

PROCESS_MARK: Final = "org.pytorch.serve.ModelServer"
"""Stands in the argv of every server process: tools of others find a server by this word."""
