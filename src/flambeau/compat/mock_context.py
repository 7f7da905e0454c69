"""A context for unit tests of handlers (``…unit_tests.test_utils.mock_context``)."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from flambeau.compat.functions import get_yaml_config
from flambeau.worker.metric_store import MetricsStore


class MockContext:
    """Looks like a worker's context, with one request in its batch."""

    def __init__(  # noqa: PLR0917 - the public, positional signature
        self,
        model_pt_file: str | None = "model.pt",
        model_dir: str = "ts/torch_handler/unit_tests/models/tmp",
        model_file: str | None = "model.py",
        gpu_id: str | int | None = "0",
        model_name: str = "mnist",
        model_yaml_config_file: str | None = None,
    ) -> None:
        files = {"serializedFile": model_pt_file, "modelFile": model_file}
        self.manifest = {"model": {name: value for name, value in files.items() if value}}
        self.system_properties: dict[str, Any] = {"model_dir": str(model_dir)}
        if gpu_id is not None:
            self.system_properties["gpu_id"] = gpu_id
        self.model_name = model_name
        self.explain = False
        self.metrics = MetricsStore({0: str(uuid.uuid4())}, model_name)
        self.model_yaml_config: dict[str, Any] = {}
        if model_yaml_config_file is not None:
            config = Path(model_dir) / model_yaml_config_file
            self.model_yaml_config = get_yaml_config(str(config))

    def get_request_header(self, idx: int, exp: str) -> Any:  # noqa: ARG002 - one request only
        """``explain`` as it was set; no other header is there."""
        return self.explain if exp == "explain" else False
