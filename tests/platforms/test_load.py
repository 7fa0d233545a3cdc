"""Contract of LoadGenerator, against a target that counts its requests.

The adapters are Locust on this machine, and Locust on the Kubernetes stand-in, whose pods are processes here.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.cloud.locust_cluster import LocustCluster
from tests.platforms.counting_target import CountingTarget
from tests.platforms.progress import RecordedProgress
from tests.platforms.traffic_plans import is_quiet, last_request_s, load_processes, load_workers, plan
from tests.waiting import wait_until
from workers.contract.load import Slo, Stage
from workers.errors import JobCancelled, PermanentError, TargetDown
from workers.platforms import swarm
from workers.platforms.cloud.load.generator import KubernetesLoad
from workers.platforms.embedded.load import EmbeddedLoad
from workers.platforms.protocols import LoadGenerator, TrafficPlan
from workers.reports.verdict import judge

CONNECTION_FAILURES = {
    "HTTP 503",
    "connection refused",
    "connection reset by peer",
    "connection closed without a response",
    "broken pipe",
}
SLO = Slo(latency_ms=((95.0, 500.0),), errors_percent=1.0)
SOON_S = 10.0
"""A third of a test's duration."""
USER_LOCUSTFILE = """
from locust import FastHttpUser, HttpUser, constant_throughput, task

class Shopper(FastHttpUser):
    wait_time = constant_throughput(1)

    @task
    def buy(self):
        self.client.post("/v1/models/iris:predict", data=b"{}")

class Stray(HttpUser):
    fixed_count = 1
    wait_time = constant_throughput(1)

    @task
    def leave(self):
        self.client.get("http://127.0.0.2:9/elsewhere", name="elsewhere")
"""


@pytest.fixture(params=["embedded", "kubernetes"])
def generator(request: pytest.FixtureRequest, home: Path) -> Iterator[LoadGenerator]:
    if request.param == "embedded":
        yield EmbeddedLoad(home=home)
        return
    with LocustCluster(home / "cluster") as cluster:
        yield KubernetesLoad(api=cluster.api(), image="seatrial-load:0.1.0")
        assert not cluster.objects and not cluster.pods and not cluster.refused
    shutil.rmtree(home / "cluster")


def test_every_request_is_counted_once(generator: LoadGenerator, target: CountingTarget) -> None:
    with generator.start(plan=plan(target, rate_rps=200, duration_s=3), progress=RecordedProgress()) as load:
        samples = list(load.samples())
        result = load.result()
    assert result.requests == 600 == target.count - 1  # one more request checks the target
    assert (result.asked_rps, result.achieved_rps) == (200, 200)
    for seconds in (samples, result.seconds):
        assert (seconds[-1].requests, seconds[-1].failures, seconds[-1].dropped) == (600, 0, 0)
        assert [second.at_s for second in seconds] == [1, 2, 3]
        assert [second.asked_rps for second in seconds] == [200, 200, 200]
        assert all(second.failures_per_s == second.dropped_per_s == 0 for second in seconds)
        assert all(second.p50_ms and second.p99_ms and second.p50_ms <= second.p99_ms for second in seconds)
    assert sum(second.ended_per_s for second in result.seconds) == 600
    for distribution in (result.latency_ms, result.service_ms, result.send_lag_ms):
        assert list(distribution) == [50, 90, 95, 99, 99.9, 100]
        assert list(distribution.values()) == sorted(distribution.values())
    assert (result.failures, result.failures_by_kind, result.dropped, result.duration_s) == (0, {}, 0, 3)
    assert b"/v1/models/iris:predict" in result.report_html


