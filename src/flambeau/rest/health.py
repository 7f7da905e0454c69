"""``/livez`` and ``/readyz``: what a cluster asks, without a token.

Whoever shows no key that opens this listener is told how many models are lacking; which ones they
are is for those who may ask about models anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flambeau.errors import InvalidKey
from flambeau.rest.replies import reply
from flambeau.rest.route import Api

if TYPE_CHECKING:
    from flambeau.control.readiness import Lack
    from flambeau.rest.route import Call, Reply

NOT_READY = 503


class LackView(msgspec.Struct):
    """One start-up model that cannot serve now."""

    model: str
    reason: str


class ReadyzView(msgspec.Struct):
    """Whether every start-up model has a worker that answers; if not, why."""

    status: str
    lacking: int | None = None
    """How many cannot serve."""
    reasons: list[LackView] | None = None
    """Which, and why; only with a key, while keys are asked for."""


def live(_: Call) -> Reply:
    """The server answers, so it lives."""
    return reply({"status": "Live"})


def ready(call: Call) -> Reply:
    """Whether every start-up model has a worker that has answered within the last second."""
    lacking = call.site.plane.lacking()
    if not lacking:
        return reply(ReadyzView("Ready"))
    shown = [_shown(lack) for lack in lacking] if _may_know(call) else None
    return reply(ReadyzView("Not ready", len(lacking), shown), NOT_READY)


def _shown(lack: Lack) -> LackView:
    return LackView(lack.model, lack.reason)


def _may_know(call: Call) -> bool:
    """The caller has a key that opens one of this listener's APIs, or none is needed."""
    for api in call.site.apis - {Api.METRICS}:
        try:
            call.site.gate.check(api, call.authorization)
        except InvalidKey:
            continue
        return True
    return False
