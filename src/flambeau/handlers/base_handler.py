"""``BaseHandler``: the handler most handlers derive from.

Loads the model of an archive (eager, TorchScript, ONNX, ahead-of-time compiled), compiles it if
the model config says so, and answers a batch in three steps that subclasses override. Public as
``ts.torch_handler.base_handler``; attribute and method names are part of that contract. Importing
it imports torch and initialises no device.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from abc import ABC
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from flambeau.handlers import model_files
from flambeau.handlers.compile_choices import compile_options, wants_aot
from flambeau.handlers.labels import load_label_mapping
from flambeau.handlers.profiling import PROFILER_AVAILABLE, profiled

if TYPE_CHECKING:
    from flambeau.worker.context import Context

__all__ = [
    "IPEX_AVAILABLE",
    "ONNX_AVAILABLE",
    "PROFILER_AVAILABLE",
    "PT2_AVAILABLE",
    "PT230_AVAILABLE",
    "XLA_AVAILABLE",
    "BaseHandler",
    "choose_device",
    "setup_ort_session",
]

logger = logging.getLogger(__name__)

VERSION = tuple(int(part) for part in torch.__version__.partition("+")[0].split(".")[:2])
PT2_AVAILABLE = VERSION >= (2, 0)
PT230_AVAILABLE = VERSION >= (2, 3)
XLA_AVAILABLE = PT2_AVAILABLE and importlib.util.find_spec("torch_xla") is not None
ONNX_AVAILABLE = importlib.util.find_spec("onnxruntime") is not None
IPEX_AVAILABLE = (
    os.environ.get("TS_IPEX_ENABLE", "false") == "true"
    and importlib.util.find_spec("intel_extension_for_pytorch") is not None
)

BACKEND_PACKAGES = {"openvino": "openvino.torch", "tensorrt": "torch_tensorrt"}
"""Backends of ``torch.compile`` that exist once their package is imported."""

AMPERE = 8
"""Major compute capability from which float32 matrices may be multiplied in TF32."""

setup_ort_session = model_files.onnx_session


class BaseHandler(ABC):  # noqa: B024 - abstract by contract, though every method has a default
    """Loads a model and answers batches: preprocess, inference, postprocess."""

    def __init__(self) -> None:
        self.model: Any = None
        self.mapping: dict[str, Any] | None = None
        self.device: Any = None
        self.initialized = False
        self.context: Any = None
        self.model_pt_path: str | None = None
        self.manifest: dict[str, Any] | None = None
        self.map_location: str | None = None
        self.explain = False
        self.target = 0
        self.profiler_args: dict[str, Any] = {}
        self.model_yaml_config: dict[str, Any] = {}

    def initialize(self, context: Context) -> None:
        """Choose the device, load the model and the names of its classes.

        Raises RuntimeError when no model can be loaded, and what loading raises.
        """
        self.context = context
        properties = context.system_properties
        self.manifest = context.manifest
        self.model_yaml_config = context.model_yaml_config or {}
        self.map_location, self.device = choose_device(properties.get("gpu_id"))
        model_dir = str(properties["model_dir"])
        files = (self.manifest or {}).get("model") or {}
        if files.get("serializedFile"):
            self.model_pt_path = str(Path(model_dir) / files["serializedFile"])
        self.model = self._load(model_dir, files.get("modelFile"))
        self.model = self._made_faster(self.model)
        logger.debug("model %s loaded", self.model_pt_path)
        self.mapping = load_label_mapping(str(Path(model_dir) / "index_to_name.json"))
        self.initialized = True

    def _load(self, model_dir: str, model_file: str | None) -> Any:
        path = self.model_pt_path
        if model_file:
            logger.debug("Loading eager model")
            return self._load_pickled_model(model_dir, model_file, path or "")
        if path is None:
            raise RuntimeError(
                "No model weights could be loaded: the manifest names neither serializedFile nor "
                "modelFile"
            )
        if path.endswith(".so") and self._use_torch_export_aot_compile():
            return self._load_torch_export_aot_compile(path)
        if path.endswith(".pt"):
            return self._load_torchscript_model(path)
        if path.endswith(".onnx"):
            return setup_ort_session(path, str(self.map_location))
        raise RuntimeError(
            f"No model weights could be loaded: {Path(path).name} is no .pt, .onnx or (with "
            "pt2.export.aot_compile) .so file, and there is no modelFile"
        )

    def _load_torchscript_model(self, model_pt_path: str) -> Any:
        return model_files.torchscript(model_pt_path, self.device)

    def _load_pickled_model(self, model_dir: str, model_file: str, model_pt_path: str) -> Any:
        return model_files.eager(model_dir, model_file, model_pt_path, self.device)

    def _load_torch_export_aot_compile(self, model_so_path: str) -> Any:
        return model_files.aot_compiled(model_so_path, str(self.map_location))

    def _use_torch_export_aot_compile(self) -> bool:
        return PT230_AVAILABLE and wants_aot(self.model_yaml_config)

    def _made_faster(self, model: Any) -> Any:
        """The model compiled as the model config says, or optimised for Intel, or as it is."""
        options = compile_options(self.model_yaml_config) if PT2_AVAILABLE else None
        if options is not None:
            try:
                package = BACKEND_PACKAGES.get(str(options.get("backend")))
                if package is not None:
                    importlib.import_module(package)
                compiled = torch.compile(model, **options)
            except Exception as error:  # noqa: BLE001 - whatever a backend raises, the model still works
                logger.warning("Compiling the model failed, it runs as it is: %s", error)
                return model
            logger.info("Compiled model with %s", options)
            return compiled
        if IPEX_AVAILABLE:
            ipex = importlib.import_module("intel_extension_for_pytorch")
            return ipex.optimize(model.to(memory_format=torch.channels_last))
        return model

    def preprocess(self, data: Any) -> Any:
        """The input of ``inference``: here a tensor of the rows."""
        return torch.as_tensor(data, device=self.device)

    def inference(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """The model's output for what ``preprocess`` returned."""
        if hasattr(self.model, "get_inputs"):
            feed = {self.model.get_inputs()[0].name: data.cpu().numpy()}
            return torch.from_numpy(self.model.run(None, feed)[0])
        with torch.inference_mode():
            return self.model(data.to(self.device), *args, **kwargs)

    def postprocess(self, data: Any) -> Any:
        """The answers for what ``inference`` returned, one per request."""
        return data.tolist()

    def handle(self, data: list[Any], context: Context) -> Any:
        """The answers to a batch; also to describe and explain requests."""
        started = perf_counter()
        self.context = context
        if os.environ.get("ENABLE_TORCH_PROFILER"):
            output, _ = self._infer_with_profiler(data)
        elif self._is_describe():
            output = [self.describe_handle()]
        else:
            output = self._answer(data)
        elapsed_ms = round((perf_counter() - started) * 1000, 2)
        context.metrics.add_time("HandlerTime", elapsed_ms, None, "ms")
        return output

    def _answer(self, data: list[Any]) -> Any:
        prepared = self.preprocess(data)
        if self._is_explain():
            return self.explain_handle(prepared, data)
        return self.postprocess(self.inference(prepared))

    def _infer_with_profiler(self, data: list[Any]) -> tuple[Any, Any]:
        """The answers and the profiler that watched them being made."""
        arguments = getattr(self, "profiler_args", None)
        return profiled(lambda: self._answer(data), self.context.model_name, arguments)

    def explain_handle(self, data_preprocess: Any, raw_data: list[Any]) -> Any:
        """Explanations by ``get_insights``, which subclasses have, for the first row's target."""
        row = raw_data[0]
        inputs = row.get("data") if isinstance(row, dict) else row
        if inputs is None:
            inputs = row.get("body")
        target = row.get("target", 0) if isinstance(row, dict) else 0
        if target == 0 and isinstance(inputs, dict):
            target = inputs.get("target", 0)
        self.target = int(target)
        return self.get_insights(data_preprocess, inputs, self.target)  # type: ignore[attr-defined]  # of subclasses

    def _is_explain(self) -> bool:
        if self.context and self.context.get_request_header(0, "explain"):
            self.explain = bool(self.context.get_request_header(0, "explain") == "True")
            return self.explain
        return False

    def _is_describe(self) -> bool:
        return bool(self.context and self.context.get_request_header(0, "describe") == "True")

    def describe_handle(self) -> Any:
        """What a describe request with ``customized=true`` shows of the model; here nothing."""
        return None

    def get_device(self) -> Any:
        """The device the model is on."""
        return self.device


def choose_device(gpu_id: int | str | None) -> tuple[str, Any]:
    """Kind and device: cuda, Intel GPU, Apple GPU, TPU, else the processor."""
    if torch.cuda.is_available() and gpu_id is not None:
        if torch.cuda.get_device_capability(int(gpu_id))[0] >= AMPERE:
            torch.set_float32_matmul_precision("high")
        return "cuda", torch.device(f"cuda:{gpu_id}")
    if os.environ.get("TS_IPEX_GPU_ENABLE", "false") == "true" and torch.xpu.is_available():
        return "xpu", torch.device(f"xpu:{gpu_id or 0}")
    if torch.backends.mps.is_available() and gpu_id is not None:
        return "mps", torch.device("mps")
    if XLA_AVAILABLE:
        xla = importlib.import_module("torch_xla.core.xla_model")
        return "xla", xla.xla_device()
    return "cpu", torch.device("cpu")
