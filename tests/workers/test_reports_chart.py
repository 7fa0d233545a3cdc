"""The charts: of a load test's seconds, and of a search's probes."""

import math
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tests.workers.pictures import size_of_png
from workers.contract.load import Slo
from workers.contract.outcomes import Probe
from workers.platforms.load_protocol import LoadSample
from workers.reports.chart import chart
from workers.reports.probe_chart import probe_chart


def second(at_s: float, **changes: float | None) -> LoadSample:
    """One second of an uneventful test, changed."""
    sample = LoadSample(
        at_s=at_s, asked_rps=1000, achieved_rps=998, failures_per_s=0, p50_ms=1.2, p95_ms=4.5, p99_ms=11.0
    )
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
