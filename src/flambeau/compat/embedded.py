"""A model loaded and asked without a server: the loader and service other programs embed.

Public as ``ts.model_loader`` and ``ts.service``. It runs handlers exactly as a worker does and
answers in the original's bytes (``compat.wire``).
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from flambeau.compat.wire import create_predict_response
from flambeau.errors import failure_of
from flambeau.worker.context import Context, RequestProcessor
from flambeau.worker.failures import INVALID_OUTPUT, PREDICTION_FAILED, told_to_client
from flambeau.worker.loading import COMPAT_VERSION, find_entry
from flambeau.worker.metrics import MetricsCacheYamlImpl
from flambeau.worker.service import MISMATCHED, PREDICTION_METRIC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)


class Service:
    """A loaded handler that answers batches in the original's bytes."""

    def __init__(  # noqa: PLR0917 - the public, positional signature
        self,
        model_name: str,
        model_dir: str,
        manifest: dict[str, Any] | None,
        entry_point: Callable[[list[Any], Context], Any] | None,
        gpu: int | None,
        batch_size: int | None,
        limit_max_image_pixels: bool = True,  # noqa: FBT001, FBT002 - positional in the public API
        metrics_cache: Any = None,
    ) -> None:
        self.cl_socket: Any = None
        self._entry_point = entry_point
        self._context = Context(
            model_name,
            model_dir,
            manifest,
            batch_size,
            gpu,
            COMPAT_VERSION,
            limit_max_image_pixels,
            metrics_cache,
            _model_config(model_dir, manifest),
        )

    @property
    def context(self) -> Context:
        """The context the handler gets."""
        return self._context

    def set_entry_point(self, entry_point: Callable[[list[Any], Context], Any]) -> None:
        """Choose what answers batches."""
        self._entry_point = entry_point

    def set_cl_socket(self, cl_socket: Any) -> None:
        """Remember the socket answers go to; the caller sends them."""
        self.cl_socket = cl_socket

    @staticmethod
    def retrieve_data_for_inference(
        batch: Sequence[dict[str, Any]] | None,
    ) -> tuple[list[RequestProcessor], list[dict[str, Any]], dict[int, str]]:
        """Headers, rows and request ids of a batch as ``compat.wire`` reads it.

        Raises ValueError without a batch.
        """
        if batch is None:
            raise ValueError("Received invalid inputs")
        processors, rows, ids = [], [], {}
        for index, request in enumerate(batch):
            ids[index] = bytes(request["requestId"]).decode()
            headers: dict[str, Any] = {}
            row = {}
            for part in request["parameters"]:
                row[part["name"]] = part["value"]
                headers[part["name"]] = {"content-type": part["contentType"]}
            for header in request.get("headers") or ():
                headers[bytes(header["name"]).decode()] = bytes(header["value"]).decode()
            processors.append(RequestProcessor(headers))
            rows.append(row)
        return processors, rows, ids

    def predict(self, batch: Sequence[dict[str, Any]]) -> bytearray:
        """The answer to a batch as ``compat.wire`` spells it; errors are answers too."""
        processors, rows, ids = self.retrieve_data_for_inference(batch)
        context = self._context
        context.request_ids = ids
        context.request_processor = processors
        metrics = context.metrics
        if metrics is not None:
            metrics.request_ids = ids
        started = perf_counter()
        try:
            returned = self._entry_point(rows, context) if self._entry_point else None
        except Exception as error:
            logger.exception("the handler of %s failed", context.model_name)
            fault = told_to_client(error)
            code = failure_of(fault.failure, fault.status, fault.text).status
            return create_predict_response(None, ids, fault.text, code)
        if not isinstance(returned, list):
            return create_predict_response(None, ids, INVALID_OUTPUT, PREDICTION_FAILED)
        if len(returned) != len(rows):
            return create_predict_response(None, ids, MISMATCHED, PREDICTION_FAILED)
        if metrics is not None:
            metrics.add_time(PREDICTION_METRIC, round((perf_counter() - started) * 1000, 2))
        return create_predict_response(returned, ids, "Prediction success", 200, context)


class ModelLoader:
    """What loads models; subclasses say how."""

    def load(  # noqa: PLR0917 - the public, positional signature
        self,
        model_name: str,
        model_dir: str,
        handler: str | None = None,
        gpu_id: int | None = None,
        batch_size: int | None = None,
        envelope: str | None = None,
        limit_max_image_pixels: bool | None = True,  # noqa: FBT001, FBT002 - positional in the public API
    ) -> Service:
        """A service of the model in ``model_dir``."""
        raise NotImplementedError


class TsModelLoader(ModelLoader):
    """Loads an unpacked archive as a worker does."""

    def load(  # noqa: PLR0917 - the public, positional signature
        self,
        model_name: str,
        model_dir: str,
        handler: str | None = None,
        gpu_id: int | None = None,
        batch_size: int | None = None,
        envelope: str | None = None,
        limit_max_image_pixels: bool | None = True,  # noqa: FBT001, FBT002 - positional in the public API
        metrics_cache: Any = None,
    ) -> Service:
        """A service whose handler is initialised.

        ``handler`` defaults to the manifest's. Raises whatever the handler raises; ImportError
        when there is none.
        """
        manifest = _manifest(model_dir)
        if metrics_cache is None:
            metrics_cache = MetricsCacheYamlImpl()
            metrics_cache.initialize_cache()
        metrics_cache.model_name = model_name
        if model_dir not in sys.path:
            sys.path.insert(0, model_dir)
        service = Service(
            model_name,
            model_dir,
            manifest,
            None,
            gpu_id,
            batch_size,
            bool(limit_max_image_pixels),
            metrics_cache,
        )
        named = handler or ((manifest or {}).get("model") or {}).get("handler")
        if not named:
            raise ValueError(f"model {model_name}: no handler is given and {model_dir} names none")
        service.set_entry_point(find_entry(named, service.context, envelope or ""))
        return service


class ModelLoaderFactory:
    """Where programs get a loader from."""

    @staticmethod
    def get_model_loader() -> TsModelLoader:
        """A loader of unpacked archives."""
        return TsModelLoader()


def _manifest(model_dir: str) -> dict[str, Any] | None:
    path = Path(model_dir) / "MAR-INF" / "MANIFEST.json"
    if not path.is_file():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    return document if isinstance(document, dict) else None


def _model_config(model_dir: str, manifest: dict[str, Any] | None) -> Any:
    name = ((manifest or {}).get("model") or {}).get("configFile")
    path = Path(model_dir or os.curdir) / name if name else None
    if path is None or not path.is_file():
        return {}
    from flambeau.compat.functions import get_yaml_config  # noqa: PLC0415 - imports yaml

    return get_yaml_config(str(path))
