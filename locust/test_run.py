"""State of a running test in the master, from its workers' reports. Pure: no Locust, no clock."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from arrivals import ArrivalSchedule
from ledger import PERCENTILES, Histogram, Ledger, SecondCounts, Timeline, percentile_ms, total

WINDOW = 3
"""Seconds over which a live sample's percentiles are taken: enough for a p99 at ordinary rates, and still live."""
MAX_LAG_S = 3.0  # upper bound of how late a request leaves and is reported
PATIENCE_S = 1.5  # time that a second's sample waits for workers that have not reported it
CPU_WINDOW_S = 2.5
"""Time over which a worker's CPU use is averaged: longer than a garbage collection, shorter than any test."""
UNKNOWN = "outcome unknown"


class _WorkerState:
    def __init__(self) -> None:
        self.number: int | None = None
        self.at_s = 0.0
        self.over = self.lost = False
        self.busiest_percent = 0.0
        self._cpu: deque[tuple[float, float]] = deque()

    def record(self, *, at_s: float, cpu_s: float) -> None:
        self.at_s = at_s
        self._cpu.append((at_s, cpu_s))
        while len(self._cpu) > 2 and at_s - self._cpu[1][0] >= CPU_WINDOW_S:
            self._cpu.popleft()
        over_s = at_s - self._cpu[0][0]
        if over_s >= CPU_WINDOW_S:
            self.busiest_percent = max(self.busiest_percent, 100 * (cpu_s - self._cpu[0][1]) / over_s)


