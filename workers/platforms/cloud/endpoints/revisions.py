"""Revisions of a Deployment, and the annotations that record which release each of them runs. Pure."""

import copy
from dataclasses import dataclass
from datetime import UTC, datetime

from workers.contract.replicas import Replicas
from workers.errors import PermanentError
from workers.platforms.cloud.kubernetes.objects import Object, Objects

REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"
TEMPLATE = "seatrial/template"
"""Annotation with a hash of the pod template as it was applied, which identifies the release.

Kubernetes copies the Deployment's annotations to the ReplicaSet of its template, so each revision has its own.
"""

VERIFIED = "seatrial/proven"
"""Annotation of the Deployment with the hash of the last release that was rolled out and has answered, or ""."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployedRelease:
    """The release that a Deployment or ReplicaSet runs, as its annotations record it.

    `verified` is the template hash of the last release that has answered (see VERIFIED), or "".
    """

    version: int
    digest: str
    replicas: Replicas
    job_id: str
    asked_by: str
    since_s: float
    verified: str = ""

    @property
    def annotations(self) -> dict[str, str]:
        """Annotations for a Deployment. `kubectl rollout history` shows the change cause."""
        return {
            "seatrial/version": str(self.version),
            "seatrial/digest": self.digest,
            **bounds_annotation(self.replicas),
            "seatrial/job": self.job_id,
            "seatrial/asked-by": self.asked_by,
            "seatrial/since": datetime.fromtimestamp(self.since_s, UTC).isoformat(timespec="milliseconds"),
            "kubernetes.io/change-cause": f"v{self.version} by {self.asked_by}, {self.job_id}",
            VERIFIED: self.verified,
        }


def deployed_release(obj: Object) -> DeployedRelease:
    """Read the release from a Deployment or ReplicaSet. Raises PermanentError if its annotations are damaged."""
    annotations, name = obj["metadata"].get("annotations") or {}, obj["metadata"]["name"]
    try:
        minimum, maximum = annotations["seatrial/replicas"].split("..")
        return DeployedRelease(
            version=int(annotations["seatrial/version"]),
            digest=annotations["seatrial/digest"],
            replicas=Replicas(minimum=int(minimum), maximum=int(maximum)),
            job_id=annotations["seatrial/job"],
            asked_by=annotations["seatrial/asked-by"],
            since_s=datetime.fromisoformat(annotations["seatrial/since"]).timestamp(),
            verified=annotations.get(VERIFIED, ""),
        )
    except (KeyError, ValueError) as error:
        raise PermanentError(
            f"The annotations of {name} are damaged, so the release that it runs is unknown: {error}.",
            advice=f"Take it down with `kubectl delete deployment {name}`, then deploy again.",
        ) from error


def bounds_annotation(replicas: Replicas) -> dict[str, str]:
    return {"seatrial/replicas": f"{replicas.minimum}..{replicas.maximum}"}


def newest_replica_set(deployment: Object, replica_sets: Objects) -> Object | None:
    """Return the ReplicaSet of the newest template, or None if `replica_sets` were read before it was created."""
    if deployment["metadata"]["generation"] > deployment.get("status", {}).get("observedGeneration", 0):
        return None
    return _latest(deployment, replica_sets, template_hash(deployment))


def rollback_revision(deployment: Object, replica_sets: Objects) -> Object | None:
    """Return the newest revision of the release that was last verified, or None.

    `kubectl rollout undo` takes the previous revision, which may have failed too.
    """
    verified = verified_hash(deployment)
    return _latest(deployment, replica_sets, verified) if verified else None


def rolled_back(deployment: Object, revision: Object) -> Object:
    """Return `deployment` with the pod template and the release of one of its revisions."""
    result = copy.deepcopy(deployment)
    known = result["metadata"]["annotations"]
    kept = {key: value for key, value in revision["metadata"]["annotations"].items() if key in known}
    known.update(kept | {VERIFIED: template_hash(revision)})
    result["metadata"]["labels"]["app.kubernetes.io/version"] = f"v{kept['seatrial/version']}"
    result["spec"]["template"] = copy.deepcopy(pod_template(revision))
    return result


def pods_of(replica_set: Object | None, pods: Objects) -> list[Object]:
    owner = replica_set["metadata"]["labels"].get(HASH) if replica_set else None
    return [pod for pod in pods if owner and pod["metadata"].get("labels", {}).get(HASH) == owner]


def is_verified(deployment: Object) -> bool:
    """Return True if the release of the Deployment was rolled out once and has answered."""
    return bool(template_hash(deployment)) and verified_hash(deployment) == template_hash(deployment)


def verified_hash(deployment: Object) -> str:
    """Return the template hash of the release that was last verified, or ""."""
    return _annotation(deployment, VERIFIED)


def template_hash(obj: Object) -> str:
    """Return the hash that identifies the release of a Deployment or ReplicaSet, or "" if it was not recorded."""
    return _annotation(obj, TEMPLATE)


def pod_template(obj: Object) -> Object:
    """Return the pod template of a Deployment or ReplicaSet, without additions of the controller and the server."""
    found: Object = obj["spec"]["template"]
    metadata = {key: value for key, value in found["metadata"].items() if key != "creationTimestamp"}
    metadata["labels"] = {key: value for key, value in metadata.get("labels", {}).items() if key != HASH}
    metadata.setdefault("annotations", {})
    return {"metadata": metadata, "spec": found["spec"]}


def _annotation(obj: Object, key: str) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(key, ""))


def _latest(deployment: Object, replica_sets: Objects, release: str) -> Object | None:
    uid = deployment["metadata"]["uid"]
    own = [
        item for item in replica_sets if uid in (owner["uid"] for owner in item["metadata"].get("ownerReferences", ()))
    ]
    return max((item for item in own if template_hash(item) == release), key=_revision_number, default=None)


def _revision_number(replica_set: Object) -> int:
    """Return its number in the Deployment's history, or 0. A ReplicaSet that is used again gets a new one."""
    text = _annotation(replica_set, REVISION)
    return int(text) if text.isdigit() else 0
