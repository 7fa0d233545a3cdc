"""Open-loop engine: when requests leave, which responses are failures, and how latencies are measured."""

import datetime
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
from workers.platforms.embedded.load import EmbeddedLoad
from workers.platforms.protocols import LoadResult, TrafficPlan
from workers.platforms.traffic_plan import LOCUST_DIR
from workers.reports.verdict import judge

SLO = Slo(latency_ms=((95.0, 500.0),), errors_percent=1.0)


def run(home: Path, requested: TrafficPlan, *, after_first: object = None, timeout_s: float = 10.0) -> LoadResult:
    """Run a load test; call `after_first` after its first second."""
    with EmbeddedLoad(home=home, timeout_s=timeout_s).start(plan=requested, progress=RecordedProgress()) as load:
        samples = load.samples()
        next(samples)
        if callable(after_first):
            after_first()
        list(samples)
        return load.result()


def test_stall_of_the_target_is_in_the_latencies(home: Path, target: CountingTarget) -> None:
    """Latencies count from the due times (no coordinated omission)."""
    result = run(home, plan(target, duration_s=4), after_first=lambda: target.stall(1.0))
    assert result.requests == 400 == target.count - 1
    # A hundred of four hundred requests waited, evenly from 1 s to 0 s: the 40th longest 610 ms, the 4th 970 ms.
    # In a closed loop, only one request would wait. A busy machine prolongs the stall but keeps the differences.
    longest_ms = result.latency_ms[100]
    assert longest_ms >= 900
    assert longest_ms - result.latency_ms[90] == pytest.approx(390, abs=250)
    assert longest_ms - result.latency_ms[99] == pytest.approx(30, abs=200)
    assert result.latency_ms[50] < result.latency_ms[90] / 2
    assert result.failures == 0


def test_requests_without_a_response_time_out_and_fail_the_test(home: Path, target: CountingTarget) -> None:
    result = run(home, plan(target, duration_s=2), after_first=lambda: target.behave("hanging"), timeout_s=2)
    assert set(result.failures_by_kind) == {"no response within 2 s"}
    assert result.latency_ms[100] >= 2000
    assert judge(slo=SLO, result=result).outcome == "FAIL"


def test_requests_above_the_limit_under_way_are_dropped_and_fail_the_test(home: Path, target: CountingTarget) -> None:
    hang = plan(target, rate_rps=400, duration_s=5)
    result = run(home, hang, after_first=lambda: target.behave("hanging"), timeout_s=4)
    assert result.requests == 2000
    assert result.failures_by_kind["not sent: too many requests were under way"] == result.dropped > 100
    assert result.failures_by_kind["no response within 4 s"] == 1200  # as many as 3 s of arrivals
    assert target.count - 1 == 2000 - result.dropped
    assert result.achieved_rps == pytest.approx((2000 - result.dropped) / 5)
    assert judge(slo=SLO, result=result).outcome == "FAIL"


KINDS = {
    "moved": "HTTP 302",
    "refusing": "HTTP 503",
    "mistaken": "a response without predictions",
    "generous": "predictions of a different shape",
    "undefined": "a prediction that is NaN or infinite",
    "resetting": "connection reset by peer",
    "closing": "connection closed without a response",
    "halving": "connection closed mid-response",
    "babbling": "not an HTTP response",
}


def test_failures_are_counted_by_kind(home: Path, target: CountingTarget) -> None:
    """Different values of the same shape are no failure: replicas may predict differently."""
    with EmbeddedLoad(home=home).start(plan=plan(target), progress=RecordedProgress()) as load:
        for behaviour in (*KINDS, "right too", "right"):
            target.behave(behaviour)
            enough = target.count + 30
            wait_until(lambda enough=enough: target.count > enough)
        load.stop()
        result = load.result()
    assert set(result.failures_by_kind) == set(KINDS.values())
    assert all(count >= 20 for count in result.failures_by_kind.values())
    assert sum(result.failures_by_kind.values()) == result.failures < result.requests - 40
    assert result.requests == target.count - 1


def test_rate_follows_the_shape_in_each_second(home: Path, target: CountingTarget) -> None:
    spike = Shape(kind="spike", lowest_rps=50, highest_rps=200).stages(5)
    requested = TrafficPlan(
        url=target.url, body=b"{}", stages=(*spike, Stage(from_rps=50, to_rps=10, length_s=1)), job_id="1"
    )
    result = run(home, requested)
    expected = [50, 50, 200, 50, 50, 30]
    assert [second.asked_rps for second in result.seconds] == pytest.approx(expected)
    assert [second.achieved_rps for second in result.seconds] == pytest.approx(expected, abs=1)
    assert result.requests == target.count - 1 == sum(expected)


