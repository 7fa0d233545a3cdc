"""Kubernetes objects of one load test: the YAML in k8s/locust with the test's values. Pure.

The ConfigMap is the root: it holds the files that the pods read, and owns all other objects. Deleting it removes the
whole test, even if the worker that started the test is dead.
https://kubernetes.io/docs/concepts/architecture/garbage-collection/#owners-dependents
"""

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from workers.platforms.cloud.kubernetes.objects import Object, read_object

_FOLDER = Path(__file__).resolve().parents[4] / "k8s" / "locust"
"""Folder of the YAML, in a checkout and in the worker's image."""

WEB_PORT = 8089
"""Port of the master's web server; https://docs.locust.io/en/stable/configuration.html"""

CONTAINER = "locust"
USER_LOCUSTFILE = "user_locustfile.py"
"""Key of the user's Locust file in the ConfigMap."""
_LOCUSTFILE = "--locustfile=locustfile.py"
_BOTH_FILES = f"{_LOCUSTFILE},{USER_LOCUSTFILE}"
_CONFIG_MAP = "locust"
"""Name of the ConfigMap in the YAML."""

ALL = {"app.kubernetes.io/name": "locust", "app.kubernetes.io/managed-by": "seatrial"}
"""Labels of every object of every load test."""

COMPONENT = "app.kubernetes.io/component"
"""Label that distinguishes master and worker."""

JOB, UNTIL = "seatrial/job", "seatrial/until"
"""Annotations of the ConfigMap: the job's id, and the latest end of the test."""

_FILES = {
    "master": ("Deployment", "master-controller.yaml"),
    "service": ("Service", "master-service.yaml"),
    "worker": ("Deployment", "worker-controller.yaml"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One attempt at a load test. `name` is the ConfigMap's name and the prefix of the other objects' names."""

    name: str

    @classmethod
    def at(cls, job_id: str, mark: str) -> Self:
        """Return an attempt at a job. `mark` (letters and digits) makes its objects' names unique."""
        readable = re.sub(r"[^a-z0-9]+", "-", job_id.lower()).strip("-")[:30]
        return cls(name=f"locust-{readable}-{mark}")

    @property
    def master(self) -> str:
        return f"{self.name}-master"

    @property
    def worker(self) -> str:
        return f"{self.name}-worker"

    @property
    def selector(self) -> dict[str, str]:
        """Labels that select all pods of the attempt."""
        return {"app.kubernetes.io/name": "locust", "app.kubernetes.io/instance": self.name}


class LoadManifests:
    """YAML of a load test, read once. Raises PermanentError with the name of a file that is missing or broken."""

    def __init__(self) -> None:
        self._objects = {part: read_object(_FOLDER / file, kind) for part, (kind, file) in _FILES.items()}

    def config_map(self, attempt: Attempt, *, job_id: str, until_s: float, data: Mapping[str, str]) -> Object:
        """Return the root object. `data` maps file names and keys to content."""
        annotations = {JOB: job_id, UNTIL: datetime.fromtimestamp(until_s, UTC).isoformat(timespec="seconds")}
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": attempt.name, "labels": _labels(attempt, "plan"), "annotations": annotations},
            "data": dict(data),
        }

    def owned(self, attempt: Attempt, root: Object, *, image: str, workers: int) -> Iterator[Object]:
        """Yield all other objects in the order of creation. `root` is the ConfigMap as the server returned it."""
        service = self._build("service", attempt, root, component="master")
        service["spec"]["selector"] = _selector(attempt, "master")
        yield service
        yield self._controller("master", attempt, root, image=image, replicas=1)
        yield self._controller("worker", attempt, root, image=image, replicas=workers)

    def _controller(self, part: str, attempt: Attempt, root: Object, *, image: str, replicas: int) -> Object:
        controller = self._build(part, attempt, root, component=part)
        spec, template = controller["spec"], controller["spec"]["template"]
        selector = _selector(attempt, part)
        spec["replicas"] = replicas
        spec["selector"] = {"matchLabels": selector}
        template["metadata"]["labels"] = _labels(attempt, part)
        for constraint in template["spec"].get("topologySpreadConstraints", ()):
            constraint["labelSelector"] = {"matchLabels": selector}
        for volume in template["spec"]["volumes"]:
            _rename(volume.get("configMap", {}), attempt)
        for container in template["spec"]["containers"]:
            if container["name"] == CONTAINER:
                container["image"] = image
                if USER_LOCUSTFILE in root["data"]:
                    command = container["command"]
                    container["command"] = [_BOTH_FILES if word == _LOCUSTFILE else word for word in command]
            for variable in container.get("env", ()):
                _rename(variable.get("valueFrom", {}).get("configMapKeyRef", {}), attempt)
        return controller

    def _build(self, part: str, attempt: Attempt, root: Object, *, component: str) -> Object:
        obj = copy.deepcopy(self._objects[part])
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": attempt.name, "uid": root["metadata"]["uid"]}
        name, labels = f"{attempt.name}-{component}", _labels(attempt, component)
        obj["metadata"] = {"name": name, "labels": labels, "ownerReferences": [owner]}
        return obj


def is_over(config_map: Mapping[str, Any], *, now_s: float) -> bool:
    """Return True if a test's time has passed; never for a ConfigMap without a valid time, which is not ours."""
    try:
        until = datetime.fromisoformat(config_map["metadata"]["annotations"][UNTIL])
    except (KeyError, ValueError):
        return False
    return now_s > until.timestamp()


def _labels(attempt: Attempt, component: str) -> dict[str, str]:
    return {**ALL, **_selector(attempt, component), "app.kubernetes.io/part-of": "seatrial"}


def _selector(attempt: Attempt, component: str) -> dict[str, str]:
    return {**attempt.selector, COMPONENT: component}


def _rename(reference: Object, attempt: Attempt) -> None:
    if reference.get("name") == _CONFIG_MAP:
        reference["name"] = attempt.name
