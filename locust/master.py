"""The load's master: begins the traffic when all users are there, merges what the workers report, answers the driver.

    POST /seatrial/start           202; 409 one is running, 503 too few workers
    GET  /seatrial/status?since=N  how far it is, and the samples from number N on
    POST /seatrial/stop            202
    GET  /seatrial/result          the totals; final when the status says `over`
    GET  /seatrial/driver          a line every BEAT_S, without end: whoever reads it holds the test

beside Locust's own routes, whose statistics are cached for 2 s. Start and stop in Locust's web page do the same.
"""

import itertools
import math
from collections.abc import Iterator
from time import monotonic, time
from typing import Any

import gevent
from flask import Response, request
from locust.runners import STATE_MISSING, MasterRunner
from locust_statistics import file_under
from test_run import TestRun
from traffic_plan import Plan
from worker import BEGIN, SECOND

LEAD_S = 0.5
"""From the word to begin to the first request: every worker has it by then, and its connections open."""
LOOK_S = 0.1
LONGEST = 200
"""So many characters of an exception are told."""
GONE_S = 1.0
"""How long a worker may be away: one that has been stopped leaves Locust's master and joins it again."""
BEAT_S = 0.2
"""How often a hold is written to. The second line after its end fails: the first one only learns that nobody reads."""
GRACE_S = 1.0
"""How long a test goes on that was held and is no more: an API server or a network in between may cut a connection, and
a driver that lives takes up another at once. With two beats and a look it keeps within 2 s of the driver's death."""
SILENCE_S = 10.0
"""A test whose driver does not ask for so long is stopped, held or not: the driver stands still, or died where nobody
closes what it held (a node that is gone, a network that is split). Far longer than any pause of a network, far shorter
than a test that nobody wants any more."""


class Driver:
    """Who began the test by the routes here, as far as can be told from what it asks and holds.

    One that never held anything is known by its questions alone. A test that a person began at the web page has none:
    they may be silent.
    """

    def __init__(self) -> None:
        self._holds = 0
        self.forget()

    def forget(self) -> None:
        """A test begins, and it is not known yet who began it."""
        self._asked_at_s = self._let_go_at_s = math.inf

    def begin(self) -> None:
        """It was the driver."""
        self._asked_at_s = monotonic()

    def ask(self) -> None:
        """Somebody asks; who follows a person's test does not take it over."""
        if self._asked_at_s != math.inf:
            self._asked_at_s = monotonic()

    def hold(self) -> Iterator[bytes]:
        """A line now and then, until the reader is gone: the kernel of one that dies closes its connection."""
        self._holds += 1
        try:
            while True:
                yield b"\n"
                gevent.sleep(BEAT_S)
        finally:
            self._holds -= 1
            self._let_go_at_s = monotonic()

    @property
    def gone(self) -> bool:
        """Whether the test's driver has died. Questions alone do not make up for a hold: they may be anybody's."""
        if self._asked_at_s == math.inf:
            return False
        now_s = monotonic()
        return now_s - self._asked_at_s > SILENCE_S or (not self._holds and now_s - self._let_go_at_s > GRACE_S)


