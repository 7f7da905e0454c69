"""What the report says about samples."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from bench import plot
from bench.measure import Sample, read_wrk
from bench.report import asked, figure, latency_table, page, target_table
from bench.results import Results
from bench.workloads import TARGETS, WORKLOADS, Target, picture, small_json

WRK = """Running 3s test @ http://127.0.0.1:1/predictions/bench
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   557.03us  393.11us  12.43ms   96.39%
  Latency Distribution
     50%  512.00us
     75%  588.00us
     90%    1.01ms
     99%    2.05ms
  90121 requests in 3.00s, 20.11MB read
{errors}Requests/sec:  30031.11
"""


def results(**rates: list[float]) -> Results:
    made = Results()
    made.add_samples(
        "b1",
        {side: [Sample(rate, 1.0, 2.0, 40.0) for rate in each] for side, each in rates.items()},
    )
    return made


def test_what_wrk_prints_is_read_in_milliseconds_and_seconds() -> None:
    read = read_wrk(WRK.format(errors=""))
    assert (read.requests, read.errors, read.seconds) == (90121, 0, 3.0)
    assert (read.p50_ms, read.p99_ms) == (pytest.approx(0.512), pytest.approx(2.05))


def test_refused_requests_and_broken_sockets_are_errors() -> None:
    trouble = (
        "  Socket errors: connect 0, read 3, write 0, timeout 1\n  Non-2xx or 3xx responses: 7\n"
    )
    assert read_wrk(WRK.format(errors=trouble)).errors == 11


def test_an_unknown_output_is_refused() -> None:
    with pytest.raises(RuntimeError, match="unexpected"):
        read_wrk("unable to connect")


def test_a_ratio_is_the_median_of_the_rounds_and_not_of_the_figures() -> None:
    # The machine was three times as fast in the last round, for both sides alike.
    measured = results(flambeau=[20, 30, 90], torchserve=[2, 2, 9], mosec=[10, 10, 30])
    target = next(each for each in TARGETS if each.workload == "b1" and each.figure == "rate")
    assert measured.ratio(target, "torchserve") == 10
    assert measured.ratio(target, "mosec") == 3
    assert measured.middle(target, "flambeau") == 30
    assert measured.ratio(target, "bare loop") is None


@pytest.mark.parametrize(
    ("figure_name", "ratio", "met"),
    [("rate", 15, True), ("rate", 14.9, False), ("cpu_us", 15, True), ("cpu_us", 15.1, False)],
)
def test_limits_of_rates_are_lower_and_of_costs_upper_ones(
    figure_name: str, ratio: float, met: bool
) -> None:
    target = Target("any", "b1", figure_name, "unit", 15)
    assert asked(target, ratio, target.torchserve)[1] is met


def test_a_missed_target_is_said_in_the_table() -> None:
    table = target_table(results(flambeau=[30], torchserve=[10], mosec=[10]))
    assert "3.00x (≥ 15)" in table
    assert "**no**" in table


def test_figures_have_three_digits() -> None:
    assert [figure(each) for each in (None, 0.12345, 12.345, 123456.7)] == [
        "-",
        "0.123",
        "12.3",
        "123,457",
    ]


def test_the_page_and_the_picture_can_be_made_of_part_of_the_workloads() -> None:
    measured = results(flambeau=[3000], torchserve=[100], mosec=[900])
    text = page(measured, 1, 1.0)
    assert "# Performance" in text
    assert "3,000" in text
    drawn = ET.fromstring(plot.bars(measured))
    words = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "3,000/s (30.0x)" in words


def test_every_target_belongs_to_a_workload_that_has_its_sides() -> None:
    known = {each.name: each for each in WORKLOADS}
    for target in TARGETS:
        if target.workload != "start":
            sides = known[target.workload].sides
            wanted = {
                "torchserve": target.torchserve,
                "mosec": target.mosec,
                "bare loop": target.bare,
            }
            assert {side for side, limit in wanted.items() if limit} <= set(sides), target.title


def test_bodies_are_what_the_titles_say() -> None:
    assert len(small_json()) == 1024
    assert picture().count(b",") == 783


def at_a_rate(**shares: list[float]) -> Results:
    made = Results()
    made.add_samples(
        "b1@20k",
        {
            side: [
                Sample(20000 * share, 0.2, 4.0 + turn, share=share, lag_ms=0.1)
                for turn, share in enumerate(each)
            ]
            for side, each in shares.items()
        },
    )
    return made


AT_A_RATE = next(each for each in TARGETS if each.workload == "b1@20k")


def test_a_rate_that_was_not_reached_has_no_latency_and_no_ratio() -> None:
    measured = at_a_rate(flambeau=[1.0, 0.99, 1.0], mosec=[0.5, 0.4, 1.0])
    assert measured.ratio(AT_A_RATE, "mosec") is None
    assert measured.middle(AT_A_RATE, "mosec") is None
    assert measured.middle(AT_A_RATE, "flambeau") == 5.0
    assert "| 5 (≤ 5) | - | not reached | - | - | - | yes |" in target_table(measured)


def test_rounds_in_which_one_side_fell_behind_are_left_out_of_the_ratio() -> None:
    measured = at_a_rate(flambeau=[1.0, 0.9, 1.0], mosec=[1.0, 1.0, 1.0])
    assert measured.ratio(AT_A_RATE, "mosec") == 1.0
    assert measured.middle(AT_A_RATE, "flambeau") == 5.0


def test_a_rate_that_flambeau_itself_does_not_reach_is_a_missed_target() -> None:
    line = target_table(at_a_rate(flambeau=[0.9], mosec=[1.0])).splitlines()[-1]
    assert "| not reached | - | 4 |" in line
    assert "**no**" in line


def test_figures_that_the_late_generator_made_worse_are_marked() -> None:
    made = Results()
    made.add_samples("b1@1k", {"flambeau": [Sample(1000, 0.2, 0.3, p999_ms=0.4, lag_ms=0.1)]})
    assert "| 100% | ~0.2 | ~0.3 | ~0.4 | 0.1 |" in latency_table(made)


def test_the_state_before_has_columns_where_it_was_measured() -> None:
    table = target_table(results(flambeau=[30, 30], before=[20, 20], torchserve=[10, 10]))
    assert "| flambeau | before | TorchServe |" in table
    assert "| 30 | 20 | 10 | - | 1.50x | 3.00x (≥ 15) |" in table
    assert "before" not in target_table(results(flambeau=[30], torchserve=[10]))
