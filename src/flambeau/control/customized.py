"""``customized=true``: what the handler says of itself, beside what the server knows.

The question goes through the queue to a worker, alone in its batch, with header ``describe``. It
waits behind running predictions, and no longer than the version's response time-out.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from flambeau.errors import InternalError, NoWorker
from flambeau.jobs.job import Job, pack_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flambeau.control.model import ModelVersion
    from flambeau.control.views import ModelDescription
    from flambeau.jobs.job import Answer


async def ask_handler(
    version: ModelVersion, view: ModelDescription, headers: Sequence[tuple[str, str]] = ()
) -> ModelDescription:
    """``view`` with ``customizedMetadata``.

    Raises NoWorker when nobody can answer, or what the handler's failure means.
    """
    if not version.slots and not version.asleep:
        raise NoWorker(
            f'Model "{version.spec.name}" has no worker to serve describe request. '
            "Please use scale workers API to add workers."
        )
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def tell(_: Job, answer: Answer) -> None:
        if not answered.done():
            answered.set_result(answer)

    request_id = str(UUID(bytes=os.urandom(16), version=4))
    job = Job(request_id, pack_headers([*headers, ("describe", "True")]), [], tell)
    job.alone = True
    version.accept(job)
    limit = version.spec.response_timeout + version.spec.startup_timeout
    try:
        answer = await asyncio.wait_for(answered, limit)
    except TimeoutError:
        raise InternalError(f"The handler did not describe itself within {limit} s.") from None
    finally:
        job.cancel()
    if answer.error is not None:
        raise answer.error
    return msgspec.structs.replace(view, customizedMetadata=_object(answer.body))


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``; anything else is shown as an empty one, as measured."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
