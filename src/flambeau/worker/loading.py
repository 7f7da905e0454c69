"""From a Load message to a Service: the process made ready, the handler found and initialised.

Called once by ``loop``; ``ts.model_loader`` uses ``find_entry`` too. Handlers are looked up in
the archive first, then among the shipped ones. Exceptions of user code pass unchanged: the loop
reports them. It never catches an ImportError raised inside a handler file.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flambeau.worker.context import Batch, Context, attach
from flambeau.worker.metrics import MetricsCacheYamlImpl
from flambeau.worker.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from flambeau.transport.messages import Load
    from flambeau.worker.link import ServerLink

COMPAT_VERSION: Final = "0.12.0"
"""What handlers see as server version; some parse it."""

SHIPPED: Final = "flambeau.handlers"
ENVELOPES: Final = {
    "body": ("flambeau.handlers.envelopes", "BodyEnvelope"),
    "json": ("flambeau.handlers.envelopes", "JSONEnvelope"),
    "kserve": ("flambeau.handlers.envelopes", "KServeEnvelope"),
    "kservev2": ("flambeau.handlers.envelope_kservev2", "KServev2Envelope"),
}
"""Name in ``service_envelope`` to module and class. Any other name is an importable module."""


def load(message: Load, link: ServerLink) -> Service:
    """A service ready to answer.

    Whatever the handler raises while it is imported or initialised is raised here.
    """
    prepare_process(message)
    settings = message.settings
    metrics = MetricsCacheYamlImpl(settings.metrics_config)
    metrics.collect()
    metrics.initialize_cache()
    metrics.model_name = message.model_name
    context = Context(
        message.model_name,
        message.model_dir,
        message.manifest,
        message.batch_size,
        message.gpu_id,
        COMPAT_VERSION,
        settings.limit_max_image_pixels,
        metrics,
        _model_config(message),
    )
    (
        context.header_key_sequence_id,
        context.header_key_sequence_start,
        context.header_key_sequence_end,
    ) = settings.sequence_headers
    batch = Batch(link)
    attach(context, batch)
    metrics.follow(batch)
    return Service(
        find_entry(message.handler, context, settings.envelope),
        context,
        batch,
        link,
        decode=settings.decode_input_request,
        max_response_size=settings.max_response_size,
    )


def _model_config(message: Load) -> dict[str, Any] | None:
    """model-config.yaml as ``yaml.safe_load`` gives it."""
    if not message.model_yaml_text:
        return message.model_yaml_config
    import yaml  # noqa: PLC0415 - a light worker never imports it

    return yaml.safe_load(message.model_yaml_text)  # type: ignore[no-any-return]  # a map: the server looked


def prepare_process(message: Load) -> None:
    """Give the process what handlers rely on: folder, import path, log, name."""
    decode = "true" if message.settings.decode_input_request else "false"
    os.environ.setdefault("TS_DECODE_INPUT_REQUEST", decode)
    os.chdir(message.model_dir)
    extra = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    for entry in reversed([message.model_dir, *extra]):
        if entry in sys.path:
            sys.path.remove(entry)
        sys.path.insert(0, entry)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)  # a print reaches the log when it is made
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    if message.worker_name:
        with suppress(OSError):  # the name is for people; some containers forbid it
            Path("/proc/self/comm").write_text(message.worker_name[:15], encoding="utf-8")


def find_entry(
    handler: str, context: Context, envelope: str = ""
) -> Callable[[list[Any], Context], Any]:
    """What answers a batch: a function of the handler's module, or its one class's ``handle``.

    The handler is initialised. Raises what it raises, ImportError when there is none, ValueError
    when the module offers no clear entry point.
    """
    name, _, function_name = handler.partition(":")
    module = import_handler(name, str(context.system_properties.get("model_dir") or ""))
    entry = getattr(module, function_name or "handle", None)
    if entry is None:
        service = _only_class(module, handler)()
        entry = getattr(service, "handle", None)
        if entry is None:
            raise AttributeError(f"class {type(service).__name__} of {handler!r} has no handle")
        initialize = service.initialize
    else:
        function = entry

        def initialize(context: Context) -> None:
            function(None, context)

    if envelope:
        entry = _wrap(entry, envelope)
    initialize(context)
    return entry  # type: ignore[no-any-return]  # user code; called as handlers are


def import_handler(name: str, model_dir: str) -> ModuleType:
    """The module of a handler: a file of the archive, an importable module, or a shipped one."""
    stripped = name.removesuffix(".py").rpartition("/")[2]
    own = Path(model_dir) / f"{stripped}.py"
    loaded = sys.modules.get(stripped)
    if own.is_file() and loaded is not None and getattr(loaded, "__file__", None) != str(own):
        # A module imported earlier has taken the name; the archive's own file comes first.
        return _import_file(stripped, own)
    try:
        return importlib.import_module(stripped)
    except ModuleNotFoundError as error:
        if not _is_itself(error.name, stripped):
            raise
    return _import_shipped(stripped, name, model_dir)


def _is_itself(missing: str | None, wanted: str) -> bool:
    """Whether the missing module is the wanted one or a package around it."""
    return missing is not None and (wanted == missing or wanted.startswith(missing + "."))


def _import_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _import_shipped(stripped: str, name: str, model_dir: str) -> ModuleType:
    wanted = f"{SHIPPED}.{stripped}"
    try:
        return importlib.import_module(wanted)
    except ModuleNotFoundError as error:
        if not _is_itself(error.name, wanted):
            raise
    raise ModuleNotFoundError(
        f"handler {name!r}: there is no {stripped}.py in the archive ({model_dir}), no module "
        f"{stripped!r} can be imported, and no shipped handler has that name",
        name=stripped,
    )


def classes_of(module: ModuleType, parent: type | None = None) -> list[type]:
    """The classes defined in ``module`` itself, of ``parent`` only if one is given."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and (parent is None or issubclass(value, parent))
    ]


def _only_class(module: ModuleType, handler: str) -> type:
    classes = classes_of(module)
    if len(classes) != 1:
        raise ValueError(
            "Expected only one class in custom service code or a function entry point "
            f"{[one.__name__ for one in classes]} in handler {handler!r}"
        )
    return classes[0]


def _wrap(entry: Any, envelope: str) -> Any:
    """``entry`` behind the request envelope of that name."""
    if envelope in ENVELOPES:
        module_name, class_name = ENVELOPES[envelope]
        return getattr(importlib.import_module(module_name), class_name)(entry).handle
    try:
        module = importlib.import_module(envelope)
    except ModuleNotFoundError as error:
        if not _is_itself(error.name, envelope):
            raise
        raise ValueError(
            f"service_envelope={envelope}: no such envelope; "
            f"the shipped ones are {', '.join(ENVELOPES)}"
        ) from None
    root = importlib.import_module("flambeau.handlers.envelopes").BaseEnvelope
    found = [one for one in classes_of(module) if issubclass(one, root)]
    if len(found) != 1:
        raise ValueError(
            f"service_envelope={envelope}: expected one class deriving from BaseEnvelope, "
            f"found {[one.__name__ for one in found]}"
        )
    return found[0](entry).handle
