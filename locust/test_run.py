"""What the master knows of a test under way, from its workers' reports. Pure: no Locust, no clock."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from arrivals import ArrivalSchedule
from ledger import PERCENTILES, Histogram, Ledger, Second, Seconds, percentile_ms, total

WINDOW = 3
"""Over how many seconds a live sample's percentiles are taken: enough for a p99 at ordinary rates, and still live."""
LATEST_S = 3.0
"""How late a request may leave, and be told of."""
PATIENCE_S = 1.5
"""How long a second's sample waits for the workers that have not reported it."""
CPU_WINDOW_S = 2.5
"""Over what time a worker's CPU is judged: longer than a collection of garbage, shorter than any test."""
UNSEEN = "its end was not seen"


class _WorkerState:
    """What a worker has reported."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.at_s = 0.0
        self.over = self.lost = False
        self.busiest_percent = 0.0
        self._cpu: deque[tuple[float, float]] = deque()

    def look(self, *, at_s: float, cpu_s: float) -> None:
        """Take note of when it was heard of, and of its CPU time."""
        self.at_s = at_s
        self._cpu.append((at_s, cpu_s))
        while len(self._cpu) > 2 and at_s - self._cpu[1][0] >= CPU_WINDOW_S:
            self._cpu.popleft()
        over_s = at_s - self._cpu[0][0]
        if over_s >= CPU_WINDOW_S:
            self.busiest_percent = max(self.busiest_percent, 100 * (cpu_s - self._cpu[0][1]) / over_s)


class TestRun:
    """One test. Times are seconds since its traffic began."""

    def __init__(
        self, *, schedule: ArrivalSchedule, seconds: Seconds, ramp_s: float, timeout_s: float, workers: list[str]
    ) -> None:
        self.samples: list[dict[str, Any]] = []
        """A Sample (`workers/contract/load.py`) of every second that has passed, with what ended in it."""
        self._schedule = schedule
        self._seconds = seconds
        self._ramp_s = ramp_s
        self._ended_at_s = schedule.end_s
        self._ledger = Ledger()
        self._judged = Second()  # of the seconds that are closed: distributions of an hour's are too many to keep
        self._closed: list[dict[str, Any]] = []
        self._close_after = math.ceil(timeout_s + LATEST_S)
        self._workers = {worker: _WorkerState() for worker in workers}
        self._live: dict[int, Second] = {}
        self._window: deque[Histogram] = deque(maxlen=WINDOW)

    def hear(self, worker: str, report: Mapping[str, Any]) -> Second:
        """Take a worker's report; return the sum of what it filed."""
        heard = self._workers.setdefault(worker, _WorkerState())
        heard.number, heard.over = report["number"], report["over"]
        heard.look(at_s=report["at_s"], cpu_s=report["cpu_s"])
        filed = self._ledger.merge(report["filed"])
        # A report of a second that is in the samples already counts in the next one: no request is left out.
        number = min(max(heard.number, self._seconds.first + len(self.samples)), self._seconds.last)
        self._live.setdefault(number, Second()).add(filed)
        self._close()
        return filed

    def lose(self, worker: str) -> None:
        """Expect nothing more of a worker."""
        self._workers[worker].lost = True

    def stop(self, *, at_s: float) -> None:
        """Nothing is due from `at_s` on; a second call changes nothing."""
        self._ended_at_s = min(self._ended_at_s, max(at_s, 0.0))

    @property
    def stopped_at_s(self) -> float | None:
        """When it was ended before its time."""
        return self._ended_at_s if self._ended_at_s < self._schedule.end_s else None

    @property
    def workers(self) -> list[str]:
        """Those of whom reports are expected."""
        return [worker for worker, heard in self._workers.items() if not (heard.lost or heard.over)]

    @property
    def over(self) -> bool:
        """Whether no more reports are to come."""
        return not self.workers

    def settle(self, *, at_s: float) -> None:
        """Make the samples of the seconds that are complete at `at_s`: all, when it is over."""
        heard = [self._workers[worker].number for worker in self.workers]
        while (number := self._seconds.first + len(self.samples)) <= self._seconds.last:
            begin_s, end_s = self._seconds.bounds_s(number)
            # The last second waits for the answers that are still to come, so that its counts are the whole test's.
            reported = number < self._seconds.last and all(each is not None and each >= number for each in heard)
            complete = self.over or (at_s >= end_s and (reported or at_s > end_s + PATIENCE_S))
            if begin_s >= self._ended_at_s or not complete:
                return
            second = self._live.pop(number, Second())
            self._window.append(second.latency_ms)
            recent: Histogram = Histogram()
            for latency_ms in self._window:
                recent.update(latency_ms)
            self.samples.append(self._sample(number, second, recent, self.samples))

    def result(self) -> dict[str, Any]:
        """A LoadResult's fields, and what is known of the workers. Mappings are lists of pairs, to keep their order."""
        judged = total([self._judged, self._ledger.judged()])
        failures = judged.failures.copy()
        failures[UNSEEN] += judged.sent - judged.ended
        duration_s = max(self._ended_at_s - self._ramp_s, 0.0)
        asked = self._schedule.asked_by(self._ended_at_s) - self._schedule.asked_by(self._ramp_s)
        numbers = range(self._seconds.first + len(self._closed), self._seconds.number(self._ended_at_s) + 1)
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
            "asked_rps": asked / duration_s if duration_s else 0.0,
            "achieved_rps": judged.sent / duration_s if duration_s else 0.0,
            "latency_ms": _percentiles(judged.latency_ms),
            "service_ms": _percentiles(judged.service_ms),
            "send_lag_ms": _percentiles(judged.lag_ms),
            "seconds": seconds,
            "busiest_percent": max((heard.busiest_percent for heard in self._workers.values()), default=0.0),
            "stopped_at_s": self.stopped_at_s,
            "lost_at_s": [heard.at_s for heard in self._workers.values() if heard.lost],
        }

    def _close(self) -> None:
        """Make up the seconds whose every request has had its end."""
        reached = min((self._workers[worker].number or self._seconds.first for worker in self.workers), default=0)
        while (number := self._seconds.first + len(self._closed)) < min(
            reached - self._close_after, self._seconds.last
        ):
            second = self._ledger.seconds.pop(number, Second())
            self._closed.append(self._sample(number, second, second.latency_ms, self._closed))
            if number >= 0:
                self._judged.add(second)

    def _sample(
        self, number: int, second: Second, latency_ms: Histogram, before: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Describe a second; its counts go on from those of the last sample `before` it."""
        counted = before[-1] if before else {"requests": 0, "failures": 0, "dropped": 0}
        begin_s, end_s = self._seconds.bounds_s(number)
        end_s = max(min(end_s, self._ended_at_s), begin_s + 0.001)
        length_s = end_s - begin_s
        return {
            "at_s": end_s,
            "asked_rps": (self._schedule.asked_by(end_s) - self._schedule.asked_by(begin_s)) / length_s,
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
