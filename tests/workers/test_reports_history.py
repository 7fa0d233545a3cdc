"""A load test's timeline, its comparison with earlier runs, and its page."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from workers.contract.jobs import LoadTest, Tested
from workers.contract.load import Sample, Shape, Slo
from workers.reports.history import comparison, earlier_runs, report_json
from workers.reports.html_report import render_page
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
    """Return `count` even seconds, except for a stall in the seventh."""
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
def test_timeline_has_at_most_twenty_samples_at_equal_distances(count: int) -> None:
    points = thinned(seconds(count), most=POINTS)
    assert len(points) == min(count, len(points)) <= POINTS
    assert [point.at_s for point in points] == sorted({point.at_s for point in points})
    if count:
        assert points[-1].at_s == count
    apart = [after.at_s - before.at_s for before, after in pairwise(points[:-1])]
    assert len(set(apart)) <= 1


def test_thinned_samples_have_the_worst_latency_and_the_last_counts() -> None:
    """A stall of one second in an hour stays visible. Rates are means."""
    merged = thinned(seconds(3_600), most=20)
    assert merged[0].p95_ms == 2_000.0
    assert (merged[0].failures_per_s, merged[0].dropped_per_s) == (50.0, 20.0)
    assert merged[0].achieved_rps == 900.5
    assert [sample.requests for sample in merged] == list(range(162_090, 3_241_801, 162_090))
    assert {each.p95_ms for each in merged[1:]} == {2.0}


def test_short_timeline_is_not_thinned() -> None:
    assert thinned(seconds(20), most=20) == seconds(20)
    assert thinned(seconds(3), most=20)[2].p50_ms is None


def test_replicas_change_at_the_instant_of_their_change() -> None:
    assert [replicas_at(at_s, REPLICAS) for at_s in (0.0, 11.9, 12.0, 39.0, 40.0, 99.0)] == [1, 1, 2, 2, 4, 4]
    assert replicas_at(1.0, []) == 0


def report(job_id: str, tested: Tested = TESTED, job: LoadTest = JOB) -> Any:
    """Return a report as it is read from the model store."""
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
    """Return a result with another p95."""
    return replace(TESTED, latency_ms={**TESTED.latency_ms, 95.0: p95_ms}, **changes)


def test_earlier_runs_are_summarized_by_their_medians() -> None:
    """The verdict is that of the newest run."""
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
    "another duration": report("1", job=replace(JOB, duration_s=60)),
    "another ramp": report("1", job=replace(JOB, ramp_s=0)),
    "another spacing": report("1", job=replace(JOB, spacing="poisson")),
    "INVALID": report("1", slower(2.0, verdict="INVALID")),
    "aborted": report("1", slower(2.0, aborted_after_s=10.0)),
    "without requests": report("1", slower(2.0, requests=0)),
    "earlier attempt of the same job": report("5"),
    "incompatible release": {"job": "1", "result": {"verdict": "PASS"}},
    "no report": None,
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_runs_that_cannot_be_compared_are_left_out(other: Any) -> None:
    assert earlier_runs([other] if other else [], job=JOB, job_id="5") is None


def test_run_with_another_objective_is_compared() -> None:
    """The load was the same, and the objective changes no number."""
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
def test_comparison_names_the_change_and_the_number_of_runs(
    now_ms: float, before_ms: float, runs: int, sentence: str
) -> None:
    before = earlier_runs([report(str(job), slower(before_ms)) for job in range(runs)], job=JOB, job_id="9")
    assert comparison(slower(now_ms, earlier=before), slo=SLO) == sentence


def test_comparison_is_empty_without_earlier_runs_or_answers() -> None:
    assert comparison(TESTED, slo=SLO) == ""
    before = earlier_runs([report("1")], job=JOB, job_id="9")
    assert comparison(replace(TESTED, latency_ms={}, earlier=before), slo=SLO) == ""


class _Page(HTMLParser):
    """A parsed page: its tags with their attributes, and its text."""

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
    """Return the parsed page of a test."""
    html = render_page(
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


def test_page_has_no_script_and_no_external_address() -> None:
    found = drawn(TESTED)
    assert "script" not in {tag for tag, _ in found.tags}
    addresses = [attributes[name] for _, attributes in found.tags for name in ("src", "href") if name in attributes]
    assert addresses == ["data:image/png;base64,cGljdHVyZQ=="]


def test_page_has_verdict_reasons_numbers_and_seconds() -> None:
    before = earlier_runs([report("1")], job=JOB, job_id="17")
    found = drawn(replace(TESTED, earlier=before), against="p95 2.1 ms, as before")
    assert found.words.index("PASS") < found.words.index("p95 was 2.1 ms")
    for piece in ("1 at the start, 4 at most", "began after 12 s, settled after 40 s", "300,000", "p95 2.1 ms, as"):
        assert piece in found.words
    assert "2026-09-21 14:13 UTC" in found.words
    numbers, percentiles, each_second = 7, 1 + 3, 1 + 5
    assert len([tag for tag, _ in found.tags if tag == "tr"]) == numbers + percentiles + each_second


def test_page_counts_its_rows_in_words() -> None:
    assert "1 rowTime" in drawn(TESTED, count=1).words
    assert "5 rowsTime" in drawn(TESTED).words


def test_most_frequent_failure_comes_first_on_a_page() -> None:
    found = drawn(replace(TESTED, failures=10, failures_by_kind={"timeout": 1, "HTTP 503": 9})).words
    assert found.index("HTTP 503") < found.index("timeout")


def test_page_has_no_send_lag_for_a_users_locust_file() -> None:
    """The due times are unknown, and a zero would look punctual."""
    # p50, p95, p99, send lag, replicas
    assert "12401" in drawn(replace(TESTED, send_lag_ms={99.0: 0.4})).words
    assert "1241" in drawn(replace(TESTED, send_lag_ms={})).words


def test_page_escapes_markup_from_the_target() -> None:
    found = drawn(replace(TESTED, failures=1, failures_by_kind={"<script>alert(1)</script>": 1}, reasons=("<b>x</b>",)))
    assert {"script", "b"}.isdisjoint(tag for tag, _ in found.tags)
    assert "<script>alert(1)</script>" in found.words


def test_page_without_requests_is_complete() -> None:
    """A target that was down leaves neither chart nor latency."""
    nothing = replace(TESTED, verdict="FAIL", requests=0, latency_ms={}, replicas_before=0, replicas_most=0)
    found = drawn(nothing, count=0, chart=b"")
    assert "No request was answered." in found.words
    assert "img" not in {tag for tag, _ in found.tags}
