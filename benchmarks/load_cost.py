"""CPU cost of a request for the generator, and the highest rate that one process can send on time."""

from benchmarks.load_generators import CONNECTIONS, Run, open_loop, plain_locust, wrk
from benchmarks.table import Row, show

RATES_RPS = (1_000, 2_000)
PER_USER_RPS = 10
DURATION_S = 5
PLAIN = (("FastUser", "FastHttpUser"), ("PlainUser", "HttpUser"))
LADDER_RPS = (8_000, 10_000, 12_000)
ENDLESS_RPS = 1_000_000
"""Rate that no user reaches, for users that send as soon as they have a response."""
GOAL_RPS, GOAL_LAG_MS, GOAL_CORES = 8_000, 2.0, 0.2


def run() -> None:
    """Measure and print a table."""
    rows = [_cost(rate_rps) for rate_rps in RATES_RPS]
    rows += _highest()
    show("cost: one load worker on a core, the target on another", rows)


def _cost(rate_rps: int) -> Row:
    ours = open_loop(rate_rps, DURATION_S)
    compared = {
        name: plain_locust(user, users=rate_rps // PER_USER_RPS, per_user_rps=PER_USER_RPS, duration_s=DURATION_S)
        for user, name in PLAIN
    }
    cores = ours.cpu_us * rate_rps / 1e6
    return Row(
        what=f"CPU a request at {rate_rps:,}/s",
        measured=f"{ours.cpu_us:.0f} µs",
        compared=", ".join(f"{name} {run.cpu_us:.0f} µs" for name, run in compared.items()),
        ratio=ours.cpu_us / compared["FastHttpUser"].cpu_us,
        goal=f"≤ {GOAL_CORES:g} core" if rate_rps == RATES_RPS[0] else "",
        reached=cores <= GOAL_CORES if rate_rps == RATES_RPS[0] else None,
    )


def _highest() -> list[Row]:
    """Raise the rate until requests leave late."""
    best, lag_ms = 0, 0.0
    for rate_rps in LADDER_RPS:
        result = _one_worker(rate_rps).result
        assert result is not None
        if result.send_lag_ms[99.0] >= GOAL_LAG_MS or result.failures:
            break
        best, lag_ms = rate_rps, result.send_lag_ms[99.0]
    closed = {
        name: _steady_rps(plain_locust(user, users=CONNECTIONS, per_user_rps=ENDLESS_RPS, duration_s=DURATION_S))
        for user, name in PLAIN
    }
    if found := wrk(DURATION_S):
        closed["wrk"] = _steady_rps(found)
    return [
        Row(
            what=f"highest rate with send lag p99 < {GOAL_LAG_MS:g} ms",
            measured=f"{best:,}/s (lag {lag_ms:.2g} ms)",
            compared="closed loop: " + ", ".join(f"{name} {rate_rps:,.0f}/s" for name, rate_rps in closed.items()),
            ratio=best / closed["FastHttpUser"],
            goal=f"≥ {GOAL_RPS:,}/s, > FastHttpUser",
            reached=best >= GOAL_RPS and best > closed["FastHttpUser"],
        )
    ]


def _one_worker(rate_rps: float) -> Run:
    return open_loop(rate_rps, DURATION_S, workers=1)


def _steady_rps(run: Run) -> float:
    seconds = run.seconds()
    return sum(seconds) / len(seconds)
