"""The charts: of a load test's seconds, and of a search's probes."""

import math
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests.workers.chart_reading import size_of_png
from workers.contract.jobs import Probe
from workers.contract.load import Sample, Slo
from workers.reports import chart as charts
from workers.reports import probe_chart as probe_charts
from workers.reports.chart import chart
from workers.reports.drawing import log_ticks
from workers.reports.probe_chart import probe_chart


def second(at_s: float, **changes: float | None) -> Sample:
    """One second of an uneventful test, changed."""
    sample = Sample(at_s=at_s, asked_rps=1000, achieved_rps=998, failures_per_s=0, p50_ms=1.2, p95_ms=4.5, p99_ms=11.0)
    return replace(sample, **changes)  # type: ignore[arg-type]


NAN, INFINITY = math.nan, math.inf
TWO_BOUNDS = Slo(latency_ms=((95.0, 100.0), (99.0, 250.0)), errors_percent=1)
CHARTS: dict[str, dict[str, Any]] = {
    "an ordinary test": {
        "seconds": [second(at) for at in range(1, 31)],
        "replicas": [(0.0, 1), (9.0, 2), (12.0, 4)],
        "slo": TWO_BOUNDS,
    },
    "nothing at all": {"title": "", "seconds": []},
    "one second": {"seconds": [second(1)], "replicas": [(0.0, 1)], "slo": TWO_BOUNDS},
    "a target without replicas": {"seconds": [second(at) for at in (1, 2)]},
    "replicas alone": {"seconds": [], "replicas": [(0.0, 3), (40.0, 2)]},
    "steps": {"seconds": [second(at, asked_rps=200 * (1 + at // 10)) for at in range(1, 51)]},
    "a ramp": {"seconds": [second(at, asked_rps=100 * at) for at in range(1, 11)], "ramp_s": 5.0},
    "a ramp that is the whole test": {"seconds": [second(1)], "ramp_s": 60.0},
    "a stall": {"seconds": [second(at, p99_ms=1900.0 if at == 9 else 0.3) for at in range(1, 21)], "slo": TWO_BOUNDS},
    "ended early": {"seconds": [second(at, failures_per_s=900) for at in (1, 2)], "aborted_after_s": 2.0},
    "dropped": {"seconds": [second(at, failures_per_s=90, dropped_per_s=40) for at in (1, 2)]},
    "more objectives than there is room for": {
        "seconds": [second(1)],
        "slo": Slo(latency_ms=tuple((percentile, 10 * percentile) for percentile in (50.0, 90.0, 95.0, 99.0))),
    },
    "gaps": {"seconds": [second(1), second(2, p50_ms=None, p95_ms=None, p99_ms=None), second(3)]},
    "no latency ever": {
        "seconds": [second(at, p50_ms=None, p95_ms=None, p99_ms=None, failures_per_s=9) for at in (1, 2)]
    },
    "zeroes": {
        "seconds": [second(1, asked_rps=0, achieved_rps=0, p50_ms=0, p95_ms=0, p99_ms=0)],
        "replicas": [(0.0, 0), (1.0, 0)],
    },
    "no numbers": {"seconds": [second(1, p50_ms=NAN, p95_ms=INFINITY), second(2, failures_per_s=NAN)]},
    "from microseconds to minutes": {"seconds": [second(1, p50_ms=0.01), second(2, p95_ms=600_000)]},
    "enormous": {"seconds": [second(at, asked_rps=1e6, achieved_rps=1e6) for at in (1, 2)], "replicas": [(0.0, 1000)]},
    "an hour with many changes": {
        "seconds": [second(at) for at in range(1, 3601)],
        "replicas": [(60.0 * minute, 1 + minute % 7) for minute in range(60)],
        "ramp_s": 60.0,
    },
    "a title full of mark-up": {"title": "FAIL: $x^2$ \\frac{ %s {0} _a_ " + "long " * 60, "seconds": [second(1)]},
}


@pytest.mark.parametrize("drawn", CHARTS.values(), ids=CHARTS.keys())
def test_a_chart_is_a_png(drawn: dict[str, Any]) -> None:
    """Whatever the seconds hold, the chart is a whole PNG of 1600 × 1200 pixels, drawn without a complaint."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = chart(**{"title": "PASS: iris on staging"} | drawn)
    assert size_of_png(picture) == (1600, 1200)


def test_charts_are_drawn_in_several_threads_at_once() -> None:
    """Jobs run in threads: what one draws is what it draws alone."""
    drawn = {"title": "PASS"} | CHARTS["an ordinary test"]
    alone = chart(**drawn)
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(lambda _: chart(**drawn), range(3)))
    assert together == [alone] * 3


def test_what_is_marked_changes_the_picture() -> None:
    """The ramp, the objective, the early end and the replicas are each to be seen."""
    plain: dict[str, Any] = {"title": "PASS", "seconds": CHARTS["an ordinary test"]["seconds"]}
    marks: list[dict[str, Any]] = [{"ramp_s": 5.0}, {"slo": TWO_BOUNDS}, {"aborted_after_s": 30.0}]
    pictures = [chart(**plain), *(chart(**plain | mark) for mark in marks)]
    assert len(set(pictures)) == len(pictures)


def probe(rate_rps: float, verdict: str = "PASS", p95_ms: float | None = 2.0, errors_percent: float = 0.0) -> Probe:
    """A rate that was tried."""
    return Probe(
        rate_rps=rate_rps,
        verdict=verdict,  # type: ignore[arg-type]
        reason="Because.",
        latency_ms={} if p95_ms is None else {95.0: p95_ms, 100.0: 3 * p95_ms},
        errors_percent=errors_percent,
        replicas=1,
    )


SEARCHES = {
    "a whole search": [
        probe(100),
        probe(200),
        probe(400, "FAIL", 2_000.0, 30.0),
        probe(283, "FAIL", 210.0),
        probe(238),
    ],
    "the lowest rate failed": [probe(100, "FAIL", 300.0)],
    "nothing could be measured": [probe(100, "INVALID", None)],
    "a wide range": [probe(1), probe(1_000), probe(100_000, "INVALID", 9.0)],
    "one rate twice": [probe(100, "FAIL", 300.0), probe(100)],
}


@pytest.mark.parametrize("probes", SEARCHES.values(), ids=SEARCHES.keys())
@pytest.mark.parametrize("slo", [TWO_BOUNDS, Slo()], ids=["objectives", "none"])
def test_a_search_is_drawn(probes: list[Probe], slo: Slo) -> None:
    """Whatever was tried, the chart is a whole PNG, drawn without a complaint."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = probe_chart(title="Capacity of iris on staging", probes=probes, slo=slo, found_rps=probes[0].rate_rps)
    assert size_of_png(picture) == (1600, 1200)


def figure_of(monkeypatch: pytest.MonkeyPatch, drawing: ModuleType, draw: Callable[[], object]) -> Figure:
    """The figure behind a picture, laid out."""
    found: list[Figure] = []
    with monkeypatch.context() as patch:
        patch.setattr(drawing, "png", found.append)
        draw()
    found[0].draw_without_rendering()
    return found[0]


def assert_readable(figure: Figure) -> None:
    """A panel's name and its legend are inside the picture and apart."""
    for axes in figure.axes:
        (name,) = (
            one for one in axes.get_children() if isinstance(one, Text) and one.get_text() == axes.get_title("left")
        )
        boxes = [name.get_window_extent()]
        if legend := axes.get_legend():
            boxes.append(legend.get_window_extent())
            assert not boxes[0].overlaps(boxes[1]), name.get_text()
        assert all(box.x0 >= 0 and box.x1 <= 1600 and box.y0 >= 0 and box.y1 <= 1200 for box in boxes)


@pytest.mark.parametrize("drawn", CHARTS.values(), ids=CHARTS.keys())
def test_nothing_of_a_chart_lies_on_something_else(drawn: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many objectives, a panel's name and its legend are both to be read."""
    assert_readable(figure_of(monkeypatch, charts, lambda: chart(**{"title": "PASS"} | drawn)))


@pytest.mark.parametrize("probes", SEARCHES.values(), ids=SEARCHES.keys())
def test_nothing_of_a_searchs_chart_lies_on_something_else(
    probes: list[Probe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every kind of mark, too."""
    every = [*probes, probe(90), probe(95, "FAIL", 0.01), probe(97, "INVALID")]
    for tried in (probes, every):
        draw = partial(probe_chart, title="Capacity", probes=tried, slo=TWO_BOUNDS, found_rps=12_345.0)
        assert_readable(figure_of(monkeypatch, probe_charts, draw))


def test_what_is_drawn_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every objective, a logarithmic scale, an empty panel, and what goes through all panels."""
    bounds = Slo(latency_ms=((50.0, 10.0), (95.0, 100.0), (99.0, 250.0)))
    drawn = CHARTS["an ordinary test"] | {"slo": bounds, "ramp_s": 5.0, "aborted_after_s": 30.0}
    rates, latencies, failures, replicas = figure_of(monkeypatch, charts, lambda: chart(title="", **drawn)).axes
    assert rates.get_title("left") == "Requests per second"
    assert latencies.get_title("left") == "Latency (ms), log scale"
    named = [text.get_text() for text in latencies.get_legend().get_texts()]
    assert named == ["p99", "p95", "p50", "p50 < 10 ms", "p95 < 100 ms", "p99 < 250 ms"]
    assert [text.get_text() for text in failures.texts] == ["none"]
    said = "shaded: ramp, not judged · thin lines: replicas changed · thick line: ended early"
    assert replicas.get_xlabel() == said
    silent = CHARTS["no latency ever"] | {"slo": TWO_BOUNDS}
    _, latencies, _ = figure_of(monkeypatch, charts, lambda: chart(title="", **silent)).axes
    assert [text.get_text() for text in latencies.texts] == ["no request was answered"]
    assert len(latencies.get_legend().get_texts()) == 2


def test_a_rate_so_low_that_every_other_second_is_silent_is_still_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A point between two gaps makes no line, and has a mark."""
    answered = {at: {} if at % 2 else {"p50_ms": None, "p95_ms": None, "p99_ms": None} for at in range(1, 61)}
    seconds = [second(at, **changes) for at, changes in answered.items()]
    _, latencies, _ = figure_of(monkeypatch, charts, lambda: chart(title="", seconds=seconds)).axes
    assert all(line.get_marker() == "o" and line.get_markevery() == list(range(0, 60, 2)) for line in latencies.lines)


@pytest.mark.parametrize(("least", "greatest"), [(0.3, 340.0), (0.01, 600_000.0), (10.0, 210.0), (1e-5, 1e9)])
def test_a_logarithmic_axis_has_at_least_two_names_and_no_more_than_there_is_room_for(
    least: float, greatest: float
) -> None:
    """One name alone does not tell how steep it is."""
    ticks = log_ticks(least, greatest, most=5)
    assert 2 <= len(ticks) <= 5
    assert all(least <= tick <= greatest for tick in ticks)
