"""A load worker: sends its share of the requests, and tells the master every second what became of them."""

import gc
from time import monotonic, process_time
from typing import Any, Protocol

import gevent
from arrivals import Arrivals
from engine import Engine
from ledger import Ledger
from own_users import OwnUsers
from traffic_plan import Plan

BEGIN, SECOND = "seatrial_begin", "seatrial_second"
"""Messages: the master's, when the traffic begins; a worker's, of each second."""
_LOOK_S = 0.05


class Traffic(Protocol):
    """What files requests in a ledger."""

    @property
    def over(self) -> bool:
        """Whether nothing more will be filed."""

    def take(self, share: float) -> None:
        """Have `share` (0 to 1) of the rate."""

    def stop(self) -> None:
        """Send nothing more."""


class Worker:
    """A process's part in the tests of its master, one after the other.

    Its users are tokens: its share of the rate is its share of them.
    """

    def __init__(self, environment: Any, plan: Plan) -> None:
        self._environment = environment
        self._plan = plan
        self._tokens = 0
        self._part: WorkerRun | None = None
        environment.runner.register_message(BEGIN, self._begin)
        environment.events.test_stopping.add_listener(self._stop)

    def add(self, tokens: int) -> None:
        """Have so many tokens more, or fewer."""
        self._tokens += tokens
        if self._part:
            self._part.traffic.take(self._tokens / self._plan.tokens)

    def _begin(self, msg: Any, **_: Any) -> None:
        """Begin test `test`, which is `at_s` seconds old. Told again of the same one, go on."""
        test, at_s = msg.data["test"], msg.data["at_s"]
        if self._part is None or self._part.test != test:
            self._part = WorkerRun(self._environment, self._plan, test=test, begun_s=monotonic() - at_s)
            self.add(0)
            # What Locust has loaded need not be looked through in mid-test. By now the share is taken: however long
            # this lasts, all that is due meanwhile leaves, or is told of as too late.
            gc.collect()
            gc.freeze()

    def _stop(self, **_: Any) -> None:
        if self._part:
            self._part.traffic.stop()


class WorkerRun:
    """The process's part in one test."""

    def __init__(self, environment: Any, plan: Plan, *, test: int, begun_s: float) -> None:
        self.test = test
        self._runner = environment.runner
        self._plan = plan
        self._begun_s = begun_s
        self._ledger = Ledger()
        self.traffic: Traffic
        if plan.own_users:
            self.traffic = OwnUsers(environment, plan=plan, ledger=self._ledger, begun_s=begun_s)
        else:
            self.traffic = self._engine(index=max(self._runner.worker_index, 0))
        gevent.spawn(self._report)

    def _engine(self, *, index: int) -> Engine:
        plan = self._plan
        return Engine(
            target=plan.target,
            arrivals=Arrivals(plan.schedule, index=index, workers=plan.workers, poisson=plan.poisson),
            seconds=plan.seconds,
            ledger=self._ledger,
            judge=plan.judge(),
            begun_s=self._begun_s,
            timeout_s=plan.timeout_s,
        )

    def _report(self) -> None:
        """Tell of each second when it has passed, and of late answers once a second until there are no more."""
        number, over = self._plan.seconds.first, False
        while not over:
            while self._now_s < self._plan.seconds.passed_s(number) and not self.traffic.over:
                gevent.sleep(min(_LOOK_S, max(self._plan.seconds.passed_s(number) - self._now_s, 0.0)))
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
