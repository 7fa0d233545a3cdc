"""The verdict over a load test's numbers."""

from dataclasses import replace

import pytest

from workers.contract.load import Abort, Sample, Slo
from workers.platforms.protocols.load import TOO_LATE, LoadResult
from workers.reports.verdict import judge

SLO = Slo(latency_ms=((95.0, 200.0),), errors_percent=1.0)
GOOD = LoadResult(
    requests=30_000,
    failures=0,
    duration_s=30.0,
    asked_rps=1000.0,
    achieved_rps=1000.0,
    latency_ms={50.0: 2.0, 90.0: 8.0, 95.0: 12.3, 99.0: 80.0, 99.9: 150.0, 100.0: 180.0},
)
SLOW = {**GOOD.latency_ms, 95.0: 312.0, 99.0: 400.0, 99.9: 500.0, 100.0: 12_000.0}
TOO_LITTLE = "Only 612 of 1,000 requests a second (61 %) were sent"
NOT_REFUSED = f"{TOO_LITTLE}, and not because the target refused any: the generator did not keep up."
BUSY = "A load process used 97 % of a core."
DROPPED = (
    "11,400 requests (38 %) were dropped, which counts as failed: when they were due, too many were still under way,"
    " because the target was too slow."
)
NO_ERRORS = "0 % of the requests failed (objective: below 1 %)."
P95_MISSED = "p95 was 312 ms, 112 ms above the objective of 200 ms."

