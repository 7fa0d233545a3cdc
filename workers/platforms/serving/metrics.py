"""Request metrics of a replica in Prometheus' text format.

Names, labels and buckets are those that TensorFlow Serving publishes with `--monitoring_config_file`: latencies in
microseconds, 33 buckets from 10 µs, each 1.8 times the one before.
"""

from bisect import bisect_left
from itertools import accumulate

_BOUNDS_US = [10 * 1.8**power for power in range(33)]

# TensorFlow's status codes for the HTTP statuses of a predict request.
_STATUS_CODES = {200: "OK", 400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 413: "OUT_OF_RANGE", 500: "INTERNAL"}


class RequestMetrics:
    """Counts of predict requests since the process started."""

    def __init__(self, model: str) -> None:
        """Start at zero for `model`, a name without quotes or backslashes."""
        self._model = model
        self._by_status: dict[int, int] = {200: 0}
        self._by_bucket = [0] * (len(_BOUNDS_US) + 1)
        self._sum_us = 0.0

    def count(self, status: int, latency_us: float) -> None:
        """Add one predict request that was answered with the HTTP `status`."""
        self._by_status[status] = self._by_status.get(status, 0) + 1
        self._by_bucket[bisect_left(_BOUNDS_US, latency_us)] += 1
        self._sum_us += latency_us

    def text(self) -> str:
        """Return the exposition (https://prometheus.io/docs/instrumenting/exposition_formats/)."""
        count, latency = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency"
        labels = f'model_name="{self._model}",API="predict",entrypoint="REST"'
        lines = [f"# TYPE {count} counter"]
        lines += [
            f'{count}{{model_name="{self._model}",status="{_STATUS_CODES[status]}"}} {number}'
            for status, number in sorted(self._by_status.items())
        ]
        lines.append(f"# TYPE {latency} histogram")
        cumulative = list(accumulate(self._by_bucket))
        bounds = [f"{bound:g}" for bound in _BOUNDS_US] + ["+Inf"]
        lines += [
            f'{latency}_bucket{{{labels},le="{bound}"}} {number}'
            for bound, number in zip(bounds, cumulative, strict=True)
        ]
        lines += [f"{latency}_sum{{{labels}}} {self._sum_us:.0f}", f"{latency}_count{{{labels}}} {cumulative[-1]}"]
        return "\n".join(lines) + "\n"
