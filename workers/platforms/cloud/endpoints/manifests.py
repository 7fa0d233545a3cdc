"""The objects of an endpoint, from the YAML in k8s/serving with a release's values set in it. Pure.

Values are set in the parsed objects, never in text. Names, labels and annotations are what an endpoint is found by
again.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workers.contract.replicas import Replicas
from workers.errors import PermanentError
from workers.platforms.cloud.endpoints.revisions import TEMPLATE, VERIFIED, fingerprint, template
from workers.platforms.cloud.kubernetes.manifests import read_object

Object = dict[str, Any]

SERVING = Path(__file__).resolve().parents[4] / "k8s" / "serving"
"""Where the YAML lies: in the checkout, and in the worker's image."""

CONTAINER = "model"
"""The container of the Deployment that serves; others beside it stay as they are."""

_NAME_LENGTH = 63 - len("-0123456789-01234")
"""A pod's name adds two hashes, and is its host name where it has 63 characters at most.

https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
"""

_FILES = {
    "Deployment": "deployment.yaml",
    "Service": "service.yaml",
    "HorizontalPodAutoscaler": "autoscaler.yaml",
    "PodDisruptionBudget": "disruption-budget.yaml",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointId:
    """Which endpoint: a model on an environment. `name` is that of all its objects."""

    model: str
    environment: str

    @property
    def name(self) -> str:
        """MODEL-ENVIRONMENT; where that is too long, its beginning and a hash of both."""
        whole = f"{self.model}-{self.environment}"
        if len(whole) <= _NAME_LENGTH:
            return whole
        digest = hashlib.sha256(f"{self.model}/{self.environment}".encode()).hexdigest()[:8]
        return f"{whole[: _NAME_LENGTH - 9].rstrip('-')}-{digest}"

    @property
    def selector(self) -> dict[str, str]:
        """The labels that select its pods; they can never change."""
        return {"app.kubernetes.io/name": "endpoint", "app.kubernetes.io/instance": self.name}

    @property
    def labels(self) -> dict[str, str]:
        """The labels of all its objects; https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/"""
        return {
            **self.selector,
            "app.kubernetes.io/component": "endpoint",
            "app.kubernetes.io/part-of": "seatrial",
            "app.kubernetes.io/managed-by": "seatrial",
            "seatrial/model": self.model,
            "seatrial/environment": self.environment,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseNotes:
    """What runs and how it came there, as the Deployment's annotations keep it.

    `proven` is the fingerprint of the release that has answered last (see rollout.VERIFIED), or "".
    """

    version: int
    digest: str
    replicas: Replicas
    job_id: str
    asked_by: str
    since_s: float
    proven: str = ""

    @property
    def annotations(self) -> dict[str, str]:
        """Annotations, for a Deployment; the change cause is what `kubectl rollout history` shows."""
        return {
            "seatrial/version": str(self.version),
            "seatrial/digest": self.digest,
            "seatrial/replicas": f"{self.replicas.minimum}..{self.replicas.maximum}",
            "seatrial/job": self.job_id,
            "seatrial/asked-by": self.asked_by,
            "seatrial/since": datetime.fromtimestamp(self.since_s, UTC).isoformat(timespec="milliseconds"),
            "kubernetes.io/change-cause": f"v{self.version} by {self.asked_by}, {self.job_id}",
            VERIFIED: self.proven,
        }


def origin_of(obj: Mapping[str, Any]) -> ReleaseNotes:
    """What a Deployment or ReplicaSet says of itself. PermanentError where somebody has spoilt its annotations."""
    noted = obj["metadata"].get("annotations") or {}
    try:
        minimum, maximum = noted["seatrial/replicas"].split("..")
        return ReleaseNotes(
            version=int(noted["seatrial/version"]),
            digest=noted["seatrial/digest"],
            replicas=Replicas(minimum=int(minimum), maximum=int(maximum)),
            job_id=noted["seatrial/job"],
            asked_by=noted["seatrial/asked-by"],
            since_s=datetime.fromisoformat(noted["seatrial/since"]).timestamp(),
            proven=noted.get(VERIFIED, ""),
        )
    except (KeyError, ValueError) as error:
        raise PermanentError(
            f"The annotations of {obj['metadata']['name']} do not tell what it runs any more: {error}.",
            advice=f"Take it down with `kubectl delete deployment {obj['metadata']['name']}`, then deploy again.",
        ) from error


class Manifests:
    """The YAML of an endpoint, read once."""

    def __init__(self, *, folder: Path = SERVING) -> None:
        """Read `folder`. Raises PermanentError naming the file that is missing, broken or without what is set in it."""
        # Kept as text: two places that share an anchor in the YAML are one object until then.
        self._objects = {kind: json.dumps(read_object(folder / file, kind)) for kind, file in _FILES.items()}
        self._where = folder
        _container(json.loads(self._objects["Deployment"]), folder)

    def deployment(self, endpoint_id: EndpointId, origin: ReleaseNotes, *, image: str, cpu_request: str) -> Object:
        """The Deployment of a release. It has no replicas: they belong to whoever scales."""
        made = self._named("Deployment", endpoint_id)
        version = {"app.kubernetes.io/version": f"v{origin.version}"}
        made["metadata"]["labels"].update(version)
        made["metadata"].setdefault("annotations", {}).update(origin.annotations)
        spec, pods = made["spec"], made["spec"]["template"]
        spec.pop("replicas", None)
        spec["selector"] = {"matchLabels": endpoint_id.selector}
        metadata = pods.setdefault("metadata", {})
        metadata.setdefault("labels", {}).update(endpoint_id.labels | version)
        # Nothing of the job here: the same release asked for by another job is no reason to replace a pod.
        metadata.setdefault("annotations", {})["seatrial/digest"] = origin.digest
        for constraint in pods["spec"].get("topologySpreadConstraints", ()):
            constraint["labelSelector"] = {"matchLabels": endpoint_id.selector}
        container = _container(made, self._where)
        container["image"] = image
        container.setdefault("resources", {}).setdefault("requests", {})["cpu"] = cpu_request
        others = [item for item in container.get("env", ()) if item["name"] != "MODEL_NAME"]
        container["env"] = [{"name": "MODEL_NAME", "value": endpoint_id.model}, *others]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if "httpGet" in container.get(probe, {}):
                container[probe]["httpGet"]["path"] = f"/v1/models/{endpoint_id.model}/metadata"
        made["metadata"]["annotations"][TEMPLATE] = hashlib.sha256(
            json.dumps(pods, sort_keys=True).encode()
        ).hexdigest()[:16]
        return made

    def service(self, endpoint_id: EndpointId) -> Object:
        """The Service in front of the replicas, of the type that the YAML says."""
        made = self._named("Service", endpoint_id)
        made["spec"]["selector"] = endpoint_id.selector
        return made

    def autoscaler(self, endpoint_id: EndpointId, *, replicas: Replicas, cpu_target: int) -> Object:
        """The HorizontalPodAutoscaler; `cpu_target` in percent of the request."""
        made = self._named("HorizontalPodAutoscaler", endpoint_id)
        spec = made["spec"]
        spec["scaleTargetRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": endpoint_id.name}
        spec["minReplicas"], spec["maxReplicas"] = replicas.minimum, replicas.maximum
        for metric in spec["metrics"]:
            if metric.get("resource", {}).get("name") == "cpu":
                metric["resource"]["target"] = {"type": "Utilization", "averageUtilization": cpu_target}
        return made

    def disruption_budget(self, endpoint_id: EndpointId) -> Object:
        """The PodDisruptionBudget of the replicas."""
        made = self._named("PodDisruptionBudget", endpoint_id)
        made["spec"]["selector"] = {"matchLabels": endpoint_id.selector}
        return made

    def _named(self, kind: str, endpoint_id: EndpointId) -> Object:
        made: Object = json.loads(self._objects[kind])
        made["metadata"]["name"] = endpoint_id.name
        made["metadata"]["labels"] = {**made["metadata"].get("labels", {}), **endpoint_id.labels}
        return made


def back_to(deployment: Object, revision: Mapping[str, Any]) -> Object:
    """`deployment` with the pod template of one of its ReplicaSets, and what that revision noted of itself."""
    made = copy.deepcopy(deployment)
    noted = revision["metadata"]["annotations"]
    mine = {key: value for key, value in noted.items() if key in made["metadata"]["annotations"]}
    made["metadata"]["annotations"].update(mine | {VERIFIED: fingerprint(revision)})
    made["metadata"]["labels"]["app.kubernetes.io/version"] = f"v{mine['seatrial/version']}"
    made["spec"]["template"] = copy.deepcopy(template(revision))
    return made


def _container(deployment: Object, folder: Path) -> Object:
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        if container["name"] == CONTAINER:
            found: Object = container
            return found
    raise PermanentError(f"{folder / _FILES['Deployment']} has no container of the name {CONTAINER!r}.")
