"""What only processes of this machine can show of a cluster: their deaths, their autoscaler, two who change at once."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.platforms.adapters import QUICK, STAGING, EmbeddedClusterUnderTest, embedded_bay
from tests.platforms.progress import RecordedProgress
from tests.platforms.steady_traffic import SteadyTraffic
from tests.waiting import wait_until
from workers.errors import PermanentError, TemporaryError
from workers.platforms.embedded.cluster.cluster import EmbeddedCluster
from workers.platforms.embedded.cluster.endpoint_files import EndpointFiles


@pytest.fixture
def cluster_under_test(tmp_path: Path) -> Iterator[EmbeddedClusterUnderTest]:
    with embedded_bay(tmp_path) as cluster_under_test:
        yield cluster_under_test


def test_two_roll_outs_of_one_endpoint_exclude_each_other(cluster_under_test: EmbeddedClusterUnderTest) -> None:
    """The second is told to come again, and the first is not disturbed."""
    tried: list[str] = []
    progress = RecordedProgress()

    def roll_out_another(fact: str) -> None:
        with pytest.raises(TemporaryError, match="being changed"):
            cluster_under_test.cluster.roll_out(release=cluster_under_test.release(2), progress=RecordedProgress())
        tried.append(fact)

    progress.on_report = roll_out_another
    assert cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=progress).version == 1
    assert tried


def test_a_killed_replica_is_replaced(cluster_under_test: EmbeddedClusterUnderTest) -> None:
    """Another takes its place and the trouble is told; only what the killed one was answering may fail."""
    endpoint = cluster_under_test.cluster.roll_out(
        release=cluster_under_test.release(1, replicas=(2, 2)), progress=RecordedProgress()
    )
    victim, other = cluster_under_test.pids()
    with SteadyTraffic(endpoint.address, model="fruit", kept=6, fresh=2) as traffic:
        wait_until(lambda: traffic.answers["v1"] > 50)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(cluster_under_test.pids()) == 2 and victim not in cluster_under_test.pids())
        answered, failed = traffic.answers["v1"], len(traffic.failures)
        wait_until(lambda: traffic.answers["v1"] > answered + 50)
    # Each kept connection to the victim breaks once; new ones go to the replica that is left.
    assert len(traffic.failures) == failed <= 8
    assert other in cluster_under_test.pids()
    now = cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING)
    assert now is not None
    assert "ended with SIGKILL" in now.trouble


def test_a_killed_supervisor_takes_its_replicas_along_and_the_next_call_restores_them(
    cluster_under_test: EmbeddedClusterUnderTest,
) -> None:
    """Nothing is orphaned; the address stays."""
    before = cluster_under_test.cluster.roll_out(
        release=cluster_under_test.release(1, replicas=(2, 2)), progress=RecordedProgress()
    )
    status = cluster_under_test.files.read_status()
    assert status is not None
    os.kill(status.pid, signal.SIGKILL)
    wait_until(lambda: not cluster_under_test.processes())

    found = cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING)
    assert found is not None
    assert (found.ready, "has been started again" in found.trouble) == (0, True)

    def restored() -> bool:
        return cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING) == before

    wait_until(restored)
    with SteadyTraffic(before.address, model="fruit", kept=1, fresh=1) as traffic:
        wait_until(lambda: traffic.answers["v1"] > 5)
    assert traffic.failures == []


def test_an_endpoint_outlives_the_worker_that_rolled_it_out(cluster_under_test: EmbeddedClusterUnderTest) -> None:
    """Another process finds it, even when the first was killed."""
    cluster_under_test.release(1)  # writes the model
    code = (
        "import os, signal, sys; from pathlib import Path; from tests.platforms.test_cluster_embedded import *\n"
        "cluster_under_test = EmbeddedClusterUnderTest(home=Path(sys.argv[1]))\n"
        "cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(cluster_under_test.home)], cwd=Path(__file__).parents[2], timeout=60
    )
    assert ended.returncode == -signal.SIGKILL
    endpoint = cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING)
    assert endpoint is not None
    assert (endpoint.ready, endpoint.trouble) == (1, "")
    with SteadyTraffic(endpoint.address, model="fruit", kept=1, fresh=1) as traffic:
        wait_until(lambda: traffic.answers["v1"] > 5)
    assert traffic.failures == []


def test_an_endpoint_grows_under_load_and_shrinks_after_it(cluster_under_test: EmbeddedClusterUnderTest) -> None:
    """The autoscaler moves the count within its bounds, says why, and no request fails."""
    endpoint = cluster_under_test.cluster.roll_out(
        release=cluster_under_test.release(1, replicas=(1, 3)), progress=RecordedProgress()
    )

    def ready() -> int:
        now = cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING)
        return now.ready if now else 0

    with SteadyTraffic(endpoint.address, model="fruit", kept=8, fresh=2, rate_rps=60) as traffic:
        wait_until(lambda: ready() >= 2)
    wait_until(lambda: ready() == 1)
    assert traffic.failures == []
    status = cluster_under_test.files.read_status()
    assert status is not None
    grown = status.events[1]
    assert (grown.before, grown.after > 1) == (1, True)
    assert "% of the request, target 60 %" in grown.reason


def test_however_many_find_a_dead_supervisor_one_is_started(cluster_under_test: EmbeddedClusterUnderTest) -> None:
    """Workers that look at the same instant restore the endpoint once."""
    before = cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    status = cluster_under_test.files.read_status()
    assert status is not None
    os.kill(status.pid, signal.SIGKILL)
    wait_until(lambda: not cluster_under_test.processes())
    with ThreadPoolExecutor(8) as workers:
        for _ in range(8):
            workers.submit(
                EmbeddedCluster(home=cluster_under_test.home, timing=QUICK).endpoint, model="fruit", environment=STAGING
            )
    wait_until(lambda: cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING) == before)
    assert cluster_under_test.files.supervisor_log.read_text().count("begins at http://127.0.0.1:") == 2


@pytest.mark.parametrize("damage", ['{"gener', "{}"])
def test_an_endpoint_whose_wish_is_damaged_is_named_and_can_be_removed(
    cluster_under_test: EmbeddedClusterUnderTest, damage: str
) -> None:
    """It stops no worker: the error says which file, and what to do; after that there is room for another."""
    cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    (cluster_under_test.files.folder / "spec.json").write_text(damage)
    with pytest.raises(PermanentError, match=r"spec\.json is damaged") as caught:
        cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING)
    assert "seatrial down" in caught.value.advice
    with pytest.raises(PermanentError, match="damaged"):
        cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    cluster_under_test.cluster.remove_all()
    wait_until(lambda: not cluster_under_test.left())
    assert (
        cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress()).ready
        == 1
    )


def test_a_damaged_status_is_written_anew(cluster_under_test: EmbeddedClusterUnderTest) -> None:
    """It is what a supervisor saw: one that has ended is followed by another, which sees for itself."""
    cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    status = cluster_under_test.files.read_status()
    assert status is not None
    os.kill(status.pid, signal.SIGKILL)
    wait_until(lambda: not cluster_under_test.processes())
    (cluster_under_test.files.folder / "status.json").write_text('{"pid')

    def ready() -> bool:
        now = cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING)
        return now is not None and now.ready == 1

    wait_until(ready)


def test_an_endpoint_that_is_being_changed_is_left_and_named_when_a_machine_is_emptied(
    cluster_under_test: EmbeddedClusterUnderTest,
) -> None:
    """The others go all the same."""
    cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    other = EndpointFiles(cluster_under_test.files.folder.parent / "aubergine")
    shutil.copytree(cluster_under_test.files.folder, other.folder)
    lock = other.changing()
    assert lock is not None
    with lock, pytest.raises(TemporaryError, match=r"aubergine on staging is left: .*being changed"):
        cluster_under_test.cluster.remove_all()
    assert not cluster_under_test.files.folder.exists()
    cluster_under_test.cluster.remove_all()
    assert not cluster_under_test.left()


def test_a_status_that_could_not_be_written_is_written_once_it_can_be(
    cluster_under_test: EmbeddedClusterUnderTest,
) -> None:
    """A disk that was full for a while costs nobody the news."""
    cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    spec = cluster_under_test.files.read_spec()
    assert spec is not None
    in_its_way = cluster_under_test.files.folder / "status.new"
    in_its_way.mkdir()
    generation = spec.generation + 1
    cluster_under_test.files.write_spec(
        replace(spec, generation=generation, desired=replace(spec.desired, minimum=2, maximum=2))
    )
    wait_until(lambda: "cannot be written" in cluster_under_test.files.supervisor_log.read_text())
    wait_until(lambda: len(cluster_under_test.processes()) == 3)
    worked_s, since_s = 0.0, time.monotonic()

    def started() -> bool:
        """Whether they have had nothing to do for a second."""
        nonlocal worked_s, since_s
        now_s = sum(process.cpu_times().user for process in cluster_under_test.processes()[1:])
        if now_s > worked_s + 0.02:
            worked_s, since_s = now_s, time.monotonic()
        return time.monotonic() - since_s > 1.0

    wait_until(started)
    in_its_way.rmdir()

    def told() -> bool:
        status = cluster_under_test.files.read_status()
        return status is not None and (status.observed_generation, status.ready) == (generation, 2)

    wait_until(told)
    assert cluster_under_test.files.supervisor_log.read_text().count("cannot be written") == 1


def test_a_machine_is_emptied_though_its_disk_is_full(cluster_under_test: EmbeddedClusterUnderTest) -> None:
    """That something is to end is said without a byte more than there was."""
    cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from workers.platforms.embedded.cluster.cluster import EmbeddedCluster\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "EmbeddedCluster(home=Path(sys.argv[1])).remove_all()\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(cluster_under_test.home)],
        cwd=Path(__file__).parents[2],
        timeout=60,
        check=True,
    )
    assert not cluster_under_test.left()


def test_a_machine_is_emptied_of_all_its_endpoints(cluster_under_test: EmbeddedClusterUnderTest) -> None:
    """Whatever the settings name today."""
    cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    EmbeddedCluster(home=cluster_under_test.home).remove_all()
    assert not cluster_under_test.left()
