"""When a load test is ended early: too much fails, or a Locust file of one's own sends too much."""

from itertools import accumulate

import pytest

from workers.contract.load import Abort, Sample
from workers.jobs.stop_rules import ErrorRateStop, OverrateStop

ABORT = Abort(errors_percent=20.0, for_s=3.0)
GOOD, AT_THE_BOUND, BAD, EMPTY = (100.0, 5.0), (100.0, 20.0), (100.0, 21.0), (0.0, 0.0)


def ended_at(seconds: list[tuple[float, float]], abort: Abort | None = ABORT, *, length_s: float = 1.0) -> float | None:
    """When a test of these (ended, failed) seconds is ended early."""
    patience = ErrorRateStop(abort)
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
        if patience.ends_with(second):
            return second.at_s
    return None


COURSES: dict[str, tuple[list[tuple[float, float]], float | None]] = {
    "nothing fails": ([GOOD] * 9, None),
    "everything fails from the start": ([BAD] * 9, 3.0),
    "it begins to fail": ([GOOD, GOOD, *[BAD] * 9], 5.0),
    "a good second begins the count anew": ([BAD, BAD, GOOD, *[BAD] * 9], 6.0),
    "exactly at the bound is good": ([AT_THE_BOUND] * 9, None),
    "empty seconds count neither way": ([GOOD, BAD, EMPTY, BAD], 4.0),
    "empty seconds alone end nothing": ([EMPTY] * 9, None),
    "one failure after a long silence ends nothing": ([GOOD, *[EMPTY] * 9, BAD, GOOD], None),
    "two so far apart do": ([GOOD, *[EMPTY] * 4, BAD, EMPTY, BAD], 8.0),
    "the end is at a second that failed": ([GOOD, BAD, EMPTY, EMPTY, EMPTY, GOOD, BAD], None),
}


@pytest.mark.parametrize(("seconds", "at_s"), COURSES.values(), ids=COURSES.keys())
def test_patience_ends_after_so_many_bad_seconds_in_a_row(
    seconds: list[tuple[float, float]], at_s: float | None
) -> None:
    """More than 20 % failed in each of three seconds."""
    assert ended_at(seconds) == at_s


def test_without_a_bound_no_test_is_ended() -> None:
    """It runs to its end, whatever fails."""
    assert ended_at([BAD] * 99, None) is None


def test_time_is_counted_and_not_samples() -> None:
    """Samples of half a second are half a second long."""
    assert ended_at([BAD] * 9, length_s=0.5) == 3.0


def curbed_at(sent_per_s: list[int], *, highest_rps: float) -> float | None:
    """When a test whose seconds have these rates is ended."""
    curb = OverrateStop(highest_rps)
    for at_s, sent in enumerate(accumulate(sent_per_s), 1):
        # Two requests more could not be sent: they did not reach the target.
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
        if curb.ends_with(second):
            return second.at_s
    return None


RATES: dict[str, tuple[list[int], float, float | None]] = {
    "as asked": ([100] * 99, 100, None),
    "ten times as much": ([1000] * 9, 100, 1),
    "half as much again": ([150] * 9, 100, 5),
    "less, then too much": ([0, 0, *[400] * 9], 100, 3),
    "users who wake in herds": ([200, 0] * 50, 100, None),
    "a whole visit at a low rate": ([12, *[0] * 11] * 9, 1, None),
    "too many visits at a low rate": ([12] * 9, 1, 3),
}


@pytest.mark.parametrize(("sent_per_s", "highest_rps", "at_s"), RATES.values(), ids=RATES.keys())
def test_a_test_is_curbed_that_sends_more_than_was_asked_for(
    sent_per_s: list[int], highest_rps: float, at_s: float | None
) -> None:
    """By two seconds' worth in all, and thirty requests: what is sent below the highest rate makes up for it."""
    assert curbed_at(sent_per_s, highest_rps=highest_rps) == at_s
