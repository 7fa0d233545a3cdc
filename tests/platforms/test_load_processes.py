"""The load's processes on this machine: when their traffic begins, when it ends, and what is said where it cannot."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import pytest

from bot.demo.processes import free_port
from tests.platforms.counting_target import CountingTarget
from tests.platforms.progress import RecordedProgress
from tests.platforms.traffic_plans import is_quiet, load_processes, load_workers, plan
from tests.waiting import wait_until
from workers.contract.load import Slo
from workers.errors import PermanentError
from workers.platforms.embedded.load.generator import EmbeddedLoad
from workers.platforms.embedded.load.locust_processes import locust_processes
from workers.platforms.protocols.load import LoadResult, TrafficPlan
from workers.platforms.swarm import Swarm, load_result
from workers.platforms.traffic_plan import LOCUST_DIR, plan_json
from workers.reports.verdict import judge

OTHER = "127.0.0.2"
"""An address of this machine at which the target does not listen."""


def test_the_traffic_begins_when_every_worker_is_ready(target: CountingTarget, tmp_path: Path) -> None:
    """A worker that is slow to take its share keeps the others waiting: nothing that is asked for is left out."""
    # On a busy machine Locust may give up a worker that is silent for so long: that is no try.
    tries = (with_a_slow_worker(target, tmp_path) for _ in range(4))
    result = next(tried for tried in tries if tried.requests and "lost" not in tried.generator_trouble)
    assert (result.requests, result.dropped) == (100, 0)


def with_a_slow_worker(target: CountingTarget, folder: Path) -> LoadResult:
    """A second's load of two workers, one of which stands still while it is to begin."""
    ordered, before = plan(target, duration_s=1), target.count
    file = folder / "plan.json"
    file.write_text(plan_json(ordered, workers=2, timeout_s=10))
    options = ["-f", str(LOCUST_DIR / "locustfile.py"), "--plan", str(file), "--host", target.address]
    progress = RecordedProgress()
    with locust_processes(folder=folder, options=options, workers=2, progress=progress) as processes:
        slow = load_workers(folder)[0]
        slow.suspend()
        processes.start()
        time.sleep(2.0)  # longer than Locust waits by itself, with the lead; shorter than it takes to give a worker up
        assert target.count == before
        slow.resume()
        load = Swarm(master=processes.master, whole_s=1, timeout_s=10, progress=progress, watch=processes.watch)
        return load.result()


@pytest.fixture
def silent(target: CountingTarget) -> Iterator[str]:
    """An address at the target's port where connections are never taken: as behind a host that is gone."""
    with socket.socket() as listener, ExitStack() as waiting:
        listener.bind((OTHER, target.port))
        listener.listen(0)
        for _ in range(3):  # with these its queue is full
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield OTHER


def test_a_dead_address_among_several_is_told_of(target: CountingTarget, tmp_path: Path) -> None:
    """Connections that are open to the others do not hide it: requests meet it as new connections would."""
    result = at_two_addresses(target, tmp_path, OTHER, duration_s=3)
    assert 3 <= result.failures_by_kind[f"connection refused at {OTHER}"] < result.requests / 2


def test_a_silent_address_among_several_is_told_of(target: CountingTarget, silent: str, tmp_path: Path) -> None:
    """That connections to it neither open nor fail is no reason to wait for them for ever."""
    result = at_two_addresses(target, tmp_path, silent, duration_s=7)
    assert 1 <= result.failures_by_kind[f"no response within 1 s at {silent}"] < result.requests / 2


def at_two_addresses(target: CountingTarget, folder: Path, other: str, *, duration_s: float) -> LoadResult:
    """A load of a target whose name leads to its own address and to `other`; a request may take 1 s."""
    ordered = plan(target, rate_rps=50, duration_s=duration_s)
    file = folder / "plan.json"
    file.write_text(plan_json(ordered, workers=1, timeout_s=1, addresses=["127.0.0.1", other]))
    options = ["-f", str(LOCUST_DIR / "locustfile.py"), "--plan", str(file), "--host", target.address]
    progress = RecordedProgress()
    with locust_processes(folder=folder, options=options, workers=1, progress=progress) as processes:
        processes.start()
        master, watch = processes.master, processes.watch
        return Swarm(master=master, whole_s=duration_s, timeout_s=1, progress=progress, watch=watch).result()


