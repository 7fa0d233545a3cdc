"""Kubernetes objects as a cluster writes them, for tests of pure functions."""

from typing import Any

from workers.platforms.cloud.kubernetes.objects import Object


def deployment(*, desired: int = 3, generation: int = 2, annotations: Object | None = None, **status: Any) -> Object:
    """Return a Deployment with a finished rollout, except for the fields in `status`."""
    counts = {"replicas": desired, "updatedReplicas": desired, "readyReplicas": desired, "availableReplicas": desired}
    return {
        "metadata": {"name": "d", "uid": "u", "generation": generation, "annotations": annotations or {}},
        "spec": {"replicas": desired},
        "status": {"observedGeneration": 2, **counts, **status},
    }


def replica_set(name: str, revision: str, *, release: str = "", owner: str = "u") -> Object:
    """Return a ReplicaSet of a template with the hash `release`."""
    labels = {"pod-template-hash": name.removeprefix("d-")}
    annotations = {"deployment.kubernetes.io/revision": revision, "seatrial/template": release}
    pods = {"metadata": {"creationTimestamp": None, "labels": labels | {"a": "b"}}, "spec": {"containers": []}}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": annotations, "ownerReferences": [{"uid": owner}]},
        "spec": {"template": pods},
    }
