"""Measured latency of a server that responds in 0.1 ms: Locust's users wake together and wait for each other."""

from benchmarks.load_generators import open_loop, plain_locust
from benchmarks.table import Row, show

RATE_RPS, DURATION_S = 1_000, 8
PLAIN = ((100, 10), (1_000, 1))
GOAL_MS = 0.3


def run() -> None:
    """Measure and print a table."""
    ours = open_loop(RATE_RPS, DURATION_S)
    plain = {
        f"{users:,} × {per_user_rps}/s": plain_locust(
            "FastUser", users=users, per_user_rps=per_user_rps, duration_s=DURATION_S
        )
        for users, per_user_rps in PLAIN
    }
    rows = [
        Row(
            what=f"p{percentile:g}",
            measured=f"{ours.latency_ms[percentile]:.3g} ms",
            compared=", ".join(f"{name} {run.latency_ms[percentile]:.3g} ms" for name, run in plain.items()),
            goal=f"≤ {GOAL_MS:g} ms" if percentile == 50 else "",
            reached=ours.latency_ms[50.0] <= GOAL_MS if percentile == 50 else None,
        )
        for percentile in (50.0, 99.0)
    ]
    show(f"herds: {RATE_RPS:,}/s on a target of 0.1 ms; beside FastHttpUser", rows)
