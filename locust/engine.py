"""The open loop: requests leave when they are due, whether or not earlier ones have come back.

All of it happens in gevent's event loop, without a greenlet for each request.
"""

import math
from time import monotonic
from typing import Any

import gevent
from arrivals import NEVER, Arrivals
from connection import Connection, failure_words
from destination import Destination
from http_answers import Answer, Judge
from ledger import Ledger, Seconds
from pool import Pool
from timer import timer

TOO_MANY = "not sent: too many requests were under way"
TOO_LATE = "not sent: the load generator was late"
LATEST_S = 2.0
"""What is later is not sent: a generator that stood still must not make up for it with a flood."""
PATIENCE_S = 3.0
"""Arrivals of so long a time may be under way: rate × latency is what is (Little's law)."""
FEWEST_UNDER_WAY, MOST_UNDER_WAY = 1_000, 6_000
"""Bounds of that: slow models at low rates must not be cut short, and Locust lets a process have 10,000 files."""
READY_S = 0.1
FEWEST_READY, MOST_READY = 4, 128
"""Connections are kept open for the arrivals of READY_S, within these bounds.

A Service deals out connections at random, so that of n to r replicas one's share is off the even one by √((r − 1) / n),
by standard deviation: of 32 to four by 31 %, of 128 by 15 %.
"""
ROUND_S = 0.05
"""How often time-outs and connections are looked after."""
BURST = 64
"""So many requests leave before answers are looked at again."""


class Engine:
    """One worker's traffic, from `begun_s` (of `time.monotonic()`) on. Ends by itself with the schedule, or at stop."""

    def __init__(
        self,
        *,
        target: Destination,
        arrivals: Arrivals,
        seconds: Seconds,
        ledger: Ledger,
        judge: Judge,
        begun_s: float,
        timeout_s: float,
    ) -> None:
        self._request = target.request
        self._arrivals = arrivals
        self._seconds = seconds
        self._ledger = ledger
        self._judge = judge
        self._begun_s = begun_s
        self._timeout_s = timeout_s
        self._most = FEWEST_UNDER_WAY
        self._under_way: dict[Connection, None] = {}  # in the order in which their requests left
        self._stopped = False
        loop: Any = gevent.get_hub().loop
        self._pool = Pool(target=target, loop=loop)
        self._timer = timer(loop, self._on_due)
        gevent.spawn(self._look_after)

    @property
    def over(self) -> bool:
        """Whether nothing more is due and every request has had its end."""
        return self._stopped and not self._under_way

    def take(self, share: float) -> None:
        """Have `share` (0 to 1) of the schedule's rate from now on."""
        if self._stopped:
            return
        rate_rps = share * self._arrivals.schedule.highest_rps
        self._most = min(max(math.ceil(rate_rps * PATIENCE_S), FEWEST_UNDER_WAY), MOST_UNDER_WAY)
        self._pool.ready = min(max(math.ceil(rate_rps * READY_S), FEWEST_READY), MOST_READY) if share else 0
        self._arrivals.take(share, at_s=max(self._now_s, 0.0))
        self._set_pacer()

    def stop(self) -> None:
        """Let nothing more leave; what is under way may still be answered. A second call does nothing."""
        if not self._stopped:
            self._stopped = True
            self._timer.close()
            self._pool.close()

    # ------------------------------------------------------------------------------------------ a request's way

    def _set_pacer(self) -> None:
        if self._arrivals.next_s != NEVER:
            self._timer.set(self._begun_s + self._arrivals.next_s)

    def _on_due(self) -> None:
        for _ in range(BURST):
            due_s, now_s = self._arrivals.next_s, self._now_s
            if due_s > now_s:
                break
            self._arrivals.advance()
            self._leave(due_s, now_s)
        self._set_pacer()

    def _leave(self, due_s: float, now_s: float) -> None:
        second = self._ledger.second(self._seconds.number(due_s))
        if now_s - due_s > LATEST_S:
            second.drop(TOO_LATE)
            return
        if len(self._under_way) >= self._most:
            second.drop(TOO_MANY)
            return
        second.leave(lag_ms=(now_s - due_s) * 1000)
        try:
            connection = self._pool.take()
        except OSError as error:
            second.end(failure_words(error))
            return
        connection.due_s, connection.left_s = due_s, now_s
        self._under_way[connection] = None
        connection.ask(self._request, self)

    def answered(self, connection: Connection, answer: Answer) -> None:
        """See ResponseHandler."""
        failure = self._judge.failure(answer)
        self._end(connection, failure, measured=failure is None)
        self._pool.give_back(connection, reusable=answer.reusable)

    def failed(self, connection: Connection, words: str) -> None:
        """See ResponseHandler."""
        self._end(connection, words, measured=False)

    def _end(self, connection: Connection, failure: str | None, *, measured: bool) -> None:
        del self._under_way[connection]
        second = self._ledger.second(self._seconds.number(connection.due_s))
        second.end(failure)
        if measured:
            now_s = self._now_s
            second.measure(latency_ms=(now_s - connection.due_s) * 1000, service_ms=(now_s - connection.left_s) * 1000)

    @property
    def _now_s(self) -> float:
        return monotonic() - self._begun_s

    # ------------------------------------------------------------------------------------------ now and then

    def _look_after(self) -> None:
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
            self._end(connection, f"no answer within {self._timeout_s:g} s{connection.at}", measured=True)
