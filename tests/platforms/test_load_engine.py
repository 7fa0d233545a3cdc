"""The open loop, from this machine: what leaves when, what counts as a failure, and what a latency is."""

import datetime
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.platforms.counting_target import CountingTarget
from tests.platforms.progress import RecordedProgress
from tests.platforms.traffic_plans import load_workers, plan
from tests.waiting import wait_until
from workers.contract.load import Shape, Slo, Stage
from workers.errors import TargetDown
from workers.platforms.embedded.load.generator import EmbeddedLoad
from workers.platforms.protocols.load import LoadResult, TrafficPlan
from workers.platforms.traffic_plan import LOCUST_DIR
from workers.reports.verdict import judge

SLO = Slo(latency_ms=((95.0, 500.0),), errors_percent=1.0)


def run(home: Path, ordered: TrafficPlan, *, after_first: object = None, timeout_s: float = 10.0) -> LoadResult:
    """The whole of a test; `after_first` is called when its first second has passed."""
    with EmbeddedLoad(home=home, timeout_s=timeout_s).start(plan=ordered, progress=RecordedProgress()) as load:
        samples = load.samples()
        next(samples)
        if callable(after_first):
            after_first()
        list(samples)
        return load.result()


def test_a_stall_is_in_the_latencies(home: Path, target: CountingTarget) -> None:
    """Requests that fell due while the target stood still count from when they were due, as if it had been seen by
    people who know nothing of each other."""
    result = run(home, plan(target, duration_s=4), after_first=lambda: target.stall(1.0))
    assert result.requests == 400 == target.count - 1
    # A hundred of four hundred waited, evenly from 1 s down to nothing: the 40th longest 610 ms, the 4th 970 ms.
    # Seen only by who waited for an answer, it would be one request's.
    # A busy machine makes the stall longer; the distances between them stay.
    longest_ms = result.latency_ms[100]
    assert longest_ms >= 900
    assert longest_ms - result.latency_ms[90] == pytest.approx(390, abs=250)
    assert longest_ms - result.latency_ms[99] == pytest.approx(30, abs=200)
    assert result.latency_ms[50] < result.latency_ms[90] / 2
    assert result.failures == 0


def test_a_target_that_hangs_fails_it(home: Path, target: CountingTarget) -> None:
    """Requests that are never answered end at the time-out, are counted, and are among the latencies."""
    result = run(home, plan(target, duration_s=2), after_first=lambda: target.behave("hanging"), timeout_s=1)
    assert set(result.failures_by_kind) == {"no response within 1 s"}
    assert result.latency_ms[100] >= 1000
    assert judge(slo=SLO, result=result).outcome == "FAIL"


def test_what_cannot_be_sent_is_dropped_and_fails_it(home: Path, target: CountingTarget) -> None:
    """Over the bound of requests under way, arrivals are counted as failures: the target is too slow for the rate."""
    hang = plan(target, rate_rps=400, duration_s=5)
    result = run(home, hang, after_first=lambda: target.behave("hanging"), timeout_s=5)
    assert result.requests == 2000
    assert result.failures_by_kind["not sent: too many requests were under way"] == result.dropped > 100
    assert result.failures_by_kind["no response within 5 s"] == 1200  # as many as 3 s of arrivals
    assert target.count - 1 == 2000 - result.dropped
    assert result.achieved_rps == pytest.approx((2000 - result.dropped) / 5)
    assert judge(slo=SLO, result=result).outcome == "FAIL"


KINDS = {
    "moved": "HTTP 302",
    "refusing": "HTTP 503",
    "mistaken": "a response without predictions",
    "generous": "predictions of a different shape",
    "resetting": "connection reset by peer",
    "closing": "connection closed without a response",
    "halving": "connection closed mid-response",
    "babbling": "not an HTTP response",
}


def test_failures_are_told_by_kind(home: Path, target: CountingTarget) -> None:
    """Each cause has its own words; none is in the latencies, for it came sooner than any answer."""
    with EmbeddedLoad(home=home).start(plan=plan(target), progress=RecordedProgress()) as load:
        for behaviour in (*KINDS, "right"):
            target.behave(behaviour)
            enough = target.count + 30
            wait_until(lambda enough=enough: target.count > enough)
        load.stop()
        result = load.result()
    assert set(result.failures_by_kind) == set(KINDS.values())
    assert all(count >= 20 for count in result.failures_by_kind.values())
    assert sum(result.failures_by_kind.values()) == result.failures < result.requests - 20
    assert result.requests == target.count - 1


def test_another_prediction_is_right(home: Path, target: CountingTarget) -> None:
    """Replicas may differ in what they predict, not in how."""
    result = run(home, plan(target, rate_rps=40, duration_s=2), after_first=lambda: target.behave("right too"))
    assert (result.requests, result.failures) == (80, 0)


def test_a_shape_is_followed_to_the_second(home: Path, target: CountingTarget) -> None:
    """What was asked of the target in each second is what the shape says: here a spike, and a ramp down."""
    spike = Shape(kind="spike", lowest_rps=50, highest_rps=200).stages(5)
    ordered = TrafficPlan(
        url=target.url, body=b"{}", stages=(*spike, Stage(from_rps=50, to_rps=10, length_s=2)), job_id="1"
    )
    result = run(home, ordered)
    expected = [50, 50, 200, 50, 50, 40, 20]
    assert [second.asked_rps for second in result.seconds] == pytest.approx(expected)
    assert [second.achieved_rps for second in result.seconds] == pytest.approx(expected, abs=1)
    assert result.requests == target.count - 1 == sum(expected)