DRIVER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.platforms.progress import RecordedProgress
from workers.contract.load import Stage
from workers.platforms.embedded.load.generator import EmbeddedLoad
from workers.platforms.protocols.load import TrafficPlan
stages = (Stage(from_rps=100, to_rps=100, length_s=60),)
plan = TrafficPlan(url=sys.argv[3], body=b"{}", stages=stages, job_id="job-1")
with EmbeddedLoad(home=Path(sys.argv[2])).start(plan=plan, progress=RecordedProgress()) as load:
    list(load.samples())
"""


def test_the_drivers_death_ends_the_traffic(target: CountingTarget, tmp_path: Path) -> None:
    """When the process that drives the test is killed outright, its load processes end by themselves.

    The files that it left are removed once its job is over.
    """
    checkout = str(Path(__file__).parents[2])
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, checkout, str(tmp_path), target.url])
    try:
        wait_until(lambda: target.count > 50)
        assert len(load_processes(tmp_path)) == 2
        driver.kill()
        driver.wait()
        wait_until(lambda: not load_processes(tmp_path))
        assert is_quiet(target)
        load = EmbeddedLoad(home=tmp_path)
        assert load.sweep(ended=lambda job_id: job_id != "job-1") == 0
        assert load.sweep(ended=lambda job_id: job_id == "job-1") == 1
        assert list(tmp_path.iterdir()) == []
    finally:
        driver.kill()
        driver.wait()
        for process in load_processes(tmp_path):
            process.kill()


def test_the_only_workers_loss_is_told_as_that_alone(target: CountingTarget, home: Path) -> None:
    """Locust ends such a test, which is not told as if somebody had stopped it."""
    with EmbeddedLoad(home=home).start(plan=plan(target), progress=RecordedProgress()) as load:
        samples = load.samples()
        next(samples)
        load_workers(home)[0].kill()
        list(samples)
        result = load.result()
    assert result.generator_trouble.startswith("A load worker was lost")
    assert "stopped" not in result.generator_trouble
    assert judge(slo=Slo(), result=result).outcome == "INVALID"


def trouble(*, failures: int = 0, lag_ms: float = 0.0, exceptions: Sequence[tuple[str, int]] = ()) -> str:
    """What is said of the generator where the master tells this of nine requests in a second."""
    result = LoadResult(
        requests=9, failures=failures, duration_s=1, asked_rps=9, achieved_rps=9, latency_ms={99.0: 4150.0}
    )
    told = asdict(result) | {"send_lag_ms": {99.0: lag_ms}, "busiest_percent": 0.0, "lost_at_s": []}
    told |= {"stopped_at_s": None, "exceptions": exceptions}
    for name in ("generator_trouble", "report_html"):
        del told[name]
    return load_result(told, report_html=b"", stopped_here=False).generator_trouble


def test_how_late_requests_left_is_told_as_people_read_it() -> None:
    """Without an exponent."""
    assert "left at least 2,000 ms late, and the p99 latency is 4,150 ms" in trouble(lag_ms=2000.0)


def test_users_who_stumble_over_failed_requests_are_the_targets_doing() -> None:
    """Exceptions beyond those are told of."""
    assert trouble(failures=5, exceptions=[("no basket", 3), ("no shop", 2)]) == ""
    assert "no basket × 4" in trouble(failures=5, exceptions=[("no basket", 4), ("no shop", 2)])


def test_a_missing_locust_file_says_where_it_belongs(target: CountingTarget, home: Path, tmp_path: Path) -> None:
    """A worker that was installed without the folder locust/ tells what to do."""
    with pytest.raises(PermanentError, match=r"locustfile\.py") as caught:
        EmbeddedLoad(home=home, locust_dir=tmp_path).start(plan=plan(target), progress=RecordedProgress()).__enter__()
    assert "checkout" in caught.value.advice


def test_locusts_last_words_are_in_the_error(target: CountingTarget, home: Path, tmp_path: Path) -> None:
    """Where Locust does not come up, the error carries what it wrote last: here of a user's own file."""
    own = tmp_path / "own.py"
    own.write_text("raise RuntimeError('the docker_environment is closed')\n")
    with pytest.raises(PermanentError, match=r"ended before it was ready(.|\n)*the docker_environment is closed"):
        EmbeddedLoad(home=home).start(plan=plan(target, locustfile=own), progress=RecordedProgress()).__enter__()


