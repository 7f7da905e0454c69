from __future__ import annotations

import math
import re

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from flambeau.metrics.definitions import read_definitions
from flambeau.metrics.prometheus import exposition
from flambeau.metrics.registry import Metrics


def shown(metrics: Metrics, *names: str) -> str:
    return metrics.expose(list(names)).decode()


def test_counters_keep_their_names_and_labels_their_order():
    metrics = Metrics(read_definitions(), hostname="vm")
    metrics.requests(200)
    metrics.model("echo", "1.0").arrived(version_given=True)
    text = shown(metrics)
    assert "# TYPE Requests2XX counter\n" in text
    assert 'Requests2XX{Level="Host",Hostname="vm"} 1.0\n' in text
    assert (
        'ts_inference_requests_total{model_name="echo",model_version="1.0",hostname="vm"} 1.0\n'
        in text
    )


def test_every_declared_family_is_announced_even_without_samples():
    definitions = read_definitions()
    text = shown(Metrics(definitions))
    for definition in definitions.server + definitions.model:
        kind = definition.kind.value
        assert f"# TYPE {definition.name} {kind}\n" in text
        help_text = f"Torchserve prometheus {kind} metric with unit: {definition.unit}"
        assert f"# HELP {definition.name} {help_text}\n" in text


def test_the_filter_takes_sample_names():
    metrics = Metrics(read_definitions(), hostname="vm")
    metrics.requests(200)
    metrics.model("echo", "1.0").answered(False, 1.0, 0.5)
    assert re.fullmatch(
        r"# HELP Requests2XX .*\n# TYPE Requests2XX counter\nRequests2XX\{.*\} 1\.0\n",
        shown(metrics, "Requests2XX"),
    )
    both = shown(metrics, "Requests2XX", "QueueTime")
    assert set(re.findall(r"^# TYPE (\w+)", both, re.MULTILINE)) == {"QueueTime", "Requests2XX"}
    assert shown(metrics, "nope") == ""
    assert shown(metrics, "flambeau_request_seconds") == ""
    buckets = shown(metrics, "flambeau_request_seconds_bucket")
    assert "flambeau_request_seconds_bucket{" in buckets
    assert "flambeau_request_seconds_sum" not in buckets


def test_large_small_and_odd_numbers_are_read_back():
    metric = Metric("a", "Numbers.", "gauge")
    numbers = [0.0, 1234567.0, 1e21, 1e-7, -3.5, math.inf, -math.inf, math.nan]
    for index, number in enumerate(numbers):
        metric.add_sample("a", {"n": str(index)}, number)
    text = exposition([metric]).decode()
    assert 'a{n="1"} 1234567.0\n' in text
    read = [sample.value for sample in next(iter(text_string_to_metric_families(text))).samples]
    assert read[:-1] == numbers[:-1]
    assert math.isnan(read[-1])


@given(st.text())
def test_any_label_value_is_read_back(text):
    metric = Metric("a", "Help with \\ and\nlines.", "gauge")
    metric.add_sample("a", {"label": text}, 1.0)
    try:
        written = exposition([metric]).decode()
    except UnicodeEncodeError:
        return
    # The reference parser splits at every Unicode line end, the format only at line feeds.
    if len(written.splitlines()) == 3 and "\r" not in text:
        families = list(text_string_to_metric_families(written))
        assert families[0].samples[0].labels == {"label": text}
    assert written.count("\n") == 3