def test_target_that_refuses_during_the_test_fails_it(
    generator: LoadGenerator, target: CountingTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate stays the same, and the verdict is FAIL, not INVALID."""
    # A busy machine sends late, which would be another reason for INVALID.
    monkeypatch.setattr(swarm, "LAG_FLOOR_MS", 10_000.0)
    monkeypatch.setattr(swarm, "CPU_LIMIT_PERCENT", 1_000.0)
    requested = plan(target, rate_rps=150, duration_s=4, ramp_s=1)
    with generator.start(plan=requested, progress=RecordedProgress()) as load:
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
    assert (result.requests, result.achieved_rps) == (600, 150)  # without the ramp
    assert len(result.seconds) == 5
    assert result.seconds[-1].failures_per_s == pytest.approx(150)  # by the second in which they were due
    judged = judge(slo=SLO, result=result)
    assert judged.outcome == "FAIL"
    assert "HTTP 503" in judged.reasons[0]


def test_cancelled_job_ends_the_traffic(generator: LoadGenerator, target: CountingTarget) -> None:
    job = RecordedProgress()
    with pytest.raises(JobCancelled), generator.start(plan=plan(target), progress=job) as load:
        for _ in load.samples():
            job.cancelled.set()
    wait_until(lambda: is_quiet(target), timeout_s=SOON_S)


def test_stop_ends_the_traffic_and_keeps_the_counts(generator: LoadGenerator, target: CountingTarget) -> None:
    with generator.start(plan=plan(target), progress=RecordedProgress()) as load:
        samples = load.samples()
        next(samples)
        stopped_s = time.monotonic()
        load.stop()
        load.stop()
        assert not list(samples)
        result = load.result()
        assert last_request_s(target) < stopped_s + SOON_S
        assert is_quiet(target)
    assert result.requests == target.count - 1
    assert 1 <= result.duration_s < 1 + SOON_S
    # Each worker stops when it receives the order. On a busy machine one may send longer than the other.
    assert 100 * result.duration_s - 10 <= result.requests <= 100 * (result.duration_s + SOON_S)
    assert result.asked_rps == pytest.approx(100)
    assert not result.failures
    assert "stopped" not in result.generator_trouble


def test_target_that_is_down_gets_no_load(generator: LoadGenerator, target: CountingTarget) -> None:
    target.kill()
    with pytest.raises(TargetDown, match="does not answer: connection refused"):
        generator.start(plan=plan(target), progress=RecordedProgress()).__enter__()


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("refusing", r"HTTP 503.*no room"),
        ("moved", "answers HTTP 302, which is not followed; no load was sent"),
        ("mistaken", "with predictions"),
        ("garbled", "with JSON"),
    ],
)
def test_target_with_a_wrong_response_gets_no_load(
    generator: LoadGenerator, target: CountingTarget, behaviour: str, words: str
) -> None:
    target.behave(behaviour)
    with pytest.raises(TargetDown, match=words):
        generator.start(plan=plan(target), progress=RecordedProgress()).__enter__()
    assert target.count == 1


def test_lost_worker_makes_the_test_invalid(generator: LoadGenerator, target: CountingTarget, home: Path) -> None:
    """Other workers take over its rate. The loss of the only worker ends the test and is the only trouble reported."""
    with generator.start(plan=plan(target, rate_rps=100, duration_s=30), progress=RecordedProgress()) as load:
        samples = load.samples()
        next(samples)
        killed, *others = load_workers(home)
        killed.kill()
        rates_rps = [0.0]
        for sample in samples:
            rates_rps.append(sample.achieved_rps)
            if others and min(rates_rps[1:]) < 75 and rates_rps[-1] > 95:
                load.stop()
        result = load.result()
    assert result.generator_trouble.startswith("A load worker was lost")
    assert "stopped" not in result.generator_trouble
    assert judge(slo=SLO, result=result).outcome == "INVALID"
    assert 0 < result.requests < 100 * 30
    assert bool(others) == (rates_rps[-1] > 95)


def test_death_of_the_master_ends_the_test_with_an_error(
    generator: LoadGenerator, target: CountingTarget, home: Path
) -> None:
    with (
        pytest.raises(PermanentError, match="master ended during the test"),
        generator.start(plan=plan(target), progress=RecordedProgress()) as load,
    ):
        for _ in load.samples():
            next(each for each in load_processes(home) if "--master" in each.cmdline()).kill()
    wait_until(lambda: is_quiet(target), timeout_s=SOON_S)


def test_users_of_the_users_locust_file_send_the_requests(
    generator: LoadGenerator, target: CountingTarget, tmp_path: Path
) -> None:
    """There is one user for each request a second. Connections to other addresses fail."""
    shop = tmp_path / "shop.py"
    shop.write_text(USER_LOCUSTFILE)
    stages = (Stage(from_rps=10, to_rps=10, length_s=2), Stage(from_rps=30, to_rps=30, length_s=3))
    requested = TrafficPlan(url=target.url, body=b"{}", stages=stages, predicts=False, locustfile=shop, job_id="job-1")
    with generator.start(plan=requested, progress=RecordedProgress()) as load:
        samples = list(load.samples())
        result = load.result()
    assert [sample.asked_rps for sample in samples] == [10, 10, 30, 30, 30]
    assert target.count - 1 == pytest.approx(110, abs=45)
    assert result.requests - result.failures == pytest.approx(target.count - 1, abs=5)
    assert set(result.failures_by_kind) == {"127.0.0.2 is not the load test's target"}
    assert result.latency_ms[50] > 0
    assert result.send_lag_ms == result.service_ms == {}  # users have no due times
    assert b"elsewhere" in result.report_html


def test_half_of_the_users_in_locusts_page_are_half_of_the_rate(home: Path, target: CountingTarget) -> None:
    with EmbeddedLoad(home=home).start(plan=plan(target), progress=RecordedProgress()) as load:
        samples = load.samples()
        assert any(sample.achieved_rps == pytest.approx(100, abs=10) for sample in samples)
        wait_until(lambda: load_processes(home))
        web = next(each for each in load_processes(home) if "--master" in each.cmdline()).cmdline()
        press_start(f"http://127.0.0.1:{web[web.index('--web-port') + 1]}", users=100)
        assert any(sample.achieved_rps == pytest.approx(50, abs=2) for sample in samples)


def press_start(address: str, *, users: int) -> None:
    """Send the request of the button in Locust's page."""
    urlopen(f"{address}/swarm", data=f"user_count={users}&spawn_rate={users}".encode(), timeout=60).close()
