"""What model-config.yaml says about ``torch.compile`` and ahead-of-time export.

Pure decisions, no torch: ``base_handler`` acts on them. Public: ``PT2Backend`` and
``check_valid_pt2_backend`` (``ts.utils.util``).
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import Any

logger = logging.getLogger(__name__)


class PT2Backend(str, Enum):  # noqa: UP042 - its str() is part of the public API
    """Backends of ``torch.compile`` that a model config may name."""

    EAGER = "eager"
    AOT_EAGER = "aot_eager"
    INDUCTOR = "inductor"
    NVFUSER = "nvfuser"
    AOT_NVFUSER = "aot_nvfuser"
    AOT_CUDAGRAPHS = "aot_cudagraphs"
    OFI = "ofi"
    FX2TRT = "fx2trt"
    ONNXRT = "onnxrt"
    IPEX = "ipex"
    TORCHXLA_TRACE_ONCE = "torchxla_trace_once"
    OPENVINO = "openvino"
    TENSORRT = "tensorrt"
    HPU_BACKEND = "hpu_backend"


KNOWN = frozenset(backend.value for backend in PT2Backend)


def check_valid_pt2_backend(backend: str) -> bool:
    """Whether ``torch.compile`` may be given that backend; a warning says so if not."""
    if backend in KNOWN:
        return True
    logger.warning("%s is not a supported backend", backend)
    return False


def compile_options(model_config: dict[str, Any] | None) -> dict[str, Any] | None:
    """Arguments for ``torch.compile``; None when the model is to stay as it is.

    Three spellings: ``pt2: inductor``, ``pt2: {backend: …, mode: …}`` and
    ``pt2: {compile: {enable: true, backend: …}}``.
    """
    asked = (model_config or {}).get("pt2")
    if not asked:
        return None
    if isinstance(asked, str):
        options: dict[str, Any] = {"backend": asked}
    elif not isinstance(asked, dict):
        logger.warning("pt2 in the model config is neither a name nor a map: %r", asked)
        return None
    elif "compile" in asked:
        options = dict(asked["compile"] or {})
        if options.pop("enable", False) is not True:
            return None
    elif "export" in asked:
        return None
    else:
        logger.warning(
            "pt2: {backend: …} is the old spelling; write pt2: {compile: {enable: true}}"
        )
        options = dict(asked)
    backend = options.get("backend")
    if backend is not None and not check_valid_pt2_backend(backend):
        return None
    return options


def wants_aot(model_config: dict[str, Any] | None) -> bool:
    """Whether the model config says that the model is an ahead-of-time compiled library."""
    asked = (model_config or {}).get("pt2")
    export = asked.get("export") if isinstance(asked, dict) else None
    return bool(isinstance(export, dict) and export.get("aot_compile"))