def test_the_rate_is_spread_over_connections(home: Path, target: CountingTarget) -> None:
    """So many that a Service, which deals them out at random, gives each of its replicas about the same."""
    with EmbeddedLoad(home=home).start(plan=plan(target, rate_rps=800), progress=RecordedProgress()) as load:
        wait_until(lambda: connections(home, target) > 60)
        load.stop()


def test_a_target_that_closes_its_connections_has_none_open_ahead(home: Path, target: CountingTarget) -> None:
    """One that serves one connection at a time would wait on an idle one while another has its request."""
    with EmbeddedLoad(home=home).start(plan=plan(target, rate_rps=100), progress=RecordedProgress()) as load:
        wait_until(lambda: connections(home, target) >= 10)
        target.behave("parting")
        wait_until(lambda: connections(home, target) <= 1)
        target.behave("right")
        wait_until(lambda: connections(home, target) >= 10)
        load.stop()
        assert load.result().failures == 0


def connections(home: Path, target: CountingTarget) -> int:
    """How many the load's one worker has open to the target."""
    (worker,) = load_workers(home)
    remote = [each.raddr.port for each in worker.net_connections() if each.status == psutil.CONN_ESTABLISHED]
    return remote.count(target.port)


def test_poisson_arrivals_are_uneven_and_add_up(home: Path, target: CountingTarget) -> None:
    """Tenths of a second differ as chance has it, and the total is the asked one."""
    result = run(home, plan(target, rate_rps=200, duration_s=5, spacing="poisson"))
    assert result.requests == 1000 == target.count - 1
    counts = [count for _, count in sorted(target.counted()["by_interval"].items())]
    assert len(set(counts)) > 8  # evenly spaced, they would be 19 to 21
    assert any(abs(later - earlier) > 4 for earlier, later in pairwise(counts))


def test_other_targets_need_no_predictions(home: Path, target: CountingTarget) -> None:
    """A GET of any page that answers can be loaded."""
    target.behave("mistaken")
    stages = (Stage(from_rps=50, to_rps=50, length_s=2),)
    result = run(home, TrafficPlan(url=target.address, body=b"", stages=stages, predicts=False, job_id="1"))
    assert (result.requests, result.failures) == (100, 0)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and its self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "target")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "target.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return pem


def test_tls_targets_are_loaded_and_verified(home: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that nobody vouches for is a failure; one that is trusted carries the load."""
    target = CountingTarget(certificate=certificate)
    try:
        stages = (Stage(from_rps=100, to_rps=100, length_s=2),)
        url = f"https://localhost:{target.port}/v1/models/iris:predict"
        ordered = TrafficPlan(url=url, body=b"{}", stages=stages, job_id="1")
        with pytest.raises(TargetDown, match="certificate"):
            run(home, ordered)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        result = run(home, ordered)
        assert (result.requests, result.failures) == (200, 0)
    finally:
        target.kill()


CLOCKS = """
import sys
sys.path.insert(0, sys.argv[1])
import gevent, timer
from time import monotonic
def wait_for(count):
    gives_up_at_s = monotonic() + 15
    while len(woken_s) < count:
        assert monotonic() < gives_up_at_s, (kind, woken_s)
        gevent.sleep(0.01)
for kind in (timer._TimerFd, timer._LoopTimer) if sys.platform == "linux" else (timer._LoopTimer,):
    woken_s = []
    clock = kind(gevent.get_hub().loop, lambda: woken_s.append(monotonic()))
    clock.set(monotonic() + 3600)
    clock.set(due_s := monotonic() + 0.05)
    wait_for(1)
    gevent.sleep(0.3)
    assert len(woken_s) == 1 and woken_s[0] >= due_s, (kind, woken_s)
    clock.set(monotonic() - 1)
    wait_for(2)
    gevent.sleep(0.1)
    assert len(woken_s) == 2, (kind, woken_s)
    clock.set(monotonic() + 0.01)
    clock.close()
    gevent.sleep(0.1)
    assert len(woken_s) == 2, (kind, woken_s)
"""


def test_both_clocks_wake_once_and_not_before_time() -> None:
    """A machine without a timerfd has the event loop's own timer; neither wakes early, twice, or after its end."""
    subprocess.run([sys.executable, "-c", CLOCKS, str(LOCUST_DIR)], check=True, timeout=120)


def test_a_worker_that_stood_still_does_not_make_up_for_it(home: Path, target: CountingTarget) -> None:
    """What is seconds late is not sent in a flood but counted, and the test is INVALID."""
    # On a busy machine Locust may give up a worker that is silent for so long: that is no try.
    tries = (with_a_worker_that_stands_still(home, target) for _ in range(4))
    result = next(tried for tried in tries if "lost" not in tried.generator_trouble)
    assert result.failures_by_kind["not sent: the load generator was late"] == result.dropped > 0
    assert "could not be sent in time" in result.generator_trouble
    assert judge(slo=SLO, result=result).outcome == "INVALID"


def with_a_worker_that_stands_still(home: Path, target: CountingTarget) -> LoadResult:
    """Eight seconds' load, of which the only worker misses more than two."""
    with EmbeddedLoad(home=home).start(plan=plan(target, duration_s=8), progress=RecordedProgress()) as load:
        samples = load.samples()
        next(samples)
        worker = load_workers(home)[0]
        worker.suspend()
        time.sleep(2.6)  # more than may be made up for, less than it takes to give a worker up
        worker.resume()
        list(samples)
        return load.result()


def test_environment_proxies_are_not_for_load(
    target: CountingTarget, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in the environment is not asked: the target is tried as it will be loaded, directly."""
    monkeypatch.setitem(os.environ, "http_proxy", "http://127.0.0.1:9")
    assert run(home, plan(target, duration_s=1)).requests == 100