VERDICTS = {
    "every objective held": (GOOD, SLO, "PASS", (NO_ERRORS, "p95 was 12.3 ms (objective: below 200 ms).")),
    "nothing was asked but the rate": (GOOD, Slo(), "PASS", ("The asked rate was reached; no objective was set.",)),
    "latency missed": (replace(GOOD, latency_ms=SLOW), SLO, "FAIL", (P95_MISSED,)),
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
    "a percentile above all others is judged by the slowest request": (
        GOOD,
        Slo(latency_ms=((99.95, 190.0),)),
        "PASS",
        ("p99.95 (judged by max) was 180 ms (objective: below 190 ms).",),
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
        ("2 % of the requests (HTTP 500 × 600) failed, 1 point above the objective of 1 %.", P95_MISSED),
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
    "the rate was missed": (replace(GOOD, achieved_rps=612.0), SLO, "INVALID", (NOT_REFUSED,)),
    "the rate and an objective were missed": (
        replace(GOOD, achieved_rps=612.0, latency_ms=SLOW),
        SLO,
        "INVALID",
        (NOT_REFUSED, P95_MISSED),
    ),
    "the rate was missed by less than a twentieth": (
        replace(GOOD, achieved_rps=951.0),
        Slo(errors_percent=1.0),
        "PASS",
        (NO_ERRORS,),
    ),
    "the rate was missed while the target refused": (
        replace(GOOD, requests=18_360, achieved_rps=612.0, failures=9_180, failures_by_kind={"HTTP 503": 9_180}),
        SLO,
        "FAIL",
        ("50 % of the requests (HTTP 503 × 9,180) failed, 49 points above the objective of 1 %.", f"{TOO_LITTLE}."),
    ),
    "refusals within a generous objective excuse no missing rate": (
        replace(GOOD, requests=18_360, achieved_rps=612.0, failures=1_836, failures_by_kind={"HTTP 429": 1_836}),
        Slo(errors_percent=20.0),
        "FAIL",
        ("10 % of the requests (HTTP 429 × 1,836) failed.", f"{TOO_LITTLE}."),
    ),
    "refusals without an objective for them": (
        replace(GOOD, failures=15_000, failures_by_kind={"HTTP 503": 15_000}),
        Slo(latency_ms=((95.0, 200.0),)),
        "FAIL",
        ("50 % of the requests (HTTP 503 × 15,000) failed.",),
    ),
    "a slow target has requests dropped": (
        replace(GOOD, achieved_rps=612.0, failures=11_400, dropped=11_400, failures_by_kind={"dropped": 11_400}),
        SLO,
        "FAIL",
        (
            "38 % of the requests (dropped × 11,400) failed, 37 points above the objective of 1 %.",
            DROPPED,
            f"{TOO_LITTLE}.",
        ),
    ),
    "a generator in trouble does not say whose fault its drops are": (
        replace(GOOD, failures=11_400, dropped=11_400, generator_trouble=BUSY),
        Slo(),
        "INVALID",
        (BUSY, "38 % of the requests failed.", DROPPED.replace(", because the target was too slow", "")),
    ),
    "what the generator was too late to send was not crowded out": (
        replace(GOOD, failures=301, dropped=301, failures_by_kind={TOO_LATE: 300, "full": 1}, generator_trouble=BUSY),
        Slo(),
        "INVALID",
        (
            BUSY,
            "1 request (0.00333 %) was dropped, which counts as failed: when it was due, too many were still under"
            " way.",
        ),
    ),
    "the slightest share is told without an exponent": (
        replace(GOOD, requests=3_600_000, failures=36_001, failures_by_kind={"HTTP 503": 36_001}),
        Slo(errors_percent=1.0),
        "FAIL",
        ("1 % of the requests (HTTP 503 × 36,001) failed, 0.0000278 points above the objective of 1 %.",),
    ),
    "and in what held, too": (
        replace(GOOD, requests=3_600_000, failures=1, failures_by_kind={"HTTP 503": 1}),
        Slo(errors_percent=1.0),
        "PASS",
        ("0.0000278 % of the requests failed (objective: below 1 %).",),
    ),
    "more was sent than was asked for": (
        replace(GOOD, requests=192_000, achieved_rps=6_400.0),
        SLO,
        "INVALID",
        ("6,400 requests a second were sent where 1,000 were asked for: the generator sent too many.",),
    ),
    "the generator was in trouble": (replace(GOOD, generator_trouble=BUSY), SLO, "INVALID", (BUSY,)),
    "the generator's trouble casts doubt on what was missed": (
        replace(GOOD, generator_trouble=BUSY, latency_ms=SLOW),
        SLO,
        "INVALID",
        (BUSY, P95_MISSED),
    ),
}


@pytest.mark.parametrize(("result", "slo", "outcome", "reasons"), VERDICTS.values(), ids=VERDICTS.keys())
def test_the_verdict(result: LoadResult, slo: Slo, outcome: str, reasons: tuple[str, ...]) -> None:
    """Outcome and reasons for 1,000 asked requests a second."""
    judged = judge(slo=slo, result=result)
    assert (judged.outcome, judged.reasons) == (outcome, reasons)


def test_the_rate_is_judged_by_the_mean_that_was_asked() -> None:
    """A test whose rate rose from 200 to 1,000 asked for 600 on average: 595 are as good as all."""
    risen = replace(GOOD, asked_rps=600.0, achieved_rps=595.0)
    assert judge(slo=SLO, result=risen).outcome == "PASS"
    assert judge(slo=SLO, result=replace(risen, achieved_rps=560.0)).outcome == "INVALID"


def test_nothing_sent_is_invalid() -> None:
    """A test without a request proves nothing, whatever was asked."""
    nothing = LoadResult(requests=0, failures=0, duration_s=5.0, asked_rps=0.1, achieved_rps=0.0, latency_ms={})
    judged = judge(slo=SLO, result=nothing)
    assert (judged.outcome, judged.reasons) == ("INVALID", ("No request was sent.",))


RAMPING = Sample(at_s=1.0, asked_rps=5.0, achieved_rps=5.0, failures_per_s=0.0, p50_ms=None, p95_ms=None)


def test_that_nothing_was_sent_is_not_said_where_it_is_not_known() -> None:
    """A lost worker may have sent what nobody counted; a test that ended within its ramp has sent that."""
    nothing = LoadResult(requests=0, failures=0, duration_s=0.0, asked_rps=0.0, achieved_rps=0.0, latency_ms={})
    lost = replace(nothing, generator_trouble="A load worker was lost.")
    assert judge(slo=SLO, result=lost).reasons == ("A load worker was lost.",)
    ramping = replace(nothing, seconds=(RAMPING,))
    judged = judge(slo=SLO, result=ramping)
    assert (judged.outcome, judged.reasons) == ("INVALID", ("It ended within its ramp, which is not judged.",))


def test_a_single_request_never_decides() -> None:
    """Two requests in five seconds are 0.5 a second, as near as whole requests come."""
    few = LoadResult(requests=2, failures=0, duration_s=5.0, asked_rps=0.5, achieved_rps=0.4, latency_ms={95.0: 3.0})
    assert judge(slo=SLO, result=few).outcome == "PASS"
    assert judge(slo=SLO, result=replace(few, requests=3, achieved_rps=0.6)).outcome == "PASS"


ABORT = Abort(errors_percent=20.0, for_s=10.0)


def test_a_test_that_was_ended_early_is_the_target_s_failure() -> None:
    """The reasons begin with when and why it was ended."""
    broken = replace(GOOD, requests=300, failures=270, failures_by_kind={"HTTP 503": 270})
    judged = judge(slo=Slo(errors_percent=95), result=broken, abort=ABORT, aborted_after_s=23.0)
    assert judged.outcome == "FAIL"
    assert judged.reasons[0] == (
        "It was ended after 23 s: for 10 s, more than 20 % of the requests failed (HTTP 503 × 270)."
    )


def test_a_test_that_was_ended_in_its_ramp_fails_though_nothing_is_judged() -> None:
    """There are no numbers after the ramp, and none are made up."""
    nothing = LoadResult(requests=0, failures=0, duration_s=0.0, asked_rps=0.0, achieved_rps=0.0, latency_ms={})
    judged = judge(slo=SLO, result=nothing, abort=ABORT, aborted_after_s=12.0)
    assert judged.outcome == "FAIL"
    assert judged.reasons == ("It was ended after 12 s: for 10 s, more than 20 % of the requests failed.",)


def test_a_generator_in_trouble_makes_an_early_end_invalid() -> None:
    """What failed may have failed for the generator's sake."""
    broken = replace(GOOD, requests=300, failures=270, generator_trouble=BUSY)
    judged = judge(slo=SLO, result=broken, abort=ABORT, aborted_after_s=23.0)
    assert judged.outcome == "INVALID"
    assert judged.reasons[0] == BUSY
