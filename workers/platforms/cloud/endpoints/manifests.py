"""Kubernetes objects of an endpoint: the YAML in k8s/serving with a release's values set in it. Pure.

Values are set in the parsed objects, never in text. Names and labels identify an endpoint's objects.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from workers.contract.replicas import Replicas
from workers.errors import PermanentError
from workers.platforms.cloud.endpoints.revisions import TEMPLATE, DeployedRelease
from workers.platforms.cloud.kubernetes.objects import Object, read_object

SERVING = Path(__file__).resolve().parents[4] / "k8s" / "serving"
"""Folder of the YAML, in a checkout and in the worker's image."""

CONTAINER = "model"
"""Name of the container that serves. Other containers are left unchanged."""

# A pod's name adds two hashes, and can be its host name only up to 63 characters.
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_NAME_LENGTH = 63 - len("-0123456789-01234")

_FILES = {
    "Deployment": "deployment.yaml",
    "Service": "service.yaml",
    "HorizontalPodAutoscaler": "autoscaler.yaml",
    "PodDisruptionBudget": "disruption-budget.yaml",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointId:
    """A model on an environment. All of an endpoint's objects have its `name`."""

    model: str
    environment: str

    @property
    def name(self) -> str:
        """MODEL-ENVIRONMENT. If that is too long, its beginning and a hash of both."""
        whole = f"{self.model}-{self.environment}"
        if len(whole) <= _NAME_LENGTH:
            return whole
        digest = hashlib.sha256(f"{self.model}/{self.environment}".encode()).hexdigest()[:8]
        return f"{whole[: _NAME_LENGTH - 9].rstrip('-')}-{digest}"

    @property
    def selector(self) -> dict[str, str]:
        """Labels that select its pods. Kubernetes does not allow them to change."""
        return {"app.kubernetes.io/name": "endpoint", "app.kubernetes.io/instance": self.name}

    @property
    def labels(self) -> dict[str, str]:
        """Labels of all its objects; https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/"""
        return {
            **self.selector,
            "app.kubernetes.io/component": "endpoint",
            "app.kubernetes.io/part-of": "seatrial",
            "app.kubernetes.io/managed-by": "seatrial",
            "seatrial/model": self.model,
            "seatrial/environment": self.environment,
        }


class Manifests:
    """The YAML of an endpoint, parsed once."""

    def __init__(self, *, folder: Path = SERVING) -> None:
        """Read `folder`. Raises PermanentError with the name of a file that is missing, invalid or incomplete."""
        # Kept as JSON text: places that share an anchor in the YAML would otherwise be one object.
        self._objects = {kind: json.dumps(read_object(folder / file, kind)) for kind, file in _FILES.items()}
        if _container(json.loads(self._objects["Deployment"])) is None:
            raise PermanentError(f"{folder / _FILES['Deployment']} has no container named {CONTAINER!r}.")

    def deployment(self, endpoint_id: EndpointId, release: DeployedRelease, *, image: str, cpu_request: str) -> Object:
        """Return the Deployment of a release, without replicas: the scale subresource sets them."""
        obj = self._named("Deployment", endpoint_id)
        version = {"app.kubernetes.io/version": f"v{release.version}"}
        obj["metadata"]["labels"].update(version)
        obj["metadata"].setdefault("annotations", {}).update(release.annotations)
        spec, pods = obj["spec"], obj["spec"]["template"]
        spec.pop("replicas", None)
        spec["selector"] = {"matchLabels": endpoint_id.selector}
        metadata = pods.setdefault("metadata", {})
        metadata.setdefault("labels", {}).update(endpoint_id.labels | version)
        # No job here: deploying the same release in another job must not replace pods.
        metadata.setdefault("annotations", {})["seatrial/digest"] = release.digest
        for constraint in pods["spec"].get("topologySpreadConstraints", ()):
            constraint["labelSelector"] = {"matchLabels": endpoint_id.selector}
        container = _container(obj) or {}
        container["image"] = image
        container.setdefault("resources", {}).setdefault("requests", {})["cpu"] = cpu_request
        others = [item for item in container.get("env", ()) if item["name"] != "MODEL_NAME"]
        container["env"] = [{"name": "MODEL_NAME", "value": endpoint_id.model}, *others]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if "httpGet" in container.get(probe, {}):
                container[probe]["httpGet"]["path"] = f"/v1/models/{endpoint_id.model}/metadata"
        template = json.dumps(pods, sort_keys=True).encode()
        obj["metadata"]["annotations"][TEMPLATE] = hashlib.sha256(template).hexdigest()[:16]
        return obj

    def service(self, endpoint_id: EndpointId) -> Object:
        """Return the Service in front of the replicas, of the type set in the YAML."""
        obj = self._named("Service", endpoint_id)
        obj["spec"]["selector"] = endpoint_id.selector
        return obj

    def autoscaler(self, endpoint_id: EndpointId, *, replicas: Replicas, cpu_target: int) -> Object:
        """Return the HorizontalPodAutoscaler; `cpu_target` is in percent of the request."""
        obj = self._named("HorizontalPodAutoscaler", endpoint_id)
        spec = obj["spec"]
        spec["scaleTargetRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": endpoint_id.name}
        spec["minReplicas"], spec["maxReplicas"] = replicas.minimum, replicas.maximum
        for metric in spec["metrics"]:
            if metric.get("resource", {}).get("name") == "cpu":
                metric["resource"]["target"] = {"type": "Utilization", "averageUtilization": cpu_target}
        return obj

    def disruption_budget(self, endpoint_id: EndpointId) -> Object:
        obj = self._named("PodDisruptionBudget", endpoint_id)
        obj["spec"]["selector"] = {"matchLabels": endpoint_id.selector}
        return obj

    def _named(self, kind: str, endpoint_id: EndpointId) -> Object:
        obj: Object = json.loads(self._objects[kind])
        obj["metadata"]["name"] = endpoint_id.name
        obj["metadata"]["labels"] = {**obj["metadata"].get("labels", {}), **endpoint_id.labels}
        return obj


def _container(deployment: Object) -> Object | None:
    containers: list[Object] = deployment["spec"]["template"]["spec"]["containers"]
    return next((container for container in containers if container["name"] == CONTAINER), None)
