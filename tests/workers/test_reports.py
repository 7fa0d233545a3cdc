"""The verdict over a load test's numbers, and the chart of its seconds."""

import math
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from workers.contract.jobs import Slo
from workers.platforms.protocols import LoadResult, LoadSample
from workers.reports import chart, verdict

SLO = Slo(latency_ms=((95.0, 200.0),), errors_percent=1.0)
GOOD = LoadResult(
    requests=30_000,
    failures=0,
    duration_s=30.0,
    achieved_rps=1000.0,
    latency_ms={50.0: 2.0, 90.0: 8.0, 95.0: 12.3, 99.0: 80.0, 99.9: 150.0, 100.0: 180.0},
)
SLOW = {**GOOD.latency_ms, 95.0: 312.0, 99.0: 400.0, 99.9: 500.0, 100.0: 12_000.0}
TOO_LITTLE = (
    "Only 612 of 1,000 requests a second (61 %) could be sent: "
    "the answers came too late for the load generator's connections, or its machine was too busy."
)
BUSY = "A load process used 97 % of a core."

VERDICTS = {
    "every objective held": (
        GOOD,
        SLO,
        "PASS",
        ("0 % of the requests failed (objective: below 1 %).", "p95 was 12.3 ms (objective: below 200 ms)."),
    ),
    "nothing was asked but the rate": (GOOD, Slo(), "PASS", ("The asked rate was reached; no objective was set.",)),
    "latency missed": (
        replace(GOOD, latency_ms=SLOW),
        SLO,
        "FAIL",
        ("p95 was 312 ms, 112 ms above the objective of 200 ms.",),
    ),
    "latency exactly at the bound": (
        replace(GOOD, latency_ms={95.0: 200.0}),
        SLO,
        "FAIL",
        ("p95 was 200 ms, 0 ms above the objective of 200 ms.",),
    ),
    "a percentile that was not kept is judged by the next": (
        GOOD,
        Slo(latency_ms=((97.0, 50.0),)),
        "FAIL",
        ("p97 (judged by p99) was 80 ms, 30 ms above the objective of 50 ms.",),
    ),
    "errors missed": (
        replace(GOOD, failures=690, failures_by_kind={"connection refused": 40, "HTTP 503": 650}),
        SLO,
        "FAIL",
        (
            "2.3 % of the requests (HTTP 503 × 650, connection refused × 40) failed, "
            "1.3 points above the objective of 1 %.",
        ),
    ),
    "no errors were asked for and none came": (
        GOOD,
        Slo(errors_percent=0.0),
        "PASS",
        ("0 % of the requests failed (objective: below 0 %).",),
    ),
    "everything missed, errors first": (
        replace(GOOD, failures=600, failures_by_kind={"HTTP 500": 600}, latency_ms=SLOW),
        SLO,
        "FAIL",
        (
            "2 % of the requests (HTTP 500 × 600) failed, 1 points above the objective of 1 %.",
            "p95 was 312 ms, 112 ms above the objective of 200 ms.",
        ),
    ),
    "no request was answered": (
        replace(GOOD, failures=30_000, failures_by_kind={"connection refused": 30_000}, latency_ms={}),
        SLO,
        "FAIL",
        (
            "100 % of the requests (connection refused × 30,000) failed, 99 points above the objective of 1 %.",
            "No request was answered, so there is no p95 (objective: below 200 ms).",
        ),
    ),
    "the rate was missed": (replace(GOOD, achieved_rps=612.0), SLO, "INVALID", (TOO_LITTLE,)),
    "the rate and an objective were missed": (
        replace(GOOD, achieved_rps=612.0, latency_ms=SLOW),
        SLO,
        "INVALID",
        (TOO_LITTLE, "p95 was 312 ms, 112 ms above the objective of 200 ms."),
    ),
    "the rate was missed by less than a twentieth": (
        replace(GOOD, achieved_rps=951.0),
        Slo(errors_percent=1.0),
        "PASS",
        ("0 % of the requests failed (objective: below 1 %).",),
    ),
    "the rate was missed while the target refused": (
        replace(GOOD, requests=18_360, achieved_rps=612.0, failures=9_180, failures_by_kind={"HTTP 503": 9_180}),
        SLO,
        "FAIL",
        ("50 % of the requests (HTTP 503 × 9,180) failed, 49 points above the objective of 1 %.", TOO_LITTLE),
    ),
    "refusals within a generous objective excuse no missing rate": (
        replace(GOOD, requests=18_360, achieved_rps=612.0, failures=1_836, failures_by_kind={"HTTP 429": 1_836}),
        Slo(errors_percent=20.0),
        "FAIL",
        ("The target failed 10 % of the requests (HTTP 429 × 1,836).", TOO_LITTLE),
    ),
    "refusals without an objective for them": (
        replace(GOOD, failures=15_000, failures_by_kind={"HTTP 503": 15_000}),
        Slo(latency_ms=((95.0, 200.0),)),
        "FAIL",
        ("The target failed 50 % of the requests (HTTP 503 × 15,000).",),
    ),
    "the generator was in trouble": (replace(GOOD, generator_trouble=BUSY), SLO, "INVALID", (BUSY,)),
    "the generator's trouble casts doubt on what was missed": (
        replace(GOOD, generator_trouble=BUSY, latency_ms=SLOW),
        SLO,
        "INVALID",
        (BUSY, "p95 was 312 ms, 112 ms above the objective of 200 ms."),
    ),
}


