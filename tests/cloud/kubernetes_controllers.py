"""What stands behind an API server: the Deployment's controller, a kubelet, the autoscaler; as little as tests need.

https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
"""

import copy
import hashlib
import itertools
import json
import threading
from typing import Any

from tests.cloud.kubernetes_stand_in import Refusal, StandIn

Object = dict[str, Any]
REVISION = "deployment.kubernetes.io/revision"
DIGEST = "sha256:" + "0" * 64


class Controllers:
    """Work in a thread until the context is left. `fate` maps an image to what becomes of its containers:

    "ready" (the default), "starting", "no image", "crashes", "no node", "quota".
    """

    def __init__(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        self.store = stand_in.store
        self.fate: dict[str, str] = {}
        self.deadline_passed = False
        stand_in.predictions = self._predict
        self.answers_wrongly = False
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
        """Names of the pods, or of those of a version ("v2")."""
        found = self.store.list("Pod")
        return [
            pod["metadata"]["name"]
            for pod in found
            if not version or pod["metadata"]["labels"]["app.kubernetes.io/version"] == version
        ]

    def _work(self) -> None:
        while not self._stopped.wait(0.05):
            with self.store.changed:
                for deployment in self.store.list("Deployment"):
                    self._reconcile(deployment)

    def _reconcile(self, deployment: Object) -> None:
        newest, others = self._replica_sets(deployment)
        wanted = deployment["spec"]["replicas"]
        self._run(newest, 0 if self._fate(newest) == "quota" else wanted)
        if len(self._ready(newest)) >= wanted:
            for other in others:
                self._run(other, 0)
        for replica_set in (newest, *others):
            replica_set["status"] = {"readyReplicas": len(self._ready(replica_set))}
            self.store.put(replica_set)
        self._tell(deployment, newest, [newest, *others])

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
        newest["metadata"]["annotations"] = notes | {
            key: value for key, value in deployment["metadata"]["annotations"].items() if key != REVISION
        }
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
            self.store.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
        for pod in self._pods(replica_set):
            self.store.put(pod | {"status": _status(self._fate(replica_set), pod)})

    def _tell(self, deployment: Object, newest: Object, all_of_them: list[Object]) -> None:
        fate = self._fate(newest)
        ready = sum(len(self._ready(item)) for item in all_of_them)
        conditions = [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}]
        if self.deadline_passed and len(self._ready(newest)) < deployment["spec"]["replicas"]:
            words = f'ReplicaSet "{newest["metadata"]["name"]}" has timed out progressing.'
            conditions = [
                {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": words}
            ]
        if fate == "quota":
            words = f'pods "{newest["metadata"]["name"]}-x" is forbidden: exceeded quota: small, requested: pods=1'
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

    def _fate(self, replica_set: Object) -> str:
        return self.fate.get(replica_set["spec"]["template"]["spec"]["containers"][0]["image"], "ready")

    def _pods(self, replica_set: Object) -> list[Object]:
        uid = replica_set["metadata"]["uid"]
        return self.store.list("Pod", lambda pod: bool(pod["metadata"]["ownerReferences"][0]["uid"] == uid))

    def _ready(self, replica_set: Object) -> list[Object]:
        return [pod for pod in self._pods(replica_set) if pod["status"]["phase"] == "Running" and _is_ready(pod)]

    def _predict(self, path: str, count: int) -> tuple[int, Object]:
        """As TensorFlow Serving in a ready pod of the version that `path` names."""
        version = path.partition("/versions/")[2].partition(":")[0]
        try:
            ready = [self.store.get("Pod", name) for name in self.pods(version=f"v{version}")]
        except Refusal:
            ready = []
        if not any(_is_ready(pod) for pod in ready):
            return 404, {"error": f"Servable not found for request: Specific(fruit, {version})"}
        return (200, {"predictions": []}) if self.answers_wrongly else (200, {"predictions": [[1.5]] * count})


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def _status(fate: str, pod: Object) -> Object:
    """A pod's status as the kubelet or the scheduler writes it."""
    image = pod["spec"]["containers"][0]["image"]
    container: Object = {"name": "model", "image": image, "ready": fate == "ready", "restartCount": 0}
    scheduled: Object = {"type": "PodScheduled", "status": "True"}
    match fate:
        case "ready":
            container["state"] = {"running": {}}
        case "no image":
            words = f'Back-off pulling image "{image}": ErrImagePull: rpc error: code = NotFound desc = not found'
            container["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": words}}
        case "crashes":
            container |= {"restartCount": 3, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
            container["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting"}}
        case "no node":
            words = "0/3 nodes are available: 3 Insufficient cpu."
            scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
        case _:
            container["state"] = {"waiting": {"reason": "ContainerCreating"}}
    return {
        "phase": "Running" if fate == "ready" else "Pending",
        "hostIP": "127.0.0.1",
        "conditions": [scheduled, {"type": "Ready", "status": "True" if fate == "ready" else "False"}],
        "containerStatuses": [] if fate == "no node" else [container],
    }
