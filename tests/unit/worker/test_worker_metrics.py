from __future__ import annotations

import logging

import pytest
import yaml

from flambeau.transport.messages import NO_HEADERS, JobHead
from flambeau.worker.context import Batch
from flambeau.worker.metric import CachingMetric
from flambeau.worker.metric_file import MetricsCachePyYamlError
from flambeau.worker.metric_values import (
    Dimension,
    MetricsCacheIOError,
    MetricsCacheKeyError,
    MetricsCacheTypeError,
    MetricsCacheValueError,
    MetricTypes,
    Units,
)
from flambeau.worker.metrics import MOST_WAITING, MetricsCacheYamlImpl


@pytest.fixture
def metrics():
    made = MetricsCacheYamlImpl()
    made.collect()
    made.initialize_cache()
    made.model_name = "m"
    made.set_request_ids({0: "r0", 1: "r1"})
    return made


MODEL = [("ModelName", "m"), ("Level", "Model")]


def test_each_call_has_its_unit_and_kind(metrics):
    metrics.add_counter("C", 2)
    metrics.add_time("T", 1.5)
    metrics.add_time("S", 1.5, unit="s")
    metrics.add_size("Z", 3)
    metrics.add_percent("P", 50)
    metrics.add_error("E", 1)
    metrics.add_metric("M", 1, "bananas", metric_type=MetricTypes.HISTOGRAM)
    assert [(p.name, p.value, p.unit, p.kind) for p in metrics.drain()] == [
        ("C", 2.0, "Count", "counter"),
        ("T", 1.5, "Milliseconds", "gauge"),
        ("S", 1.5, "Seconds", "gauge"),
        ("Z", 3.0, "Megabytes", "gauge"),
        ("P", 50.0, "Percent", "gauge"),
        ("E", 1.0, "unit", "counter"),
        ("M", 1.0, "bananas", "histogram"),
    ]
    assert metrics.drain() == []


def test_a_metric_without_an_index_belongs_to_the_whole_batch(metrics):
    metrics.add_counter("C", 1)
    metrics.add_counter("C", 1, idx=1)
    metrics.add_counter("C", 1, idx=9)
    assert [point.request_ids for point in metrics.drain()] == ["r0,r1", "r1", "r0,r1"]


def test_model_and_level_follow_the_dimensions_given(metrics):
    metrics.add_counter("C", 1, None, [Dimension("digit", 7)])
    (point,) = metrics.drain()
    assert point.dimensions == [("digit", "7"), *MODEL]


def test_default_dimensions_do_not_pile_up_between_calls(metrics):
    for _ in range(3):
        metrics.add_time("T", 1)
    assert [point.dimensions for point in metrics.drain()] == [MODEL] * 3


def test_outside_a_request_the_level_is_error(metrics):
    metrics.set_request_ids(None)
    metrics.add_counter("C", 1)
    (point,) = metrics.drain()
    assert (point.dimensions, point.request_ids) == ([("Level", "Error")], "")


def test_the_ids_are_those_of_the_batch_in_hand(metrics):
    batch = Batch()
    metrics.follow(batch)
    batch.begin([JobHead(1, "b0", NO_HEADERS, [])])
    metrics.add_counter("C", 1)
    batch.begin([JobHead(2, "b1", NO_HEADERS, []), JobHead(3, "b2", NO_HEADERS, [])])
    metrics.add_counter("C", 1)
    assert [point.request_ids for point in metrics.drain()] == ["b0", "b1,b2"]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda m: m.add_time("T", 1, unit="min"), MetricsCacheValueError),
        (lambda m: m.add_size("T", 1, unit="TB"), ValueError),
        (lambda m: m.add_metric(5, 1, "ms"), MetricsCacheTypeError),
        (lambda m: m.add_metric("M", 1, None), TypeError),
        (lambda m: m.add_metric("M", 1, "ms", metric_type="gauge"), MetricsCacheTypeError),
        (lambda m: m.get_metric("nope"), MetricsCacheKeyError),
        (lambda m: m.get_metric("HandlerTime"), KeyError),
        (lambda m: m.add_metric_to_cache("N", "ms", "a"), MetricsCacheTypeError),
    ],
)
def test_wrong_arguments_raise_the_named_error(metrics, call, error):
    with pytest.raises(error):
        call(metrics)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.add_counter("C", -1),
        lambda m: m.get_metric("HandlerTime", MetricTypes.GAUGE).add_or_update(1, ["only one"]),
        lambda m: m.add_percent("P", "half"),
    ],
)
def test_a_wrong_value_is_a_log_line_and_no_exception(metrics, call, caplog):
    call(metrics)
    assert metrics.drain() == []
    assert "[METRICS]Failed to update metric" in caplog.text


