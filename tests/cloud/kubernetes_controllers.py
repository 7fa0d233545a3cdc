"""What stands behind an API server: the Deployment's controller, and the loop in which a kubelet tells of its pods.

As little as tests need. https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
"""

import copy
import hashlib
import itertools
import json
import threading
from typing import Any, Protocol

from tests.cloud.kubernetes_stand_in import StandIn

Object = dict[str, Any]
REVISION = "deployment.kubernetes.io/revision"


class Kubelet(Protocol):
    """Makes pods be what their objects say. No call lasts: the API server waits meanwhile."""

    def status(self, pod: Object) -> Object:
        """The pod's status as it is now; a pod that is new to it is begun."""

    def ended(self, pod: Object) -> bool:
        """Whether a pod that is to end has ended; the first call has it begin to."""

    def cannot_create(self, template: Object) -> str:
        """Why no pod of the template may be made (a quota), or ""."""


class Controllers:
    """Work in a thread until the context is left. `deadline_passed`: no rollout gets any more time."""

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
        """Have the autoscaler set another count, for the use that it has measured."""
        with self.store.changed:
            metric = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": cpu_percent}}}
            autoscaler = self.store.get("HorizontalPodAutoscaler", name)
            self.store.put(autoscaler | {"status": {"currentMetrics": [metric], "desiredReplicas": to}})
            words = f"New size: {to}; reason: cpu resource utilization (percentage of request) above target"
            self.store.put(
                {
                    "apiVersion": "v1",
                    "kind": "Event",
                    "metadata": {"name": f"{name}.{next(self._suffixes)}"},
                    "type": "Normal",
                    "reason": "SuccessfulRescale",
                    "message": words,
                    "lastTimestamp": "2026-01-01T00:00:00Z",
                    "involvedObject": {"kind": "HorizontalPodAutoscaler", "name": name},
                }
            )
            deployment = self.store.get("Deployment", name)
            deployment["spec"]["replicas"] = to
            self.store.put(deployment)

    def pods(self, *, version: str = "") -> list[str]:
        """Names of the pods that are to stay, or of those of a version ("v2")."""
        label = "app.kubernetes.io/version"
        return [
            pod["metadata"]["name"]
            for pod in self.store.list("Pod", is_to_stay)
            if not version or pod["metadata"]["labels"].get(label) == version
        ]

    def _work(self) -> None:
        while not self._stopped.wait(0.05):
            with self.store.changed:
                for pod in self.store.list("Pod"):
                    if is_to_stay(pod):
                        self.store.put(pod | {"status": self.kubelet.status(pod)})
                    elif self.kubelet.ended(pod):
                        self.store.remove("Pod", pod["metadata"]["name"])
                for deployment in self.store.list("Deployment"):
                    self._reconcile(deployment)

    def _reconcile(self, deployment: Object) -> None:
        newest, others = self._replica_sets(deployment)
        wanted = deployment["spec"]["replicas"]
        forbidden = self.kubelet.cannot_create(newest["spec"]["template"])
        self._run(newest, 0 if forbidden else wanted)
        if len(self._ready(newest)) >= wanted:
            for other in others:
                self._run(other, 0)
        for replica_set in (newest, *others):
            self.store.put(replica_set | {"status": {"readyReplicas": len(self._ready(replica_set))}})
        self._tell(deployment, newest, [newest, *others], forbidden)

    def _replica_sets(self, deployment: Object) -> tuple[Object, list[Object]]:
        """The one of the template, made where it is missing and numbered anew where it comes back; and the others."""
        name, uid = deployment["metadata"]["name"], deployment["metadata"]["uid"]
        template = deployment["spec"]["template"]
        made_by = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        mine = [item for item in self.store.list("ReplicaSet") if item["metadata"]["ownerReferences"][0]["uid"] == uid]
        revisions = [int(item["metadata"]["annotations"][REVISION]) for item in mine]
        others = [item for item in mine if item["metadata"]["labels"]["pod-template-hash"] != made_by]
        newest = next((item for item in mine if item not in others), None)
        if newest is None:
            template = copy.deepcopy(template)
            template["metadata"]["labels"]["pod-template-hash"] = made_by
            newest = {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"{name}-{made_by}",
                    "labels": template["metadata"]["labels"],
                    "annotations": {REVISION: "0"},
                    "ownerReferences": [{"kind": "Deployment", "name": name, "uid": uid}],
                },
                "spec": {"template": template},
            }
        notes = newest["metadata"]["annotations"]
        if (others and int(notes[REVISION]) < max(revisions)) or not revisions:
            notes[REVISION] = str(max(revisions, default=0) + 1)
        annotations = deployment["metadata"].get("annotations", {})
        newest["metadata"]["annotations"] = notes | {k: v for k, v in annotations.items() if k != REVISION}
        return self.store.put(newest), others

    def _run(self, replica_set: Object, wanted: int) -> None:
        pods = self._pods(replica_set)
        for pod in pods[wanted:]:
            self.store.delete("Pod", pod["metadata"]["name"])
        for _ in range(wanted - len(pods)):
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

    def _tell(self, deployment: Object, newest: Object, all_of_them: list[Object], forbidden: str) -> None:
        ready = sum(len(self._ready(item)) for item in all_of_them)
        conditions = [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}]
        if self.deadline_passed and len(self._ready(newest)) < deployment["spec"]["replicas"]:
            words = f'ReplicaSet "{newest["metadata"]["name"]}" has timed out progressing.'
            conditions = [
                {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": words}
            ]
        if forbidden:
            words = f'pods "{newest["metadata"]["name"]}-x" is forbidden: {forbidden}'
            conditions.append({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": words})
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": sum(len(self._pods(item)) for item in all_of_them),
            "updatedReplicas": len(self._pods(newest)),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "conditions": conditions,
        }
        self.store.put(deployment)

    def _pods(self, replica_set: Object) -> list[Object]:
        """Those that are to stay; a controller counts no others."""
        uid = replica_set["metadata"]["uid"]
        return self.store.list(
            "Pod", lambda pod: is_to_stay(pod) and bool(pod["metadata"]["ownerReferences"][0]["uid"] == uid)
        )

    def _ready(self, replica_set: Object) -> list[Object]:
        return [pod for pod in self._pods(replica_set) if is_ready(pod)]


def is_to_stay(pod: Object) -> bool:
    """Whether nobody has deleted the pod yet."""
    return "deletionTimestamp" not in pod["metadata"]


def is_ready(pod: Object) -> bool:
    """Whether its condition says so."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
