from __future__ import annotations

import pytest

from flambeau.metrics.definitions import Definition, Definitions, MetricKind
from flambeau.metrics.printed import PrintedMetrics
from flambeau.metrics.registry import Metrics


@pytest.fixture
def metrics() -> Metrics:
    own = Definition("Own", "Count", MetricKind.COUNTER, ("ModelName", "Level", "Hostname"))
    return Metrics(Definitions(model=(own,)), hostname="vm")


@pytest.fixture
def passed() -> list[tuple[str, str, str]]:
    return []


@pytest.fixture
def printed(metrics, passed) -> PrintedMetrics:
    return PrintedMetrics(metrics, lambda *line: passed.append(line))


LINE = "[METRICS]Own.Count:2|#ModelName:my-model,Level:Model|#type:COUNTER|#hostname:x,1,id-1"


def test_a_metric_line_is_recorded_and_leaves_the_log(metrics, printed, passed):
    metrics.model("my-model", "1.0")
    printed("W-9000-my-model_1.0", "stdout", LINE)
    assert b'Own{ModelName="my-model",Level="Model",Hostname="vm"} 2.0' in b"".join(
        metrics.exposition([])
    )
    assert passed == []


def test_other_lines_pass_through(printed, passed):
    printed("W-9000-echo_1.0", "stderr", "see [METRICS] of yesterday")
    assert passed == [("W-9000-echo_1.0", "stderr", "see [METRICS] of yesterday")]


def test_a_broken_metric_line_is_reported(printed, passed, caplog):
    printed("W-9000-echo_1.0", "stdout", "[METRICS]nonsense")
    assert "worker=W-9000-echo_1.0: Failed to parse metrics line" in caplog.text
    assert passed == []


def test_a_line_of_a_worker_whose_model_is_gone_is_dropped(metrics, printed):
    before = b"".join(metrics.exposition([]))
    printed("W-9000-gone_1.0", "stdout", LINE)
    assert b"".join(metrics.exposition([])) == before
