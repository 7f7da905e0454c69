"""Pieces of an answer, sent while the handler still runs.

Handlers call ``send_intermediate_predict_response`` (``ts.handler_utils.utils`` and, from old
code, ``ts.protocol.otf_message_handler``). A slow reader slows the handler: the send blocks when
the server takes no more.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from flambeau.transport.messages import Replies
from flambeau.worker import results
from flambeau.worker.context import batch_of
from flambeau.worker.failures import INTERNAL, LAST_STATUS

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

STREAM_NEXT = "ts_stream_next"


def send_intermediate_predict_response(
    ret: list[Any],
    req_ids: Mapping[int, str],
    message: str,
    code: int,
    context: Any = None,
) -> None:
    """Send one piece for each request of the batch; the handler's return value is the last one.

    ``code`` is the status of the answer unless the context has been given another; ``message``
    is for the log. Raises ValueError when ``ret`` and the batch differ in length, TypeError when
    a piece has no wire form, LinkLost when the server is gone.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return  # of the processes of one torchrun worker, the first speaks
    batch = batch_of(context)
    if batch is None or batch.link is None or batch.jobs is None:
        raise ValueError("a piece can only be sent with the worker's context, while it predicts")
    if len(ret) != len(batch.jobs) or len(ret) != len(req_ids):
        raise ValueError(f"{len(ret)} pieces for {len(batch.jobs)} requests: send one for each")
    logger.debug("%s: %d pieces", message, len(ret))
    blobs = [results.to_bytes(piece) for piece in ret]
    processors = batch.request_processors() or []
    for processor in processors:
        processor.add_response_property(STREAM_NEXT, "true")
        if code != processor.get_response_status_code() == 200:  # noqa: PLR2004 - the default
            processor.report_status(code if 0 < code <= LAST_STATUS else INTERNAL)
    mores = [True] * len(blobs)
    heads = results.shaped_heads(batch.jobs, blobs, processors, mores)
    for processor in processors:
        processor.get_response_headers().pop(STREAM_NEXT, None)
    batch.link.poll()
    batch.link.send(Replies(heads), blobs)