def test_a_locust_file_without_users_is_told_of(target: CountingTarget, home: Path, tmp_path: Path) -> None:
    """At once, and in plain words."""
    own = tmp_path / "own.py"
    own.write_text("import locust\n")
    with pytest.raises(PermanentError, match="has no user class"):
        EmbeddedLoad(home=home).start(plan=plan(target, locustfile=own), progress=RecordedProgress()).__enter__()


UNABLE = """
from locust import FastHttpUser, task

class Shopper(FastHttpUser):
    def on_start(self):
        raise RuntimeError("the docker_environment is closed")

    @task
    def buy(self):
        self.client.get("/")
"""


def test_users_that_fail_before_they_send_anything_are_told_of(
    target: CountingTarget, home: Path, tmp_path: Path
) -> None:
    """That nothing was sent is not all that is known."""
    own = tmp_path / "own.py"
    own.write_text(UNABLE)
    result = run(home, plan(target, rate_rps=5, duration_s=1, locustfile=own))
    assert result.requests == 0
    assert "before they sent anything: the docker_environment is closed × 5." in result.generator_trouble


STUMBLING = """
from locust import FastHttpUser, constant_throughput, task

class Shopper(FastHttpUser):
    wait_time = constant_throughput(1)

    @task
    def buy(self):
        self.client.get("/")
        raise RuntimeError("the basket is empty")
"""


def test_users_that_stumble_make_the_test_invalid(target: CountingTarget, home: Path, tmp_path: Path) -> None:
    """That their requests were answered is not all that they were to do."""
    own = tmp_path / "own.py"
    own.write_text(STUMBLING)
    result = run(home, plan(target, rate_rps=5, duration_s=5, locustfile=own))
    assert result.requests > result.failures == 0
    assert "users raised exceptions: the basket is empty × " in result.generator_trouble
    assert judge(slo=Slo(), result=result).outcome == "INVALID"


CRITICAL = """
from itertools import count
from locust import FastHttpUser, constant, task

numbers = count()

class Shopper(FastHttpUser):
    wait_time = constant(0.02)

    @task
    def buy(self):
        with self.client.get("/", catch_response=True) as response:
            response.failure(f"basket {next(numbers)} is empty")
"""


def test_failures_in_a_users_own_words_are_told_and_bounded(target: CountingTarget, home: Path, tmp_path: Path) -> None:
    """What `catch_response` found wrong is the kind of the failure; no test has thousands of kinds. These users send
    more than they were asked to: no verdict is built on that."""
    own = tmp_path / "own.py"
    own.write_text(CRITICAL)
    result = run(home, plan(target, rate_rps=5, duration_s=6, locustfile=own))
    assert result.failures == result.requests > 50
    assert "basket 7 is empty" in result.failures_by_kind
    assert len(result.failures_by_kind) == 51
    assert result.failures_by_kind["other failures"] == result.failures - 50
    assert judge(slo=Slo(), result=result).outcome == "INVALID"


def run(home: Path, ordered: TrafficPlan) -> LoadResult:
    """The whole of a test."""
    with EmbeddedLoad(home=home).start(plan=ordered, progress=RecordedProgress()) as load:
        list(load.samples())
        return load.result()


LATE = """
import gevent
from locust import events, runners

@events.init.add_listener
def take_long(runner, **_):
    if isinstance(runner, runners.WorkerRunner):
        gevent.sleep(1)
"""


@pytest.mark.parametrize("late", [False, True])
def test_locusts_own_option_for_processes_is_taken(late: bool, target: CountingTarget, tmp_path: Path) -> None:
    """With `--processes` a person at a terminal has master and workers at once; the rate is theirs together, even of
    those that are told to begin before they are set up: a test begins as soon as Locust's master knows them."""
    file, before = tmp_path / "plan.json", tmp_path / "before.py"
    file.write_text(plan_json(plan(target, rate_rps=200, duration_s=1), workers=2, timeout_s=10))
    before.write_text(LATE if late else "")
    options = ["-f", f"{before},{LOCUST_DIR / 'locustfile.py'}", "--plan", str(file), "--host", target.address]
    port = str(free_port())
    options += ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
    command = [sys.executable, "-m", "locust", *options, "--processes", "2", "--headless"]
    locust = subprocess.Popen(
        command, cwd=tmp_path, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: target.count == 200)
        assert is_quiet(target)
    finally:
        os.killpg(locust.pid, signal.SIGKILL)
        locust.wait()
