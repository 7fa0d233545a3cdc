"""A load test's timeline, its comparison with earlier ones, and its page."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from workers.contract.jobs import LoadTest, Tested
from workers.contract.load import Sample, Shape, Slo
from workers.reports.history import comparison, earlier_runs, report_json
from workers.reports.html_report import page
from workers.reports.timeline import POINTS, replicas_at, thinned

SLO = Slo(latency_ms=((95.0, 200.0),), errors_percent=1.0)
JOB = LoadTest(
    model="iris",
    environment="staging",
    shape=Shape(lowest_rps=1_000, highest_rps=1_000),
    duration_s=300,
    ramp_s=10,
    slo=SLO,
)
TESTED = Tested(
    verdict="PASS",
    reasons=("p95 was 2.1 ms (objective: below 200 ms).",),
    asked_rps=1_000.0,
    achieved_rps=998.0,
    requests=300_000,
    failures=0,
    failures_by_kind={},
    latency_ms={50.0: 0.8, 95.0: 2.1, 100.0: 40.0},
    replicas_before=1,
    replicas_most=4,
    scaled_after_s=12.0,
    settled_after_s=40.0,
)
REPLICAS = [(0.0, 1), (12.0, 2), (40.0, 4)]


def seconds(count: int) -> list[Sample]:
    """Uneventful seconds, but for a stall in the seventh."""
    return [
        Sample(
            at_s=float(at),
            asked_rps=1_000.0,
            achieved_rps=900.0 + at % 2,
            failures_per_s=50.0 if at == 7 else 0.0,
            p50_ms=None if at == 3 else 1.0,
            p95_ms=2_000.0 if at == 7 else 2.0,
            p99_ms=4.0,
            dropped_per_s=20.0 if at == 7 else 0.0,
            requests=900 * at + (at + 1) // 2,
        )
        for at in range(1, count + 1)
    ]


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 300, 3_601])
def test_a_timeline_has_at_most_twenty_points(count: int) -> None:
    """Evenly apart, in order, the last at the test's end."""
    points = thinned(seconds(count), most=POINTS)
    assert len(points) == min(count, len(points)) <= POINTS
    assert [point.at_s for point in points] == sorted({point.at_s for point in points})
    if count:
        assert points[-1].at_s == count
    apart = [after.at_s - before.at_s for before, after in pairwise(points[:-1])]
    assert len(set(apart)) <= 1


def test_thinning_keeps_the_worst_second() -> None:
    """A stall of one second in an hour is to be seen; a rate is the mean."""
    merged = thinned(seconds(3_600), most=20)
    assert merged[0].p95_ms == 2_000.0
    assert (merged[0].failures_per_s, merged[0].dropped_per_s) == (50.0, 20.0)
    assert merged[0].achieved_rps == 900.5
    assert [sample.requests for sample in merged] == list(range(162_090, 3_241_801, 162_090))
    assert {each.p95_ms for each in merged[1:]} == {2.0}


def test_what_is_short_enough_is_not_thinned() -> None:
    """As many seconds as there is room for stay as they are, gaps too."""
    assert thinned(seconds(20), most=20) == seconds(20)
    assert thinned(seconds(3), most=20)[2].p50_ms is None


def test_replicas_change_at_the_instant_of_their_change() -> None:
    assert [replicas_at(at_s, REPLICAS) for at_s in (0.0, 11.9, 12.0, 39.0, 40.0, 99.0)] == [1, 1, 2, 2, 4, 4]
    assert replicas_at(1.0, []) == 0


def report(job_id: str, tested: Tested = TESTED, job: LoadTest = JOB) -> Any:
    """A report as it comes back from where it was kept."""
    return json.loads(json.dumps(report_json(job_id=job_id, at_s=0.0, job=job, tested=tested, replicas=REPLICAS)))


def test_report_of_an_earlier_build_is_compared() -> None:
    """Its timeline held points with replicas and without counts."""
    old = report("1")
    old["result"]["timeline"] = [
        {"at_s": 1.0, "asked_rps": 1.0, "achieved_rps": 1.0, "failures_per_s": 0.0, "p50_ms": None, "p95_ms": None}
        | {"p99_ms": None, "replicas": 1}
    ]
    assert earlier_runs([old], job=JOB, job_id="5") is not None


def slower(p95_ms: float, **changes: Any) -> Tested:
    """Another result."""
    return replace(TESTED, latency_ms={**TESTED.latency_ms, 95.0: p95_ms}, **changes)


def test_earlier_runs_are_summed_up_by_their_medians() -> None:
    """Of each percentile, the rate, and the share of errors; the verdict is the newest one's."""
    reports = [
        report("4", slower(9.0, verdict="FAIL", failures=3_000)),
        report("3", slower(3.0)),
        report("2", slower(1.0)),
    ]
    found = earlier_runs(reports, job=JOB, job_id="5")
    assert found is not None
    assert (found.runs, found.verdict, found.achieved_rps, found.errors_percent) == (3, "FAIL", 998.0, 0.0)
    assert found.latency_ms == {50.0: 0.8, 95.0: 3.0, 100.0: 40.0}


