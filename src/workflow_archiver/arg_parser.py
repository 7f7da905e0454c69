"""The flags of torch-workflow-archiver."""

from __future__ import annotations

from flambeau.cli.workflow_archiver import ArgParser

__all__ = ["ArgParser"]
