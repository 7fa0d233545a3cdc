"""Coordinated omission: measured latency of a target that stalls for 2 s once in 20 s.

The true latencies follow from the schedule: a request that is due during the stall waits for its end.
"""

import time

from benchmarks.load_generators import open_loop, plain_locust
from benchmarks.table import Row, percentile, show
from tests.platforms.counting_target import CountingTarget
from workers.platforms.protocols import RunningLoad

RATE_RPS, DURATION_S, STALL_S = 500, 20, 2.0
STALL_AFTER_S = 4.0
PLAIN = (("FastUser", 50, 10),)
GOAL = 0.02


def run() -> None:
    """Measure and print a table."""
    ours = open_loop(RATE_RPS, DURATION_S, during=_stall_under)
    plain = {
        f"{user} {users} × {per_user_rps}/s": plain_locust(
            user, users=users, per_user_rps=per_user_rps, duration_s=DURATION_S, during=_stall
        )
        for user, users, per_user_rps in PLAIN
    }
    rows = []
    for each in (99.0, 99.9):
        truth_ms, found_ms = percentile(truth(), each), ours.latency_ms[each]
        off = abs(found_ms / truth_ms - 1)
        rows.append(
            Row(
                what=f"p{each:g}; the truth is {truth_ms:,.0f} ms",
                measured=f"{found_ms:,.0f} ms",
                compared=", ".join(f"{name}: {run.latency_ms[each]:,.0f} ms" for name, run in plain.items()),
                ratio=found_ms / truth_ms,
                goal=f"within {GOAL:.0%}",
                reached=off <= GOAL,
            )
        )
    show(f"stall: {RATE_RPS}/s for {DURATION_S} s, {STALL_S:g} s of it stalled; beside FastHttpUser", rows)


def truth() -> list[float]:
    """Return the latency of every request in milliseconds, if the target otherwise responds at once."""
    waiting = int(RATE_RPS * STALL_S)
    return [0.0] * (RATE_RPS * DURATION_S - waiting) + [1000 * number / RATE_RPS for number in range(1, waiting + 1)]


def _stall(counting: CountingTarget) -> None:
    time.sleep(STALL_AFTER_S)
    counting.stall(STALL_S)


def _stall_under(counting: CountingTarget, load: RunningLoad) -> None:
    _stall(counting)
