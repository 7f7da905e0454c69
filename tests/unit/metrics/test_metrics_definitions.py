from __future__ import annotations

import pytest

from flambeau.metrics.definitions import Definition, DefinitionsError, MetricKind, read_definitions

VERSIONED = ("model_name", "model_version", "hostname")
HOST = ("Level", "Hostname")
DEVICE = ("Level", "DeviceId", "Hostname")
SHIPPED = {
    ("Requests2XX", "Count", "counter", HOST),
    ("Requests4XX", "Count", "counter", HOST),
    ("Requests5XX", "Count", "counter", HOST),
    ("ts_inference_requests_total", "Count", "counter", VERSIONED),
    ("ts_inference_latency_microseconds", "Microseconds", "counter", VERSIONED),
    ("ts_queue_latency_microseconds", "Microseconds", "counter", VERSIONED),
    ("QueueTime", "Milliseconds", "gauge", HOST),
    ("WorkerThreadTime", "Milliseconds", "gauge", HOST),
    ("WorkerLoadTime", "Milliseconds", "gauge", ("WorkerName", "Level", "Hostname")),
    ("CPUUtilization", "Percent", "gauge", HOST),
    ("MemoryUsed", "Megabytes", "gauge", HOST),
    ("MemoryAvailable", "Megabytes", "gauge", HOST),
    ("MemoryUtilization", "Percent", "gauge", HOST),
    ("DiskUsage", "Gigabytes", "gauge", HOST),
    ("DiskUtilization", "Percent", "gauge", HOST),
    ("DiskAvailable", "Gigabytes", "gauge", HOST),
    ("GPUMemoryUtilization", "Percent", "gauge", DEVICE),
    ("GPUMemoryUsed", "Megabytes", "gauge", DEVICE),
    ("GPUUtilization", "Percent", "gauge", DEVICE),
}


def read(tmp_path, text: str):
    file = tmp_path / "metrics.yaml"
    file.write_text(text)
    return read_definitions(file)


def test_the_shipped_file_declares_every_traditional_name():
    shipped = read_definitions()
    assert {(one.name, one.unit, one.kind.value, one.labels) for one in shipped.server} == SHIPPED
    assert set(shipped.model) == {
        Definition(name, "ms", MetricKind.GAUGE, ("ModelName", "Level", "Hostname"))
        for name in ("HandlerTime", "PredictionTime")
    }


def test_aliases_and_all_kinds_are_read(tmp_path):
    found = read(
        tmp_path,
        """
dimensions:
  - &level "Level"
ts_metrics:
  histogram:
    - {name: QueueTime, unit: Milliseconds, dimensions: [*level, Hostname]}
model_metrics:
  counter:
    - {name: Tokens, unit: Count, dimensions: [ModelName, *level]}
  gauge:
    - {name: Depth, unit: Count}
""",
    )
    assert found.server == (
        Definition("QueueTime", "Milliseconds", MetricKind.HISTOGRAM, ("Level", "Hostname")),
    )
    assert found.model == (
        Definition("Tokens", "Count", MetricKind.COUNTER, ("ModelName", "Level", "Hostname")),
        Definition("Depth", "Count", MetricKind.GAUGE, ("Hostname",)),
    )


def test_sections_may_be_left_out_or_empty(tmp_path):
    assert read(tmp_path, "model_metrics:\n  counter:\n") == ((), ())


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("ts_metrics: [", "parsing"),
        ("", "null"),
        ("metrics: {}", "unknown field `metrics`"),
        ("ts_metrics: {timer: []}", "unknown field `timer`"),
        ("ts_metrics: {counter: [{name: '', unit: Count}]}", "length >= 1"),
        ("ts_metrics: {counter: [{name: a, unit: ''}]}", "length >= 1"),
        ("ts_metrics: {counter: [{name: a}]}", "missing required field `unit`"),
        ("ts_metrics: {counter: [{name: a, unit: b, labels: []}]}", "unknown field `labels`"),
        ("ts_metrics: {counter: [{name: a-b, unit: b}]}", "'a-b' is not allowed"),
        ("ts_metrics: {counter: [{name: a, unit: b, dimensions: [x y]}]}", "'x y' is not allowed"),
        ("ts_metrics: {counter: [{name: a, unit: b, dimensions: [x, x]}]}", "listed twice"),
        ("model_metrics: {counter: [{name: a, unit: b, dimensions: [Hostname]}]}", "listed twice"),
        (
            (
                "{ts_metrics: {counter: [{name: a, unit: b}]}, "
                "model_metrics: {gauge: [{name: a, unit: b}]}}"
            ),
            "a is declared twice",
        ),
    ],
)
def test_a_file_off_the_schema_is_refused_by_name_and_cause(tmp_path, text, cause):
    with pytest.raises(DefinitionsError, match=cause) as caught:
        read(tmp_path, text)
    assert "metrics.yaml" in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DefinitionsError, match=r"nope\.yaml: No such file"):
        read_definitions(tmp_path / "nope.yaml")


def test_code_in_the_file_is_not_run(tmp_path):
    with pytest.raises(DefinitionsError):
        read(tmp_path, "ts_metrics: !!python/object/apply:os.system ['true']")
