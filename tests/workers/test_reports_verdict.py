"""The verdict on a load test's numbers."""

from dataclasses import replace

import pytest

from workers.contract.load import Abort, Sample, Slo
from workers.platforms.protocols import TOO_LATE, LoadResult
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
NOT_REFUSED = f"{TOO_LITTLE}. The target refused none: the load generator did not keep up."
BUSY = "A load process used 97 % of a core."
DROPPED = (
    "11,400 requests (38 %) were dropped and counted as failed: too many requests were under way,"
    " because the target was too slow."
)
NO_ERRORS = "0 % of the requests failed (objective: below 1 %)."
P95_MISSED = "p95 was 312 ms, 112 ms above the objective of 200 ms."

VERDICTS = {
    "every objective is met": (GOOD, SLO, "PASS", (NO_ERRORS, "p95 was 12.3 ms (objective: below 200 ms).")),
    "no objective": (GOOD, Slo(), "PASS", ("The requested rate was reached. No objective was set.",)),
    "latency missed": (replace(GOOD, latency_ms=SLOW), SLO, "FAIL", (P95_MISSED,)),
    "latency exactly at the bound": (
        replace(GOOD, latency_ms={95.0: 200.0}),
        SLO,
        "FAIL",
        ("p95 was 200 ms, 0 ms above the objective of 200 ms.",),
    ),
    "missing percentile is judged by the next": (
        GOOD,
        Slo(latency_ms=((97.0, 50.0),)),
        "FAIL",
        ("p97 (judged by p99) was 80 ms, 30 ms above the objective of 50 ms.",),
    ),
    "percentile above all others is judged by the maximum": (
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
    "errors below 0 % without an error": (
        GOOD,
        Slo(errors_percent=0.0),
        "PASS",
        ("0 % of the requests failed (objective: below 0 %).",),
    ),
    "several objectives missed, errors first": (
        replace(GOOD, failures=600, failures_by_kind={"HTTP 500": 600}, latency_ms=SLOW),
        SLO,
        "FAIL",
        ("2 % of the requests (HTTP 500 × 600) failed, 1 point above the objective of 1 %.", P95_MISSED),
    ),
    "no answer": (
        replace(GOOD, failures=30_000, failures_by_kind={"connection refused": 30_000}, latency_ms={}),
        SLO,
        "FAIL",
        (
            "100 % of the requests (connection refused × 30,000) failed, 99 points above the objective of 1 %.",
            "No request was answered, so there is no p95 (objective: below 200 ms).",
        ),
    ),
    "rate missed": (replace(GOOD, achieved_rps=612.0), SLO, "INVALID", (NOT_REFUSED,)),
    "rate and objective missed": (
        replace(GOOD, achieved_rps=612.0, latency_ms=SLOW),
        SLO,
        "INVALID",
        (NOT_REFUSED, P95_MISSED),
    ),
    "rate missed by less than 5 %": (replace(GOOD, achieved_rps=951.0), Slo(errors_percent=1.0), "PASS", (NO_ERRORS,)),
    "rate missed while the target refused requests": (
        replace(GOOD, requests=18_360, achieved_rps=612.0, failures=9_180, failures_by_kind={"HTTP 503": 9_180}),
        SLO,
        "FAIL",
        ("50 % of the requests (HTTP 503 × 9,180) failed, 49 points above the objective of 1 %.", f"{TOO_LITTLE}."),
    ),
    "refusals within the objective do not excuse a missed rate": (
        replace(GOOD, requests=18_360, achieved_rps=612.0, failures=1_836, failures_by_kind={"HTTP 429": 1_836}),
        Slo(errors_percent=20.0),
        "FAIL",
        ("10 % of the requests (HTTP 429 × 1,836) failed.", f"{TOO_LITTLE}."),
    ),
    "refusals without an objective for errors": (
        replace(GOOD, failures=15_000, failures_by_kind={"HTTP 503": 15_000}),
        Slo(latency_ms=((95.0, 200.0),)),
        "FAIL",
        ("50 % of the requests (HTTP 503 × 15,000) failed.",),
    ),
    "requests dropped at a slow target": (
        replace(GOOD, achieved_rps=612.0, failures=11_400, dropped=11_400, failures_by_kind={"dropped": 11_400}),
        SLO,
        "FAIL",
        (
            "38 % of the requests (dropped × 11,400) failed, 37 points above the objective of 1 %.",
            DROPPED,
            f"{TOO_LITTLE}.",
        ),
    ),
    "drops of a generator in trouble are not blamed on the target": (
        replace(GOOD, failures=11_400, dropped=11_400, generator_trouble=BUSY),
        Slo(),
        "INVALID",
        (BUSY, "38 % of the requests failed.", DROPPED.replace(", because the target was too slow", "")),
    ),
    "late requests are not counted as crowded out": (
        replace(GOOD, failures=301, dropped=301, failures_by_kind={TOO_LATE: 300, "full": 1}, generator_trouble=BUSY),
        Slo(),
        "INVALID",
        (BUSY, "1 request (0.00333 %) was dropped and counted as failed: too many requests were under way."),
    ),
    "small excess without an exponent": (
        replace(GOOD, requests=3_600_000, failures=36_001, failures_by_kind={"HTTP 503": 36_001}),
        Slo(errors_percent=1.0),
        "FAIL",
        ("1 % of the requests (HTTP 503 × 36,001) failed, 0.0000278 points above the objective of 1 %.",),
    ),
    "small share without an exponent": (
        replace(GOOD, requests=3_600_000, failures=1, failures_by_kind={"HTTP 503": 1}),
        Slo(errors_percent=1.0),
        "PASS",
        ("0.0000278 % of the requests failed (objective: below 1 %).",),
    ),
    "rate exceeded": (
        replace(GOOD, requests=192_000, achieved_rps=6_400.0),
        SLO,
        "INVALID",
        ("6,400 requests a second were sent instead of 1,000: the load generator sent too many.",),
    ),
    "generator in trouble": (replace(GOOD, generator_trouble=BUSY), SLO, "INVALID", (BUSY,)),
    "generator in trouble and objective missed": (
        replace(GOOD, generator_trouble=BUSY, latency_ms=SLOW),
        SLO,
        "INVALID",
        (BUSY, P95_MISSED),
    ),
}


@pytest.mark.parametrize(("result", "slo", "outcome", "reasons"), VERDICTS.values(), ids=VERDICTS.keys())
def test_verdict_and_reasons(result: LoadResult, slo: Slo, outcome: str, reasons: tuple[str, ...]) -> None:
    judged = judge(slo=slo, result=result)
    assert (judged.outcome, judged.reasons) == (outcome, reasons)


def test_rate_is_judged_by_the_mean_of_the_requested_rate() -> None:
    """A rate that rises from 200 to 1,000 has a mean of 600."""
    risen = replace(GOOD, asked_rps=600.0, achieved_rps=595.0)
    assert judge(slo=SLO, result=risen).outcome == "PASS"
    assert judge(slo=SLO, result=replace(risen, achieved_rps=560.0)).outcome == "INVALID"


def test_test_without_requests_is_invalid() -> None:
    empty = LoadResult(requests=0, failures=0, duration_s=5.0, asked_rps=0.1, achieved_rps=0.0, latency_ms={})
    judged = judge(slo=SLO, result=empty)
    assert (judged.outcome, judged.reasons) == ("INVALID", ("No request was sent.",))


RAMPING = Sample(at_s=1.0, asked_rps=5.0, achieved_rps=5.0, failures_per_s=0.0, p50_ms=None, p95_ms=None)


def test_missing_requests_are_not_reported_after_a_lost_worker_or_within_the_ramp() -> None:
    """A lost worker may have sent requests that are not counted."""
    empty = LoadResult(requests=0, failures=0, duration_s=0.0, asked_rps=0.0, achieved_rps=0.0, latency_ms={})
    lost = replace(empty, generator_trouble="A load worker was lost.")
    assert judge(slo=SLO, result=lost).reasons == ("A load worker was lost.",)
    ramping = replace(empty, seconds=(RAMPING,))
    judged = judge(slo=SLO, result=ramping)
    assert (judged.outcome, judged.reasons) == ("INVALID", ("The test ended within its ramp, which is not judged.",))


def test_single_request_does_not_make_a_test_invalid() -> None:
    """Two or three requests in five seconds are as near to 0.5 a second as whole requests get."""
    few = LoadResult(requests=2, failures=0, duration_s=5.0, asked_rps=0.5, achieved_rps=0.4, latency_ms={95.0: 3.0})
    assert judge(slo=SLO, result=few).outcome == "PASS"
    assert judge(slo=SLO, result=replace(few, requests=3, achieved_rps=0.6)).outcome == "PASS"


ABORT = Abort(errors_percent=20.0, for_s=10.0)


def test_aborted_test_fails_with_the_abort_as_its_first_reason() -> None:
    broken = replace(GOOD, requests=300, failures=270, failures_by_kind={"HTTP 503": 270})
    judged = judge(slo=Slo(errors_percent=95), result=broken, abort=ABORT, aborted_after_s=23.0)
    assert judged.outcome == "FAIL"
    assert judged.reasons[0] == (
        "Stopped after 23 s: for 10 s, more than 20 % of the requests failed (HTTP 503 × 270)."
    )


def test_test_aborted_within_its_ramp_fails_without_numbers() -> None:
    empty = LoadResult(requests=0, failures=0, duration_s=0.0, asked_rps=0.0, achieved_rps=0.0, latency_ms={})
    judged = judge(slo=SLO, result=empty, abort=ABORT, aborted_after_s=12.0)
    assert judged.outcome == "FAIL"
    assert judged.reasons == ("Stopped after 12 s: for 10 s, more than 20 % of the requests failed.",)


def test_generator_in_trouble_makes_an_aborted_test_invalid() -> None:
    broken = replace(GOOD, requests=300, failures=270, generator_trouble=BUSY)
    judged = judge(slo=SLO, result=broken, abort=ABORT, aborted_after_s=23.0)
    assert judged.outcome == "INVALID"
    assert judged.reasons[0] == BUSY
