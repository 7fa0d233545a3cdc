"""Accuracy of the rate, on average and in every second, as counted by the target."""

from benchmarks.load_generators import Run, open_loop, plain_locust
from benchmarks.table import Row, show

RATES_RPS = (100, 500, 1_000, 2_000)
DURATION_S = 6
PER_USER_RPS = 10
GOAL_MEAN, GOAL_SECOND = 0.005, 0.02


def run() -> None:
    """Measure and print a table."""
    rows = []
    for rate_rps in RATES_RPS:
        ours = open_loop(rate_rps, DURATION_S)
        users = rate_rps // PER_USER_RPS
        theirs = plain_locust("FastUser", users=users, per_user_rps=PER_USER_RPS, duration_s=DURATION_S)
        rows += _rows(rate_rps, ours, theirs)
    show(f"rate: {DURATION_S} s each, counted by the target; beside FastHttpUser, {PER_USER_RPS}/s a user", rows)


def _rows(rate_rps: int, ours: Run, theirs: Run) -> list[Row]:
    mean = abs(ours.count / (rate_rps * DURATION_S) - 1)
    seconds = theirs.seconds()
    their_mean = abs(sum(seconds) / len(seconds) / rate_rps - 1) if seconds else 1.0
    worst = ours.worst(rate_rps)
    return [
        Row(
            what=f"{rate_rps:,}/s: mean off by",
            measured=f"{mean:.2%}",
            compared=f"{their_mean:.2%}",
            goal=f"≤ {GOAL_MEAN:.1%}",
            reached=mean <= GOAL_MEAN,
        ),
        Row(
            what=f"{rate_rps:,}/s: worst second off by",
            measured=f"{worst:.2%}",
            compared=f"{theirs.worst(rate_rps):.2%}",
            goal=f"≤ {GOAL_SECOND:.0%}",
            reached=worst <= GOAL_SECOND,
        ),
    ]
