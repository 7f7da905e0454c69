"""Models from the files of an archive: TorchScript, eager, ONNX, ahead-of-time compiled.

Used by ``base_handler`` and ``densenet_handler``. Imports torch. Each function gives a model that
is ready for inference or raises with the file and the reason.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from flambeau.handlers.needs import needed


def torchscript(path: str, device: Any) -> Any:
    """The scripted model at ``path`` on ``device``, in evaluation mode."""
    model = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call,unused-ignore]  # torch's own
    return model.to(device).eval()


def eager(model_dir: str, model_file: str, weights: str, device: Any) -> Any:
    """The one class of ``model_file`` with the weights at ``weights``, in evaluation mode.

    Without a weights file the model keeps its random weights. Raises RuntimeError when
    ``model_file`` is missing, ValueError when it does not define exactly one class.
    """
    path = Path(model_dir) / model_file
    if not path.is_file():
        raise RuntimeError(f"Missing the {model_file} file: modelFile names it in the manifest")
    module = importlib.import_module(model_file.removesuffix(".py").replace("/", "."))
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        names = [one.__name__ for one in classes]
        raise ValueError(f"Expected only one class as model definition. {names} in {model_file}")
    model = classes[0]()
    if weights and Path(weights).is_file():
        model.load_state_dict(loaded(weights, device))
    return model.to(device).eval()


def loaded(path: str, device: Any) -> Any:
    """What ``torch.load`` finds at ``path``.

    Raises RuntimeError that names the way out when the file holds more than weights.
    """
    try:
        return torch.load(path, map_location=device)
    except pickle.UnpicklingError as error:
        raise RuntimeError(
            f"{Path(path).name} holds pickled objects and not only weights, which torch does not "
            "load by default. Save a state_dict, or, if you trust the archive, set "
            f"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 for the server. torch says: {error}"
        ) from error


def onnx_session(path: str, map_location: str) -> Any:
    """An onnxruntime session of the model at ``path``."""
    onnxruntime = needed("onnxruntime", "an .onnx model")
    providers = ["CPUExecutionProvider"]
    if map_location == "cuda":
        providers.insert(0, "CUDAExecutionProvider")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    return onnxruntime.InferenceSession(path, providers=providers, sess_options=options)


def aot_compiled(path: str, device: str) -> Any:
    """The ahead-of-time compiled library at ``path`` as a function."""
    return torch._export.aot_load(path, device)  # type: ignore[attr-defined,no-untyped-call,unused-ignore]  # noqa: SLF001 - the only door torch offers
