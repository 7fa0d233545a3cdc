"""The verdict of a load test: PASS, FAIL or INVALID, with reasons for people. Pure."""

from dataclasses import dataclass
from typing import Literal

from workers.contract.formatting import digits, share_percent, show_duration, show_ms, show_number, show_percentile
from workers.contract.load import Abort, Slo
from workers.platforms.protocols import TOO_LATE, LoadResult

LEAST_OF_ASKED = 0.95  # Share of the asked rate that must be reached. As much above it makes a test INVALID, too.
REFUSING = 0.05  # share of failed requests from which a missing rate is the target's fault: as much as may be missing


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """PASS: every objective was met. FAIL: one was missed. INVALID: the generator did not send what was asked.

    `reasons` are sentences, the most important first; never empty.
    """

    outcome: Literal["PASS", "FAIL", "INVALID"]
    reasons: tuple[str, ...]


def judge(*, slo: Slo, result: LoadResult, abort: Abort | None = None, aborted_after_s: float | None = None) -> Verdict:
    """Judge a load test. `aborted_after_s`: when `abort` ended it early, which is a FAIL.

    A rate that was not reached makes a test INVALID, unless the target failed requests: that is a FAIL. A generator in
    trouble makes any test INVALID, because it may have measured itself. So does a rate that a user's Locust file
    exceeded.
    """
    stopped = _stopped(result, abort, aborted_after_s)
    refusing = result.failures > 0 and result.failures >= REFUSING * result.requests
    short, surplus = _shortfall(result, refusing=refusing), _surplus(result)
    missed, held = _objectives(slo, result)
    if refusing and not missed and (short or slo.errors_percent is None):
        missed.append(f"{_errors(result)} failed.")
    if result.generator_trouble or surplus or (short and not refusing and not stopped):
        return _verdict("INVALID", result.generator_trouble, surplus, short, stopped, *missed, _dropped(result))
    if missed or stopped:
        return _verdict("FAIL", stopped, *missed, _dropped(result), short if result.requests else "")
    return _verdict("PASS", *(held or ["The requested rate was reached. No objective was set."]), _dropped(result))


def _verdict(outcome: Literal["PASS", "FAIL", "INVALID"], *reasons: str) -> Verdict:
    return Verdict(outcome=outcome, reasons=tuple(filter(None, reasons)))


def _stopped(result: LoadResult, abort: Abort | None, after_s: float | None) -> str:
    if abort is None or after_s is None:
        return ""
    kinds = _kinds(result)
    return (
        f"Stopped after {show_duration(after_s)}: for {show_duration(abort.for_s)},"
        f" more than {abort.errors_percent:g} % of the requests failed" + (f" ({kinds})." if kinds else ".")
    )


def _shortfall(result: LoadResult, *, refusing: bool) -> str:
    """Return a sentence if too few requests were sent, else "". A single request never decides."""
    if not result.requests:
        if any(second.achieved_rps for second in result.seconds):
            return "The test ended within its ramp, which is not judged."
        return "" if result.generator_trouble else "No request was sent."
    asked = result.asked_rps * result.duration_s
    if asked - result.achieved_rps * result.duration_s <= max(1.0, (1 - LEAST_OF_ASKED) * asked):
        return ""
    achieved, asked_rps = show_number(result.achieved_rps), show_number(result.asked_rps)
    share = f"{share_percent(result.achieved_rps, result.asked_rps):.0f} %"
    sent = f"Only {achieved} of {asked_rps} requests a second ({share}) were sent"
    return f"{sent}." if refusing else f"{sent}. The target refused none: the load generator did not keep up."


def _surplus(result: LoadResult) -> str:
    asked = result.asked_rps * result.duration_s
    if result.achieved_rps * result.duration_s - asked <= max(1.0, (1 - LEAST_OF_ASKED) * asked):
        return ""
    achieved, asked_rps = show_number(result.achieved_rps), show_number(result.asked_rps)
    return f"{achieved} requests a second were sent instead of {asked_rps}: the load generator sent too many."


def _objectives(slo: Slo, result: LoadResult) -> tuple[list[str], list[str]]:
    missed: list[str] = []
    held: list[str] = []
    if not result.requests:
        return missed, held
    if slo.errors_percent is not None:
        failed = share_percent(result.failures, result.requests)
        if result.failures and failed >= slo.errors_percent:
            points = _three_digits(failed - slo.errors_percent)
            above = f"{points} point{'s' * (points != '1')} above the objective of {slo.errors_percent:g} %"
            missed.append(f"{_errors(result)} failed, {above}.")
        else:
            held.append(
                f"{_three_digits(failed)} % of the requests failed (objective: below {slo.errors_percent:g} %)."
            )
    for percentile, bound_ms in slo.latency_ms:
        # A percentile that the result lacks is judged by the next higher one, which is stricter.
        at = min((each for each in result.latency_ms if each >= percentile), default=None)
        name = show_percentile(percentile)
        if at is None:
            missed.append(f"No request was answered, so there is no {name} (objective: below {show_ms(bound_ms)}).")
            continue
        value_ms = result.latency_ms[at]
        if at != percentile:
            name += f" (judged by {show_percentile(at)})"
        if value_ms >= bound_ms:
            above = f"{show_ms(value_ms - bound_ms)} above the objective of {show_ms(bound_ms)}"
            missed.append(f"{name} was {show_ms(value_ms)}, {above}.")
        else:
            held.append(f"{name} was {show_ms(value_ms)} (objective: below {show_ms(bound_ms)}).")
    return missed, held


def _dropped(result: LoadResult) -> str:
    """Return a sentence about dropped requests, or "". `generator_trouble` covers those that were too late."""
    crowded = result.dropped - result.failures_by_kind.get(TOO_LATE, 0)
    if crowded <= 0:
        return ""
    share = _three_digits(share_percent(crowded, result.requests))
    dropped = f"{crowded:,} requests ({share} %) were" if crowded > 1 else f"1 request ({share} %) was"
    because = "" if result.generator_trouble else ", because the target was too slow"
    return f"{dropped} dropped and counted as failed: too many requests were under way{because}."


def _errors(result: LoadResult) -> str:
    """Return "2.3 % of the requests (HTTP 503 × 690, connection refused × 12)"."""
    kinds = _kinds(result)
    share = _three_digits(share_percent(result.failures, result.requests))
    return f"{share} % of the requests" + (f" ({kinds})" if kinds else "")


def _kinds(result: LoadResult) -> str:
    kinds = sorted(result.failures_by_kind.items(), key=lambda kind: -kind[1])
    return ", ".join(f"{words} × {count:,}" for words, count in kinds[:3])


def _three_digits(number: float) -> str:
    """Format a share without an exponent: one failure in an hour is "0.0000278"."""
    return digits(float(f"{number:.3g}"))
