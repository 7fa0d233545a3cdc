"""Revisions of a Deployment: the newest, the one to undo to, and the annotations that tell them apart. Pure.

Objects are the API's own JSON.
"""

from collections.abc import Sequence
from typing import Any

from workers.platforms.cloud.kubernetes.pods import Object

REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"
TEMPLATE = "seatrial/template"
"""Annotation: a hash of the pod template as it was applied, by which releases are told apart. The Deployment's
annotations are copied to the ReplicaSet that is made of its template, so that each revision tells its own."""

VERIFIED = "seatrial/proven"
"""Annotation of the Deployment: the hash of the release that was rolled out last and has answered, or ""."""


def newest(deployment: Object, replica_sets: Sequence[Object]) -> Object | None:
    """The ReplicaSet of the Deployment's newest template, or None where its controller has not made one yet.

    Or where it is not among `replica_sets` yet: those may have been seen before the Deployment was.
    """
    if deployment["metadata"]["generation"] > deployment.get("status", {}).get("observedGeneration", 0):
        return None
    wanted = fingerprint(deployment)
    return max(
        (item for item in _owned(deployment, replica_sets) if fingerprint(item) == wanted), key=revision, default=None
    )


def pods_of(replica_set: Object | None, pods: Sequence[Object]) -> list[Object]:
    """The pods that the ReplicaSet made."""
    if replica_set is None:
        return []
    made_by = replica_set["metadata"]["labels"].get(HASH)
    return [pod for pod in pods if pod["metadata"].get("labels", {}).get(HASH) == made_by]


def revision(replica_set: Object) -> int:
    """Its number in the Deployment's history; a ReplicaSet that came back has a new one. 0 where there is none."""
    text = _annotation(replica_set, REVISION)
    return int(text) if text.isdigit() else 0


def undo_to(deployment: Object, replica_sets: Sequence[Object]) -> Object | None:
    """The revision that holds the release that was proven last; None where there is none.

    `kubectl rollout undo` takes the revision before, whatever became of it; one that failed too would be no way back.
    """
    proven = verified_of(deployment)
    found = [item for item in _owned(deployment, replica_sets) if proven and fingerprint(item) == proven]
    return max(found, key=revision, default=None)


def is_verified(deployment: Object) -> bool:
    """Whether what the Deployment wants was rolled out once and has answered."""
    return bool(fingerprint(deployment)) and verified_of(deployment) == fingerprint(deployment)


def verified_of(deployment: Object) -> str:
    """Which release was proven last, or ""."""
    return _annotation(deployment, VERIFIED)


def fingerprint(obj: Object) -> str:
    """Which release the Deployment wants, or the ReplicaSet was made of; "" where that was not noted."""
    return _annotation(obj, TEMPLATE)


def template(obj: Object) -> dict[str, Any]:
    """The pod template of a Deployment or ReplicaSet, without what the controller and the server put there."""
    found: Object = obj["spec"]["template"]
    metadata = {key: value for key, value in found["metadata"].items() if key != "creationTimestamp"}
    metadata["labels"] = {key: value for key, value in metadata.get("labels", {}).items() if key != HASH}
    metadata.setdefault("annotations", {})
    return {"metadata": metadata, "spec": found["spec"]}


def _annotation(obj: Object, key: str) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(key, ""))


def _owned(deployment: Object, replica_sets: Sequence[Object]) -> list[Object]:
    uid = deployment["metadata"]["uid"]
    return [
        item
        for item in replica_sets
        if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", ()))
    ]
