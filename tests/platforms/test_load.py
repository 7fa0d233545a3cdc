"""What every LoadGenerator owes, tried against a target that counts for itself: Locust on this machine, and Locust on
a Kubernetes cluster in miniature, whose pods are processes of this machine.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import psutil
import pytest

from tests.cloud.locust_cluster import LocustCluster
from tests.platforms.recorded_progress import RecordedProgress
from workers.contract.jobs import Slo
from workers.errors import Cancelled, PermanentError
from workers.platforms.cloud.load import KubernetesLoad
from workers.platforms.embedded.load import EmbeddedLoad
from workers.platforms.protocols import Attack, LoadGenerator
from workers.reports import verdict

PATIENCE_S = 15.0
CONNECTION_FAILURES = {
    "HTTP 503",
    "connection refused",
    "connection reset by peer",
    "connection closed without an answer",
    "broken pipe",
}
SLO = Slo(latency_ms=((95.0, 500.0),), errors_percent=1.0)


class Target:
    """A target in a process of its own, on a port of its own."""

    def __init__(self) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1024)
            self.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            command = ["-m", "uvicorn", "--app-dir", str(Path(__file__).parent), "counting_target:app"]
            command += ["--fd", str(listener.fileno()), "--no-access-log", "--log-level", "warning"]
            self.process = subprocess.Popen([sys.executable, *command], pass_fds=[listener.fileno()])
        self.url = f"{self.address}/v1/models/iris:predict"

    @property
    def count(self) -> int:
        """How many predictions were asked of it."""
        with urlopen(f"{self.address}/count", timeout=PATIENCE_S) as answer:
            return int(answer.read())

    def behave(self, how: str) -> None:
        """One of counting_target.BEHAVIOURS, from now on."""
        urlopen(Request(f"{self.address}/behaviour", data=how.encode(), method="PUT"), timeout=PATIENCE_S).close()

    def kill(self) -> None:
        """End it, stopped or running."""
        self.process.kill()
        self.process.wait()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.05)


def load_processes(home: Path) -> list[psutil.Process]:
    """The processes that work in `home`, told by their command lines."""
    found = []
    for process in psutil.process_iter():
        try:
            if "locust" in (line := process.cmdline()) and any(str(home) in word for word in line):
                found.append(process)
        except psutil.Error:
            continue
    return found


def is_quiet(target: Target) -> bool:
    """Whether nothing was asked of the target for half a second: fifty requests' time in these tests."""
    before = target.count
    time.sleep(0.5)
    return target.count == before


def attack(target: Target, *, rate_rps: float = 100, duration_s: float = 30, ramp_s: float = 0) -> Attack:
    body = b'{"instances": [{"sepal_length": 5.0}]}'
    return Attack(url=target.url, body=body, rate_rps=rate_rps, duration_s=duration_s, ramp_s=ramp_s, job_id="job-1")


