"""A worker as a process: it runs jobs, stops when told, survives what happens to it and to Redis."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bot.demo import processes
from tests.platforms.recorded_progress import RecordedProgress
from workers.contract import events as e
from workers.contract.jobs import Asked, Deploy, Job, LoadTest, Replicas, Scale, Slo, TrainModel
from workers.contract.queue import Queue, connect
from workers.contract.record import Record
from workers.contract.settings import read_settings_file
from workers.platforms.embedded.artifacts import EmbeddedArtifacts
from workers.platforms.embedded.warehouse import EmbeddedWarehouse
from workers.platforms.protocols import Manifest

LEASE_S = 2.0
WAIT_S = 60.0
SETTINGS = """
[models.iris]
type = "logistic_reg"
label = "species"
query = "SELECT * FROM `bigquery-public-data.ml_datasets.iris`"
sample = [{ sepal_length = 5.0, sepal_width = 2.0, petal_length = 3.5, petal_width = 1.0 }]

[models.strict]
type = "logistic_reg"
label = "species"
query = "SELECT * FROM `bigquery-public-data.ml_datasets.iris`"
sample = [{ sepal_length = 5.0, sepal_width = 2.0, petal_length = 3.5, petal_width = 1.0 }]
gate = { accuracy = "> 0.999" }

[environments.staging]

[environments.guarded]
approvals = { count = 1 }
"""


class Yard:
    """A queue, and workers to start and to kill."""

    def __init__(self, *, url: str, folder: Path, environ: dict[str, str], stack: ExitStack) -> None:
        client = connect(url)
        stack.callback(client.close)
        self.queue = Queue(client)
        self.folder = folder
        self._stack = stack
        (folder / "seatrial.toml").write_text(SETTINGS)
        self.environ = environ | {
            "REDIS_URL": url,
            "SEATRIAL_HOME": str(folder / "home"),
            "SEATRIAL_CONFIG": str(folder / "seatrial.toml"),
            "SEATRIAL_LEASE_S": str(LEASE_S),
            "SEATRIAL_GRACE_S": "0",
        }
        down = processes.python("-m", "workers", "down")
        stack.callback(subprocess.run, down, env=self.environ, check=False, capture_output=True)

    def worker(self, name: str = "worker") -> "subprocess.Popen[bytes]":
        """A worker that is ready."""
        before = set(self.queue.workers())
        started = self._stack.enter_context(
            processes.process(name, processes.python("-m", "workers"), folder=self.folder, environ=self.environ)
        )
        wait_until(lambda: set(self.queue.workers()) - before)
        return started

    def ask(self, key: str, job: Job) -> str:
        """The id of a submitted job."""
        job_id, _ = self.queue.reserve(
            key=key, job=job, asked=Asked(by="U1", by_name="Ada", where="C1", at_s=time.time())
        )
        self.queue.submit(job_id)
        return job_id

    def record(self, job_id: str) -> Record:
        """The job's record."""
        record = self.queue.record(job_id)
        assert record is not None
        return record

    def ended(self, job_id: str) -> Record:
        """The record of a job that has ended."""
        wait_until(lambda: self.record(job_id).final)
        return self.record(job_id)


