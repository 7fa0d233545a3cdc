"""A kubelet whose pods are nothing but their status, which the test decides: for what is hard to bring about."""

import json
from typing import Any

from tests.cloud.kubernetes_controllers import is_ready, is_to_stay
from tests.cloud.kubernetes_services import ToService
from tests.cloud.kubernetes_stand_in import StandIn

Object = dict[str, Any]


class ScriptedKubelet:
    """`fate` maps an image to what becomes of its containers:

    "ready" (the default), "starting", "no image", "crashes", "no node", "quota".

    Ready pods predict 1.5, or nothing where `answers_wrongly`. `logs` is what pods have written, by name.
    """

    def __init__(self, stand_in: StandIn) -> None:
        self.fate: dict[str, str] = {}
        self.answers_wrongly = False
        self.logs: dict[str, str] = {}
        self._store = stand_in.store
        stand_in.services = self._predict
        stand_in.log = lambda pod, previous: self.logs.get(pod, "").encode()

    def status(self, pod: Object) -> Object:
        """As the kubelet or the scheduler writes it; see Kubelet."""
        image = pod["spec"]["containers"][0]["image"]
        fate = self._fate(pod)
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

    def ended(self, pod: Object) -> bool:
        """See Kubelet."""
        return True

    def cannot_create(self, template: Object) -> str:
        """See Kubelet."""
        return "exceeded quota: small, requested: pods=1" if self._fate(template) == "quota" else ""

    def _fate(self, pod: Object) -> str:
        return self.fate.get(pod["spec"]["containers"][0]["image"], "ready")

    def _predict(self, asked: ToService) -> tuple[int, bytes]:
        """As TensorFlow Serving in a ready pod of the version that the path names."""
        model, _, rest = asked.path.removeprefix("/v1/models/").partition("/versions/")
        version = rest.partition(":")[0]
        pods = self._store.list("Pod", lambda pod: is_ready(pod) and is_to_stay(pod))
        if f"v{version}" not in {pod["metadata"]["labels"]["app.kubernetes.io/version"] for pod in pods}:
            return 404, json.dumps({"error": f"Servable not found for request: Specific({model}, {version})"}).encode()
        count = 0 if self.answers_wrongly else len(json.loads(asked.body)["instances"])
        return 200, json.dumps({"predictions": [[1.5]] * count}).encode()
