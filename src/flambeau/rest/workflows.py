"""Workflows as far as they are served: there are none, and this says so as the contract does.

The functions of the workflow rows. POST on the list has no row: registering is refused with 405.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flambeau.control.requests import ListModels
from flambeau.errors import WorkflowNotFound
from flambeau.rest.asked import asked
from flambeau.rest.replies import reply

if TYPE_CHECKING:
    from flambeau.rest.route import Call, Reply


class WorkflowSummary(msgspec.Struct, rename="camel"):
    """One line of the list of workflows."""

    workflow_name: str
    workflow_url: str


class WorkflowPage(msgspec.Struct, rename="camel"):
    """One page of the list. ``next_page_token`` is None on the last page."""

    next_page_token: str | None
    workflows: list[WorkflowSummary]


def list_workflows(call: Call) -> Reply:
    """One page of the registered workflows, which is empty."""
    _, end = asked(ListModels, call.query).page
    return reply(WorkflowPage(str(end) if end <= 0 else None, []))


def not_found(call: Call) -> Reply:
    """No workflow has that name. Raises WorkflowNotFound."""
    raise WorkflowNotFound(f"Workflow not found: {call.path['workflow_name']}")
