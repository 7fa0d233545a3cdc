"""The load test as Locust runs it: an open loop, whose rate Locust's users stand for.

    python -m locust -f locustfile.py --master --plan PLAN.json --host http://TARGET
    python -m locust -f locustfile.py --worker --plan PLAN.json

A user here sends nothing: it is a token, worth its share of the rate. So whatever Locust does with users (spread them
over workers that join, move them from a lost one to the others, add some from its web page) it does with the rate. The
requests are sent by the process's engine (engine.py), and counted by the master (master.py).

PLAN.json is described in traffic_plan.py. With `own_users` the users are those of another Locust file, given beside
this one (`-f locustfile.py,theirs.py`): one for each request a second. That file may import installed packages, and
modules beside it whose names are not used here.
"""

import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import gevent
import gevent.event
import gevent.socket
from destination import keep_to
from locust import User, events, runners, stats, task
from master import Master
from traffic_plan import read_plan
from worker import Worker

REPORT_POINTS = 300

# A second's worth in Locust's page at once, not after 3 s. These are modules' constants in Locust 2.47, not options.
runners.WORKER_REPORT_INTERVAL = 1.0
# Workers quit that hear nothing of their master for so long, and their traffic ends: otherwise after 60 s.
runners.MASTER_HEARTBEAT_TIMEOUT = 5

_ready = gevent.event.Event()


class Token(User):
    """A share of the rate."""

    worker: ClassVar[Worker]

    def on_start(self) -> None:
        """Locust has given this process one more."""
        self.worker.add(1)

    def on_stop(self) -> None:
        """And has taken it away."""
        self.worker.add(-1)

    @task
    def stand(self) -> None:
        """Be there until it is taken away."""
        gevent.event.Event().wait()


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    """The options beside Locust's own."""
    parser.add_argument("--plan", required=True, include_in_web_ui=False, help="the plan, a JSON file")
    parser.add_argument(
        "--end-with-stdin", action="store_true", include_in_web_ui=False, help="exit at once when stdin is closed"
    )


@events.init.add_listener
def set_up(environment: Any, runner: Any, **_: Any) -> None:
    """Make this process the plan's master, a worker, or both."""
    options = environment.parsed_options
    if options.end_with_stdin:
        gevent.spawn(_end_with_stdin)
    plan = read_plan(Path(options.plan))
    keep_to(plan.target)
    options.enable_rebalancing = True
    environment.shape_class = None
    if plan.own_users:
        environment.user_classes = [each for each in environment.user_classes if each is not Token]
        if not environment.user_classes:
            sys.exit("The Locust file has no user class.")
    else:
        options.num_users = options.spawn_rate = plan.tokens
        # The traffic begins when all tokens are where they belong: after 1 s Locust would go on without those of a
        # machine that is busy, and their first requests would never be due.
        os.environ["LOCUST_WAIT_FOR_WORKERS_REPORT_AFTER_RAMP_UP"] = "10"
    if not isinstance(runner, runners.MasterRunner):
        Token.worker = Worker(environment, plan)
    if not isinstance(runner, runners.WorkerRunner):
        stats.HISTORY_STATS_INTERVAL_SEC = max(1.0, plan.schedule.end_s / REPORT_POINTS)
        Master(environment, plan)
    _ready.set()


@events.test_start.add_listener
def wait_until_ready(**_: Any) -> None:
    """Locust calls a worker ready before it is set up: one that is told to begin earlier has neither target nor share.

    Its next messages, such as that the traffic begins, are read after this.
    """
    _ready.wait()


def _end_with_stdin() -> None:
    """Whoever started this process holds the other end: however it dies, the traffic ends with it."""
    gevent.socket.wait_read(sys.stdin.fileno())
    os._exit(1)
