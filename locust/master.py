"""Load master: begins the traffic when all users have spawned, merges the workers' reports, and serves the driver.

    POST /seatrial/start           202; 409 if a test is running, 503 if workers are missing
    GET  /seatrial/status?since=N  progress, and the samples from number N on
    POST /seatrial/stop            202
    GET  /seatrial/result          the totals; final if the status says `over`
    GET  /seatrial/driver          keepalive: a line every BEAT_S, without end

Locust's own routes remain; it caches their statistics for 2 s. Start and stop in Locust's web page do the same.
`workers/platforms/swarm.py` is the client.
"""

import itertools
import math
from collections.abc import Iterator
from time import monotonic, time
from typing import Any

import gevent
from flask import Response as FlaskResponse, request
from ledger import SecondCounts
from locust.runners import STATE_MISSING, MasterRunner
from locust.stats import RequestStats, StatsEntry, StatsError
from test_run import TestRun
from traffic_plan import Plan
from worker import BEGIN, SECOND

LEAD_S = 0.5
"""Time between the begin message and the first request: workers receive the message and open their connections."""
POLL_S = 0.1
MAX_CHARACTERS = 200  # length at which an exception's message is cut
GONE_S = 1.0  # Time that a worker may be absent. A worker that was stopped leaves Locust's master and joins it again.
BEAT_S = 0.2
"""Interval of the keepalive's lines. After the reader is gone, the first write still succeeds; the second fails."""
GRACE_S = 1.0
"""Time that a test continues without a keepalive. An API server or a network may cut a connection, and a live driver
opens another at once. With two beats and a poll, the test ends within 2 s of the driver's death."""
SILENCE_S = 10.0
"""Time without a status request after which the test stops, even if a keepalive is open. The driver hangs, or its
node or network is gone without closing the connection. Much longer than any pause of a network."""


class Driver:
    """Liveness of the client that started the test: its keepalives and its status requests.

    A driver that never opened a keepalive is judged by its status requests alone. Tests started in the web UI have no
    driver and are not watched.
    """

    def __init__(self) -> None:
        self._keepalives = 0
        self.reset()

    def reset(self) -> None:
        self._seen_at_s = self._dropped_at_s = math.inf

    def begin(self) -> None:
        self._seen_at_s = monotonic()

    def seen(self) -> None:
        """Record a status request. A client that reads the status of a web UI test does not become its driver."""
        if self._seen_at_s != math.inf:
            self._seen_at_s = monotonic()

    def keepalive(self) -> Iterator[bytes]:
        """Yield lines until the reader is gone: the kernel closes a dead process's connection."""
        self._keepalives += 1
        try:
            while True:
                yield b"\n"
                gevent.sleep(BEAT_S)
        finally:
            self._keepalives -= 1
            self._dropped_at_s = monotonic()

    @property
    def gone(self) -> bool:
        """Return True if the test's driver is dead. Any client may send status requests: they replace no keepalive."""
        if self._seen_at_s == math.inf:
            return False
        now_s = monotonic()
        return now_s - self._seen_at_s > SILENCE_S or (not self._keepalives and now_s - self._dropped_at_s > GRACE_S)


