"""Locust file of a load test: an open loop in which Locust's users represent the rate.

    python -m locust -f locustfile.py --master --plan PLAN.json --host http://TARGET
    python -m locust -f locustfile.py --worker --plan PLAN.json

A user here sends no requests. It is a token, worth its share of the rate. If Locust spreads users over new workers,
moves them from a lost worker to the others, or adds some from its web page, the rate follows. The engine (engine.py)
sends the requests, and the master (master.py) counts them.

traffic_plan.py describes PLAN.json. With `own_users` the user's Locust file, given beside this one
(`-f locustfile.py,theirs.py`), provides the users: one for each request a second. That file may import installed
packages, and modules beside it if this folder does not use their names.
"""

import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import gevent
import gevent.event
import gevent.socket
from destination import restrict_connections
from locust import User, events, runners, stats, task
from master import Master
from traffic_plan import read_plan
from worker import Worker

REPORT_POINTS = 300

# Show each second in Locust's page at once, not after 3 s. These are constants of Locust 2.47's modules, not options.
runners.WORKER_REPORT_INTERVAL = 1.0
# Workers without a master quit after this many seconds, which ends their traffic. Locust's default is 60.
runners.MASTER_HEARTBEAT_TIMEOUT = 5

_ready = gevent.event.Event()


class Token(User):
    """A share of the rate."""

    worker: ClassVar[Worker]

    def on_start(self) -> None:
        self.worker.add(1)

    def on_stop(self) -> None:
        self.worker.add(-1)

    @task
    def idle(self) -> None:
        """Wait until Locust removes the token."""
        gevent.event.Event().wait()


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.add_argument("--plan", required=True, include_in_web_ui=False, help="the plan, a JSON file")
    parser.add_argument(
        "--end-with-stdin", action="store_true", include_in_web_ui=False, help="exit at once when stdin is closed"
    )


@events.init.add_listener
def set_up(environment: Any, runner: Any, **_: Any) -> None:
    options = environment.parsed_options
    if options.end_with_stdin:
        gevent.spawn(_end_with_stdin)
    plan = read_plan(Path(options.plan))
    restrict_connections(plan.destination)
    options.enable_rebalancing = True
    environment.shape_class = None
    if plan.own_users:
        environment.user_classes = [each for each in environment.user_classes if each is not Token]
        if not environment.user_classes:
            sys.exit("The Locust file has no user class.")
    else:
        options.num_users = options.spawn_rate = plan.tokens
        # The traffic begins when every worker has its tokens. By default Locust waits only 1 s: a worker on a busy
        # machine would miss the beginning, and its first requests would never be due.
        os.environ["LOCUST_WAIT_FOR_WORKERS_REPORT_AFTER_RAMP_UP"] = "10"
    if not isinstance(runner, runners.MasterRunner):
        Token.worker = Worker(environment, plan)
    if not isinstance(runner, runners.WorkerRunner):
        stats.HISTORY_STATS_INTERVAL_SEC = max(1.0, plan.schedule.end_s / REPORT_POINTS)
        Master(environment, plan)
    _ready.set()


@events.test_start.add_listener
def wait_for_setup(**_: Any) -> None:
    """Wait until `set_up` is done: Locust reports a worker as ready before that.

    Locust reads later messages, such as the one that begins the traffic, after this returns.
    """
    _ready.wait()


def _end_with_stdin() -> None:
    """Exit when stdin closes. The parent holds the other end, so its death ends the traffic."""
    gevent.socket.wait_read(sys.stdin.fileno())
    os._exit(1)
