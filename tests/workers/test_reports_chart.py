"""The charts of load tests and of capacity searches. Each figure is drawn once, and all checks share it."""

import math
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests.workers.png import size_of_png
from workers.contract.jobs import Probe
from workers.contract.load import Sample, Slo
from workers.reports import drawing
from workers.reports.chart import draw_load_test
from workers.reports.drawing import log_ticks
from workers.reports.probe_chart import draw_search


def second(at_s: float, **changes: float | None) -> Sample:
    """Return one second of a test, with `changes`."""
    sample = Sample(at_s=at_s, asked_rps=1000, achieved_rps=998, failures_per_s=0, p50_ms=1.2, p95_ms=4.5, p99_ms=11.0)
    return replace(sample, **changes)  # type: ignore[arg-type]


NAN, INFINITY = math.nan, math.inf
NO_ANSWER: dict[str, None] = {"p50_ms": None, "p95_ms": None, "p99_ms": None}
TWO_BOUNDS = Slo(latency_ms=((95.0, 100.0), (99.0, 250.0)), errors_percent=1)
CHARTS: dict[str, dict[str, Any]] = {
    "ordinary": {
        "seconds": [second(at) for at in range(1, 31)],
        "replicas": [(0.0, 1), (9.0, 2), (12.0, 4)],
        "slo": TWO_BOUNDS,
    },
    "no data": {"title": "", "seconds": []},
    "one second": {"seconds": [second(1)], "replicas": [(0.0, 1)], "slo": TWO_BOUNDS},
    "load target without replicas": {"seconds": [second(at) for at in (1, 2)]},
    "replicas without samples": {"seconds": [], "replicas": [(0.0, 3), (40.0, 2)]},
    "steps": {"seconds": [second(at, asked_rps=200 * (1 + at // 10)) for at in range(1, 51)]},
    "ramp": {"seconds": [second(at, asked_rps=100 * at) for at in range(1, 11)], "ramp_s": 5.0},
    "ramp as long as the test": {"seconds": [second(1)], "ramp_s": 60.0},
    "stall": {"seconds": [second(at, p99_ms=1900.0 if at == 9 else 0.3) for at in range(1, 21)], "slo": TWO_BOUNDS},
    "ended early": {"seconds": [second(at, failures_per_s=900) for at in (1, 2)], "aborted_after_s": 2.0},
    "dropped": {"seconds": [second(at, failures_per_s=90, dropped_per_s=40) for at in (1, 2)]},
    "many objectives": {
        "seconds": [second(1)],
        "slo": Slo(latency_ms=tuple((percentile, 10 * percentile) for percentile in (50.0, 90.0, 95.0, 99.0))),
    },
    "gaps": {"seconds": [second(1), second(2, **NO_ANSWER), second(3)]},
    "no latency ever": {"seconds": [second(at, **NO_ANSWER, failures_per_s=9) for at in (1, 2)], "slo": TWO_BOUNDS},
    "zeroes": {
        "seconds": [second(1, asked_rps=0, achieved_rps=0, p50_ms=0, p95_ms=0, p99_ms=0)],
        "replicas": [(0.0, 0), (1.0, 0)],
    },
    "not a number": {"seconds": [second(1, p50_ms=NAN, p95_ms=INFINITY), second(2, failures_per_s=NAN)]},
    "microseconds to minutes": {"seconds": [second(1, p50_ms=0.01), second(2, p95_ms=600_000)]},
    "large numbers": {
        "seconds": [second(at, asked_rps=1e6, achieved_rps=1e6) for at in (1, 2)],
        "replicas": [(0.0, 1000)],
    },
    "hour with many changes": {
        "seconds": [second(at) for at in range(1, 3601)],
        "replicas": [(60.0 * minute, 1 + minute % 7) for minute in range(60)],
        "ramp_s": 60.0,
    },
    "title with mark-up": {"title": "FAIL: $x^2$ \\frac{ %s {0} _a_ " + "long " * 60, "seconds": [second(1)]},
    "all marks": {
        "seconds": [second(at) for at in range(1, 31)],
        "replicas": [(0.0, 1), (9.0, 2), (12.0, 4)],
        "slo": Slo(latency_ms=((50.0, 10.0), (95.0, 100.0), (99.0, 250.0))),
        "ramp_s": 5.0,
        "aborted_after_s": 30.0,
    },
    "answers in every other second": {"seconds": [second(at, **({} if at % 2 else NO_ANSWER)) for at in range(1, 61)]},
}


def draw(call: Callable[[], bytes]) -> tuple[bytes, Figure]:
    """Return the picture that `call` draws and the figure behind it. Any warning is an error."""
    figures: list[Figure] = []
    render = drawing.png
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr(drawing, "png", lambda figure: figures.append(figure) or render(figure))
        return call(), figures[0]


@cache
def drawn(name: str) -> tuple[bytes, Figure]:
    """Return the picture and the figure of a case in CHARTS."""
    return draw(partial(draw_load_test, **{"title": "PASS: iris on staging"} | CHARTS[name]))


def texts(artist: Any) -> list[str]:
    """Return the texts of a panel or legend."""
    return [text.get_text() for text in (artist.get_texts() if hasattr(artist, "get_texts") else artist.texts)]


def assert_readable(figure: Figure) -> None:
    """Check that each panel's title and legend are inside the picture and do not overlap."""
    for axes in figure.axes:
        (title,) = (
            one for one in axes.get_children() if isinstance(one, Text) and one.get_text() == axes.get_title("left")
        )
        boxes = [title.get_window_extent()]
        if legend := axes.get_legend():
            boxes.append(legend.get_window_extent())
            assert not boxes[0].overlaps(boxes[1]), title.get_text()
        assert all(box.x0 >= 0 and box.x1 <= 1600 and box.y0 >= 0 and box.y1 <= 1200 for box in boxes)


@pytest.mark.parametrize("name", CHARTS)
def test_chart_is_a_readable_png(name: str) -> None:
    picture, figure = drawn(name)
    assert size_of_png(picture) == (1600, 1200)
    assert_readable(figure)


def test_charts_can_be_drawn_in_several_threads() -> None:
    """A chart is the same as when it is drawn alone."""
    alone, _ = drawn("ordinary")
    with ThreadPoolExecutor(2) as threads:
        together = list(
            threads.map(lambda _: draw_load_test(title="PASS: iris on staging", **CHARTS["ordinary"]), "12")
        )
    assert together == [alone] * 2


def test_chart_labels_objectives_scale_and_marks() -> None:
    rates, latencies, failures, replicas = drawn("all marks")[1].axes
    assert rates.get_title("left") == "Requests per second"
    assert latencies.get_title("left") == "Latency (ms), log scale"
    assert texts(latencies.get_legend()) == ["p99", "p95", "p50", "p50 < 10 ms", "p95 < 100 ms", "p99 < 250 ms"]
    assert texts(failures) == ["none"]
    marks = "shaded: ramp, not judged · thin lines: replicas changed · thick line: ended early"
    assert replicas.get_xlabel() == marks
    plain = drawn("ordinary")[1].axes[0]
    assert (len(rates.patches) - len(plain.patches), len(rates.lines) - len(plain.lines)) == (1, 1)  # ramp, early end


def test_chart_without_answers_says_so() -> None:
    latencies = drawn("no latency ever")[1].axes[1]
    assert texts(latencies) == ["no request was answered"]
    assert len(texts(latencies.get_legend())) == 2


def test_point_between_two_gaps_has_a_mark() -> None:
    """At a low rate every other second has no answer, and single points make no line."""
    latencies = drawn("answers in every other second")[1].axes[1]
    assert all(line.get_marker() == "o" and line.get_markevery() == list(range(0, 60, 2)) for line in latencies.lines)


def probe(rate_rps: float, verdict: str = "PASS", p95_ms: float | None = 2.0, errors_percent: float = 0.0) -> Probe:
    """Return a probe of one rate."""
    return Probe(
        rate_rps=rate_rps,
        verdict=verdict,  # type: ignore[arg-type]
        reason="Because.",
        latency_ms={} if p95_ms is None else {95.0: p95_ms, 100.0: 3 * p95_ms},
        errors_percent=errors_percent,
        replicas=1,
    )


SEARCH = [probe(100), probe(200), probe(400, "FAIL", 2_000.0, 30.0), probe(283, "FAIL", 210.0), probe(238)]
WIDE = [probe(1), probe(1_000), probe(100_000, "INVALID", 9.0)]
ALL_VERDICTS = [probe(90), probe(95, "FAIL", 0.01), probe(97, "INVALID")]
SEARCHES = {
    "ordinary": SEARCH,
    "lowest rate failed": [probe(100, "FAIL", 300.0)],
    "no valid probe": [probe(100, "INVALID", None)],
    "wide range": WIDE,
    "one rate twice": [probe(100, "FAIL", 300.0), probe(100)],
    "all verdicts": [*SEARCH, *ALL_VERDICTS],
    "all verdicts in a wide range": [*WIDE, *ALL_VERDICTS],
}


@pytest.mark.parametrize("probes", SEARCHES.values(), ids=SEARCHES.keys())
@pytest.mark.parametrize("slo", [TWO_BOUNDS, Slo()], ids=["objectives", "no objective"])
def test_chart_of_a_search_is_a_readable_png(probes: list[Probe], slo: Slo) -> None:
    call = partial(draw_search, title="Capacity of iris on staging", probes=probes, slo=slo, found_rps=12_345.0)
    picture, figure = draw(call)
    assert size_of_png(picture) == (1600, 1200)
    assert_readable(figure)


@pytest.mark.parametrize(("least", "greatest"), [(0.3, 340.0), (0.01, 600_000.0), (10.0, 210.0), (1e-5, 1e9)])
def test_logarithmic_axis_has_two_to_five_ticks(least: float, greatest: float) -> None:
    """A single tick does not show the scale."""
    ticks = log_ticks(least, greatest, most=5)
    assert 2 <= len(ticks) <= 5
    assert all(least <= tick <= greatest for tick in ticks)