class Master:
    """Runner of one test after the other."""

    def __init__(self, environment: Any, plan: Plan) -> None:
        self._environment = environment
        self._runner = environment.runner
        self._plan = plan
        self._numbers = itertools.count(1)
        self._test = 0
        self._run: TestRun | None = None
        self._begun_s = 0.0
        self._stopping = False
        self._driver = Driver()
        self._present_at_s: dict[str, float] = {}
        self._runner.register_message(SECOND, self._on_report)
        environment.events.test_start.add_listener(self._reset)
        # Tokens wait for the begin message. Users of the user's Locust file send as soon as they have spawned.
        begin = environment.events.test_start if plan.own_users else environment.events.spawning_complete
        begin.add_listener(self._begin)
        environment.events.test_stopping.add_listener(self._stop)
        if environment.web_ui:
            self._add_routes(environment.web_ui.app)
        gevent.spawn(self._supervise)

    def _reset(self, **_: Any) -> None:
        self._run, self._stopping = None, False
        self._driver.reset()

    def _begin(self, **_: Any) -> None:
        """Send the begin message; a worker that joins late learns how old the test is."""
        if self._run is None:
            self._test = next(self._numbers)
            self._begun_s = monotonic() + (0.0 if self._plan.own_users else LEAD_S)
            self._run = TestRun(
                schedule=self._plan.schedule,
                timeline=self._plan.timeline,
                ramp_s=self._plan.ramp_s,
                timeout_s=self._plan.timeout_s,
                workers=self._present(),
            )
        self._runner.send_message(BEGIN, {"test": self._test, "at_s": self._now_s})

    def _stop(self, **_: Any) -> None:
        self._stopping = True
        if self._run and not self._run.over:
            self._run.stop(at_s=self._now_s)

    def _on_report(self, msg: Any, **_: Any) -> None:
        if self._run is None or msg.data["test"] != self._test:
            return
        added = self._run.add_report(msg.node_id, msg.data)
        if not self._plan.own_users:  # Locust itself counts the requests of its users
            destination = self._plan.destination
            _add_to_statistics(self._environment.stats, destination.method, destination.path, added, at_s=time())

    def _supervise(self) -> None:
        while True:
            gevent.sleep(POLL_S)
            if self._run is None:
                continue
            self._drop_missing_workers(self._run)
            if self._stopping:
                continue
            if self._run.over or self._driver.gone:
                gevent.spawn(self._runner.stop)
            elif self._plan.own_users:
                self._adjust_users()

    def _drop_missing_workers(self, run: TestRun) -> None:
        now_s = monotonic()
        self._present_at_s.update(dict.fromkeys(self._present(), now_s))
        for worker in run.workers:
            if now_s - self._present_at_s.setdefault(worker, now_s) > GONE_S:
                run.drop_worker(worker)

    def _adjust_users(self) -> None:
        users = self._users(self._now_s)
        if users != self._runner.target_user_count and self._now_s < self._plan.schedule.end_s:
            self._runner.start(users, spawn_rate=users)

    def _present(self) -> list[str]:
        if not isinstance(self._runner, MasterRunner):
            return ["local"]  # the name that LocalRunner gives itself
        return [worker for worker, node in self._runner.clients.items() if node.state != STATE_MISSING]

    def _users(self, at_s: float) -> int:
        """Return how many Locust users to run: all tokens, or one user for each request a second."""
        if not self._plan.own_users:
            return self._plan.tokens
        return max(math.ceil(self._plan.schedule.rate_rps(max(at_s, 0.0))), 1)

    @property
    def _now_s(self) -> float:
        return monotonic() - self._begun_s

    def _add_routes(self, app: Any) -> None:
        app.add_url_rule("/seatrial/start", view_func=self._on_start, methods=["POST"])
        app.add_url_rule("/seatrial/status", view_func=self._on_status)
        app.add_url_rule("/seatrial/stop", view_func=self._on_stop, methods=["POST"])
        app.add_url_rule("/seatrial/result", view_func=self._on_result)
        app.add_url_rule("/seatrial/driver", view_func=self._on_driver)

    def _on_start(self) -> tuple[dict[str, Any], int]:
        if self._run and not self._run.over:
            return {"error": "A test is running."}, 409
        if self._runner.worker_count < self._plan.workers:
            return {"error": f"{self._runner.worker_count} of {self._plan.workers} workers have joined."}, 503
        users = self._users(0.0)
        gevent.spawn(self._start, users)
        return {"users": users}, 202

    def _start(self, users: int) -> None:
        self._runner.start(users, spawn_rate=users)
        self._driver.begin()

    def _on_status(self) -> dict[str, Any]:
        self._driver.seen()
        status: dict[str, Any] = {"workers": self._runner.worker_count, "at_s": None, "over": False, "samples": []}
        if run := self._run:
            run.update_samples(at_s=self._now_s)
            since = request.args.get("since", type=int, default=0)
            status |= {"at_s": self._now_s, "over": run.over, "samples": run.samples[since:]}
        return status

    def _on_stop(self) -> tuple[dict[str, Any], int]:
        gevent.spawn(self._runner.stop)
        return {}, 202

    def _on_result(self) -> dict[str, Any] | tuple[dict[str, Any], int]:
        if self._run is None:
            return {"error": "No test has begun."}, 409
        return self._run.result() | {"exceptions": self._exceptions()}

    def _exceptions(self) -> list[tuple[str, int]]:
        """Return the messages of exceptions that users raised, with their counts. Tokens raise no exceptions."""
        rows = sorted(self._runner.exceptions.values(), key=lambda row: -row["count"])
        return [
            ((row["msg"] or row["traceback"].strip().rpartition("\n")[2].strip())[:MAX_CHARACTERS], row["count"])
            for row in rows
        ]

    def _on_driver(self) -> FlaskResponse:
        return FlaskResponse(self._driver.keepalive(), mimetype="text/plain")


def _add_to_statistics(stats: RequestStats, method: str, name: str, second: SecondCounts, *, at_s: float) -> None:
    """Add newly ended requests, at `at_s` in Unix seconds, so that Locust's web page and report show the traffic."""
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
