"""Controllers of the Kubernetes stand-in: the Deployment controller, and the loop that publishes the kubelet's status.

As little as the tests need. https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
"""

import copy
import hashlib
import itertools
import json
import threading
from typing import Protocol

from tests.cloud.kubernetes_stand_in import StandIn
from workers.platforms.cloud.kubernetes.objects import Object

REVISION = "deployment.kubernetes.io/revision"


class Kubelet(Protocol):
    """Runs pods. Calls must return at once, because they block the API server."""

    def status(self, pod: Object) -> Object:
        """Return the pod's present status, and start a pod that is new."""

    def ended(self, pod: Object) -> bool:
        """Start to end a pod that was deleted, and return whether it has ended."""

    def creation_error(self, template: Object) -> str:
        """Return why pods of the template may not be created (a quota), or ""."""


class Controllers:
    """Controllers in a thread, until the context exits. `deadline_passed` ends the time of every rollout."""

    def __init__(self, stand_in: StandIn, kubelet: Kubelet) -> None:
        self.store = stand_in.store
        self.kubelet = kubelet
        self.deadline_passed = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._suffixes = itertools.count(1)

    def __enter__(self) -> "Controllers":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(5)

    def autoscale(self, name: str, *, to: int, cpu_percent: int) -> None:
        """Act as the autoscaler: set the replicas `to` a number, because of the measured CPU."""
        with self.store.changed:
            metric = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": cpu_percent}}}
            autoscaler = self.store.get("HorizontalPodAutoscaler", name)
            self.store.put(autoscaler | {"status": {"currentMetrics": [metric], "desiredReplicas": to}})
            message = f"New size: {to}; reason: cpu resource utilization (percentage of request) above target"
            self.store.put(
                {
                    "apiVersion": "v1",
                    "kind": "Event",
                    "metadata": {"name": f"{name}.{next(self._suffixes)}"},
                    "type": "Normal",
                    "reason": "SuccessfulRescale",
                    "message": message,
                    "lastTimestamp": "2026-01-01T00:00:00Z",
                    "involvedObject": {"kind": "HorizontalPodAutoscaler", "name": name},
                }
            )
            deployment = self.store.get("Deployment", name)
            deployment["spec"]["replicas"] = to
            self.store.put(deployment)

    def pods(self, *, version: str = "") -> list[str]:
        """Return the names of the active pods, or only those of a version ("v2")."""
        label = "app.kubernetes.io/version"
        return [
            pod["metadata"]["name"]
            for pod in self.store.list("Pod", is_active)
            if not version or pod["metadata"]["labels"].get(label) == version
        ]

    def _work(self) -> None:
        while not self._stopped.wait(0.05):
            with self.store.changed:
                for pod in self.store.list("Pod"):
                    if is_active(pod):
                        self.store.put(pod | {"status": self.kubelet.status(pod)})
                    elif self.kubelet.ended(pod):
                        self.store.remove("Pod", pod["metadata"]["name"])
                for deployment in self.store.list("Deployment"):
                    self._reconcile(deployment)

    def _reconcile(self, deployment: Object) -> None:
        newest, others = self._replica_sets(deployment)
        desired = deployment["spec"]["replicas"]
        forbidden = self.kubelet.creation_error(newest["spec"]["template"])
        self._scale(newest, 0 if forbidden else desired)
        if len(self._ready(newest)) >= desired:
            for other in others:
                self._scale(other, 0)
        for replica_set in (newest, *others):
            self.store.put(replica_set | {"status": {"readyReplicas": len(self._ready(replica_set))}})
        self._update_status(deployment, newest, [newest, *others], forbidden)

    def _replica_sets(self, deployment: Object) -> tuple[Object, list[Object]]:
        """Return the ReplicaSet of the template, created or renumbered as needed, and the others."""
        name, uid = deployment["metadata"]["name"], deployment["metadata"]["uid"]
        template = deployment["spec"]["template"]
        template_hash = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        own = [item for item in self.store.list("ReplicaSet") if item["metadata"]["ownerReferences"][0]["uid"] == uid]
        revisions = [int(item["metadata"]["annotations"][REVISION]) for item in own]
        others = [item for item in own if item["metadata"]["labels"]["pod-template-hash"] != template_hash]
        newest = next((item for item in own if item not in others), None)
        if newest is None:
            template = copy.deepcopy(template)
            template["metadata"]["labels"]["pod-template-hash"] = template_hash
            newest = {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"{name}-{template_hash}",
                    "labels": template["metadata"]["labels"],
                    "annotations": {REVISION: "0"},
                    "ownerReferences": [{"kind": "Deployment", "name": name, "uid": uid}],
                },
                "spec": {"template": template},
            }
        annotations = newest["metadata"]["annotations"]
        if (others and int(annotations[REVISION]) < max(revisions)) or not revisions:
            annotations[REVISION] = str(max(revisions, default=0) + 1)
        copied = deployment["metadata"].get("annotations", {})
        newest["metadata"]["annotations"] = annotations | {k: v for k, v in copied.items() if k != REVISION}
        return self.store.put(newest), others

    def _scale(self, replica_set: Object, desired: int) -> None:
        pods = self._pods(replica_set)
        for pod in pods[desired:]:
            self.store.delete("Pod", pod["metadata"]["name"])
        for _ in range(desired - len(pods)):
            template = replica_set["spec"]["template"]
            owner = {
                "kind": "ReplicaSet",
                "name": replica_set["metadata"]["name"],
                "uid": replica_set["metadata"]["uid"],
            }
            name = f"{replica_set['metadata']['name']}-{next(self._suffixes):05}"
            metadata = {"name": name, "labels": template["metadata"]["labels"], "ownerReferences": [owner]}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
            self.store.put(pod | {"status": self.kubelet.status(pod)})

    def _update_status(self, deployment: Object, newest: Object, replica_sets: list[Object], forbidden: str) -> None:
        ready = sum(len(self._ready(item)) for item in replica_sets)
        conditions = [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}]
        if self.deadline_passed and len(self._ready(newest)) < deployment["spec"]["replicas"]:
            message = f'ReplicaSet "{newest["metadata"]["name"]}" has timed out progressing.'
            conditions = [
                {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": message}
            ]
        if forbidden:
            message = f'pods "{newest["metadata"]["name"]}-x" is forbidden: {forbidden}'
            conditions.append(
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
            )
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": sum(len(self._pods(item)) for item in replica_sets),
            "updatedReplicas": len(self._pods(newest)),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "conditions": conditions,
        }
        self.store.put(deployment)

    def _pods(self, replica_set: Object) -> list[Object]:
        """Return the active pods. A controller does not count others."""
        uid = replica_set["metadata"]["uid"]
        return self.store.list(
            "Pod", lambda pod: is_active(pod) and bool(pod["metadata"]["ownerReferences"][0]["uid"] == uid)
        )

    def _ready(self, replica_set: Object) -> list[Object]:
        return [pod for pod in self._pods(replica_set) if is_ready(pod)]


def is_active(pod: Object) -> bool:
    """Return True unless the pod was deleted."""
    return "deletionTimestamp" not in pod["metadata"]


def is_ready(pod: Object) -> bool:
    """Return True if the pod's condition Ready is true."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
