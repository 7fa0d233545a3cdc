"""The clusters that run endpoints, and the load generators beside them."""

from pathlib import Path

from workers.platforms.connect.addresses import LOCAL
from workers.platforms.protocols.cluster import Cluster
from workers.platforms.protocols.load import LoadGenerator


def cluster_and_load(address: str, *, home: Path, load_image: str, has_images: bool) -> tuple[Cluster, LoadGenerator]:
    """Return the adapters for an environment's cluster. Raises ValueError, PermanentError or ImportError."""
    if address == LOCAL:
        from workers.platforms.embedded.cluster.cluster import EmbeddedCluster

        return EmbeddedCluster(home=home), load_from_here(home)
    from workers.platforms.cloud.endpoints.cluster import KubernetesCluster
    from workers.platforms.cloud.kubernetes.api import connect
    from workers.platforms.cloud.load.generator import KubernetesLoad

    api = connect(address)
    if not has_images:
        raise ValueError("a cluster runs images; set the repository that they are pushed to under [images].")
    return KubernetesCluster(api=api), KubernetesLoad(api=api, image=load_image)


def load_from_here(home: Path) -> LoadGenerator:
    """Return the load generator of this machine."""
    from workers.platforms.embedded.load.generator import EmbeddedLoad

    return EmbeddedLoad(home=home)


def take_down(*, home: Path) -> None:
    """Stop every endpoint that this machine serves under `home`, including those of former settings."""
    from workers.platforms.embedded.cluster.cluster import EmbeddedCluster

    EmbeddedCluster(home=home).remove_all()
