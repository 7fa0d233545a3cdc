"""What every Cluster owes, tried on processes of this machine under steady traffic, and what only those can show."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.platforms.onnx_models import SAMPLE, classifier
from tests.platforms.recorded_progress import RecordedProgress
from tests.platforms.steady_traffic import SteadyTraffic, wait_until
from workers.contract.jobs import Replicas
from workers.contract.settings import Environment, Model
from workers.errors import Cancelled, PermanentError, Superseded, TemporaryError
from workers.platforms.embedded.cluster import EmbeddedCluster
from workers.platforms.embedded.endpoint_files import EndpointFiles
from workers.platforms.embedded.supervisor import Timing
from workers.platforms.protocols import Cluster, Manifest, Release

MODEL = Model(name="fruit", type="logistic_reg", label="fruit", query="SELECT 1", sample=(SAMPLE,))
STAGING = Environment(name="staging", cpu_request="20m", cpu_target=60)
QUICK = Timing(sync_period_s=0.5, scale_down_window_s=2.0, ready_deadline_s=20.0)


class Bay:
    """A cluster to try, its home, and releases for it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.cluster: Cluster = EmbeddedCluster(home=home, timing=QUICK)
        self.files = EndpointFiles(home / "cluster" / "staging" / "fruit")

    def release(self, version: int, *, replicas: tuple[int, int] = (1, 1), folder: Path | None = None) -> Release:
        """A release whose model predicts the label "v1" where `version` is 1."""
        folder = folder or classifier(self.home / "models" / str(version), classes=[f"v{version}", "other"])
        manifest = Manifest(
            model="fruit", version=version, digest=f"sha256:{version}", format="onnx", size_bytes=1, metrics={},
            query_sha256="", training="", trained_by="", job_id=f"job-{version}", created_at_s=0.0,
        )  # fmt: skip
        low, high = replicas
        return Release(
            model=MODEL, environment=STAGING, manifest=manifest, folder=folder,
            replicas=Replicas(minimum=low, maximum=high), job_id=f"job-{version}", asked_by="ada",
        )  # fmt: skip

    def pids(self, state: str = "ready") -> list[int]:
        """The processes of the replicas in this state."""
        status = self.files.read_status()
        return [replica.pid for replica in status.replicas if replica.state == state] if status else []

    def processes(self) -> list[psutil.Process]:
        """Every process that works for this bay's endpoints."""
        mine = str(self.home)
        return [item for item in psutil.process_iter(["cmdline"]) if mine in " ".join(item.info["cmdline"] or ())]


@pytest.fixture
def bay(tmp_path: Path) -> Iterator[Bay]:
    """A cluster of processes; all of them are gone afterwards, also when the test fails."""
    bay = Bay(tmp_path)
    try:
        yield bay
    finally:
        for process in bay.processes():
            process.kill()
        wait_until(lambda: not bay.processes())


def test_a_first_release_is_served_when_it_is_rolled_out(bay: Bay) -> None:
    """The returned endpoint is ready, knows where it came from, and answers."""
    progress = RecordedProgress()
    endpoint = bay.cluster.roll_out(release=bay.release(1), progress=progress)
    assert (endpoint.version, endpoint.ready, endpoint.desired, endpoint.job_id) == (1, 1, 1, "job-1")
    assert progress.reports[-1] == (1, 1, "1 of 1 replicas of v1 ready")
    assert progress.lines == ["0 → 1: replicas set to 1"]
    with SteadyTraffic(endpoint.address, model="fruit") as traffic:
        wait_until(lambda: traffic.answers["v1"] > 20)
    assert traffic.failures == []


def test_a_release_that_runs_already_changes_nothing(bay: Bay) -> None:
    """A second roll-out of the same version leaves the replicas alone."""
    first = bay.cluster.roll_out(release=bay.release(1), progress=RecordedProgress())
    before = bay.pids()
    again = bay.cluster.roll_out(release=bay.release(1), progress=RecordedProgress())
    assert (again, bay.pids()) == (first, before)


def test_no_request_fails_while_versions_and_counts_change(bay: Bay) -> None:
    """Up, over to another version, and down again, under clients that keep their connection and clients that don't."""
    endpoint = bay.cluster.roll_out(release=bay.release(1), progress=RecordedProgress())
    with SteadyTraffic(endpoint.address, model="fruit", kept=6, fresh=3) as traffic:
        wait_until(lambda: traffic.answers["v1"] > 50)
        progress = RecordedProgress()
        two = Replicas(minimum=2, maximum=2)
        assert bay.cluster.scale(model="fruit", environment=STAGING, replicas=two, progress=progress).ready == 2
        assert progress.lines == ["1 → 2: replicas set to 2"]

        serving: list[int] = []
        progress = RecordedProgress()
        progress.on_report = lambda fact: serving.append(len(bay.pids()))
        endpoint = bay.cluster.roll_out(release=bay.release(2, replicas=(2, 2)), progress=progress)
        assert (endpoint.version, endpoint.ready) == (2, 2)
        assert progress.reports[0][2] == "0 of 2 replicas of v2 ready"
        assert min(serving) >= 2, "old replicas left before new ones were ready"
        assert progress.lines == [], "two replicas became two"
        wait_until(lambda: traffic.answers["v2"] > 50)
        wait_until(lambda: not bay.pids("draining"))
        after_update = traffic.answers["v1"]

        one = Replicas(minimum=1, maximum=1)
        endpoint = bay.cluster.scale(model="fruit", environment=STAGING, replicas=one, progress=RecordedProgress())
        assert endpoint.ready == 1
        wait_until(lambda: not bay.pids("draining"))
        answered = traffic.answers["v2"]
        wait_until(lambda: traffic.answers["v2"] > answered + 50)
    assert traffic.failures == []
    assert traffic.answers["v1"] == after_update, "the old version answered when it was gone"
    assert traffic.answers.keys() == {"v1", "v2"}


