"""The load's processes on this machine: when their traffic begins, when it ends, and what is said where it cannot."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.demo.processes import free_port
from tests.platforms.attacks import attack, is_quiet, load_processes, load_workers, wait_until
from tests.platforms.counting_target import Target
from tests.platforms.recorded_progress import RecordedProgress
from workers.contract.load import Slo
from workers.errors import PermanentError
from workers.platforms.attack import LOCUST_DIR, attack_json
from workers.platforms.embedded.load import EmbeddedLoad
from workers.platforms.embedded.locust_processes import locust_processes
from workers.platforms.load_protocol import Attack, LoadResult
from workers.platforms.swarm import Swarm
from workers.reports.verdict import judge


def test_the_traffic_begins_when_every_worker_is_ready(target: Target, tmp_path: Path) -> None:
    """A worker that is slow to take its share keeps the others waiting: nothing that is asked for is left out."""
    # On a busy machine Locust may give up a worker that is silent for so long: that is no try.
    tries = (with_a_slow_worker(target, tmp_path) for _ in range(4))
    result = next(tried for tried in tries if tried.requests and "lost" not in tried.generator_trouble)
    assert (result.requests, result.dropped) == (100, 0)


def with_a_slow_worker(target: Target, folder: Path) -> LoadResult:
    """A second's load of two workers, one of which stands still while it is to begin."""
    ordered, before = attack(target, duration_s=1), target.count
    file = folder / "attack.json"
    file.write_text(attack_json(ordered, workers=2, timeout_s=10))
    options = ["-f", str(LOCUST_DIR / "locustfile.py"), "--attack", str(file), "--host", target.address]
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


DRIVER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.platforms.recorded_progress import RecordedProgress
from workers.contract.load import Stage
from workers.platforms.embedded.load import EmbeddedLoad
from workers.platforms.load_protocol import Attack
stages = (Stage(from_rps=100, to_rps=100, length_s=60),)
attack = Attack(url=sys.argv[3], body=b"{}", stages=stages, job_id="job-1")
with EmbeddedLoad(home=Path(sys.argv[2])).start(attack=attack, progress=RecordedProgress()) as load:
    list(load.samples())
"""


def test_the_drivers_death_ends_the_traffic(target: Target, tmp_path: Path) -> None:
    """When the process that drives the test is killed outright, its load processes end by themselves."""
    checkout = str(Path(__file__).parents[2])
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, checkout, str(tmp_path), target.url])
    try:
        wait_until(lambda: target.count > 50)
        assert len(load_processes(tmp_path)) == 2
        driver.kill()
        driver.wait()
        wait_until(lambda: not load_processes(tmp_path))
        assert is_quiet(target)
    finally:
        driver.kill()
        driver.wait()
        for process in load_processes(tmp_path):
            process.kill()


def test_a_missing_locust_file_says_where_it_belongs(target: Target, home: Path, tmp_path: Path) -> None:
    """A worker that was installed without the folder locust/ tells what to do."""
    with pytest.raises(PermanentError, match=r"locustfile\.py") as caught:
        EmbeddedLoad(home=home, locust_dir=tmp_path).start(
            attack=attack(target), progress=RecordedProgress()
        ).__enter__()
    assert "checkout" in caught.value.advice


def test_locusts_last_words_are_in_the_error(target: Target, home: Path, tmp_path: Path) -> None:
    """Where Locust does not come up, the error carries what it wrote last: here of a user's own file."""
    own = tmp_path / "own.py"
    own.write_text("raise RuntimeError('the harbour is closed')\n")
    with pytest.raises(PermanentError, match=r"ended before it was ready(.|\n)*the harbour is closed"):
        EmbeddedLoad(home=home).start(attack=attack(target, locustfile=own), progress=RecordedProgress()).__enter__()


def test_a_locust_file_without_users_is_told_of(target: Target, home: Path, tmp_path: Path) -> None:
    """At once, and in plain words."""
    own = tmp_path / "own.py"
    own.write_text("import locust\n")
    with pytest.raises(PermanentError, match="has no user class"):
        EmbeddedLoad(home=home).start(attack=attack(target, locustfile=own), progress=RecordedProgress()).__enter__()


UNABLE = """
from locust import FastHttpUser, task

class Shopper(FastHttpUser):
    def on_start(self):
        raise RuntimeError("the harbour is closed")

    @task
    def buy(self):
        self.client.get("/")
"""


def test_users_that_fail_before_they_send_anything_are_told_of(target: Target, home: Path, tmp_path: Path) -> None:
    """That nothing was sent is not all that is known."""
    own = tmp_path / "own.py"
    own.write_text(UNABLE)
    result = run(home, attack(target, rate_rps=5, duration_s=1, locustfile=own))
    assert result.requests == 0
    assert "before they sent anything: the harbour is closed × 5." in result.generator_trouble


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


def test_failures_in_a_users_own_words_are_told_and_bounded(target: Target, home: Path, tmp_path: Path) -> None:
    """What `catch_response` found wrong is the kind of the failure; no test has thousands of kinds. These users send
    more than they were asked to: no verdict is built on that."""
    own = tmp_path / "own.py"
    own.write_text(CRITICAL)
    result = run(home, attack(target, rate_rps=5, duration_s=2, locustfile=own))
    assert result.failures == result.requests > 50
    assert "basket 7 is empty" in result.failures_by_kind
    assert len(result.failures_by_kind) == 51
    assert result.failures_by_kind["another failure"] == result.failures - 50
    assert judge(slo=Slo(), result=result).outcome == "INVALID"


def run(home: Path, ordered: Attack) -> LoadResult:
    """The whole of a test."""
    with EmbeddedLoad(home=home).start(attack=ordered, progress=RecordedProgress()) as load:
        list(load.samples())
        return load.result()


def test_locusts_own_option_for_processes_is_taken(target: Target, tmp_path: Path) -> None:
    """With `--processes` a person at a terminal has master and workers at once; the rate is theirs together."""
    file = tmp_path / "attack.json"
    file.write_text(attack_json(attack(target, rate_rps=200, duration_s=1), workers=2, timeout_s=10))
    options = ["-f", str(LOCUST_DIR / "locustfile.py"), "--attack", str(file), "--host", target.address]
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
