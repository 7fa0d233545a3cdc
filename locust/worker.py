"""Load worker: sends its share of the requests and reports every second to the master."""

import gc
from time import monotonic, process_time
from typing import Any

import gevent
from engine import Engine
from ledger import Ledger
from traffic_plan import Plan
from user_traffic import UserTraffic

BEGIN, SECOND = "seatrial_begin", "seatrial_second"
"""Locust messages: from the master when the traffic begins; from a worker after each second."""
_POLL_S = 0.05


class Worker:
    """Worker process, which runs its master's tests one after the other.

    Locust users are tokens; a worker's share of the tokens is its share of the rate.
    """

    def __init__(self, environment: Any, plan: Plan) -> None:
        self._environment = environment
        self._plan = plan
        self._tokens = 0
        self._run: WorkerRun | None = None
        environment.runner.register_message(BEGIN, self._begin)
        environment.events.test_stopping.add_listener(self._stop)

    def add(self, tokens: int) -> None:
        """Add tokens, or remove them if the number is negative."""
        self._tokens += tokens
        if self._run:
            self._run.traffic.take(self._tokens / self._plan.tokens)

    def _begin(self, msg: Any, **_: Any) -> None:
        """Begin test `test`, which is `at_s` seconds old. Ignore repeats for the running test."""
        test, at_s = msg.data["test"], msg.data["at_s"]
        if self._run is None or self._run.test != test:
            self._run = WorkerRun(self._environment, self._plan, test=test, begun_s=monotonic() - at_s)
            self.add(0)
            # Keep the collector from scanning Locust's modules during the test. The share is taken first:
            # requests that fall due during the collection leave late or are counted as late.
            gc.collect()
            gc.freeze()

    def _stop(self, **_: Any) -> None:
        if self._run:
            self._run.traffic.stop()


class WorkerRun:
    def __init__(self, environment: Any, plan: Plan, *, test: int, begun_s: float) -> None:
        self.test = test
        self._runner = environment.runner
        self._plan = plan
        self._begun_s = begun_s
        self._ledger = Ledger()
        self.traffic: Engine | UserTraffic
        if plan.own_users:
            self.traffic = UserTraffic(environment, plan=plan, ledger=self._ledger, begun_s=begun_s)
        else:
            self.traffic = Engine(plan, index=max(self._runner.worker_index, 0), ledger=self._ledger, begun_s=begun_s)
        gevent.spawn(self._report)

    def _report(self) -> None:
        """Report each second when it has passed, then late responses once a second until the traffic is over."""
        number, over = self._plan.timeline.first, False
        while not over:
            while self._now_s < self._plan.timeline.passed_s(number) and not self.traffic.over:
                gevent.sleep(min(_POLL_S, max(self._plan.timeline.passed_s(number) - self._now_s, 0.0)))
            over = self.traffic.over
            report = {
                "test": self.test,
                "number": number,
                "at_s": self._now_s,
                "cpu_s": process_time(),
                "over": over,
                "filed": self._ledger.take(),
            }
            self._runner.send_message(SECOND, report)
            number += 1

    @property
    def _now_s(self) -> float:
        return monotonic() - self._begun_s
