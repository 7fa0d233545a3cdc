"""Load processes on this machine: begin and end of their traffic, and errors at the start."""

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
from workers.platforms.embedded.load import EmbeddedLoad, locust_processes
from workers.platforms.protocols import LoadResult, TrafficPlan
from workers.platforms.swarm import Swarm, load_result
from workers.platforms.traffic_plan import LOCUST_DIR, plan_json
from workers.reports.verdict import judge

OTHER = "127.0.0.2"
"""Address of this machine without a listener."""


def test_traffic_begins_when_every_worker_is_ready(target: CountingTarget, tmp_path: Path) -> None:
    # On a busy machine Locust may drop a worker that is silent for so long: try again.
    results = (run_with_a_slow_worker(target, tmp_path) for _ in range(4))
    result = next(each for each in results if each.requests and "lost" not in each.generator_trouble)
    assert (result.requests, result.dropped) == (100, 0)


def run_with_a_slow_worker(target: CountingTarget, folder: Path) -> LoadResult:
    """Run a second of load with two workers, one of which is paused at the beginning."""
    requested, before = plan(target, duration_s=1), target.count
    file = folder / "plan.json"
    file.write_text(plan_json(requested, workers=2, timeout_s=10))
    options = ["-f", str(LOCUST_DIR / "locustfile.py"), "--plan", str(file), "--host", target.address]
    progress = RecordedProgress()
    with locust_processes(folder=folder, options=options, workers=2, progress=progress) as processes:
        slow = load_workers(folder)[0]
        slow.suspend()
        processes.start()
        time.sleep(2.0)  # longer than Locust waits by default plus LEAD_S, shorter than it waits for a silent worker
        assert target.count == before
        slow.resume()
        load = Swarm(master=processes.master, whole_s=1, timeout_s=10, progress=progress, watch=processes.watch)
        return load.result()


@pytest.fixture
def silent(target: CountingTarget) -> Iterator[str]:
    """Yield an address where connections to the target's port neither open nor fail, as on a dead host."""
    with socket.socket() as listener, ExitStack() as waiting:
        listener.bind((OTHER, target.port))
        listener.listen(0)
        for _ in range(3):  # these fill its queue
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield OTHER


def test_dead_address_among_several_fails_requests(target: CountingTarget, tmp_path: Path) -> None:
    """Open connections to the other address do not hide it."""
    result = run_at_two_addresses(target, tmp_path, OTHER, duration_s=3)
    assert 3 <= result.failures_by_kind[f"connection refused at {OTHER}"] < result.requests / 2


def test_silent_address_among_several_fails_requests(target: CountingTarget, silent: str, tmp_path: Path) -> None:
    """Connections to it, which neither open nor fail, expire."""
    result = run_at_two_addresses(target, tmp_path, silent, duration_s=7)
    assert 1 <= result.failures_by_kind[f"no response within 1 s at {silent}"] < result.requests / 2


def run_at_two_addresses(target: CountingTarget, folder: Path, other: str, *, duration_s: float) -> LoadResult:
    """Load the target's address and `other`; requests time out after 1 s."""
    requested = plan(target, rate_rps=50, duration_s=duration_s)
    file = folder / "plan.json"
    file.write_text(plan_json(requested, workers=1, timeout_s=1, addresses=["127.0.0.1", other]))
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
from workers.platforms.embedded.load import EmbeddedLoad
from workers.platforms.protocols.load import TrafficPlan
stages = (Stage(from_rps=100, to_rps=100, length_s=60),)
plan = TrafficPlan(url=sys.argv[3], body=b"{}", stages=stages, job_id="job-1")
with EmbeddedLoad(home=Path(sys.argv[2])).start(plan=plan, progress=RecordedProgress()) as load:
    list(load.samples())