def test_connections_are_open_ahead_unless_the_target_closes_them(home: Path, target: CountingTarget) -> None:
    """Enough connections let a Service spread the rate. A server that serves one connection at a time needs none."""
    with EmbeddedLoad(home=home).start(plan=plan(target, rate_rps=800), progress=RecordedProgress()) as load:
        wait_until(lambda: connections(home, target) > 60)
        target.behave("parting")
        wait_until(lambda: connections(home, target) <= 1)
        target.behave("right")
        wait_until(lambda: connections(home, target) > 60)
        load.stop()
        assert load.result().failures == 0


def connections(home: Path, target: CountingTarget) -> int:
    """Return how many connections the one load worker has to the target."""
    (worker,) = load_workers(home)
    remote = [each.raddr.port for each in worker.net_connections() if each.status == psutil.CONN_ESTABLISHED]
    return remote.count(target.port)


def test_poisson_arrivals_are_uneven_with_an_exact_total(home: Path, target: CountingTarget) -> None:
    result = run(home, plan(target, rate_rps=200, duration_s=3, spacing="poisson"))
    assert result.requests == 600 == target.count - 1
    counts = [count for _, count in sorted(target.counted()["by_interval"].items())]
    assert len(set(counts)) > 8  # evenly spaced, they would be 19 to 21
    assert any(abs(later - earlier) > 4 for earlier, later in pairwise(counts))


def test_any_page_can_be_loaded_by_get_without_predictions(home: Path, target: CountingTarget) -> None:
    target.behave("mistaken")
    stages = (Stage(from_rps=50, to_rps=50, length_s=1),)
    result = run(home, TrafficPlan(url=target.address, body=b"", stages=stages, predicts=False, job_id="1"))
    assert (result.requests, result.failures) == (50, 0)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a key with its self-signed certificate for localhost."""
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


def test_tls_target_needs_a_trusted_certificate(home: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = CountingTarget(certificate=certificate)
    try:
        stages = (Stage(from_rps=100, to_rps=100, length_s=1),)
        url = f"https://localhost:{target.port}/v1/models/iris:predict"
        requested = TrafficPlan(url=url, body=b"{}", stages=stages, job_id="1")
        with pytest.raises(TargetDown, match="certificate"):
            run(home, requested)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        result = run(home, requested)
        assert (result.requests, result.failures) == (100, 0)
    finally:
        target.kill()


TIMERS = """
import sys
sys.path.insert(0, sys.argv[1])
import gevent, timer
from time import monotonic
def wait_for(count):
    deadline_s = monotonic() + 15
    while len(woken_s) < count:
        assert monotonic() < deadline_s, (kind, woken_s)
        gevent.sleep(0.01)
for kind in (timer._TimerFd, timer._LoopTimer) if sys.platform == "linux" else (timer._LoopTimer,):
    woken_s = []
    alarm = kind(gevent.get_hub().loop, lambda: woken_s.append(monotonic()))
    alarm.set(monotonic() + 3600)
    alarm.set(due_s := monotonic() + 0.05)
    wait_for(1)
    gevent.sleep(0.3)
    assert len(woken_s) == 1 and woken_s[0] >= due_s, (kind, woken_s)
    alarm.set(monotonic() - 1)
    wait_for(2)
    gevent.sleep(0.1)
    assert len(woken_s) == 2, (kind, woken_s)
    alarm.set(monotonic() + 0.01)
    alarm.close()
    gevent.sleep(0.1)
    assert len(woken_s) == 2, (kind, woken_s)
"""


def test_both_timers_fire_once_and_not_early() -> None:
    subprocess.run([sys.executable, "-c", TIMERS, str(LOCUST_DIR)], check=True, timeout=120)


def test_late_requests_of_a_paused_worker_are_dropped_and_make_the_test_invalid(
    home: Path, target: CountingTarget
) -> None:
    """They would leave in a flood otherwise."""
    # On a busy machine Locust may drop a worker that is silent for so long: try again.
    results = (run_with_a_paused_worker(home, target) for _ in range(4))
    result = next(each for each in results if "lost" not in each.generator_trouble)
    assert result.failures_by_kind["not sent: the load generator was late"] == result.dropped > 0
    assert "could not be sent in time" in result.generator_trouble
    assert judge(slo=SLO, result=result).outcome == "INVALID"


def run_with_a_paused_worker(home: Path, target: CountingTarget) -> LoadResult:
    """Run six seconds of load, of which the only worker misses more than two."""
    with EmbeddedLoad(home=home).start(plan=plan(target, duration_s=6), progress=RecordedProgress()) as load:
        samples = load.samples()
        next(samples)
        worker = load_workers(home)[0]
        worker.suspend()
        time.sleep(2.6)  # longer than MAX_LAG_S, shorter than Locust waits for a silent worker
        worker.resume()
        list(samples)
        return load.result()
