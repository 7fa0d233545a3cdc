"""Fewer samples of a load test, for charts and tables with limited room. Pure."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from workers.contract.load import Sample

POINTS = 20
"""Most points of Slack's line charts: https://docs.slack.dev/reference/block-kit/blocks/data-visualization-block."""

ReplicaChanges = Sequence[tuple[float, int]]  # (Seconds since the start, replicas ready from then on), in order


def thinned(seconds: Sequence[Sample], *, most: int) -> list[Sample]:
    """Return at most `most` samples, each merged from the same number of `seconds` (the last from the rest).

    Rates are means; latencies, failures and send lag are those of the worst second, so a stall of one second in an hour
    stays visible. Counts are those at the end of the last second.
    """
    each = -(-len(seconds) // most)
    if each <= 1:
        return list(seconds)
    return [_merged(seconds[at : at + each]) for at in range(0, len(seconds), each)]


def replicas_at(at_s: float, replicas: ReplicaChanges) -> int:
    """Return their number at `at_s`; 0 before the first count."""
    known = bisect_right(replicas, at_s, key=lambda change: change[0])
    return replicas[known - 1][1] if known else 0


def _merged(seconds: Sequence[Sample]) -> Sample:
    def mean(of: Callable[[Sample], float]) -> float:
        return sum(map(of, seconds)) / len(seconds)

    def worst(of: Callable[[Sample], float | None]) -> float | None:
        return max((value for second in seconds if (value := of(second)) is not None), default=None)

    return Sample(
        at_s=seconds[-1].at_s,
        asked_rps=mean(lambda second: second.asked_rps),
        achieved_rps=mean(lambda second: second.achieved_rps),
        failures_per_s=max(second.failures_per_s for second in seconds),
        p50_ms=worst(lambda second: second.p50_ms),
        p95_ms=worst(lambda second: second.p95_ms),
        p99_ms=worst(lambda second: second.p99_ms),
        ended_per_s=mean(lambda second: second.ended_per_s),
        dropped_per_s=max(second.dropped_per_s for second in seconds),
        send_lag_ms=max(second.send_lag_ms for second in seconds),
        requests=seconds[-1].requests,
        failures=seconds[-1].failures,
        dropped=seconds[-1].dropped,
    )
