"""The clusters that run endpoints, and the load generators beside them."""

from pathlib import Path

from workers.platforms.connect.addresses import LOCAL
from workers.platforms.protocols.cluster import Cluster
from workers.platforms.protocols.load import LoadGenerator
from workers.settings import WorkerSettings


def cluster_and_load(settings: WorkerSettings, address: str) -> tuple[Cluster, LoadGenerator]:
    """Return the adapters for an environment's cluster. Raises ValueError, PermanentError or ImportError."""
    if address == LOCAL:
        from workers.platforms.embedded.cluster.cluster import EmbeddedCluster

        return EmbeddedCluster(home=settings.home), load_from_here(settings)
    from workers.platforms.cloud.endpoints.cluster import KubernetesCluster
    from workers.platforms.cloud.kubernetes.api import connect
    from workers.platforms.cloud.load.generator import KubernetesLoad

    api = connect(address)
    if settings.file.images is None:
        raise ValueError("a cluster runs images; set the repository that they are pushed to under [images].")
    return KubernetesCluster(api=api), KubernetesLoad(api=api, image=settings.file.loadtest.image)


def load_from_here(settings: WorkerSettings) -> LoadGenerator:
    """Return the load generator of this machine."""
    from workers.platforms.embedded.load.generator import EmbeddedLoad

    return EmbeddedLoad(home=settings.home)


def take_down(*, home: Path) -> None:
    """Stop every endpoint that this machine serves under `home`, including those of former settings."""
    from workers.platforms.embedded.cluster.cluster import EmbeddedCluster

    EmbeddedCluster(home=home).remove_all()
