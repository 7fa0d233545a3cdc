"""Workers as processes, with a queue, a settings file and a registry that has a version to deploy."""

import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bot.demo import processes
from tests.platforms.progress import RecordedProgress
from tests.waiting import wait_until
from workers.contract import events as e
from workers.contract.jobs import Asked, CapacityFound, Deploy, Job, Probe, Tested
from workers.contract.queue import Queue, connect
from workers.contract.record import Record
from workers.contract.replicas import Replicas
from workers.contract.settings_reader import read_settings_file
from workers.platforms.embedded.artifacts import EmbeddedArtifacts
from workers.platforms.embedded.warehouse.warehouse import EmbeddedWarehouse
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


class WorkerHarness:
    """Starts workers on a queue and submits jobs."""

    def __init__(self, *, url: str, folder: Path, environ: dict[str, str], exit_stack: ExitStack) -> None:
        client = connect(url)
        exit_stack.callback(client.close)
        self.queue = Queue(client)
        self.folder = folder
        self._exit_stack = exit_stack
        (folder / "seatrial.toml").write_text(SETTINGS)
        self.environ = environ | {
            "REDIS_URL": url,
            "SEATRIAL_HOME": str(folder / "home"),
            "SEATRIAL_CONFIG": str(folder / "seatrial.toml"),
            "SEATRIAL_LEASE_S": str(LEASE_S),
            "SEATRIAL_GRACE_S": "0",
        }
        down = processes.python("-m", "workers", "down")
        exit_stack.callback(subprocess.run, down, env=self.environ, check=False, capture_output=True)

    def add_settings(self, more: str) -> None:
        """Add lines to the settings file. Workers that start later read them."""
        with (self.folder / "seatrial.toml").open("a") as file:
            file.write(more)

    def worker(self, name: str = "worker", **variables: str) -> "subprocess.Popen[bytes]":
        """Start a worker, with more environment variables, and wait until it is ready."""
        before = set(self.queue.workers())
        environ = self.environ | variables
        started = self._exit_stack.enter_context(
            processes.process(name, processes.python("-m", "workers"), folder=self.folder, environ=environ)
        )
        wait_until(lambda: set(self.queue.workers()) - before)
        return started

    def ask(self, key: str, job: Job) -> str:
        """Submit a job and return its id."""
        job_id, _ = self.queue.reserve(key=key, job=job, asked=Asked(by="U1", by_name="Ada", where="C1"))
        self.queue.submit(job_id)
        return job_id

    def record(self, job_id: str) -> Record:
        """Return the job's record."""
        record = self.queue.record(job_id)
        assert record is not None
        return record

    def files(self, job_id: str) -> dict[str, bytes]:
        """Return the job's attached files by name."""
        attached = [event for event in self.queue.events(job_id) if isinstance(event, e.Attached)]
        return {event.name: self.queue.file(event.file) or b"" for event in attached}

    def ended(self, job_id: str) -> Record:
        """Wait until the job has ended and return its record."""
        wait_until(lambda: self.record(job_id).final)
        return self.record(job_id)

    def last_measured(self, job_id: str, *, first: Callable[[], None]) -> Record:
        """Return the record at the job's last second of load, and call `first` at its first one."""
        records: list[Record] = []

        def ended() -> bool:
            record = self.record(job_id)
            if record.measured:
                if not records:
                    first()
                records.append(record)
            return record.final

        wait_until(ended)
        return records[-1]

    def measured(self, key: str, job: Job, *, tries: int = 5) -> Record:
        """Return the record of a load test or search that was judged.

        An INVALID test, and a search in which no rate held, is repeated: this machine may have been busy.
        """
        for attempt in range(tries):
            record = self.ended(self.ask(f"{key}-{attempt}", job))
            match record.outcome:
                case Tested(verdict="INVALID"):
                    continue
                case CapacityFound(rate_rps=None) | CapacityFound(probes=(*_, Probe(verdict="INVALID"))):
                    continue
            break
        return record


def fill_registry(home: Path) -> Path:
    """Create a registry under `home` with version 1 of iris."""
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


def deployed(harness: WorkerHarness, registry: Path, *, replicas: Replicas | None = None) -> str:
    """Deploy version 1 of iris and return its digest."""
    models = harness.folder / "home" / "models"
    shutil.copytree(registry, models, dirs_exist_ok=True)
    digest = EmbeddedArtifacts(root=models).manifest(model="iris", version=1).digest
    deploy = harness.ask(
        "deploy", Deploy(model="iris", version=1, environment="staging", digest=digest, replicas=replicas)
    )
    assert harness.ended(deploy).state == "succeeded"
    return digest