def test_a_release_that_cannot_be_served_is_undone(bay: Bay) -> None:
    """The version before serves on without a failed request, and the error holds the replica's own words."""
    endpoint = bay.cluster.roll_out(release=bay.release(1), progress=RecordedProgress())
    with SteadyTraffic(endpoint.address, model="fruit") as traffic:
        (bay.home / "broken").mkdir()
        with pytest.raises(PermanentError, match=r"v2 does not become ready.*signature\.json cannot be read"):
            bay.cluster.roll_out(release=bay.release(2, folder=bay.home / "broken"), progress=RecordedProgress())
        answered = traffic.answers["v1"]
        wait_until(lambda: traffic.answers["v1"] > answered + 20)
    assert traffic.failures == []
    now = bay.cluster.endpoint(model="fruit", environment=STAGING)
    assert now is not None
    assert (now.version, now.ready, now.job_id, now.trouble) == (1, 1, "job-1", "")


def test_a_first_release_that_cannot_be_served_leaves_nothing(bay: Bay) -> None:
    """No endpoint and no process remain."""
    with pytest.raises(PermanentError, match="does not become ready"):
        bay.cluster.roll_out(release=bay.release(1, folder=bay.home / "missing"), progress=RecordedProgress())
    assert bay.cluster.endpoint(model="fruit", environment=STAGING) is None
    assert not bay.files.folder.exists()
    wait_until(lambda: not bay.processes())


def test_a_cancelled_roll_out_is_undone(bay: Bay) -> None:
    """The version before is back, alone, when the cancellation is passed on."""
    bay.cluster.roll_out(release=bay.release(1), progress=RecordedProgress())
    before = bay.pids()
    progress = RecordedProgress()
    progress.on_report = lambda fact: progress.cancelled.set()
    with pytest.raises(Cancelled):
        bay.cluster.roll_out(release=bay.release(2, replicas=(3, 3)), progress=progress)
    now = bay.cluster.endpoint(model="fruit", environment=STAGING)
    assert now is not None
    assert (now.version, now.ready, now.desired) == (1, 1, 1)
    assert bay.pids() == before


def test_a_superseded_roll_out_is_left_to_its_successor(bay: Bay) -> None:
    """The attempt that lost its claim undoes nothing; the next one finds the release and completes it."""
    progress = RecordedProgress()

    def lose_the_claim(fact: str) -> None:
        raise Superseded("Another worker has the job now.")

    progress.on_report = lose_the_claim
    with pytest.raises(Superseded):
        bay.cluster.roll_out(release=bay.release(1), progress=progress)
    again = EmbeddedCluster(home=bay.home, timing=QUICK)
    assert again.roll_out(release=bay.release(1), progress=RecordedProgress()).ready == 1


def test_two_roll_outs_of_one_endpoint_exclude_each_other(bay: Bay) -> None:
    """The second is told to come again, and the first is not disturbed."""
    tried: list[str] = []
    progress = RecordedProgress()

    def roll_out_another(fact: str) -> None:
        with pytest.raises(TemporaryError, match="being changed"):
            bay.cluster.roll_out(release=bay.release(2), progress=RecordedProgress())
        tried.append(fact)

    progress.on_report = roll_out_another
    assert bay.cluster.roll_out(release=bay.release(1), progress=progress).version == 1
    assert tried


def test_what_is_not_deployed_cannot_be_scaled(bay: Bay) -> None:
    """The error names the model and the environment."""
    with pytest.raises(PermanentError, match="fruit is not deployed on staging"):
        bay.cluster.scale(
            model="fruit", environment=STAGING, replicas=Replicas(minimum=2, maximum=2), progress=RecordedProgress()
        )
    assert bay.cluster.endpoint(model="fruit", environment=STAGING) is None


