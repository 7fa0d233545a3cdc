"""Open-loop load engine: requests leave when they are due, even if earlier ones have no response yet.

Everything happens in gevent's event loop, without a greenlet for each request.
"""

import math
from time import monotonic
from typing import Any

import gevent
from arrivals import NEVER, Arrivals
from connection import Connection, failure_reason
from http_responses import Response
from ledger import Ledger
from pool import Pool
from timer import timer
from traffic_plan import Plan

TOO_MANY = "not sent: too many requests were under way"
TOO_LATE = "not sent: the load generator was late"
MAX_LAG_S = 2.0  # requests that are later are dropped: after a pause, the generator must not catch up with a flood
MAX_LATENCY_S = 3.0  # as many requests may be under way as arrive in this time: rate × latency, by Little's law
MIN_UNDER_WAY, MAX_UNDER_WAY = 1_000, 6_000
"""Bounds of that number. Slow models at low rates need the lower one; Locust limits a process to 10,000 files."""
READY_S = 0.1
MIN_READY, MAX_READY = 4, 128
"""Connections are kept open for the arrivals of READY_S, within these bounds.

A Service distributes connections at random: with n connections to r replicas, the standard deviation of a replica's
share is √((r − 1) / n) of the even share. For four replicas that is 31 % with 32 connections and 15 % with 128.
"""
ROUND_S = 0.05  # interval of the checks for time-outs and expired connections
BURST = 64  # requests that may leave before responses are read again


class Engine:
    """Traffic of worker number `index` from `begun_s` (of `time.monotonic()`) to the end of the schedule, or `stop`.

    It counts its requests in `ledger`.
    """

    def __init__(self, plan: Plan, *, index: int, ledger: Ledger, begun_s: float) -> None:
        self._request = plan.destination.request
        self._arrivals = Arrivals(plan.schedule, index=index, workers=plan.workers, poisson=plan.poisson)
        self._timeline = plan.timeline
        self._ledger = ledger
        self._check = plan.check()
        self._begun_s = begun_s
        self._timeout_s = plan.timeout_s
        self._most = MIN_UNDER_WAY
        self._under_way: dict[Connection, None] = {}  # in the order in which their requests left
        self._stopped = False
        loop: Any = gevent.get_hub().loop
        self._pool = Pool(destination=plan.destination, loop=loop)
        self._timer = timer(loop, self._on_due)
        gevent.spawn(self._maintain)

    @property
    def over(self) -> bool:
        """Return True if no request is due any longer and every request has ended."""
        return self._stopped and not self._under_way

    def take(self, share: float) -> None:
        """Send `share` (0 to 1) of the schedule's rate from now on."""
        if self._stopped:
            return
        rate_rps = share * self._arrivals.schedule.highest_rps
        self._most = min(max(math.ceil(rate_rps * MAX_LATENCY_S), MIN_UNDER_WAY), MAX_UNDER_WAY)
        self._pool.ready = min(max(math.ceil(rate_rps * READY_S), MIN_READY), MAX_READY) if share else 0
        self._arrivals.take(share, at_s=max(self._now_s, 0.0))
        self._set_timer()

    def stop(self) -> None:
        """Send no more requests; those under way may still get a response. A second call does nothing."""
        if not self._stopped:
            self._stopped = True
            self._timer.close()
            self._pool.close()

    def _set_timer(self) -> None:
        if self._arrivals.next_s != NEVER:
            self._timer.set(self._begun_s + self._arrivals.next_s)

    def _on_due(self) -> None:
        for _ in range(BURST):
            due_s, now_s = self._arrivals.next_s, self._now_s
            if due_s > now_s:
                break
            self._arrivals.advance()
            self._send(due_s, now_s)
        self._set_timer()

    def _send(self, due_s: float, now_s: float) -> None:
        second = self._ledger.second(self._timeline.number(due_s))
        if now_s - due_s > MAX_LAG_S:
            second.drop(TOO_LATE)
            return
        if len(self._under_way) >= self._most:
            second.drop(TOO_MANY)
            return
        second.leave(lag_ms=(now_s - due_s) * 1000)
        try:
            connection = self._pool.take()
        except OSError as error:
            second.end(failure_reason(error))
            return
        connection.due_s, connection.left_s = due_s, now_s
        self._under_way[connection] = None
        connection.send(self._request, self)

    def on_response(self, connection: Connection, response: Response) -> None:
        failure = self._check.failure(response)
        self._end(connection, failure, measured=failure is None)
        self._pool.give_back(connection, reusable=response.reusable)

    def on_failure(self, connection: Connection, reason: str) -> None:
        self._end(connection, reason, measured=False)

    def _end(self, connection: Connection, failure: str | None, *, measured: bool) -> None:
        del self._under_way[connection]
        second = self._ledger.second(self._timeline.number(connection.due_s))
        second.end(failure)
        if measured:
            now_s = self._now_s
            second.measure(latency_ms=(now_s - connection.due_s) * 1000, service_ms=(now_s - connection.left_s) * 1000)

    @property
    def _now_s(self) -> float:
        return monotonic() - self._begun_s

    def _maintain(self) -> None:
        end_s = self._arrivals.schedule.end_s
        while not self.over:
            if self._now_s > end_s and self._arrivals.next_s == NEVER:
                self.stop()
            self._pool.refresh()
            self._time_out()
            gevent.sleep(ROUND_S)
        self._pool.close()

    def _time_out(self) -> None:
        left_by_s = self._now_s - self._timeout_s
        expired = []
        for connection in self._under_way:
            if connection.left_s > left_by_s:
                break
            expired.append(connection)
        for connection in expired:
            connection.close()
            self._end(connection, f"no response within {self._timeout_s:g} s{connection.suffix}", measured=True)
