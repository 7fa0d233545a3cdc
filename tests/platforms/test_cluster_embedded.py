"""The local cluster: crashes of its processes, its autoscaler, concurrent changes, and damaged or unwritable files."""

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

from tests.platforms.adapters import QUICK, STAGING, EmbeddedClusterUnderTest, embedded_cluster
from tests.platforms.progress import RecordedProgress
from tests.platforms.steady_traffic import SteadyTraffic
from tests.waiting import wait_until
from workers.errors import PermanentError, TemporaryError
from workers.platforms.embedded.cluster.cluster import EmbeddedCluster
from workers.platforms.embedded.cluster.endpoint_files import EndpointFiles, EndpointStatus
from workers.platforms.protocols import Endpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture
def under_test(tmp_path: Path) -> Iterator[EmbeddedClusterUnderTest]:
    with embedded_cluster(tmp_path) as under_test:
        yield under_test


def roll_out(under_test: EmbeddedClusterUnderTest, *, replicas: tuple[int, int] = (1, 1)) -> Endpoint:
    """Roll out version 1."""
    release = under_test.release(1, replicas=replicas)
    return under_test.cluster.roll_out(release=release, progress=RecordedProgress())


def endpoint(under_test: EmbeddedClusterUnderTest) -> Endpoint | None:
    return under_test.cluster.endpoint(model="fruit", environment=STAGING)


def read_status(under_test: EmbeddedClusterUnderTest) -> EndpointStatus:
    status = under_test.files.read_status()
    assert status is not None
    return status


def kill_supervisor(under_test: EmbeddedClusterUnderTest) -> None:
    """Kill it and wait until its replicas have exited."""
    os.kill(read_status(under_test).pid, signal.SIGKILL)
    wait_until(lambda: not under_test.processes())


def run_in_another_process(under_test: EmbeddedClusterUnderTest, code: str) -> int:
    """Run `code`, which finds the folder of the cluster in sys.argv[1]. Return the exit status."""
    return subprocess.run([sys.executable, "-c", code, str(under_test.home)], cwd=ROOT, timeout=60).returncode


def test_second_rollout_of_an_endpoint_is_refused_while_the_first_runs(under_test: EmbeddedClusterUnderTest) -> None:
    attempts: list[str] = []
    progress = RecordedProgress()

    def roll_out_another(fact: str) -> None:
        with pytest.raises(TemporaryError, match="being changed"):
            under_test.cluster.roll_out(release=under_test.release(2), progress=RecordedProgress())
        attempts.append(fact)

    progress.on_report = roll_out_another
    assert under_test.cluster.roll_out(release=under_test.release(1), progress=progress).version == 1
    assert attempts


def test_killed_replica_is_replaced(under_test: EmbeddedClusterUnderTest) -> None:
    """Only requests that the killed replica was processing may fail."""
    address = roll_out(under_test, replicas=(2, 2)).address
    victim, other = under_test.pids()
    with SteadyTraffic(address, model="fruit", persistent=6, reconnecting=2) as traffic:
        wait_until(lambda: traffic.answers["v1"] > 50)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(under_test.pids()) == 2 and victim not in under_test.pids())
        answered, failed = traffic.answers["v1"], len(traffic.failures)
        wait_until(lambda: traffic.answers["v1"] > answered + 50)
    # Each open connection to the victim breaks once. New ones reach the other replica.
    assert len(traffic.failures) == failed <= 8
    assert other in under_test.pids()
    now = endpoint(under_test)
    assert now is not None
    assert "ended with SIGKILL" in now.trouble


def test_killed_supervisor_is_replaced_by_the_next_call(under_test: EmbeddedClusterUnderTest) -> None:
    """Its replicas exit, and the endpoint returns at the same address."""
    before = roll_out(under_test, replicas=(2, 2))
    kill_supervisor(under_test)

    found = endpoint(under_test)
    assert found is not None
    assert (found.ready, "has been started again" in found.trouble) == (0, True)
    wait_until(lambda: endpoint(under_test) == before)
    with SteadyTraffic(before.address, model="fruit", persistent=1, reconnecting=1) as traffic:
        wait_until(lambda: traffic.answers["v1"] > 5)
    assert traffic.failures == []


def test_concurrent_calls_replace_a_killed_supervisor_once(under_test: EmbeddedClusterUnderTest) -> None:
    before = roll_out(under_test)
    kill_supervisor(under_test)
    with ThreadPoolExecutor(8) as workers:
        for _ in range(8):
            cluster = EmbeddedCluster(home=under_test.home, timing=QUICK)
            workers.submit(cluster.endpoint, model="fruit", environment=STAGING)
    wait_until(lambda: endpoint(under_test) == before)
    assert under_test.files.supervisor_log.read_text().count("starts at http://127.0.0.1:") == 2