def test_numbers_of_other_libraries_become_floats(metrics):
    class Scalar:
        def __float__(self):
            return 2.5

        def __lt__(self, other):
            return False

    metrics.add_counter("C", Scalar())
    assert metrics.drain()[0].value == 2.5


def test_a_metric_defined_first_is_updated_later(metrics):
    metric = metrics.add_metric_to_cache("N", "ms", ["a", "b"], MetricTypes.GAUGE)
    metric.add_or_update(3, ["1", "2"], "rid")
    metric.update(4, "rid", [Dimension("q", "w")])
    metric.add_or_update(5, ["1", "2"])
    assert [(p.dimensions, p.request_ids) for p in metrics.drain()] == [
        ([("a", "1"), ("b", "2")], "rid"),
        ([("q", "w")], "rid"),
        ([("a", "1"), ("b", "2")], ""),
    ]
    assert metrics.get_metric("N", MetricTypes.GAUGE) is metric


def test_a_second_definition_replaces_the_first_and_says_so(metrics, caplog):
    first = metrics.add_metric_to_cache("N", "ms")
    assert metrics.add_metric_to_cache("N", "MB") is not first
    assert "Overriding existing key" in caplog.text


def test_the_shipped_metrics_are_known_without_a_file(metrics):
    assert metrics.cache_keys() == {"gauge": ["HandlerTime", "PredictionTime"]}


def test_outside_a_worker_a_metric_prints_its_line(caplog):
    caplog.set_level(logging.INFO)
    metric = CachingMetric("N", "ms", ["a"], MetricTypes.GAUGE)
    metric.add_or_update(3, ["1"], "rid")
    metric.add_or_update(2.5, ["1"])
    first, second = caplog.messages
    assert first.startswith("[METRICS]N.Milliseconds:3|#a:1|#type:GAUGE|#hostname:")
    assert first.endswith(",rid")
    assert "N.Milliseconds:2.5|#a:1|" in second


def test_a_flood_of_values_is_bounded(metrics, caplog):
    metric = metrics.add_metric_to_cache("N", "ms", [], MetricTypes.GAUGE)
    for _ in range(MOST_WAITING + 10):
        metric.add_or_update(1)
    assert len(metrics.drain()) == MOST_WAITING + 1
    assert caplog.text.count("the rest is lost") == 1


def test_a_metrics_file_defines_the_model_metrics(tmp_path):
    path = tmp_path / "metrics.yaml"
    path.write_text(
        "model_metrics:\n  histogram:\n  - name: Mine\n    unit: ms\n    dimensions: [a]\n"
    )
    made = MetricsCacheYamlImpl(str(path))
    made.initialize_cache()
    metric = made.get_metric("Mine", MetricTypes.HISTOGRAM)
    assert (metric.unit, metric.dimension_names) == ("Milliseconds", ["a"])
    assert made.cache_keys() == {"histogram": ["Mine"]}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, MetricsCacheIOError),
        ("a: [", MetricsCachePyYamlError),
        ("a: [", yaml.YAMLError),
        ("a: 1", MetricsCacheKeyError),
        ("model_metrics:\n", MetricsCacheValueError),
        ("model_metrics:\n  odd: []\n", MetricsCacheKeyError),
        ("model_metrics:\n  gauge:\n  - name: x\n    dimensions: []\n", MetricsCacheKeyError),
        ("model_metrics:\n  gauge: [5]\n", MetricsCacheKeyError),
    ],
)
def test_a_faulty_metrics_file_is_named(tmp_path, text, error):
    path = tmp_path / "metrics.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=r"metrics\.yaml"):
        MetricsCacheYamlImpl(str(path)).initialize_cache()


def test_units_are_a_table():
    assert Units().units["kB"] == "Kilobytes"