"""


def test_death_of_the_driver_ends_the_traffic(target: CountingTarget, tmp_path: Path) -> None:
    """`sweep` removes its files when its job has ended."""
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


def trouble(*, failures: int = 0, lag_ms: float = 0.0, exceptions: Sequence[tuple[str, int]] = ()) -> str:
    """Return the generator's trouble for a master's answer about nine requests in a second."""
    result = LoadResult(
        requests=9, failures=failures, duration_s=1, asked_rps=9, achieved_rps=9, latency_ms={99.0: 4150.0}
    )
    answer = asdict(result) | {"send_lag_ms": {99.0: lag_ms}, "busiest_percent": 0.0, "lost_at_s": []}
    answer |= {"stopped_at_s": None, "exceptions": exceptions}
    for name in ("generator_trouble", "report_html"):
        del answer[name]
    return load_result(answer, report_html=b"", stopped_here=False).generator_trouble


def test_send_lag_is_written_without_an_exponent() -> None:
    assert "left at least 2,000 ms late, and the p99 latency is 4,150 ms" in trouble(lag_ms=2000.0)


def test_exceptions_beyond_the_failed_requests_are_trouble_of_the_generator() -> None:
    assert trouble(failures=5, exceptions=[("no basket", 3), ("no shop", 2)]) == ""
    assert "no basket × 4" in trouble(failures=5, exceptions=[("no basket", 4), ("no shop", 2)])


def test_missing_locust_file_ends_the_job_with_advice(target: CountingTarget, home: Path, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"locustfile\.py") as caught:
        EmbeddedLoad(home=home, locust_dir=tmp_path).start(plan=plan(target), progress=RecordedProgress()).__enter__()
    assert "checkout" in caught.value.advice


def test_error_of_a_failed_start_has_the_last_log_lines(target: CountingTarget, home: Path, tmp_path: Path) -> None:
    shop = tmp_path / "shop.py"
    shop.write_text("raise RuntimeError('the shop is closed')\n")
    with pytest.raises(PermanentError, match=r"ended before it was ready(.|\n)*the shop is closed"):
        EmbeddedLoad(home=home).start(plan=plan(target, locustfile=shop), progress=RecordedProgress()).__enter__()


def test_locust_file_without_a_user_class_ends_the_job(target: CountingTarget, home: Path, tmp_path: Path) -> None:
    shop = tmp_path / "shop.py"
    shop.write_text("import locust\n")
    with pytest.raises(PermanentError, match="has no user class"):
        EmbeddedLoad(home=home).start(plan=plan(target, locustfile=shop), progress=RecordedProgress()).__enter__()


RAISING_AT_START = """
from locust import FastHttpUser, task

class Shopper(FastHttpUser):
    def on_start(self):
        raise RuntimeError("the shop is closed")

    @task
    def buy(self):
        self.client.get("/")
"""


def test_exceptions_before_the_first_request_are_reported(target: CountingTarget, home: Path, tmp_path: Path) -> None:
    shop = tmp_path / "shop.py"
    shop.write_text(RAISING_AT_START)
    result = run(home, plan(target, rate_rps=5, duration_s=1, locustfile=shop))
    assert result.requests == 0
    assert "before they sent anything: the shop is closed × 5." in result.generator_trouble


RAISING = """
from locust import FastHttpUser, constant_throughput, task

class Shopper(FastHttpUser):
    wait_time = constant_throughput(1)

    @task
    def buy(self):
        self.client.get("/")
        raise RuntimeError("the basket is empty")
"""


def test_exceptions_of_users_make_the_test_invalid(target: CountingTarget, home: Path, tmp_path: Path) -> None:
    """Although all their requests succeeded."""
    shop = tmp_path / "shop.py"
    shop.write_text(RAISING)
    result = run(home, plan(target, rate_rps=5, duration_s=4, locustfile=shop))
    assert result.requests > result.failures == 0
    assert "users raised exceptions: the basket is empty × " in result.generator_trouble
    assert judge(slo=Slo(), result=result).outcome == "INVALID"


UNIQUE_FAILURES = """
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


def test_messages_of_catch_response_are_counted_by_kind_up_to_a_limit(
    target: CountingTarget, home: Path, tmp_path: Path
) -> None:
    """These users also exceed the rate, which makes the test INVALID."""
    shop = tmp_path / "shop.py"
    shop.write_text(UNIQUE_FAILURES)
    result = run(home, plan(target, rate_rps=5, duration_s=4, locustfile=shop))
    assert result.failures == result.requests > 50
    assert "basket 7 is empty" in result.failures_by_kind
    assert len(result.failures_by_kind) == 51
    assert result.failures_by_kind["other failures"] == result.failures - 50
    assert judge(slo=Slo(), result=result).outcome == "INVALID"


def run(home: Path, requested: TrafficPlan) -> LoadResult:
    """Run a load test."""
    with EmbeddedLoad(home=home).start(plan=requested, progress=RecordedProgress()) as load:
        list(load.samples())
        return load.result()


SLOW_SETUP = """
import gevent
from locust import events, runners

@events.init.add_listener
def take_long(runner, **_):
    if isinstance(runner, runners.WorkerRunner):
        gevent.sleep(1)
"""


def test_locust_option_processes_shares_the_rate(target: CountingTarget, tmp_path: Path) -> None:
    """`--processes` starts master and workers at once, also workers that Locust starts before they are set up."""
    file, before = tmp_path / "plan.json", tmp_path / "before.py"
    file.write_text(plan_json(plan(target, rate_rps=200, duration_s=1), workers=2, timeout_s=10))
    before.write_text(SLOW_SETUP)
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