def test_endpoint_outlives_a_killed_worker(under_test: EmbeddedClusterUnderTest) -> None:
    under_test.release(1)  # writes the model
    code = (
        "import os, signal, sys; from pathlib import Path; from tests.platforms.test_cluster_embedded import *\n"
        "roll_out(EmbeddedClusterUnderTest(home=Path(sys.argv[1])))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert run_in_another_process(under_test, code) == -signal.SIGKILL
    found = endpoint(under_test)
    assert found is not None
    assert (found.ready, found.trouble) == (1, "")
    with SteadyTraffic(found.address, model="fruit", persistent=1, reconnecting=1) as traffic:
        wait_until(lambda: traffic.answers["v1"] > 5)
    assert traffic.failures == []


def test_endpoint_scales_up_under_load_and_down_after_it(under_test: EmbeddedClusterUnderTest) -> None:
    address = roll_out(under_test, replicas=(1, 3)).address

    def ready() -> int:
        now = endpoint(under_test)
        return now.ready if now else 0

    with SteadyTraffic(address, model="fruit", persistent=8, reconnecting=2, rate_rps=60) as traffic:
        wait_until(lambda: ready() >= 2)
    wait_until(lambda: ready() == 1)
    assert traffic.failures == []
    scaled_up = read_status(under_test).events[1]
    assert (scaled_up.before, scaled_up.after > 1) == (1, True)
    assert "% of the request, target 60 %" in scaled_up.reason


def test_endpoint_with_a_damaged_spec_is_reported_and_can_be_removed(under_test: EmbeddedClusterUnderTest) -> None:
    roll_out(under_test)
    for damage in ("{}", '{"gener'):
        (under_test.files.folder / "spec.json").write_text(damage)
        with pytest.raises(PermanentError, match=r"spec\.json is damaged") as caught:
            endpoint(under_test)
        assert "seatrial down" in caught.value.advice
    with pytest.raises(PermanentError, match="damaged"):
        roll_out(under_test)
    under_test.cluster.remove_all()
    wait_until(lambda: not under_test.remains())
    assert roll_out(under_test).ready == 1


def test_damaged_status_is_replaced_by_the_next_supervisor(under_test: EmbeddedClusterUnderTest) -> None:
    roll_out(under_test)
    kill_supervisor(under_test)
    (under_test.files.folder / "status.json").write_text('{"pid')

    def ready() -> bool:
        now = endpoint(under_test)
        return now is not None and now.ready == 1

    wait_until(ready)


def test_remove_all_leaves_and_names_an_endpoint_that_is_being_changed(under_test: EmbeddedClusterUnderTest) -> None:
    roll_out(under_test)
    other = EndpointFiles(under_test.files.folder.parent / "aubergine")
    shutil.copytree(under_test.files.folder, other.folder)
    lock = other.acquire_change_lock()
    assert lock is not None
    with lock, pytest.raises(TemporaryError, match=r"aubergine on staging was not removed: .*being changed"):
        under_test.cluster.remove_all()
    assert not under_test.files.folder.exists()
    under_test.cluster.remove_all()
    assert not under_test.remains()


def test_unwritable_status_is_written_once_it_can_be(under_test: EmbeddedClusterUnderTest) -> None:
    """The supervisor continues to scale, and logs the failure once."""
    roll_out(under_test)
    spec = under_test.files.read_spec()
    assert spec is not None
    obstacle = under_test.files.folder / "status.new"
    obstacle.mkdir()
    generation = spec.generation + 1
    desired = replace(spec.desired, minimum=2, maximum=2)
    under_test.files.write_spec(replace(spec, generation=generation, desired=desired))
    wait_until(lambda: "cannot be written" in under_test.files.supervisor_log.read_text())
    wait_until(lambda: len(under_test.processes()) == 3)
    worked_s, since_s = 0.0, time.monotonic()

    def idle_for_a_second() -> bool:
        """Return True once the replicas have started."""
        nonlocal worked_s, since_s
        now_s = sum(process.cpu_times().user for process in under_test.processes()[1:])
        if now_s > worked_s + 0.02:
            worked_s, since_s = now_s, time.monotonic()
        return time.monotonic() - since_s > 1.0

    wait_until(idle_for_a_second)
    obstacle.rmdir()

    def written() -> bool:
        status = read_status(under_test)
        return (status.observed_generation, status.ready) == (generation, 2)

    wait_until(written)
    assert under_test.files.supervisor_log.read_text().count("cannot be written") == 1


def test_remove_all_works_on_a_full_disk(under_test: EmbeddedClusterUnderTest) -> None:
    roll_out(under_test)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from workers.platforms.embedded.cluster.cluster import EmbeddedCluster\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "EmbeddedCluster(home=Path(sys.argv[1])).remove_all()\n"
    )
    assert run_in_another_process(under_test, code) == 0
    assert not under_test.remains()