class TestRun:
    """One running test. Times are seconds since its traffic began."""

    def __init__(
        self, *, schedule: ArrivalSchedule, timeline: Timeline, ramp_s: float, timeout_s: float, workers: list[str]
    ) -> None:
        self.samples: list[dict[str, Any]] = []
        """A Sample (`workers/contract/load.py`) for each second that has passed, with the requests that ended in it."""
        self._schedule = schedule
        self._timeline = timeline
        self._ramp_s = ramp_s
        self._ended_at_s = schedule.end_s
        self._ledger = Ledger()
        self._judged = SecondCounts()  # sum of the closed seconds: an hour of distributions is too large to keep
        self._closed: list[dict[str, Any]] = []
        self._close_after = math.ceil(timeout_s + MAX_LAG_S)
        self._workers = {worker: _WorkerState() for worker in workers}
        self._live: dict[int, SecondCounts] = {}
        self._window: deque[Histogram] = deque(maxlen=WINDOW)

    def add_report(self, worker: str, report: Mapping[str, Any]) -> SecondCounts:
        """Add a worker's report; return the sum of its counts."""
        state = self._workers.setdefault(worker, _WorkerState())
        state.number, state.over = report["number"], report["over"]
        state.record(at_s=report["at_s"], cpu_s=report["cpu_s"])
        added = self._ledger.merge(report["filed"])
        # If the second has its sample already, the report counts in the next one, so that no request is left out.
        number = min(max(state.number, self._timeline.first + len(self.samples)), self._timeline.last)
        self._live.setdefault(number, SecondCounts()).add(added)
        self._close()
        return added

    def drop_worker(self, worker: str) -> None:
        self._workers[worker].lost = True

    def stop(self, *, at_s: float) -> None:
        """End the test at `at_s`: no later request is due. A later time in a second call is ignored."""
        self._ended_at_s = min(self._ended_at_s, max(at_s, 0.0))

    @property
    def workers(self) -> list[str]:
        return [worker for worker, state in self._workers.items() if not (state.lost or state.over)]

    @property
    def over(self) -> bool:
        return not self.workers

    def update_samples(self, *, at_s: float) -> None:
        """Append the samples of the seconds that are complete at `at_s`; all if the test is over."""
        reached = [self._workers[worker].number for worker in self.workers]
        while (number := self._timeline.first + len(self.samples)) <= self._timeline.last:
            begin_s, end_s = self._timeline.bounds_s(number)
            # The last second waits for the responses still missing, so that its counts are the whole test's.
            reported = number < self._timeline.last and all(each is not None and each >= number for each in reached)
            complete = self.over or (at_s >= end_s and (reported or at_s > end_s + PATIENCE_S))
            if begin_s >= self._ended_at_s or not complete:
                return
            second = self._live.pop(number, SecondCounts())
            self._window.append(second.latency_ms)
            recent = sum(self._window, Histogram())
            self.samples.append(self._sample(number, second, recent, self.samples))

    def result(self) -> dict[str, Any]:
        """Return a LoadResult's fields and the workers' state. Mappings are lists of pairs, to keep their order."""
        judged = total([self._judged, self._ledger.judged()])
        failures = judged.failures.copy()
        failures[UNKNOWN] += judged.sent - judged.ended
        duration_s = max(self._ended_at_s - self._ramp_s, 0.0)
        due = self._schedule.due_by(self._ended_at_s) - self._schedule.due_by(self._ramp_s)
        numbers = range(self._timeline.first + len(self._closed), self._timeline.number(self._ended_at_s) + 1)
        seconds = list(self._closed)
        for number in numbers:
            second = self._ledger.second(number)
            seconds.append(self._sample(number, second, second.latency_ms, seconds))
        return {
            "requests": judged.sent + judged.dropped,
            "failures": failures.total(),
            "failures_by_kind": (+failures).most_common(),
            "dropped": judged.dropped,
            "duration_s": duration_s,
            "asked_rps": due / duration_s if duration_s else 0.0,
            "achieved_rps": judged.sent / duration_s if duration_s else 0.0,
            "latency_ms": _percentiles(judged.latency_ms),
            "service_ms": _percentiles(judged.service_ms),
            "send_lag_ms": _percentiles(judged.lag_ms),
            "seconds": seconds,
            "busiest_percent": max((state.busiest_percent for state in self._workers.values()), default=0.0),
            "stopped_at_s": self._ended_at_s if self._ended_at_s < self._schedule.end_s else None,
            "lost_at_s": [state.at_s for state in self._workers.values() if state.lost],
        }

    def _close(self) -> None:
        """Close the seconds in which every request has ended: keep their samples and drop their distributions."""
        reached = min((self._workers[worker].number or self._timeline.first for worker in self.workers), default=0)
        while (number := self._timeline.first + len(self._closed)) < min(
            reached - self._close_after, self._timeline.last
        ):
            second = self._ledger.seconds.pop(number, SecondCounts())
            self._closed.append(self._sample(number, second, second.latency_ms, self._closed))
            if number >= 0:
                self._judged.add(second)

    def _sample(
        self, number: int, second: SecondCounts, latency_ms: Histogram, before: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Return the sample of a second. Its cumulative counts continue those of the last sample `before` it."""
        counted = before[-1] if before else {"requests": 0, "failures": 0, "dropped": 0}
        begin_s, end_s = self._timeline.bounds_s(number)
        end_s = max(min(end_s, self._ended_at_s), begin_s + 0.001)
        length_s = end_s - begin_s
        return {
            "at_s": end_s,
            "asked_rps": (self._schedule.due_by(end_s) - self._schedule.due_by(begin_s)) / length_s,
            "achieved_rps": second.sent / length_s,
            "ended_per_s": (second.ended + second.dropped) / length_s,
            "failures_per_s": second.failed / length_s,
            "dropped_per_s": second.dropped / length_s,
            "p50_ms": percentile_ms(latency_ms, 50),
            "p95_ms": percentile_ms(latency_ms, 95),
            "p99_ms": percentile_ms(latency_ms, 99),
            "send_lag_ms": percentile_ms(second.lag_ms, 99) or 0.0,
            "requests": counted["requests"] + second.sent + second.dropped,
            "failures": counted["failures"] + second.failed,
            "dropped": counted["dropped"] + second.dropped,
        }


def _percentiles(histogram: Histogram) -> list[tuple[float, float]]:
    found = ((each, percentile_ms(histogram, each)) for each in PERCENTILES)
    return [(each, value_ms) for each, value_ms in found if value_ms is not None]
