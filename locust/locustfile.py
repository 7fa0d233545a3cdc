"""The load test as Locust runs it: users who take turns at one schedule, and exact results for every second.

    python -m locust -f locustfile.py --master --attack ATTACK.json --host http://TARGET
    python -m locust -f locustfile.py --worker --attack ATTACK.json

ATTACK.json: path, body (base64), rate_rps, ramp_s, duration_s, timeout_s, workers (how many processes share the rate).
The master's web server answers `GET /seatrial/status` and `GET /seatrial/steady` beside Locust's own routes, whose
statistics are cached for 2 s and of two digits.

The users' number does not make the rate: each free user takes the next request of the schedule and sends it when it is
due. So users never wake in herds, a slow answer holds up no other user, and a request that had to wait for a free user
counts from when it should have left, not from when it did. At most as many requests as users are under way, and one
that is `LATEST_S` late is not sent at all: then the achieved rate is below the asked one, and says so.
"""

import base64
import json
import math
import os
import random
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import gevent
import gevent.event
import gevent.socket
from arrivals import Arrivals
from flask import request
from geventhttpclient.response import HTTPConnectionClosed
from ledger import Ledger
from locust import FastHttpUser, events, exception, runners, stats, task

LATEST_S = 2.0  # as long as a person waits before pressing the button again
LATEST_AT_END_S = 0.1  # traffic ends with the test; this much is a late timer, not traffic
REPORT_POINTS = 300
# A Service balances connections: only new ones reach new replicas. Below 5 s, after which servers drop idle ones.
CONNECTION_S = (2.0, 4.0)

# Locust's 3 s are too coarse for a result every second. A module's constant, not an option, in Locust 2.47.
runners.WORKER_REPORT_INTERVAL = 0.5
# Workers quit that hear nothing of their master for so long, and their traffic ends: otherwise after 60 s.
runners.MASTER_HEARTBEAT_TIMEOUT = 5


class Traffic:
    """A worker's share of the schedule: every n-th request of it, n being the number of workers."""

    def __init__(self, *, arrivals: Arrivals, share: int, workers: int) -> None:
        self.ledger = Ledger()
        self._arrivals = arrivals
        self._next = share
        self._workers = workers
        self._begun = gevent.event.Event()
        self._began_at = 0.0
        self._last_second = math.ceil(arrivals.duration_s) - 1

    def begin(self) -> None:
        """Start the schedule's clock, once."""
        if not self._begun.is_set():
            self._began_at = perf_counter()
            self._begun.set()

    @property
    def now_s(self) -> float:
        """Seconds since the traffic began; below 0 before."""
        return perf_counter() - self._began_at if self._begun.is_set() else -1.0

    @property
    def second(self) -> int:
        """The ledger's number of the present second; what comes after the end belongs to the last one."""
        return min(math.floor(self.now_s - self._arrivals.ramp_s), self._last_second)

    def await_turn(self) -> float | None:
        """Sleep until the schedule's next request is due; return when that is, or None where none is to be sent.

        Each request is due at random within its slot of the schedule, so that it beats with no clock of the target's.
        """
        self._begun.wait()
        while self._next < self._arrivals.total:
            due_s = self._arrivals.due_s(self._next + random.random())
            self._next += self._workers
            if self.now_s - due_s < LATEST_S:
                if due_s > self.now_s:
                    gevent.sleep(due_s - self.now_s)
                return due_s if self.now_s <= self._arrivals.end_s + LATEST_AT_END_S else None
        return None


class Predict(FastHttpUser):
    """Sends the requests of its process's traffic, one at a time."""

    insecure = False
    concurrency = 1
    traffic: Traffic
    path: str
    body: bytes
    timeout_s: float

    def on_start(self) -> None:
        self._renew_at_s = 0.0

    @task
    def predict(self) -> None:
        """Take the next request when it is due, send it, count it."""
        traffic = self.traffic
        due_s = traffic.await_turn()
        if due_s is None:
            raise exception.StopUser
        self._renew_connection()
        left_s = min(due_s, traffic.now_s)
        traffic.ledger.second(traffic.second).sent += 1
        headers = {"Content-Type": "application/json"}
        with self.client.post(self.path, data=self.body, headers=headers, catch_response=True) as response:
            latency_ms = (traffic.now_s - left_s) * 1000
            response.request_meta["response_time"] = latency_ms
            failure = self._failure(response)
            if failure is None:
                response.success()
            else:
                response.failure(failure)
        counts = failure is None or failure == self.too_late
        traffic.ledger.ended(traffic.second, latency_ms=latency_ms if counts else None, failure=failure)

    @property
    def too_late(self) -> str:
        """The words for a time-out."""
        return f"no answer within {self.timeout_s:g} s"

    def _renew_connection(self) -> None:
        now_s = self.traffic.now_s
        if now_s >= self._renew_at_s:
            self.client.client.close()
            self._renew_at_s = now_s + random.uniform(*CONNECTION_S)

    def _failure(self, response: Any) -> str | None:
        """An answer's failure in a few words, the same for the same cause; None for a prediction."""
        if response.status_code not in (0, 200):
            return f"HTTP {response.status_code}"
        error = response.request_meta["exception"]
        if error is None:
            return None if _is_prediction(response.content) else "an answer without predictions"
        match getattr(error, "original", error):  # geventhttpclient wraps a time-out as retries that were exceeded
            case TimeoutError() | gevent.Timeout():
                return self.too_late
            case OSError(errno=int(number)):
                return os.strerror(number).lower()
            case HTTPConnectionClosed():
                return "connection closed without an answer"
            case other:
                return type(other).__name__


