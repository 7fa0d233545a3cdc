"""Clusters and warehouses under test, with access to their state: this machine, Kubernetes and BigQuery.

The Kubernetes adapter uses the stand-in, with serving processes of this machine as pods. The BigQuery adapter uses the
stand-in of its REST API, which does not train and counts the irises with DuckDB.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from tests.cloud.kubernetes_controllers import Controllers, is_active, is_ready
from tests.cloud.kubernetes_node import Node
from tests.cloud.kubernetes_runtimes import ServingRuntime
from tests.cloud.kubernetes_stand_in import StandIn
from tests.platforms.onnx_models import SAMPLE, classifier
from tests.waiting import wait_until
from workers.contract.replicas import Replicas
from workers.contract.settings import Environment, Model
from workers.platforms.cloud.endpoints.cluster import KubernetesCluster
from workers.platforms.cloud.endpoints.endpoint_objects import RolloutTiming
from workers.platforms.embedded.cluster.cluster import EmbeddedCluster
from workers.platforms.embedded.cluster.endpoint_files import EndpointFiles
from workers.platforms.embedded.cluster.supervisor import SupervisorTiming
from workers.platforms.embedded.warehouse.warehouse import EmbeddedWarehouse
from workers.platforms.protocols import Cluster, Endpoint, Manifest, Release, Warehouse

MODEL = Model(name="fruit", type="logistic_reg", label="fruit", query="SELECT 1", sample=(SAMPLE,))
STAGING = Environment(name="staging", cpu_request="20m", cpu_target=60)
QUICK = SupervisorTiming(sync_period_s=0.5, scale_down_window_s=2.0, ready_deadline_s=60.0)
PATIENT = RolloutTiming(poll_s=0.05, address_s=60.0, answer_s=60.0, undone_s=60.0, ended_s=60.0, stuck_s=60.0)


class ClusterUnderTest(Protocol):
    """A cluster with its state beyond the Protocol Cluster."""

    @property
    def cluster(self) -> Cluster:
        """The adapter under test."""

    @property
    def home(self) -> Path:
        """The folder of models."""

    def release(self, version: int, *, replicas: tuple[int, int] = (1, 1), folder: Path | None = None) -> Release:
        """Return a release of a model that predicts "v1" if `version` is 1, or of the model in `folder`."""

    def local_url(self, endpoint: Endpoint) -> str:
        """Return the endpoint's base URL for clients on this machine."""

    def replicas(self) -> list[str]:
        """Return the names of the ready replicas that are not ending. A replacement has another name."""

    def leaving(self) -> list[str]:
        """Return the replicas that are ending."""

    def remains(self) -> list[str]:
        """Return all that exists of endpoints: processes, files, objects."""


@dataclass(kw_only=True)
class EmbeddedClusterUnderTest:
    """Endpoints as processes of this machine."""

    home: Path
    cluster: Cluster = field(init=False)

    def __post_init__(self) -> None:
        self.cluster = EmbeddedCluster(home=self.home, timing=QUICK)
        self.files = EndpointFiles(self.home / "cluster" / "staging" / "fruit")

    def release(self, version: int, *, replicas: tuple[int, int] = (1, 1), folder: Path | None = None) -> Release:
        """See ClusterUnderTest."""
        return _release(self.home, version, replicas=replicas, folder=folder)

    def local_url(self, endpoint: Endpoint) -> str:
        """See ClusterUnderTest."""
        return endpoint.address

    def replicas(self) -> list[str]:
        """See ClusterUnderTest."""
        return [str(pid) for pid in self.pids()]

    def leaving(self) -> list[str]:
        """See ClusterUnderTest."""
        return [str(pid) for pid in self.pids("draining")]

    def remains(self) -> list[str]:
        """See ClusterUnderTest."""
        processes = [" ".join(process.info["cmdline"]) for process in self.processes()]
        return [*processes, *(str(path) for path in self.files.folder.glob("*"))]

    def pids(self, state: str = "ready") -> list[int]:
        """Return the processes of the replicas in this state."""
        status = self.files.read_status()
        return [replica.pid for replica in status.replicas if replica.state == state] if status else []

    def processes(self) -> list[psutil.Process]:
        """Return every process that works for this cluster's endpoints."""
        mine = str(self.home)
        return [item for item in psutil.process_iter(["cmdline"]) if mine in " ".join(item.info["cmdline"] or ())]