@pytest.fixture
def target() -> Iterator[Target]:
    target = Target()
    try:
        yield target
    finally:
        target.kill()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Where a generator keeps its files; nothing of it may be left, neither file nor process."""
    yield tmp_path / "home"
    left = load_processes(tmp_path)
    for process in left:
        process.kill()
    assert not left
    assert not list((tmp_path / "home").glob("*"))


@pytest.fixture(params=["embedded", "kubernetes"])
def generator(request: pytest.FixtureRequest, home: Path) -> Iterator[LoadGenerator]:
    if request.param == "embedded":
        yield EmbeddedLoad(home=home)
        return
    with LocustCluster(home / "cluster") as cluster:
        yield KubernetesLoad(api=cluster.api(), image="seatrial-load:0.1.0")
        assert not cluster.objects and not cluster.pods and not cluster.refused
    shutil.rmtree(home / "cluster")


def test_every_request_is_counted_once(generator: LoadGenerator, target: Target) -> None:
    """The result's total is the target's own count, the rate is the asked one, and each second has its sample."""
    with generator.start(attack=attack(target, rate_rps=200, duration_s=3), progress=RecordedProgress()) as load:
        samples = list(load.samples())
        result = load.result()
    assert result.requests == target.count - 1  # the request that tried whether the target answers
    assert result.achieved_rps == pytest.approx(200, rel=0.05)
    assert [sample.at_s for sample in samples] == [1, 2, 3]
    assert [sample.asked_rps for sample in samples] == [200, 200, 200]
    assert all(sample.achieved_rps > 0 and sample.failures_per_s == 0 for sample in samples)
    assert all(sample.p50_ms and sample.p95_ms and sample.p50_ms <= sample.p95_ms for sample in samples)
    assert list(result.latency_ms) == [50, 90, 95, 99, 99.9, 100]
    assert list(result.latency_ms.values()) == sorted(result.latency_ms.values())
    assert (result.failures, result.failures_by_kind, result.duration_s) == (0, {}, 3)
    assert b"<html" in result.report_html


def test_a_target_that_refuses_in_mid_test_fails_it(generator: LoadGenerator, target: Target) -> None:
    """Refusals and lost connections are counted by kind, the rate is kept, and the verdict is FAIL, not INVALID."""
    with generator.start(
        attack=attack(target, rate_rps=150, duration_s=4, ramp_s=1), progress=RecordedProgress()
    ) as load:
        samples = load.samples()
        asked = [next(samples).asked_rps]
        target.behave("refusing")
        asked.append(next(samples).asked_rps)
        target.kill()
        rest = list(samples)
        result = load.result()
    assert [*asked, *(sample.asked_rps for sample in rest)] == [75, 150, 150, 150, 150]
    assert {"HTTP 503", "connection refused"} <= set(result.failures_by_kind) <= CONNECTION_FAILURES
    assert sum(result.failures_by_kind.values()) == result.failures
    assert rest[-1].failures_per_s > 0
    judged = verdict(asked_rps=150, slo=SLO, result=result)
    assert judged.outcome == "FAIL"
    assert "HTTP 503" in judged.reasons[0]


@pytest.mark.parametrize("generator", ["embedded"], indirect=True)  # the Locust file's own matter
def test_a_stall_is_in_the_latencies(generator: LoadGenerator, target: Target) -> None:
    """Requests that fell due while the target stood still count from when they were due, and none is lost."""
    with generator.start(attack=attack(target, duration_s=3), progress=RecordedProgress()) as load:
        samples = load.samples()
        next(samples)
        target.process.send_signal(signal.SIGSTOP)
        next(samples)
        target.process.send_signal(signal.SIGCONT)
        list(samples)
        result = load.result()
    assert result.requests == target.count - 1
    assert result.latency_ms[90] > 250  # one second of three stood still: a third waited, half a second on average
    assert result.failures == 0


def test_a_target_that_hangs_fails_it(home: Path, target: Target) -> None:
    """Requests that are never answered end at the time-out, are counted, and are among the latencies."""
    generator = EmbeddedLoad(home=home, timeout_s=1)
    with generator.start(attack=attack(target, duration_s=2), progress=RecordedProgress()) as load:
        samples = load.samples()
        next(samples)
        target.process.send_signal(signal.SIGSTOP)
        list(samples)
        result = load.result()
    assert set(result.failures_by_kind) == {"no answer within 1 s"}
    assert result.latency_ms[100] >= 1000
    assert verdict(asked_rps=100, slo=SLO, result=result).outcome == "FAIL"


@pytest.mark.parametrize("generator", ["embedded"], indirect=True)  # the Locust file's own matter
def test_a_target_too_slow_for_the_rate_makes_it_invalid(generator: LoadGenerator, target: Target) -> None:
    """Where the users cannot keep up, the achieved rate says so, latency includes the wait, and the test is INVALID."""
    with generator.start(attack=attack(target, duration_s=5), progress=RecordedProgress()) as load:
        target.behave("slow")
        list(load.samples())
        result = load.result()
    assert result.achieved_rps < 90
    assert result.latency_ms[95] > 1500  # the target takes 1,000
    assert result.requests == target.count - 1
    assert verdict(asked_rps=100, slo=SLO, result=result).outcome == "INVALID"


def test_a_cancel_ends_the_traffic(generator: LoadGenerator, target: Target) -> None:
    """A job that is cancelled in mid-test gets its Interrupted, and the target has its peace."""
    job = RecordedProgress()
    with pytest.raises(Cancelled), generator.start(attack=attack(target), progress=job) as load:
        for _ in load.samples():
            job.cancelled.set()
    assert is_quiet(target)


def test_a_target_that_is_down_gets_no_load(generator: LoadGenerator, target: Target) -> None:
    """Where nobody listens the job ends at once, in plain words."""
    target.kill()
    with pytest.raises(PermanentError, match="does not answer: connection refused"):
        generator.start(attack=attack(target), progress=RecordedProgress()).__enter__()


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [("refusing", r"HTTP 503.*no room"), ("mistaken", "with predictions"), ("garbled", "with JSON")],
)
def test_a_target_that_answers_wrongly_gets_no_load(
    generator: LoadGenerator, target: Target, behaviour: str, words: str
) -> None:
    """One wrong answer is enough to know: nothing else is asked."""
    target.behave(behaviour)
    with pytest.raises(PermanentError, match=words):
        generator.start(attack=attack(target), progress=RecordedProgress()).__enter__()
    assert target.count == 1


def test_a_load_process_that_dies_ends_the_test(generator: LoadGenerator, target: Target, home: Path) -> None:
    """A worker killed in mid-test is an error that says so, not a result with half the load."""
    with (
        pytest.raises(PermanentError, match="A load process ended in mid-test"),
        generator.start(attack=attack(target), progress=RecordedProgress()) as load,
    ):
        for _ in load.samples():
            next(each for each in load_processes(home) if "--worker" in each.cmdline()).kill()
    assert is_quiet(target)


DRIVER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.platforms.recorded_progress import RecordedProgress
from workers.platforms.embedded.load import EmbeddedLoad
from workers.platforms.protocols import Attack
attack = Attack(url=sys.argv[3], body=b"{}", rate_rps=100, duration_s=60, ramp_s=0, job_id="job-1")
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
    """Where Locust does not come up, the error carries what it wrote last."""
    (tmp_path / "locustfile.py").write_text("raise RuntimeError('the harbour is closed')\n")
    with pytest.raises(PermanentError, match="the harbour is closed"):
        EmbeddedLoad(home=home, locust_dir=tmp_path).start(
            attack=attack(target), progress=RecordedProgress()
        ).__enter__()


def test_environment_proxies_are_not_for_load(target: Target, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is not asked: the target is tried as it will be loaded, directly."""
    monkeypatch.setitem(os.environ, "http_proxy", "http://127.0.0.1:9")
    job = RecordedProgress()
    with EmbeddedLoad(home=home).start(attack=attack(target, duration_s=1), progress=job):
        assert any("1 worker process" in line for line in job.lines)