def wait_until(look: Callable[[], object], timeout_s: float = WAIT_S) -> None:
    """Return when `look` answers something true."""
    deadline_s = time.monotonic() + timeout_s
    while not look():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def yard(redis_url: str, tmp_path: Path, environ: dict[str, str]) -> Iterator[Yard]:
    """Somewhere to run workers; nothing of it is left."""
    with ExitStack() as stack:
        yield Yard(url=redis_url, folder=tmp_path, environ=environ, stack=stack)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that has version 1 of iris, trained once for all tests."""
    home = tmp_path_factory.mktemp("registry")
    artifacts, warehouse = EmbeddedArtifacts(root=home / "models"), EmbeddedWarehouse(home=home, tables={})
    config = home / "seatrial.toml"
    config.write_text(SETTINGS)
    model, progress = read_settings_file(config).models["iris"], RecordedProgress()
    version = artifacts.claim(model="iris", job_id="1")
    training = warehouse.train(model=model, version=version, progress=progress)
    to = artifacts.staging(model="iris", version=version)
    exported_as = warehouse.export(model=model, version=version, to=to, progress=progress)
    digest, size_bytes = artifacts.describe(model="iris", version=version)
    manifest = Manifest(
        model="iris",
        version=version,
        digest=digest,
        format=exported_as,
        size_bytes=size_bytes,
        metrics={"accuracy": 0.97},
        query_sha256="0",
        training=training.identity,
        trained_by="Ada",
        job_id="1",
        created_at_s=time.time(),
    )
    artifacts.publish(manifest=manifest)
    return home / "models"


def deployed(yard: Yard, registry: Path) -> str:
    """A worker's endpoint for version 1; the version's digest."""
    models = yard.folder / "home" / "models"
    shutil.copytree(registry, models, dirs_exist_ok=True)
    digest = EmbeddedArtifacts(root=models).manifest(model="iris", version=1).digest
    deploy = yard.ask("deploy", Deploy(model="iris", version=1, environment="staging", digest=digest))
    assert yard.ended(deploy).state == "succeeded"
    return digest


def load_test(duration_s: float) -> LoadTest:
    """A light one."""
    return LoadTest(model="iris", environment="staging", rate_rps=20, duration_s=duration_s, slo=Slo(errors_percent=1))


def test_a_job_whose_worker_is_killed_is_taken_up_and_finishes_once(yard: Yard) -> None:
    """SIGKILL in mid-job: another worker has it within seconds; one version comes of it, and the record tells."""
    first = yard.worker("first")
    yard.worker("second")
    job_id = yard.ask("train", TrainModel(model="iris"))
    wait_until(lambda: yard.record(job_id).state == "running")
    holder = yard.record(job_id)
    events = yard.queue.events(job_id)
    started = next(event for event in events if isinstance(event, e.Started))
    victim = int(started.worker.split("-")[-2])
    os.kill(victim, signal.SIGKILL)
    assert holder.attempt == 1
    record = yard.ended(job_id)
    assert (record.state, record.attempt, record.taken_over) == ("succeeded", 2, True)
    assert record.outcome is not None
    assert record.outcome.kind == "trained"
    assert record.outcome.version == 1
    ends = [event for event in yard.queue.events(job_id) if isinstance(event, e.Succeeded)]
    assert len(ends) == 1
    assert first.poll() is not None or first.pid != victim


def test_a_running_job_is_cancelled_and_cleans_up(yard: Yard, registry: Path) -> None:
    """The card says who; the load has ended, no generator is left, and the target is free for the next."""
    yard.worker()
    deployed(yard, registry)
    job_id = yard.ask("load", load_test(60))
    following = yard.ask("again", load_test(1))
    wait_until(lambda: yard.record(job_id).measured is not None)
    assert yard.record(following).state == "waiting"
    yard.queue.cancel(job_id, by="U2")
    record = yard.ended(job_id)
    assert (record.state, record.ended_by) == ("cancelled", "U2")
    assert yard.ended(following).state == "succeeded"
    assert not _generators(yard.folder)


def test_a_worker_that_is_told_to_stop_hands_its_job_back(yard: Yard, registry: Path) -> None:
    """SIGTERM without grace: the job is queued again at once, and the next worker does it."""
    first = yard.worker("first")
    deployed(yard, registry)
    job_id = yard.ask("load", load_test(4))
    wait_until(lambda: yard.record(job_id).measured is not None)
    first.terminate()
    assert first.wait(WAIT_S) == 0
    assert yard.record(job_id).state == "queued"
    yard.worker("second")
    record = yard.ended(job_id)
    assert (record.state, record.attempt, record.taken_over) == ("succeeded", 2, False)


def test_endpoints_outlive_the_worker_and_the_next_one_finds_them(yard: Yard, registry: Path) -> None:
    """What was deployed goes on; a new worker scales it."""
    first = yard.worker("first")
    deployed(yard, registry)
    first.kill()
    first.wait()
    yard.worker("second")
    two = Replicas(minimum=2, maximum=2)
    record = yard.ended(yard.ask("scale", Scale(model="iris", environment="staging", replicas=two)))
    assert record.state == "succeeded"
    assert record.outcome is not None
    assert record.outcome.kind == "rescaled"
    assert (record.outcome.before, record.outcome.after) == (1, 2)


def test_a_gate_that_stays_shut_publishes_nothing(yard: Yard) -> None:
    """The failure names the metric and the bound; the registry has no such version."""
    yard.worker()
    record = yard.ended(yard.ask("train", TrainModel(model="strict")))
    assert record.state == "failed"
    assert "accuracy is 0.97" in record.reason
    assert "> 0.999" in record.reason
    assert not list((yard.folder / "home").rglob("manifest.json"))


def test_what_has_changed_since_it_was_approved_does_not_run(yard: Yard, registry: Path) -> None:
    """Another digest than the registry's voids the deployment."""
    yard.worker()
    deployed(yard, registry)
    job_id = yard.ask("other", Deploy(model="iris", version=1, environment="staging", digest="sha256:other"))
    record = yard.ended(job_id)
    assert record.state == "failed"
    assert "changed" in record.reason


def test_a_worker_does_not_take_the_bots_word_for_an_approval(yard: Yard, registry: Path) -> None:
    """A job that came into the queue without the approvals of the worker's own settings is refused."""
    yard.worker()
    digest = deployed(yard, registry)
    record = yard.ended(yard.ask("x", Deploy(model="iris", version=1, environment="guarded", digest=digest)))
    assert record.state == "failed"
    assert "approval" in record.reason


def test_wrong_settings_are_all_listed_and_the_exit_is_2(tmp_path: Path, environ: dict[str, str]) -> None:
    """Every mistake of the environment and of the file at once, on standard error."""
    config = tmp_path / "seatrial.toml"
    config.write_text('[models.iris]\ntype = "nonsense"\n[environments.a]\ncpu_target = "x"\n')
    wrong = environ | {"SEATRIAL_CONFIG": str(config), "SEATRIAL_THREADS": "many", "SEATRIAL_LEASE_S": "-1"}
    done = subprocess.run(
        processes.python("-m", "workers"), env=wrong, capture_output=True, text=True, check=False, timeout=WAIT_S
    )
    assert done.returncode == 2
    for piece in ("SEATRIAL_THREADS", "SEATRIAL_LEASE_S", "models.iris.type", "models.iris.label", "cpu_target", ":2:"):
        assert piece in done.stderr
    assert "Traceback" not in done.stderr


def _generators(folder: Path) -> list[str]:
    """The command lines of load generators that run now and belong to this folder."""
    import psutil

    lines = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    return [line for line in lines if "locust" in line and str(folder) in line]