@dataclass(kw_only=True)
class KubernetesClusterUnderTest:
    """Endpoints as pods in the namespace of the stand-in."""

    home: Path
    cluster: Cluster
    stand_in: StandIn
    node: Node
    models: dict[str, Path]

    def release(self, version: int, *, replicas: tuple[int, int] = (1, 1), folder: Path | None = None) -> Release:
        """See ClusterUnderTest."""
        made = _release(self.home, version, replicas=replicas, folder=folder)
        models = self.models[made.manifest.image] = self.home / f"image-{version}"
        (models / "fruit").mkdir(parents=True, exist_ok=True)
        if not (models / "fruit" / str(version)).is_symlink():
            (models / "fruit" / str(version)).symlink_to(made.folder, target_is_directory=True)
        return made

    def local_url(self, endpoint: Endpoint) -> str:
        """See ClusterUnderTest."""
        return self.node.resolved(endpoint.address)

    def replicas(self) -> list[str]:
        """See ClusterUnderTest."""
        pods = self.stand_in.store.list("Pod", lambda pod: is_ready(pod) and is_active(pod))
        return [pod["metadata"]["name"] for pod in pods]

    def leaving(self) -> list[str]:
        """See ClusterUnderTest."""
        return [pod["metadata"]["name"] for pod in self.stand_in.store.list("Pod", lambda pod: not is_active(pod))]

    def remains(self) -> list[str]:
        """See ClusterUnderTest."""
        return [f"{kind} {name}" for kind, name in list(self.stand_in.store.objects)]


@contextmanager
def embedded_cluster(home: Path) -> Iterator[EmbeddedClusterUnderTest]:
    """Yield a cluster and kill its processes afterwards, even if the test fails."""
    under_test = EmbeddedClusterUnderTest(home=home)
    try:
        yield under_test
    finally:
        for process in under_test.processes():
            process.kill()
        wait_until(lambda: not under_test.processes())


@contextmanager
def kubernetes_cluster(home: Path) -> Iterator[KubernetesClusterUnderTest]:
    """Yield a cluster and end its pods afterwards, even if the test fails."""
    with ExitStack() as exit_stack:
        stand_in, models = exit_stack.enter_context(StandIn()), dict[str, Path]()
        (home / "pods").mkdir()
        node = exit_stack.enter_context(Node(stand_in, ServingRuntime(home / "pods", models)))
        exit_stack.enter_context(Controllers(stand_in, node))
        cluster = KubernetesCluster(api=stand_in.api(), timing=PATIENT)
        yield KubernetesClusterUnderTest(home=home, cluster=cluster, stand_in=stand_in, node=node, models=models)


@dataclass(frozen=True, kw_only=True, slots=True)
class WarehouseUnderTest:
    """A warehouse, an address for exports, and the names of the files there."""

    warehouse: Warehouse
    staging: str
    files: Callable[[], set[str]]


@contextmanager
def embedded_warehouse(home: Path) -> Iterator[WarehouseUnderTest]:
    """Yield the warehouse of this machine, which exports to a folder."""
    staging = home / "staging"
    yield WarehouseUnderTest(
        warehouse=EmbeddedWarehouse(home=home / "home", tables={}),
        staging=str(staging),
        files=lambda: {path.relative_to(staging).as_posix() for path in staging.rglob("*") if path.is_file()},
    )


@contextmanager
def bigquery_warehouse(home: Path) -> Iterator[WarehouseUnderTest]:
    """Yield BigQuery's adapter on its stand-in, with a set of addresses as its bucket."""
    # Imported here, because the cloud's SDKs are an extra.
    from tests.cloud.bigquery_harness import run_on_irises, serving, warehouse
    from tests.cloud.bigquery_stand_in import BigQueryStandIn

    bucket = set[str]()

    def extract(model: str, uri: str) -> None:
        # https://cloud.google.com/bigquery/docs/exporting-models#export_model_formats_and_samples
        export_format = bigquery.submitted("extract")[-1]["configuration"]["extract"]["destinationFormat"]
        files = {
            "ML_TF_SAVED_MODEL": ("saved_model.pb", "variables/variables.index"),
            "ML_XGBOOST_BOOSTER": ("model.bst",),
        }
        bucket.update(f"{uri}/{name}" for name in files[export_format])

    bigquery, staging = BigQueryStandIn(run=run_on_irises, on_extract=extract), "gs://models/iris/1/files"
    with serving(bigquery):
        yield WarehouseUnderTest(
            warehouse=warehouse(bigquery),
            staging=staging,
            files=lambda: {uri.removeprefix(f"{staging}/") for uri in bucket},
        )


def _release(home: Path, version: int, *, replicas: tuple[int, int], folder: Path | None) -> Release:
    folder = folder or classifier(home / "models" / str(version), classes=[f"v{version}", "other"])
    manifest = Manifest(
        model="fruit", version=version, digest=f"sha256:{version}", format="onnx", size_bytes=1, metrics={},
        query_sha256="", training="", trained_by="", job_id=f"job-{version}", created_at_s=0.0,
        image=f"registry/fruit@sha256:{version:064}",
    )  # fmt: skip
    low, high = replicas
    return Release(
        model=MODEL, environment=STAGING, manifest=manifest, folder=folder,
        replicas=Replicas(minimum=low, maximum=high), job_id=f"job-{version}", asked_by="ada",
        at_s=0.0,
    )  # fmt: skip
