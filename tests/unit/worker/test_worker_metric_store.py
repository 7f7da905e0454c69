from __future__ import annotations

import json
import logging

import pytest

from flambeau.worker.metric_store import Metric, MetricEncoder, MetricsStore, emit_metrics
from flambeau.worker.metric_values import Dimension


@pytest.fixture
def store():
    return MetricsStore({0: "r0", 1: "r1"}, "m")


def test_each_call_adds_a_metric_with_its_dimensions(store):
    store.add_counter("a", 1)
    store.add_time("t", 1.5, 0)
    store.add_size("z", 2)
    store.add_percent("p", 1)
    store.add_error("e", "x")
    store.add_metric("q", 1, "bananas")
    lines = [str(metric) for metric in store.store]
    assert lines[0].startswith("a.Count:1|#ModelName:m,Level:Model|#hostname:")
    assert lines[0].endswith(",r0,r1")
    assert lines[1].startswith("t.Milliseconds:1.5|")
    assert lines[1].endswith(",r0")
    assert lines[2].startswith("z.Megabytes:2|")
    assert lines[4].startswith("e.unit:x|#Level:Error|")
    assert lines[5].startswith("q.bananas:1|")


def test_the_same_metric_is_updated(store):
    store.add_counter("a", 1)
    store.add_counter("a", 2)
    store.add_time("t", 1)
    store.add_time("t", 5)
    assert [metric.value for metric in store.store] == [3, 5]


def test_unknown_units_are_refused(store):
    with pytest.raises(ValueError):
        store.add_time("t", 1, unit="min")
    with pytest.raises(ValueError):
        store.add_size("t", 1, unit="TB")


def test_an_update_is_logged_and_a_reset_goes_to_zero(caplog):
    caplog.set_level(logging.INFO)
    metric = Metric("n", 1, "ms", [Dimension("a", "b")])
    metric.update(4)
    assert metric.value == 4
    assert "[METRICS]n.Milliseconds:4|#a:b|#type:COUNTER" in caplog.text
    metric.reset()
    assert metric.value == 0


def test_metrics_have_a_json_form():
    metric = Metric("n", 1, "ms", [Dimension("a", "b")], "rid")
    document = json.loads(json.dumps({"m": metric}, cls=MetricEncoder))["m"]
    assert document["MetricName"] == "n"
    assert document["Dimensions"] == [{"Name": "a", "Value": "b"}]
    assert document["RequestId"] == "rid"
    with pytest.raises(TypeError):
        json.dumps({1, 2}, cls=MetricEncoder)


def test_old_metrics_are_printed_for_the_server(capsys, store):
    store.add_counter("a", 1)
    emit_metrics(store.store)
    assert capsys.readouterr().out.startswith("[METRICS]a.Count:1|")
