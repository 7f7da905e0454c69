from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau.metrics.loglines import LineError, line_ends, model_line, parse, server_line


def test_a_worker_line_is_read_in_full():
    point = parse(
        "[METRICS]PredictionTime.Milliseconds:0.01|#ModelName:ctl,Level:Model|#type:GAUGE"
        "|#hostname:vm,1795342606,a-1,b-2"
    )
    assert point.name == "PredictionTime"
    assert point.unit == "Milliseconds"
    assert point.value == 0.01
    assert point.kind == "gauge"
    assert point.dimensions == [("ModelName", "ctl"), ("Level", "Model")]
    assert point.timestamp == 1795342606
    assert point.request_ids == "a-1,b-2"


def test_a_collector_line_has_neither_prefix_nor_type():
    point = parse("CPUUtilization.Percent:3.5|#Level:Host|#hostname:vm,1795342606")
    assert (point.name, point.value, point.kind) == ("CPUUtilization", 3.5, "")
    assert point.dimensions == [("Level", "Host")]
    assert point.request_ids == ""


def test_a_line_without_dimensions_is_read():
    assert parse("[METRICS]a.Count:1|#|#type:COUNTER|#hostname:vm,1").dimensions == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [("ms", "Milliseconds"), ("s", "Seconds"), ("MB", "Megabytes"), ("percent", "Percent")],
)
def test_short_units_are_spelled_out(written, meant):
    assert parse(f"a.{written}:1|#|#hostname:vm,1").unit == meant


def test_other_units_stay():
    assert parse("a.Bananas:1|#|#hostname:vm,1").unit == "Bananas"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "[METRICS]",
        "a.Count:inf|#|#hostname:vm,1",
        "a.Count:1.2.3|#|#hostname:vm,1",
        "a.m/s:1|#|#hostname:vm,1",
        "a.Count:1|#Level|#hostname:vm,1",
        "a.Count:1",
    ],
)
def test_what_is_no_metric_line_is_said(line):
    with pytest.raises(LineError, match="Failed to parse metrics line"):
        parse(line)


@given(st.text())
def test_any_text_is_either_a_point_or_an_error(text):
    try:
        point = parse(text)
    except LineError:
        return
    assert point.name


def test_lines_of_the_server_log_have_the_traditional_form():
    line = server_line(
        "Requests2XX", "Count", 1, [("Level", "Host")], hostname="vm", timestamp=1795342560
    )
    assert line == "Requests2XX.Count:1.0|#Level:Host|#hostname:vm,timestamp:1795342560"


def test_lines_of_the_model_log_carry_the_request_ids():
    head, tail = line_ends("PredictionTime", "ms", [("ModelName", "ctl"), ("Level", "Model")], "vm")
    assert model_line(head, 0.01, tail, "id-1,id-2", 1795342606) == (
        "PredictionTime.ms:0.01|#ModelName:ctl,Level:Model|#hostname:vm,"
        "requestID:id-1,id-2,timestamp:1795342606"
    )
