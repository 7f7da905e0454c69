"""Counting GPUs and spelling their use. Without a driver there are no numbers and no error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flambeau.metrics import accelerators

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(accelerators.NVIDIA.is_dir(), reason="this machine has GPUs of its own")
def test_gpus_are_counted_by_the_drivers_folder_where_nvml_is_silent(tmp_path: Path) -> None:
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / name).mkdir()
    assert accelerators.count(tmp_path) == 2


@pytest.mark.skipif(accelerators.NVIDIA.is_dir(), reason="this machine has GPUs of its own")
def test_a_machine_without_a_driver_has_no_gpus_and_unknown_use(tmp_path: Path) -> None:
    assert accelerators.count(tmp_path / "absent") == 0
    assert accelerators.usage(0) == "N/A"


@pytest.mark.skipif(not accelerators.NVIDIA.is_dir(), reason="needs an NVIDIA GPU")
def test_the_use_of_a_gpu_is_told_in_the_words_of_describe() -> None:
    pytest.importorskip("pynvml")
    assert accelerators.usage(0).startswith("gpuId::0 utilization.gpu [%]::")
