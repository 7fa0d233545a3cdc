"""Coordinated omission: a target that stands still for 2 s once in 20 s, and what is reported of it.

The truth follows from the schedule: a request that falls due during the stall waits for its end.
"""

import time

from benchmarks.load_generators import open_loop, plain_locust
from benchmarks.table import Line, percentile, show
from tests.platforms.counting_target import CountingTarget
from workers.platforms.protocols.load import RunningLoad

RATE_RPS, DURATION_S, STALL_S = 500, 20, 2.0
STALL_AFTER_S = 4.0
PLAIN = (("Fast", 50, 10),)
GOAL = 0.02


def run() -> None:
    """Measure and print."""
    ours = open_loop(RATE_RPS, DURATION_S, during=_stall_under)
    plain = {
        f"{user} {users} × {per_user_rps}/s": plain_locust(
            user, users=users, per_user_rps=per_user_rps, duration_s=DURATION_S, during=_stall
        )
        for user, users, per_user_rps in PLAIN
    }
    lines = []
    for each in (99.0, 99.9):
        truth_ms, found_ms = percentile(truth(), each), ours.latency_ms[each]
        off = abs(found_ms / truth_ms - 1)
        lines.append(
            Line(
                what=f"p{each:g}; the truth is {truth_ms:,.0f} ms",
                measured=f"{found_ms:,.0f} ms",
                compared=", ".join(f"{name}: {run.latency_ms[each]:,.0f} ms" for name, run in plain.items()),
                ratio=found_ms / truth_ms,
                goal=f"within {GOAL:.0%}",
                reached=off <= GOAL,
            )
        )
    show(f"stall: {RATE_RPS}/s for {DURATION_S} s, {STALL_S:g} s of it standing still; beside FastHttpUser", lines)


def truth() -> list[float]:
    """Every request's latency in milliseconds, of a target that otherwise answers at once."""
    waiting = int(RATE_RPS * STALL_S)
    return [0.0] * (RATE_RPS * DURATION_S - waiting) + [1000 * number / RATE_RPS for number in range(1, waiting + 1)]


def _stall(asked: CountingTarget) -> None:
    time.sleep(STALL_AFTER_S)
    asked.stall(STALL_S)


def _stall_under(asked: CountingTarget, load: RunningLoad) -> None:
    _stall(asked)