@pytest.mark.parametrize(("result", "slo", "outcome", "reasons"), VERDICTS.values(), ids=VERDICTS.keys())
def test_the_verdict(result: LoadResult, slo: Slo, outcome: str, reasons: tuple[str, ...]) -> None:
    """Outcome and reasons for 1,000 asked requests a second."""
    judged = verdict(asked_rps=1000.0, slo=slo, result=result)
    assert (judged.outcome, judged.reasons) == (outcome, reasons)


def test_nothing_sent_is_invalid() -> None:
    """A test without a request proves nothing, whatever was asked."""
    nothing = LoadResult(requests=0, failures=0, duration_s=5.0, achieved_rps=0.0, latency_ms={})
    assert verdict(asked_rps=0.1, slo=Slo(), result=nothing).outcome == "INVALID"


def test_a_single_request_never_decides() -> None:
    """Two requests in five seconds are 0.5 a second, as near as whole requests come."""
    few = LoadResult(requests=2, failures=0, duration_s=5.0, achieved_rps=0.4, latency_ms={95.0: 3.0})
    assert verdict(asked_rps=0.5, slo=SLO, result=few).outcome == "PASS"


def second(at_s: float, **changes: float | None) -> LoadSample:
    """One second of an uneventful test, changed."""
    sample = LoadSample(at_s=at_s, asked_rps=1000, achieved_rps=998, failures_per_s=0, p50_ms=1.2, p95_ms=4.5)
    return replace(sample, **changes)  # type: ignore[arg-type]


NAN, INFINITY = math.nan, math.inf
CHARTS = {
    "an ordinary test": ("PASS: iris on staging", [second(at) for at in range(1, 31)], [(0.0, 1), (9.0, 2), (12.0, 4)]),
    "nothing at all": ("", [], []),
    "one second": ("PASS", [second(1)], [(0.0, 1)]),
    "replicas alone": ("FAIL", [], [(0.0, 3), (40.0, 2)]),
    "gaps": ("FAIL", [second(1), second(2, p50_ms=None, p95_ms=None), second(3)], [(0.0, 1)]),
    "no latency ever": ("FAIL", [second(at, p50_ms=None, p95_ms=None, failures_per_s=9) for at in (1, 2)], [(0.0, 1)]),
    "zeroes": ("INVALID", [second(1, asked_rps=0, achieved_rps=0, p50_ms=0, p95_ms=0)], [(0.0, 0), (1.0, 0)]),
    "no numbers": ("FAIL", [second(1, p50_ms=NAN, p95_ms=INFINITY), second(2, failures_per_s=NAN)], [(0.0, 1)]),
    "from microseconds to minutes": ("FAIL", [second(1, p50_ms=0.01), second(2, p95_ms=600_000)], [(0.0, 1)]),
    "enormous": ("PASS", [second(at, asked_rps=1e6, achieved_rps=1e6) for at in (1, 2)], [(0.0, 1000)]),
    "an hour with many changes": (
        "PASS",
        [second(at) for at in range(1, 3601)],
        [(60.0 * minute, 1 + minute % 7) for minute in range(60)],
    ),
    "a title full of mark-up": ("FAIL: $x^2$ \\frac{ %s {0} _a_ " + "long " * 60, [second(1)], [(0.0, 1)]),
}


@pytest.mark.parametrize(("title", "samples", "replicas"), CHARTS.values(), ids=CHARTS.keys())
def test_a_chart_is_a_png(title: str, samples: list[LoadSample], replicas: list[tuple[float, int]]) -> None:
    """Whatever the seconds hold, the chart is a whole PNG of 1600 × 1200 pixels, drawn without a complaint."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = chart(title=title, samples=samples, replicas=replicas)
    assert size_of_png(picture) == (1600, 1200)


def test_charts_are_drawn_in_several_threads_at_once() -> None:
    """Jobs run in threads: what one draws is what it draws alone."""
    title, samples, replicas = CHARTS["an ordinary test"]
    alone = chart(title=title, samples=samples, replicas=replicas)
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(lambda _: chart(title=title, samples=samples, replicas=replicas), range(3)))
    assert together == [alone] * 3


def size_of_png(picture: bytes) -> tuple[int, int]:
    """Width and height; every chunk's checksum holds and the last chunk is there (PNG, third edition, section 5)."""
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    kinds, at = [], 8
    while at < len(picture):
        (length,) = struct.unpack_from(">I", picture, at)
        kind, data = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", picture, at + 8 + length)
        assert zlib.crc32(kind + data) == checksum
        kinds.append(kind)
        at += 12 + length
    assert (kinds[0], kinds[-1]) == (b"IHDR", b"IEND")
    width, height = struct.unpack_from(">II", picture, 16)
    return width, height
