"""Bridge from the ledger to Locust's statistics: its web page and report show the traffic at no cost to the workers."""

from typing import Any

from ledger import SecondCounts
from locust.stats import RequestStats, StatsEntry, StatsError


def add_to_statistics(stats: RequestStats, method: str, name: str, second: SecondCounts, *, at_s: float) -> None:
    """Add newly ended requests, at `at_s` in Unix seconds, to the entry `method` `name` and to the total."""
    requests = second.ended + second.dropped
    if not requests:
        return
    entry: Any = StatsEntry(stats, name, method)
    entry.num_requests = requests
    entry.num_none_requests = requests - second.latency_ms.total()
    entry.num_failures = second.failed
    entry.response_times = dict(second.latency_ms)
    entry.total_response_time = sum(value_ms * count for value_ms, count in second.latency_ms.items())
    entry.min_response_time = min(second.latency_ms, default=None)
    entry.max_response_time = max(second.latency_ms, default=0)
    entry.num_reqs_per_sec = {int(at_s): requests}
    entry.num_fail_per_sec = {int(at_s): second.failed}
    entry.last_request_timestamp = at_s
    for total in (stats.get(name, method), stats.total):
        total.extend(entry)
    for reason, count in second.failures.items():
        key = StatsError.create_key(method, name, reason)
        error = stats.errors.setdefault(key, StatsError(method, name, reason))
        error.occurrences += count
        error.first_seen = error.first_seen or at_s
        error.last_seen = at_s
