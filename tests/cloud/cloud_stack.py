"""A stack with cloud addresses only in its seatrial.toml, and the services behind them on this machine.

BigQuery is the stand-in of its REST API, Cloud Storage is fake-gcs-server, and Docker and the registry are real.
Kubernetes is the stand-in of its API server. Its endpoints are containers of the pushed images, and its load tests are
Locust processes.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cloud import gcs_server
from tests.cloud.bigquery_harness import serving
from tests.cloud.bigquery_stand_in import BigQueryStandIn
from tests.cloud.docker_peers import PASSWORD, USERNAME, DockerEnvironment, open_docker_environment
from tests.cloud.iris_export import iris_export
from tests.cloud.kubernetes_controllers import Controllers
from tests.cloud.kubernetes_node import Container, Node
from tests.cloud.kubernetes_runtimes import DockerRuntime, LocustRuntime
from tests.cloud.kubernetes_stand_in import CONTEXT, StandIn
from tests.cloud.kubernetes_store import NAMESPACE
from tests.cloud.serving_image import build_serving_image
from tests.stack import Stack

LABEL = "seatrial-test.node"
_IRIS = """
label = "species"
query = "SELECT * FROM `bigquery-public-data.ml_datasets.iris`"
sample = [{{ sepal_length = 5.0, sepal_width = 2.0, petal_length = 3.5, petal_width = 1.0 }}]
"""
SETTINGS = f"""
warehouse = "bigquery://demo-project/sales/{gcs_server.LOCATION.lower()}"
artifacts = "gs://seatrial-models/versions"

[images]
repository = "{{repository}}"
tensorflow = "{{tensorflow}}"
seatrial = "{{seatrial}}"

[models.iris]
type = "boosted_tree_classifier"
gate = {{{{ accuracy = ">= 0.9" }}}}
{_IRIS}
[models.greedy]
type = "logistic_reg"
max_bytes = "1kB"
{_IRIS}
[models.damaged]
type = "boosted_tree_classifier"
{_IRIS}
[environments.staging]
cluster = "kubernetes://{CONTEXT}/{NAMESPACE}"
replicas = "1..3"

[environments.production]
cluster = "kubernetes://{CONTEXT}/{NAMESPACE}"
approvals = {{{{ count = 1, from = ["@ml-leads"] }}}}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudStack:
    """The stack and the services behind it. `credentials` are those of the node for pulling images."""

    stack: Stack
    bigquery: BigQueryStandIn
    docker_environment: DockerEnvironment
    cluster: StandIn
    controllers: Controllers
    credentials: dict[str, str]


@contextmanager
def cloud_stack(*, redis_url: str, folder: Path, environ: Mapping[str, str]) -> Iterator[CloudStack]:
    """Yield a stack with a bot and a worker. Skips the test without a Docker engine; in CI it fails."""
    with ExitStack() as exit_stack:
        docker_environment = exit_stack.enter_context(open_docker_environment(_made(folder / "registry")))
        image = build_serving_image(docker_environment, _made(folder / "image"))
        storage = exit_stack.enter_context(gcs_server.gcs_server(_made(folder / "storage")))
        bigquery = exit_stack.enter_context(serving(_bigquery(storage, folder)))
        cluster = exit_stack.enter_context(StandIn())
        credentials = {"username": USERNAME, "password": PASSWORD}
        controllers = exit_stack.enter_context(
            _controllers(cluster, docker_environment, credentials, _made(folder / "pods"))
        )
        stack = Stack(url=redis_url, folder=_made(folder / "stack"), environ=dict(environ), exit_stack=exit_stack)
        places = docker_environment.settings.model_copy(update={"seatrial": image})
        (stack.folder / "seatrial.toml").write_text(SETTINGS.format(**places.model_dump()))
        stack.for_worker.update(
            BIGQUERY_EMULATOR_HOST=bigquery.url,
            STORAGE_EMULATOR_HOST=storage,
            KUBECONFIG=str(cluster.kubeconfig(folder / "kubeconfig")),
            REGISTRY_USERNAME=USERNAME,
            REGISTRY_PASSWORD=PASSWORD,
        )
        stack.start_worker()
        stack.start_bot()
        yield CloudStack(
            stack=stack,
            bigquery=bigquery,
            docker_environment=docker_environment,
            cluster=cluster,
            controllers=controllers,
            credentials=credentials,
        )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _bigquery(storage: str, folder: Path) -> BigQueryStandIn:
    """Return a stand-in that exports real boosters. Those of the model "damaged" are truncated."""
    files = iris_export(folder)

    def export(model: str, address: str) -> None:
        damaged = {"model.bst": files["model.bst"][:100]} if model.startswith("damaged") else {}
        gcs_server.upload(storage, address, files | damaged)

    return BigQueryStandIn(location=gcs_server.LOCATION, losses=(0.9, 0.3, 0.1), on_extract=export)


@contextmanager
def _controllers(
    cluster: StandIn, docker_environment: DockerEnvironment, credentials: Mapping[str, str], folder: Path
) -> Iterator[Controllers]:
    containers = DockerRuntime(docker_environment.engine, credentials=credentials, label=LABEL)
    processes = LocustRuntime(folder)

    def runtime(pod: dict[str, Any], node: Node) -> Container:
        is_endpoint = pod["metadata"]["labels"]["app.kubernetes.io/name"] == "endpoint"
        return containers(pod, node) if is_endpoint else processes(pod, node)

    with Node(cluster, runtime) as node, Controllers(cluster, node) as controllers:
        yield controllers