def _is_prediction(content: bytes) -> bool:
    try:
        answer = json.loads(content)
    except ValueError:
        return False
    return isinstance(answer, dict) and "predictions" in answer


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    """The options beside Locust's own."""
    parser.add_argument("--attack", required=True, include_in_web_ui=False, help="the attack, a JSON file")
    parser.add_argument(
        "--end-with-stdin", action="store_true", include_in_web_ui=False, help="exit at once when stdin is closed"
    )


@events.init.add_listener
def set_up(environment: Any, runner: Any, **_: Any) -> None:
    """Make this process the master or a worker of the attack."""
    attack = json.loads(Path(environment.parsed_options.attack).read_text(encoding="utf-8"))
    arrivals = Arrivals(**{name: attack[name] for name in ("rate_rps", "ramp_s", "duration_s")})
    if environment.parsed_options.end_with_stdin:
        gevent.spawn(_end_with_stdin)
    if isinstance(runner, runners.WorkerRunner):
        _set_up_worker(
            environment, attack, Traffic(arrivals=arrivals, share=runner.worker_index, workers=attack["workers"])
        )
    else:
        _set_up_master(environment, attack, arrivals)


def _end_with_stdin() -> None:
    """Whoever started this process holds the other end: however it dies, the traffic ends with it."""
    gevent.socket.wait_read(sys.stdin.fileno())
    os._exit(1)


def _set_up_worker(environment: Any, attack: dict[str, Any], traffic: Traffic) -> None:
    Predict.traffic = traffic
    Predict.path = attack["path"]
    Predict.body = base64.b64decode(attack["body"])
    Predict.timeout_s = Predict.network_timeout = Predict.connection_timeout = attack["timeout_s"]

    @environment.events.spawning_complete.add_listener
    def begin(**_: Any) -> None:
        traffic.begin()

    @environment.events.report_to_master.add_listener
    def report(data: dict[str, Any], **_: Any) -> None:
        data["seatrial"] = {"at_s": traffic.now_s, "seconds": traffic.ledger.take()}


def _set_up_master(environment: Any, attack: dict[str, Any], arrivals: Arrivals) -> None:
    # Points of the report's charts: a module's constant, too. https://docs.locust.io/en/stable/configuration.html
    stats.HISTORY_STATS_INTERVAL_SEC = max(1.0, arrivals.end_s / REPORT_POINTS)
    ledger = Ledger()
    reported_s: dict[str, float] = {}

    @environment.events.worker_report.add_listener
    def merge(client_id: str, data: dict[str, Any], **_: Any) -> None:
        reported_s[client_id] = data["seatrial"]["at_s"]
        ledger.merge(data["seatrial"]["seconds"])

    @environment.web_ui.app.route("/seatrial/status")
    def status() -> dict[str, Any]:
        """Every complete second from `since` on, and whether all is over."""
        until_s = min(reported_s.values()) if len(reported_s) == attack["workers"] else -1.0
        since = request.args.get("since", type=int, default=-math.ceil(arrivals.ramp_s))
        over = until_s > arrivals.end_s + LATEST_AT_END_S
        return {
            "workers": environment.runner.worker_count,
            "reported_s": until_s,
            "in_flight": ledger.in_flight,
            "over": over and ledger.in_flight == 0,
            "seconds": _seconds(arrivals, ledger, since=since, until_s=until_s),
        }

    @environment.web_ui.app.route("/seatrial/steady")
    def steady() -> dict[str, Any]:
        """What became of the steady part's requests, in one sum."""
        return ledger.steady().as_json()


def _seconds(arrivals: Arrivals, ledger: Ledger, *, since: int, until_s: float) -> list[dict[str, Any]]:
    seconds = []
    for number in range(since, math.ceil(arrivals.duration_s)):
        start_s = max(arrivals.ramp_s + number, 0.0)
        end_s = min(arrivals.ramp_s + number + 1, arrivals.end_s)
        if end_s > until_s:
            break
        asked = arrivals.asked_by(end_s) - arrivals.asked_by(start_s)
        seconds.append(
            {
                "second": number,
                "end_s": end_s,
                "length_s": end_s - start_s,
                "asked": asked,
                **ledger.second(number).as_json(),
            }
        )
    return seconds
