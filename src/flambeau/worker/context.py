"""The context a handler receives, and the state of each request in it.

``Context`` and ``RequestProcessor`` are public (``ts.context``): tests and other servers build
them by hand, so constructors stay positional and attributes free. Inside a worker one Context
lives as long as the worker; ``service`` points it at each batch. What a batch's handler does not
ask for is not built.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

from flambeau.transport.messages import unpack_headers
from flambeau.worker.rows import media_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.transport.messages import JobHead
    from flambeau.worker.link import Link


class RequestProcessor:
    """Headers of one request, and the status and headers its answer will get."""

    def __init__(self, request_header: dict[str, Any]) -> None:
        self._status_code = 200
        self._reason_phrase: str | None = None
        self._response_header: dict[str, str] = {}
        self._request_header = request_header

    def get_request_property(self, key: str) -> Any:
        """The header of exactly that spelling, None if the client sent none."""
        return self._request_header.get(key)

    def get_request_properties(self) -> dict[str, Any]:
        """All headers, with the client's own spelling."""
        return self._request_header

    def report_status(self, code: int, reason_phrase: str | None = None) -> None:
        """Choose the status of the answer."""
        self._status_code = code
        self._reason_phrase = reason_phrase

    def get_response_status_code(self) -> int:
        """The status the answer will get."""
        return self._status_code

    def get_response_status_phrase(self) -> str | None:
        """The reason phrase the answer will get."""
        return self._reason_phrase

    def add_response_property(self, key: str, value: str) -> None:
        """Add a header to the answer."""
        self._response_header[key] = value

    def get_response_headers(self) -> dict[str, str]:
        """All headers the answer will get."""
        return self._response_header

    def get_response_header(self, key: str) -> str | None:
        """One header the answer will get, None if it was not set."""
        return self._response_header.get(key)


class Batch:
    """The batch a context points at. Kept apart, since handlers may set any attribute there."""

    __slots__ = ("ids", "jobs", "link", "processors")

    def __init__(self, link: Link | None = None) -> None:
        self.link = link
        self.jobs: list[JobHead] | None = None
        self.ids: dict[int, str] | None = None
        self.processors: list[RequestProcessor] | None = None

    def begin(self, jobs: list[JobHead]) -> None:
        """Point at ``jobs``; what was said about the batch before is forgotten."""
        self.jobs = jobs
        self.ids = None
        self.processors = None

    def request_ids(self) -> dict[int, str] | None:
        """Index to request id; None outside a batch."""
        if self.ids is None and self.jobs is not None:
            self.ids = {index: job.request_id for index, job in enumerate(self.jobs)}
        return self.ids

    def request_processors(self) -> list[RequestProcessor] | None:
        """One RequestProcessor per job; None outside a batch."""
        if self.processors is None and self.jobs is not None:
            self.processors = [RequestProcessor(_headers(job)) for job in self.jobs]
        return self.processors

    def __deepcopy__(self, memo: dict[int, Any]) -> Batch:
        copied = Batch(self.link)
        copied.jobs = self.jobs
        copied.ids = copy.deepcopy(self.ids, memo)
        copied.processors = copy.deepcopy(self.processors, memo)
        return copied


