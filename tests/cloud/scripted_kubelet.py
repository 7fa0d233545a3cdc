"""Kubelet with pods that exist only as a status chosen by the test, for states that are hard to cause."""

import json

from tests.cloud.kubernetes_controllers import is_active, is_ready
from tests.cloud.kubernetes_services import ServiceRequest
from tests.cloud.kubernetes_stand_in import StandIn
from workers.platforms.cloud.kubernetes.objects import Object


class ScriptedKubelet:
    """Implements Kubelet. `states` maps an image to the state of its pods:

    "ready" (the default), "starting", "no image", "crashes", "no node", "quota".

    Ready pods predict 1.5, or an empty list if `answers_incorrectly`. `logs` maps a pod's name to its log.
    """

    def __init__(self, stand_in: StandIn) -> None:
        self.states: dict[str, str] = {}
        self.answers_incorrectly = False
        self.logs: dict[str, str] = {}
        self._store = stand_in.store
        stand_in.services = self._predict
        stand_in.log = lambda pod, previous: self.logs.get(pod, "").encode()

    def status(self, pod: Object) -> Object:
        """See Kubelet. The state "no node" comes from the scheduler."""
        image = pod["spec"]["containers"][0]["image"]
        state = self._state(pod)
        container: Object = {"name": "model", "image": image, "ready": state == "ready", "restartCount": 0}
        scheduled: Object = {"type": "PodScheduled", "status": "True"}
        match state:
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
            "phase": "Running" if state == "ready" else "Pending",
            "hostIP": "127.0.0.1",
            "conditions": [scheduled, {"type": "Ready", "status": "True" if state == "ready" else "False"}],
            "containerStatuses": [] if state == "no node" else [container],
        }

    def ended(self, pod: Object) -> bool:
        """See Kubelet."""
        return True

    def creation_error(self, template: Object) -> str:
        """See Kubelet."""
        return "exceeded quota: small, requested: pods=1" if self._state(template) == "quota" else ""

    def _state(self, pod: Object) -> str:
        return self.states.get(pod["spec"]["containers"][0]["image"], "ready")

    def _predict(self, request: ServiceRequest) -> tuple[int, bytes]:
        """Answer like TensorFlow Serving in a ready pod of the version in the path."""
        model, _, rest = request.path.removeprefix("/v1/models/").partition("/versions/")
        version = rest.partition(":")[0]
        pods = self._store.list("Pod", lambda pod: is_ready(pod) and is_active(pod))
        if f"v{version}" not in {pod["metadata"]["labels"]["app.kubernetes.io/version"] for pod in pods}:
            return 404, json.dumps({"error": f"Servable not found for request: Specific({model}, {version})"}).encode()
        count = 0 if self.answers_incorrectly else len(json.loads(request.body)["instances"])
        return 200, json.dumps({"predictions": [[1.5]] * count}).encode()