def test_removing_leaves_nothing(bay: Bay) -> None:
    """Processes, port and files are gone; removing again does nothing; the name can be used anew."""
    endpoint = bay.cluster.roll_out(release=bay.release(1), progress=RecordedProgress())
    bay.cluster.remove(model="fruit", environment=STAGING)
    assert not bay.processes()
    assert not bay.files.folder.exists()
    assert bay.cluster.endpoint(model="fruit", environment=STAGING) is None
    bay.cluster.remove(model="fruit", environment=STAGING)
    with SteadyTraffic(endpoint.address, model="fruit", kept=1, fresh=1) as traffic:
        wait_until(lambda: len(traffic.failures) > 2)
    assert not traffic.answers
    assert bay.cluster.roll_out(release=bay.release(2), progress=RecordedProgress()).version == 2
    assert isinstance(bay.cluster, EmbeddedCluster)
    bay.cluster.remove_all()
    assert not bay.processes()


def test_a_killed_replica_is_replaced(bay: Bay) -> None:
    """Another takes its place and the trouble is told; only what the killed one was answering may fail."""
    endpoint = bay.cluster.roll_out(release=bay.release(1, replicas=(2, 2)), progress=RecordedProgress())
    victim, other = bay.pids()
    with SteadyTraffic(endpoint.address, model="fruit", kept=6, fresh=2) as traffic:
        wait_until(lambda: traffic.answers["v1"] > 50)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(bay.pids()) == 2 and victim not in bay.pids())
        answered, failed = traffic.answers["v1"], len(traffic.failures)
        wait_until(lambda: traffic.answers["v1"] > answered + 50)
    # Each kept connection to the victim breaks once; new ones go to the replica that is left.
    assert len(traffic.failures) == failed <= 8
    assert other in bay.pids()
    now = bay.cluster.endpoint(model="fruit", environment=STAGING)
    assert now is not None
    assert "ended with SIGKILL" in now.trouble


def test_a_killed_supervisor_takes_its_replicas_along_and_the_next_call_restores_them(bay: Bay) -> None:
    """Nothing is orphaned; the address stays."""
    before = bay.cluster.roll_out(release=bay.release(1, replicas=(2, 2)), progress=RecordedProgress())
    status = bay.files.read_status()
    assert status is not None
    os.kill(status.pid, signal.SIGKILL)
    wait_until(lambda: not bay.processes())

    found = bay.cluster.endpoint(model="fruit", environment=STAGING)
    assert found is not None
    assert (found.ready, "has been started again" in found.trouble) == (0, True)

    def restored() -> bool:
        return bay.cluster.endpoint(model="fruit", environment=STAGING) == before

    wait_until(restored)
    with SteadyTraffic(before.address, model="fruit", kept=1, fresh=1) as traffic:
        wait_until(lambda: traffic.answers["v1"] > 5)
    assert traffic.failures == []


def test_an_endpoint_outlives_the_worker_that_rolled_it_out(bay: Bay) -> None:
    """Another process finds it, even when the first was killed."""
    bay.release(1)  # writes the model
    code = (
        "import os, signal, sys; from pathlib import Path; from tests.platforms.test_cluster import *\n"
        "bay = Bay(Path(sys.argv[1]))\n"
        "bay.cluster.roll_out(release=bay.release(1), progress=RecordedProgress())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(bay.home)], cwd=Path(__file__).parents[2], timeout=30)
    assert ended.returncode == -signal.SIGKILL
    endpoint = bay.cluster.endpoint(model="fruit", environment=STAGING)
    assert endpoint is not None
    assert (endpoint.ready, endpoint.trouble) == (1, "")
    with SteadyTraffic(endpoint.address, model="fruit", kept=1, fresh=1) as traffic:
        wait_until(lambda: traffic.answers["v1"] > 5)
    assert traffic.failures == []


def test_an_endpoint_grows_under_load_and_shrinks_after_it(bay: Bay) -> None:
    """The autoscaler moves the count within its bounds, says why, and no request fails."""
    endpoint = bay.cluster.roll_out(release=bay.release(1, replicas=(1, 3)), progress=RecordedProgress())

    def ready() -> int:
        now = bay.cluster.endpoint(model="fruit", environment=STAGING)
        return now.ready if now else 0

    with SteadyTraffic(endpoint.address, model="fruit", kept=8, fresh=2, rate_rps=60) as traffic:
        wait_until(lambda: ready() >= 2)
    wait_until(lambda: ready() == 1)
    assert traffic.failures == []
    status = bay.files.read_status()
    assert status is not None
    grown = status.events[1]
    assert (grown.before, grown.after > 1) == (1, True)
    assert "% of the request, target 60 %" in grown.reason


def test_however_many_find_a_dead_supervisor_one_is_started(bay: Bay) -> None:
    """Workers that look at the same instant restore the endpoint once."""
    before = bay.cluster.roll_out(release=bay.release(1), progress=RecordedProgress())
    status = bay.files.read_status()
    assert status is not None
    os.kill(status.pid, signal.SIGKILL)
    wait_until(lambda: not bay.processes())
    with ThreadPoolExecutor(8) as workers:
        for _ in range(8):
            workers.submit(EmbeddedCluster(home=bay.home, timing=QUICK).endpoint, model="fruit", environment=STAGING)
    wait_until(lambda: bay.cluster.endpoint(model="fruit", environment=STAGING) == before)
    assert bay.files.supervisor_log.read_text().count("begins at http://127.0.0.1:") == 2
