"""Load on Kubernetes when its driver dies, loses its keepalive to the master, or ends it."""

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
from workers.platforms.cloud.load.manifests import WEB_PORT
from workers.platforms.cloud.load.master import THREAD, keepalive
from workers.platforms.swarm import KEEPALIVE_PATH, MasterClient

RATE_RPS = 100
MORE_THAN_GRACE = 3 * RATE_RPS
"""Requests of three seconds, much longer than a test continues without a keepalive."""
SOON_S = 30.0
"""Time limit well below the rest of a test. These tests request the status, so the silence limit does not apply."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocustCluster]:
    with LocustCluster(tmp_path / "cluster") as cluster:
        yield cluster
        assert not cluster.refused


def generator(cluster: LocustCluster) -> KubernetesLoad:
    return KubernetesLoad(api=cluster.api(), image="seatrial-load:0.1.0")


def web_address(cluster: LocustCluster) -> Address:
    """Return the master's address inside the cluster."""
    (container,) = (pod.container for name, pod in cluster.pods.items() if "-master-" in name)
    assert container
    return container.address(WEB_PORT)


def master_client(cluster: LocustCluster) -> MasterClient:
    host, port = web_address(cluster)
    return MasterClient(host=host, port=port)


def cut_keepalive(cluster: LocustCluster) -> None:
    """Cut the driver's keepalive and refuse new ones."""
    cluster.stand_in.refused["GET", "services/proxy"] = (503, "the proxy is away")
    cluster.stand_in.cut()


def test_traffic_ends_with_its_driver(cluster: LocustCluster, target: CountingTarget, tmp_path: Path) -> None:
    """Status requests of another client do not keep it alive."""
    with driver(cluster.stand_in, url=target.url, rate_rps=RATE_RPS, folder=tmp_path) as process:
        wait_until(lambda: target.count > 20)
        process.kill()
        master = master_client(cluster)
        wait_until(lambda: master.status().over, timeout_s=SOON_S)
    assert is_quiet(target)
    assert master.result()["stopped_at_s"] is not None


def test_driver_reopens_a_cut_keepalive(cluster: LocustCluster, target: CountingTarget) -> None:
    """Its thread ends with the context."""
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


def test_load_test_lives_until_its_last_keepalive_ends(cluster: LocustCluster, target: CountingTarget) -> None:
    """Inside the cluster a keepalive does not need the API server."""
    with generator(cluster).start(plan=plan(target, duration_s=60), progress=RecordedProgress()):
        master = master_client(cluster)
        with keepalive(master):
            cut_keepalive(cluster)
            wait_until(lambda: master.status().at_s and target.count > MORE_THAN_GRACE)
        wait_until(lambda: master.status().over, timeout_s=SOON_S)
        assert is_quiet(target)


def test_load_test_started_in_locusts_page_needs_no_driver(cluster: LocustCluster, target: CountingTarget) -> None:
    with generator(cluster).start(plan=plan(target, duration_s=60), progress=RecordedProgress()) as load:
        wait_until(lambda: target.count > 20)
        cut_keepalive(cluster)
        load.stop()
        master = master_client(cluster)
        wait_until(lambda: json.loads(master.request("GET", "/stats/requests"))["state"] == "stopped")
        count, page = target.count, "http://{}:{}/swarm".format(*web_address(cluster))
        urlopen(page, data=b"user_count=200&spawn_rate=200", timeout=60).close()  # the request of the page's button
        wait_until(lambda: target.count > count + MORE_THAN_GRACE)
