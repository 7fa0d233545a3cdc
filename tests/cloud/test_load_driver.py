"""What becomes of load on Kubernetes when its driver dies, loses its hold on the master, or lets it go."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.cloud.kubernetes_driver import driver
from tests.cloud.kubernetes_proxy import Address
from tests.cloud.locust_cluster import LocustCluster
from tests.platforms.counting_target import CountingTarget
from tests.platforms.progress import RecordedProgress
from tests.platforms.traffic_plans import is_quiet, plan
from tests.waiting import wait_until
from workers.platforms.cloud.load.generator import KubernetesLoad
from workers.platforms.cloud.load.keepalive import THREAD, keepalive
from workers.platforms.cloud.load.manifests import WEB_PORT
from workers.platforms.swarm import KEEPALIVE_PATH, MasterClient

RATE_RPS = 100
LONGER_THAN_THE_GRACE = 3 * RATE_RPS
"""Requests for twice as long as a test goes on without its hold."""
SOON_S = 30.0
"""Well below what is left of a test. One of which nobody asks ends after 10 s; here the look at it is a question."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocustCluster]:
    with LocustCluster(tmp_path / "cluster") as cluster:
        yield cluster
        assert not cluster.refused


def generator(cluster: LocustCluster) -> KubernetesLoad:
    return KubernetesLoad(api=cluster.api(), image="seatrial-load:0.1.0")


def web_of(cluster: LocustCluster) -> Address:
    """Where the one master is reached inside the cluster."""
    (container,) = (pod.container for name, pod in cluster.pods.items() if "-master-" in name)
    assert container
    return container.address(WEB_PORT)


def master_of(cluster: LocustCluster) -> MasterClient:
    host, port = web_of(cluster)
    return MasterClient(host=host, port=port)


def lose_the_hold(cluster: LocustCluster) -> None:
    """Break the driver's hold, and let it take up no other."""
    cluster.stand_in.refused["GET", "services/proxy"] = (503, "the proxy is away")
    cluster.stand_in.cut()


def test_the_traffic_ends_with_its_driver(cluster: LocustCluster, target: CountingTarget, tmp_path: Path) -> None:
    """A driver that is killed takes the traffic with it, although somebody goes on asking how far the test is."""
    with driver(cluster.stand_in, url=target.url, rate_rps=RATE_RPS, folder=tmp_path) as process:
        wait_until(lambda: target.count > 20)
        process.kill()
        master = master_of(cluster)
        wait_until(lambda: master.status().over, timeout_s=SOON_S)
    assert is_quiet(target)
    assert master.result()["stopped_at_s"] is not None


def test_a_hold_that_breaks_is_taken_up_again(cluster: LocustCluster, target: CountingTarget) -> None:
    """An API server that cuts the connection ends no test; leaving the context ends the hold for good."""
    with generator(cluster).start(plan=plan(target, duration_s=4), progress=RecordedProgress()) as load:
        samples = load.samples()
        next(samples)
        cluster.stand_in.cut()
        assert len(list(samples)) == 3
        result = load.result()
    assert sum(path.endswith(KEEPALIVE_PATH) for _, path in cluster.stand_in.asked) == 2
    assert result.requests == target.count - 1 == 4 * RATE_RPS
    assert "stopped" not in result.generator_trouble
    wait_until(lambda: THREAD not in {thread.name for thread in threading.enumerate()})


def test_any_hold_keeps_the_test_until_it_is_let_go(cluster: LocustCluster, target: CountingTarget) -> None:
    """Inside the cluster a driver holds the master without the API server; the last hold decides."""
    with generator(cluster).start(plan=plan(target, duration_s=60), progress=RecordedProgress()):
        master = master_of(cluster)
        with keepalive(master):
            lose_the_hold(cluster)
            wait_until(lambda: master.status().at_s and target.count > LONGER_THAN_THE_GRACE)
        wait_until(lambda: master.status().over, timeout_s=SOON_S)
        assert is_quiet(target)


def test_a_person_at_the_web_page_holds_nothing(cluster: LocustCluster, target: CountingTarget) -> None:
    """A test that was begun there goes on, though no driver is left, and nobody asks."""
    with generator(cluster).start(plan=plan(target, duration_s=60), progress=RecordedProgress()) as load:
        wait_until(lambda: target.count > 20)
        lose_the_hold(cluster)
        load.stop()
        master = master_of(cluster)
        wait_until(lambda: json.loads(master.request("GET", "/stats/requests"))["state"] == "stopped")
        count, page = target.count, "http://{}:{}/swarm".format(*web_of(cluster))
        urlopen(page, data=b"user_count=200&spawn_rate=200", timeout=60).close()  # as its button does
        wait_until(lambda: target.count > count + LONGER_THAN_THE_GRACE)
