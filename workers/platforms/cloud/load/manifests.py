"""The objects of one load test, from the YAML in k8s/locust with a test's values set in it. Pure.

The ConfigMap is the test's root: it holds all that the pods read, and owns everything else, so that whatever becomes of
the worker, deleting this one object removes all of it.
https://kubernetes.io/docs/concepts/architecture/garbage-collection/#owners-dependents
"""

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from workers.platforms.cloud.kubernetes.objects import read_object

Object = dict[str, Any]

LOCUST = Path(__file__).resolve().parents[4] / "k8s" / "locust"
"""Where the YAML lies: in the checkout, and in the worker's image."""

WEB_PORT = 8089
"""Of the master's web server; https://docs.locust.io/en/stable/configuration.html"""

CONTAINER = "locust"
OWN_LOCUSTFILE = "own_locustfile.py"
"""The user's own Locust file, in the ConfigMap beside ours."""
_LOCUSTFILE = "--locustfile=locustfile.py"
_CONFIG_MAP = "locust"
"""The ConfigMap's name in the YAML."""

ALL = {"app.kubernetes.io/name": "locust", "app.kubernetes.io/managed-by": "seatrial"}
"""The labels that every object of every load test has."""

COMPONENT = "app.kubernetes.io/component"
"""The label that tells master from worker."""

JOB, UNTIL = "seatrial/job", "seatrial/until"
"""Annotations of the ConfigMap: whose test it is, and when it will be over at the latest."""

_FILES = {
    "master": ("Deployment", "master-controller.yaml"),
    "service": ("Service", "master-service.yaml"),
    "worker": ("Deployment", "worker-controller.yaml"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One attempt at a load test. `name` is that of its ConfigMap, and the beginning of all its objects' names."""

    name: str

    @classmethod
    def at(cls, job_id: str, mark: str) -> Self:
        """An attempt at a job. Two share no object, because their marks (some letters and digits) differ."""
        readable = re.sub(r"[^a-z0-9]+", "-", job_id.lower()).strip("-")[:30]
        return cls(name=f"locust-{readable}-{mark}")

    @property
    def master(self) -> str:
        """The name of the master's Deployment and Service."""
        return f"{self.name}-master"

    @property
    def worker(self) -> str:
        """The name of the workers' Deployment."""
        return f"{self.name}-worker"

    @property
    def objects(self) -> tuple[tuple[str, str], ...]:
        """Kind and name of all its objects, in the order in which they are taken down."""
        return (
            ("Deployment", self.worker),
            ("Deployment", self.master),
            ("Service", self.master),
            ("ConfigMap", self.name),
        )

    @property
    def selector(self) -> dict[str, str]:
        """The labels that select its pods, all of them."""
        return {"app.kubernetes.io/name": "locust", "app.kubernetes.io/instance": self.name}


class LoadManifests:
    """The YAML of a load test, read once."""

    def __init__(self, *, folder: Path = LOCUST) -> None:
        """Read `folder`. Raises PermanentError naming the file that is missing, broken or of another kind."""
        self._objects = {part: read_object(folder / file, kind) for part, (kind, file) in _FILES.items()}

    def config_map(self, attempt: Attempt, *, job_id: str, until_s: float, data: Mapping[str, str]) -> Object:
        """The root: `data` is file or key → content."""
        until = datetime.fromtimestamp(until_s, UTC).isoformat(timespec="seconds")
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": attempt.name,
                "labels": _labels(attempt, "plan"),
                "annotations": {JOB: job_id, UNTIL: until},
            },
            "data": dict(data),
        }

    def owned(
        self, attempt: Attempt, root: Object, *, image: str, workers: int, own_locustfile: bool = False
    ) -> Iterator[Object]:
        """All others, in the order in which they are applied. `root` is the ConfigMap as the server has it."""
        yield self._made("service", attempt, root, attempt.master, "master")
        for part, name, replicas in (("master", attempt.master, 1), ("worker", attempt.worker, workers)):
            controller = self._controller(part, attempt, root, name, image=image, replicas=replicas)
            if own_locustfile:
                _add_own_locustfile(controller)
            yield controller

    def _controller(self, part: str, attempt: Attempt, root: Object, name: str, *, image: str, replicas: int) -> Object:
        made = self._made(part, attempt, root, name, part)
        spec, template = made["spec"], made["spec"]["template"]
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
            for variable in container.get("env", ()):
                _rename(variable.get("valueFrom", {}).get("configMapKeyRef", {}), attempt)
        return made

    def _made(self, part: str, attempt: Attempt, root: Object, name: str, component: str) -> Object:
        made = copy.deepcopy(self._objects[part])
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": attempt.name, "uid": root["metadata"]["uid"]}
        made["metadata"] = {"name": name, "labels": _labels(attempt, component), "ownerReferences": [owner]}
        if made["kind"] == "Service":
            made["spec"]["selector"] = _selector(attempt, component)
        return made


def is_over(config_map: Mapping[str, Any], *, now_s: float) -> bool:
    """Whether a test's time has passed. One that does not tell its time was not made here, and never is."""
    try:
        until = datetime.fromisoformat(config_map["metadata"]["annotations"][UNTIL])
    except (KeyError, ValueError):
        return False
    return now_s > until.timestamp()


def _labels(attempt: Attempt, component: str) -> dict[str, str]:
    return {**ALL, **_selector(attempt, component), "app.kubernetes.io/part-of": "seatrial"}


def _selector(attempt: Attempt, component: str) -> dict[str, str]:
    return {**attempt.selector, COMPONENT: component}


def _add_own_locustfile(controller: Object) -> None:
    """Have Locust read the user's own file beside ours."""
    for container in controller["spec"]["template"]["spec"]["containers"]:
        if container["name"] == CONTAINER:
            container["command"] = [
                f"{word},{OWN_LOCUSTFILE}" if word == _LOCUSTFILE else word for word in container["command"]
            ]


def _rename(reference: Object, attempt: Attempt) -> None:
    if reference.get("name") == _CONFIG_MAP:
        reference["name"] = attempt.name
