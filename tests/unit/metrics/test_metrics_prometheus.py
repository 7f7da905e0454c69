from __future__ import annotations

import math
import re

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from flambeau.metrics.definitions import Definition, MetricKind, read_definitions
from flambeau.metrics.families import Family
from flambeau.metrics.prometheus import exposition
from flambeau.metrics.registry import Metrics
from flambeau.spread import finish


def shown(metrics: Metrics, *names: str) -> str:
    return b"".join(metrics.exposition(list(names))).decode()


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


def family(help_text: str, label: str, numbers: dict[str, float]) -> Family:
    made = Family(Definition("a", "Count", MetricKind.GAUGE, (label,)), help_text)
    for text, number in numbers.items():
        made.hold((text,)).record(number)
    return made


def test_large_small_and_odd_numbers_are_read_back():
    numbers = [0.0, 1234567.0, 1e21, 1e-7, -3.5, math.inf, -math.inf, math.nan]
    cells = {str(index): number for index, number in enumerate(numbers)}
    text = b"".join(exposition([family("Numbers.", "n", cells)])).decode()
    assert 'a{n="1"} 1234567.0\n' in text
    read = [sample.value for sample in next(iter(text_string_to_metric_families(text))).samples]
    assert read[:-1] == numbers[:-1]
    assert math.isnan(read[-1])


@given(st.text())
def test_any_label_value_is_read_back(text):
    labelled = family("Help with \\ and\nlines.", "label", {text: 1.0})
    try:
        written = b"".join(exposition([labelled])).decode()
    except UnicodeEncodeError:
        return
    # The reference parser splits at every Unicode line end, the format only at line feeds.
    if len(written.splitlines()) == 3 and "\r" not in text:
        families = list(text_string_to_metric_families(written))
        assert families[0].samples[0].labels == {"label": text}
    assert written.count("\n") == 3


def test_thousands_of_series_are_written_in_short_pieces():
    metrics = Metrics(read_definitions(), hostname="vm")
    for number in range(2000):
        metrics.model(f"m{number}", "1.0").arrived(version_given=True)
    pieces = list(metrics.exposition([]))
    assert max(piece.count(b"\n") for piece in pieces) < 40
    text = b"".join(pieces).decode()
    assert text.count("\nflambeau_batch_size_bucket{") == 2000 * 10
    assert text.count("# TYPE flambeau_batch_size ") == 1


def test_answers_are_in_the_text_whenever_it_is_asked_for():
    metrics = Metrics(read_definitions(), hostname="vm")
    recorder = metrics.model("echo", "1.0")
    for _ in range(1000):
        recorder.answered(True, 0.1, 0.05)
        recorder.batch(1, 0.0, 0.05, 0.01)
    timer = metrics.form()
    next(timer)
    assert "flambeau_request_seconds_count" in shown(metrics)
    assert 'flambeau_batch_size_sum{model_name="echo",model_version="1.0"} 1000.0' in shown(metrics)
    finish(timer)
    assert 'flambeau_batch_size_sum{model_name="echo",model_version="1.0"} 1000.0' in shown(metrics)