class Master:
    """Drives one test after the other."""

    def __init__(self, environment: Any, plan: Plan) -> None:
        self._environment = environment
        self._runner = environment.runner
        self._plan = plan
        self._numbers = itertools.count(1)
        self._test = 0
        self._course: TestRun | None = None
        self._begun_s = 0.0
        self._stopping = False
        self._driver = Driver()
        self._here_at_s: dict[str, float] = {}
        self._runner.register_message(SECOND, self._hear)
        environment.events.test_start.add_listener(self._forget)
        # Tokens do nothing before they are told; users of one's own begin as soon as they are there.
        begin = environment.events.test_start if plan.own_users else environment.events.spawning_complete
        begin.add_listener(self._begin)
        environment.events.test_stopping.add_listener(self._stop)
        if environment.web_ui:
            self._add_routes(environment.web_ui.app)
        gevent.spawn(self._look_after)

    # ------------------------------------------------------------------------------------------ Locust's calls

    def _forget(self, **_: Any) -> None:
        self._course, self._stopping = None, False
        self._driver.forget()

    def _begin(self, **_: Any) -> None:
        """Tell the workers that the traffic begins; one that came late, how far it is."""
        if self._course is None:
            self._test = next(self._numbers)
            self._begun_s = monotonic() + (0.0 if self._plan.own_users else LEAD_S)
            self._course = TestRun(
                schedule=self._plan.schedule,
                seconds=self._plan.seconds,
                ramp_s=self._plan.ramp_s,
                timeout_s=self._plan.timeout_s,
                workers=self._present(),
            )
        self._runner.send_message(BEGIN, {"test": self._test, "at_s": self._now_s})

    def _stop(self, **_: Any) -> None:
        self._stopping = True
        if self._course and not self._course.over:
            self._course.stop(at_s=self._now_s)

    def _hear(self, msg: Any, **_: Any) -> None:
        if self._course is None or msg.data["test"] != self._test:
            return
        filed = self._course.hear(msg.node_id, msg.data)
        if not self._plan.own_users:  # their requests Locust counts itself
            target = self._plan.target
            file_under(self._environment.stats, target.method, target.path, filed, at_s=time())

    # ------------------------------------------------------------------------------------------ now and then

    def _look_after(self) -> None:
        while True:
            gevent.sleep(LOOK_S)
            if self._course is None:
                continue
            self._lose_the_missing(self._course)
            if self._stopping:
                continue
            if self._course.over or self._driver.gone:
                gevent.spawn(self._runner.stop)
            elif self._plan.own_users:
                self._follow_the_rate()

    def _lose_the_missing(self, course: TestRun) -> None:
        now_s = monotonic()
        self._here_at_s.update(dict.fromkeys(self._present(), now_s))
        for worker in course.workers:
            if now_s - self._here_at_s.setdefault(worker, now_s) > GONE_S:
                course.lose(worker)

    def _follow_the_rate(self) -> None:
        users = self._users(self._now_s)
        if users != self._runner.target_user_count and self._now_s < self._plan.schedule.end_s:
            self._runner.start(users, spawn_rate=users)

    def _present(self) -> list[str]:
        if not isinstance(self._runner, MasterRunner):
            return ["local"]  # as LocalRunner calls itself
        return [worker for worker, node in self._runner.clients.items() if node.state != STATE_MISSING]

    def _users(self, at_s: float) -> int:
        """How many users to have: all tokens; of one's own, one for each request a second."""
        if not self._plan.own_users:
            return self._plan.tokens
        return max(math.ceil(self._plan.schedule.rate_rps(max(at_s, 0.0))), 1)

    @property
    def _now_s(self) -> float:
        return monotonic() - self._begun_s

    # ------------------------------------------------------------------------------------------ the driver's calls

    def _add_routes(self, app: Any) -> None:
        app.add_url_rule("/seatrial/start", view_func=self._on_start, methods=["POST"])
        app.add_url_rule("/seatrial/status", view_func=self._on_status)
        app.add_url_rule("/seatrial/stop", view_func=self._on_stop, methods=["POST"])
        app.add_url_rule("/seatrial/result", view_func=self._on_result)
        app.add_url_rule("/seatrial/driver", view_func=self._on_driver)

    def _on_start(self) -> tuple[dict[str, Any], int]:
        if self._course and not self._course.over:
            return {"error": "A test is running."}, 409
        if self._runner.worker_count < self._plan.workers:
            return {"error": f"{self._runner.worker_count} of {self._plan.workers} workers are there."}, 503
        users = self._users(0.0)
        gevent.spawn(self._start, users)
        return {"users": users}, 202

    def _start(self, users: int) -> None:
        self._runner.start(users, spawn_rate=users)
        self._driver.begin()

    def _on_status(self) -> dict[str, Any]:
        self._driver.ask()
        told: dict[str, Any] = {"workers": self._runner.worker_count, "at_s": None, "over": False, "samples": []}
        if course := self._course:
            course.settle(at_s=self._now_s)
            since = request.args.get("since", type=int, default=0)
            told |= {"at_s": self._now_s, "over": course.over, "samples": course.samples[since:]}
        return told

    def _on_stop(self) -> tuple[dict[str, Any], int]:
        gevent.spawn(self._runner.stop)
        return {}, 202

    def _on_result(self) -> dict[str, Any] | tuple[dict[str, Any], int]:
        if self._course is None:
            return {"error": "No test has begun."}, 409
        return self._course.result() | {"exceptions": self._exceptions()}

    def _exceptions(self) -> list[tuple[str, int]]:
        """What Locust has heard of its users' exceptions. The tokens raise none."""
        rows = sorted(self._runner.exceptions.values(), key=lambda row: -row["count"])
        return [
            ((row["msg"] or row["traceback"].strip().rpartition("\n")[2].strip())[:LONGEST], row["count"])
            for row in rows
        ]

    def _on_driver(self) -> Response:
        return Response(self._driver.hold(), mimetype="text/plain")