class Context:
    """What a handler may know about its model, its worker and the batch in its hands."""

    def __init__(  # noqa: PLR0917 - the public, positional signature
        self,
        model_name: str,
        model_dir: str,
        manifest: dict[str, Any] | None,
        batch_size: int | None,
        gpu: int | None,
        mms_version: str,
        limit_max_image_pixels: bool = True,  # noqa: FBT001, FBT002 - positional in the public API
        metrics: Any = None,
        model_yaml_config: dict[str, Any] | None = None,
    ) -> None:
        self.model_name = model_name
        self.manifest = manifest
        self._system_properties: dict[str, Any] = {
            "model_dir": model_dir,
            "gpu_id": gpu,
            "batch_size": batch_size,
            "server_name": "MMS",
            "server_version": mms_version,
            "limit_max_image_pixels": limit_max_image_pixels,
        }
        self.model_yaml_config = model_yaml_config
        self.header_key_sequence_id = "ts_request_sequence_id"
        self.header_key_sequence_start = "ts_request_sequence_start"
        self.header_key_sequence_end = "ts_request_sequence_end"
        self.stopping_criteria: list[Callable[[Any], bool | None] | None] | None = None
        self._metrics = metrics
        self._batch = Batch()

    @property
    def system_properties(self) -> dict[str, Any]:
        """model_dir, gpu_id, batch_size, server_name, server_version, limit_max_image_pixels."""
        return self._system_properties

    @property
    def request_ids(self) -> dict[int, str] | None:
        """Index in the batch to request id; None while loading."""
        return self._batch.request_ids()

    @request_ids.setter
    def request_ids(self, value: dict[int, str] | None) -> None:
        self._batch.ids = value

    @property
    def request_processor(self) -> list[RequestProcessor] | None:
        """One RequestProcessor per request of the batch; None while loading."""
        return self._batch.request_processors()

    @request_processor.setter
    def request_processor(self, value: list[RequestProcessor] | None) -> None:
        self._batch.processors = value

    @property
    def cl_socket(self) -> Any:
        """The socket to the server, None outside a worker. Old streaming code asks for it."""
        return self._batch.link and self._batch.link.connection

    @cl_socket.setter
    def cl_socket(self, value: Any) -> None:
        """Accept what old code sets: the socket in use stays the worker's own."""

    @property
    def metrics(self) -> Any:
        """The metrics object: ``add_counter``, ``add_time`` and so on."""
        return self._metrics

    @metrics.setter
    def metrics(self, value: Any) -> None:
        self._metrics = value

    def _processor(self, idx: int) -> RequestProcessor:
        # Outside a batch this is the TypeError that indexing None has always been here.
        return cast("list[RequestProcessor]", self.request_processor)[idx]

    def get_request_id(self, idx: int = 0) -> str | None:
        """The request id of one request, None if the batch is shorter."""
        ids = self.request_ids
        return None if ids is None else ids.get(idx)

    def get_request_header(self, idx: int, key: str) -> Any:
        """One header in exactly that spelling, None if absent."""
        return self._processor(idx).get_request_property(key)

    def get_all_request_header(self, idx: int) -> dict[str, Any]:
        """All headers of one request, and the content type of each of its inputs."""
        return self._processor(idx).get_request_properties()

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Set the content type of one answer."""
        self.set_response_header(idx, "content-type", value)

    def get_response_content_type(self, idx: int) -> str | None:
        """The content type set for one answer, None if none was."""
        return self._processor(idx).get_response_header("content-type")

    def get_response_status(self, idx: int) -> tuple[int, str | None]:
        """Status and reason phrase of one answer."""
        processor = self._processor(idx)
        return processor.get_response_status_code(), processor.get_response_status_phrase()

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Choose the status of one answer."""
        self._processor(idx).report_status(code, reason_phrase=phrase)

    def set_all_response_status(self, code: int = 200, phrase: str = "") -> None:
        """Choose the status of every answer of the batch."""
        for processor in self.request_processor or ():
            processor.report_status(code, reason_phrase=phrase)

    def get_response_headers(self, idx: int) -> dict[str, str]:
        """The headers set for one answer."""
        return self._processor(idx).get_response_headers()

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """Set one header of one answer."""
        self._processor(idx).add_response_property(key, value)

    def get_sequence_id(self, idx: int) -> Any:
        """The id of the sequence the request belongs to, None if to none."""
        return self.get_request_header(idx, self.header_key_sequence_id)

    def is_cancelled(self, idx: int = 0) -> bool:
        """Whether nobody waits for this answer any more; a long handler may stop then."""
        batch = self._batch
        if batch.link is None or batch.jobs is None:
            return False
        return batch.link.is_cancelled(batch.jobs[idx].id)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Context):
            return False
        return (
            {**self.__dict__, "_batch": None} == {**other.__dict__, "_batch": None}
            and self.request_ids == other.request_ids
            and self.request_processor == other.request_processor
        )

    __hash__ = None  # type: ignore[assignment]  # contexts are mutable and compared by value


def attach(context: Context, batch: Batch) -> None:
    """Make ``context`` show ``batch`` from now on."""
    context._batch = batch  # noqa: SLF001 - this module owns both


def batch_of(context: Any) -> Batch | None:
    """The batch behind a context; None for an object that only looks like one."""
    batch = getattr(context, "_batch", None)
    return batch if isinstance(batch, Batch) else None


def _headers(job: JobHead) -> dict[str, Any]:
    """The headers dict handlers see: inputs first, so that no input can pose as a header."""
    headers: dict[str, Any] = {
        part.name: {"content-type": media_type(part.content_type)} for part in job.parts
    }
    headers.update(unpack_headers(job.headers))
    return headers
