"""The rules that end a load test early."""

from itertools import accumulate

import pytest

from workers.contract.load import Abort, Sample
from workers.jobs.traffic import ErrorRateStop, OverrateStop

ABORT = Abort(errors_percent=20.0, for_s=3.0)
GOOD, AT_THE_BOUND, BAD, EMPTY = (100.0, 5.0), (100.0, 20.0), (100.0, 21.0), (0.0, 0.0)


def ended_at(seconds: list[tuple[float, float]], abort: Abort | None = ABORT, *, length_s: float = 1.0) -> float | None:
    """Return when a test with these (ended, failed) seconds is stopped, or None."""
    rule = ErrorRateStop(abort)
    for number, (ended, failed) in enumerate(seconds, 1):
        second = Sample(
            at_s=number * length_s,
            asked_rps=100.0,
            achieved_rps=100.0,
            failures_per_s=failed,
            p50_ms=None,
            p95_ms=None,
            ended_per_s=ended,
        )
        if rule.ends_with(second):
            return second.at_s
    return None


FAILURES: dict[str, tuple[list[tuple[float, float]], float | None]] = {
    "no failure": ([GOOD] * 9, None),
    "failures from the start": ([BAD] * 9, 3.0),
    "failures from the third second": ([GOOD, GOOD, *[BAD] * 9], 5.0),
    "good second restarts the count": ([BAD, BAD, GOOD, *[BAD] * 9], 6.0),
    "exactly at the bound": ([AT_THE_BOUND] * 9, None),
    "empty second between bad ones": ([GOOD, BAD, EMPTY, BAD], 4.0),
    "empty seconds only": ([EMPTY] * 9, None),
    "one bad second after a long silence": ([GOOD, *[EMPTY] * 9, BAD, GOOD], None),
    "two bad seconds after silences": ([GOOD, *[EMPTY] * 4, BAD, EMPTY, BAD], 8.0),
    "stop only at a bad second": ([GOOD, BAD, EMPTY, EMPTY, EMPTY, GOOD, BAD], None),
}


@pytest.mark.parametrize(("seconds", "at_s"), FAILURES.values(), ids=FAILURES.keys())
def test_error_rate_stop_applies_after_three_bad_seconds(
    seconds: list[tuple[float, float]], at_s: float | None
) -> None:
    """More than 20 % failed in each of three seconds."""
    assert ended_at(seconds) == at_s


def test_error_rate_stop_without_a_bound_never_applies() -> None:
    assert ended_at([BAD] * 99, None) is None


def test_error_rate_stop_counts_time_and_not_samples() -> None:
    assert ended_at([BAD] * 9, length_s=0.5) == 3.0


def stopped_at(sent_per_s: list[int], *, highest_rps: float) -> float | None:
    """Return when a test that sends so many requests per second is stopped, or None."""
    rule = OverrateStop(highest_rps)
    for at_s, sent in enumerate(accumulate(sent_per_s), 1):
        # Two dropped requests do not count: they did not reach the target.
        second = Sample(
            at_s=at_s,
            asked_rps=10.0,
            achieved_rps=0.0,
            failures_per_s=0.0,
            p50_ms=None,
            p95_ms=None,
            requests=sent + 2,
            failures=2,
            dropped=2,
        )
        if rule.ends_with(second):
            return second.at_s
    return None


SENT: dict[str, tuple[list[int], float, float | None]] = {
    "as asked": ([100] * 99, 100, None),
    "ten times as much": ([1000] * 9, 100, 1),
    "one and a half times as much": ([150] * 9, 100, 5),
    "less, then too much": ([0, 0, *[400] * 9], 100, 3),
    "users in waves": ([200, 0] * 50, 100, None),
    "a whole visit at a low rate": ([12, *[0] * 11] * 9, 1, None),
    "too many visits at a low rate": ([12] * 9, 1, 3),
}


@pytest.mark.parametrize(("sent_per_s", "highest_rps", "at_s"), SENT.values(), ids=SENT.keys())
def test_overrate_stop_applies_above_the_highest_rate(
    sent_per_s: list[int], highest_rps: float, at_s: float | None
) -> None:
    """The surplus is two seconds' worth of requests, and at least thirty. A lower rate reduces it."""
    assert stopped_at(sent_per_s, highest_rps=highest_rps) == at_s