OTHERS: dict[str, Any] = {
    "another rate": report("1", job=replace(JOB, shape=Shape(lowest_rps=500, highest_rps=500))),
    "another shape": report("1", job=replace(JOB, shape=Shape(kind="steps", lowest_rps=500, highest_rps=1_000))),
    "another time": report("1", job=replace(JOB, duration_s=60)),
    "another ramp": report("1", job=replace(JOB, ramp_s=0)),
    "other arrivals": report("1", job=replace(JOB, spacing="poisson")),
    "one that was INVALID": report("1", slower(2.0, verdict="INVALID")),
    "one that was ended early": report("1", slower(2.0, aborted_after_s=10.0)),
    "one that sent nothing": report("1", slower(2.0, requests=0)),
    "an earlier attempt of this one": report("5"),
    "one of another release": {"job": "1", "result": {"verdict": "PASS"}},
    "none": None,
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_what_cannot_be_compared_is_left_out(other: Any) -> None:
    """Like is compared with like, or nothing is."""
    assert earlier_runs([other] if other else [], job=JOB, job_id="5") is None


def test_a_run_on_another_objective_is_compared() -> None:
    """The load was the same: what was asked of it changes no number."""
    assert earlier_runs([report("1", job=replace(JOB, slo=Slo(), abort=None))], job=JOB, job_id="5") is not None


@pytest.mark.parametrize(
    ("now_ms", "before_ms", "runs", "sentence"),
    [
        (2.4, 2.1, 7, "p95 2.4 ms, 14.3 % above the median of 7 earlier runs (2.1 ms)"),
        (2.1, 2.4, 2, "p95 2.1 ms, 12.5 % below the median of 2 earlier runs (2.4 ms)"),
        (2.1, 2.1, 1, "p95 2.1 ms, as the median of 1 earlier run (2.1 ms)"),
        (240.0, 2.0, 1, "p95 240 ms, 11,900 % above the median of 1 earlier run (2 ms)"),
    ],
)
def test_the_comparison_in_words(now_ms: float, before_ms: float, runs: int, sentence: str) -> None:
    """How far above or below, and of how many."""
    before = earlier_runs([report(str(job), slower(before_ms)) for job in range(runs)], job=JOB, job_id="9")
    assert comparison(slower(now_ms, earlier=before), slo=SLO) == sentence


def test_without_earlier_runs_there_is_nothing_to_say() -> None:
    """The first run, and one without an answer."""
    assert comparison(TESTED, slo=SLO) == ""
    before = earlier_runs([report("1")], job=JOB, job_id="9")
    assert comparison(replace(TESTED, latency_ms={}, earlier=before), slo=SLO) == ""


class _Page(HTMLParser):
    """What a page holds: its tags with their attributes, and its words."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def drawn(tested: Tested, *, count: int = 5, chart: bytes = b"picture", against: str = "") -> _Page:
    """A page, read."""
    html = page(
        job_id="17",
        at_s=1_790_000_000.0,
        job=JOB,
        tested=tested,
        against=against,
        seconds=seconds(count),
        replicas=REPLICAS,
        chart=chart,
    )
    return _Page(html)


def test_a_page_needs_nothing_from_outside() -> None:
    """No script, no address: the chart is in it."""
    found = drawn(TESTED)
    assert "script" not in {tag for tag, _ in found.tags}
    addresses = [attributes[name] for _, attributes in found.tags for name in ("src", "href") if name in attributes]
    assert addresses == ["data:image/png;base64,cGljdHVyZQ=="]


def test_a_page_tells_what_the_test_found() -> None:
    """The verdict first, the reasons, the numbers, a row a second."""
    before = earlier_runs([report("1")], job=JOB, job_id="17")
    found = drawn(replace(TESTED, earlier=before), against="p95 2.1 ms, as before")
    assert found.words.index("PASS") < found.words.index("p95 was 2.1 ms")
    for piece in ("1 at the start, 4 at most", "began after 12 s, settled after 40 s", "300,000", "p95 2.1 ms, as"):
        assert piece in found.words
    assert "2026-09-21 14:13 UTC" in found.words
    numbers, percentiles, each_second = 7, 1 + 3, 1 + 5
    assert len([tag for tag, _ in found.tags if tag == "tr"]) == numbers + percentiles + each_second


def test_numbers_of_one_read_well_on_a_page() -> None:
    """A test of a second has one row."""
    assert "1 rowTime" in drawn(TESTED, count=1).words
    assert "5 rowsTime" in drawn(TESTED).words


def test_the_weightiest_failure_comes_first_on_a_page() -> None:
    """They are read from the top."""
    found = drawn(replace(TESTED, failures=10, failures_by_kind={"timeout": 1, "HTTP 503": 9})).words
    assert found.index("HTTP 503") < found.index("timeout")


def test_a_page_does_not_tell_how_late_users_of_ones_own_were() -> None:
    """Nobody knows when they were to send; a nought would read as punctual."""
    # p50, p95, p99, send lag, replicas
    assert "12401" in drawn(replace(TESTED, send_lag_ms={99.0: 0.4})).words
    assert "1241" in drawn(replace(TESTED, send_lag_ms={})).words


def test_what_a_target_says_is_words_on_the_page() -> None:
    """A kind of failure that is mark-up stays text."""
    found = drawn(replace(TESTED, failures=1, failures_by_kind={"<script>alert(1)</script>": 1}, reasons=("<b>x</b>",)))
    assert {"script", "b"}.isdisjoint(tag for tag, _ in found.tags)
    assert "<script>alert(1)</script>" in found.words


def test_a_page_about_nothing_sent_is_whole() -> None:
    """A target that was down leaves no chart and no latency."""
    nothing = replace(TESTED, verdict="FAIL", requests=0, latency_ms={}, replicas_before=0, replicas_most=0)
    found = drawn(nothing, count=0, chart=b"")
    assert "No request was answered." in found.words
    assert "img" not in {tag for tag, _ in found.tags}
