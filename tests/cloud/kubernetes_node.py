"""Node of the Kubernetes stand-in with pods that really run: a kubelet over a runtime, and a kube-proxy.

There is no DNS: `resolved` replaces Services' names by addresses in all that a pod is given.
"""

import itertools
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import Protocol

from tests.cloud.kubernetes_controllers import is_active, is_ready
from tests.cloud.kubernetes_proxy import Address, ServiceProxy
from tests.cloud.kubernetes_services import ServiceAnswer, ServiceRequest, StreamedAnswer
from tests.cloud.kubernetes_stand_in import StandIn
from tests.cloud.kubernetes_store import NAMESPACE, StatusError
from workers.platforms.cloud.kubernetes.objects import Object

BACK_OFF_S = 0.2
"""Pause before a container that ended is restarted. A real kubelet waits 10 s, and longer each time."""
PRE_STOP_S = 0.3
"""Length of a preStop sleep. Short, because this proxy learns at once that a pod is leaving."""
_PROBE_S = 0.1


class Container(Protocol):
    """A started container."""

    def address(self, port: int) -> Address:
        """Return the address of its port on this machine."""

    def exit_code(self) -> int | None:
        """Return its exit code, or None while it runs."""

    def log(self) -> bytes:
        """Return its output."""

    def stop(self) -> None:
        """Send SIGTERM, then SIGKILL, and remove the container."""


class ImagePullError(Exception):
    """The image cannot be pulled; the message is the registry's."""


Runtime = Callable[[Object, "Node"], Container]
"""Starts a pod's one container. Raises ImagePullError."""


class Node:
    """Implements Kubelet. `room` is the number of pods that fit; `targets` maps other Services to addresses."""

    def __init__(self, stand_in: StandIn, runtime: Runtime, *, room: int = 100) -> None:
        self.store = stand_in.store
        self.runtime = runtime
        self.room = room
        self.targets: dict[str, Address] = {}
        self.pods: dict[str, RunningPod] = {}
        self._net = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}"
        self._numbers = itertools.count(1)
        self._proxy = ServiceProxy(self._endpoints)
        stand_in.services = self._call_service
        stand_in.log = lambda pod, previous: self.pods[pod].log(previous=previous) if pod in self.pods else b""

    def __enter__(self) -> "Node":
        self._proxy.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.__exit__()
        for pod in self.pods.values():
            pod.end()
        for pod in self.pods.values():
            pod.gone.wait(30)

    def new_address(self) -> str:
        """Return an unused loopback address for a pod or Service."""
        return f"{self._net}.{next(self._numbers) % 250 + 1}"

    def resolved(self, text: str) -> str:
        """Replace Services' names in `text` by addresses: full names anywhere, a short name as all of it."""
        for service in self.store.list("Service"):
            name = service["metadata"]["name"]
            if text == name or f"{name}.{NAMESPACE}.svc" in text:
                address = self._proxy.address_of(service, self.new_address)
                text = address if text == name else re.sub(rf"(?<![\w-]){name}\.{NAMESPACE}\.svc", address, text)
        return text

    def status(self, pod: Object) -> Object:
        """See Kubelet."""
        name = pod["metadata"]["name"]
        if name not in self.pods:
            if len(self.pods) >= self.room:
                message = "0/3 nodes are available: 3 Insufficient cpu."
                return {
                    "phase": "Pending",
                    "conditions": [{"type": "PodScheduled", "status": "False", "message": message}],
                }
            self.pods[name] = RunningPod(pod, self)
        return self.pods[name].status()

    def ended(self, pod: Object) -> bool:
        """See Kubelet."""
        running = self.pods.get(pod["metadata"]["name"])
        if running is None:
            return True
        running.end()
        if running.gone.is_set():
            del self.pods[pod["metadata"]["name"]]
        return running.gone.is_set()

    def creation_error(self, template: Object) -> str:
        """See Kubelet. There is no quota."""
        return ""

    def _endpoints(self, service: Object, port: int) -> list[Address]:
        """Return the addresses of the ready pods behind a Service's port."""
        target = next(item.get("targetPort", port) for item in service["spec"]["ports"] if item["port"] == port)
        selector: Mapping[str, str] = service["spec"]["selector"]
        found = self.store.list("Pod", lambda pod: selector.items() <= pod["metadata"]["labels"].items())
        return [
            address
            for pod in found
            if is_active(pod) and is_ready(pod) and (address := self.pods[pod["metadata"]["name"]].address(target))
        ]

    def _call_service(self, request: ServiceRequest) -> ServiceAnswer:
        """Act as the API server's proxy, which passes on a chunked answer before its end."""
        try:
            address = self.targets.get(request.service) or next(
                iter(self._endpoints(self.store.get("Service", request.service), request.port))
            )
            connection = HTTPConnection(*address, timeout=10)
            connection.request(request.method, request.path, request.body, {"Content-Type": request.content_type})
            answer = connection.getresponse()
            if answer.chunked:
                return answer.status, StreamedAnswer(connection=connection, answer=answer)
            status, body = answer.status, answer.read()
            connection.close()
        except (OSError, HTTPException, StopIteration) as error:
            message = str(error) or f'no endpoints available for service "{request.service}"'
            raise StatusError(503, "ServiceUnavailable", message) from error
        return status, body


class RunningPod:
    """A pod of one container, in a thread that restarts the container until the pod is ended."""

    def __init__(self, pod: Object, node: Node) -> None:
        self.pod = pod
        self.container: Container | None = None
        self.gone = threading.Event()
        self._node = node
        self._spec: Object = pod["spec"]["containers"][0]
        self._ending = threading.Event()
        self._ready = False
        self._restarts = 0
        self._state: Object = {"waiting": {"reason": "ContainerCreating"}}
        self._last_state: Object = {}
        self._previous_log = b""
        self._thread = threading.Thread(target=self._live, name=pod["metadata"]["name"], daemon=True)
        self._thread.start()

    def status(self) -> Object:
        """Return the pod's status; see https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/."""
        container = {
            "name": self._spec["name"],
            "image": self._spec["image"],
            "ready": self._ready,
            "restartCount": self._restarts,
            "state": self._state,
            "lastState": self._last_state,
        }
        return {
            "phase": "Running" if self.container else "Pending",
            "hostIP": "127.0.0.1",
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": "True" if self._ready else "False"},
            ],
            "containerStatuses": [container],
        }

    def address(self, port: int | str) -> Address | None:
        """Return the address of a container port, given by number or name."""
        number = next((item["containerPort"] for item in self._spec.get("ports", ()) if item["name"] == port), port)
        return self.container.address(int(number)) if self.container else None

    def log(self, *, previous: bool) -> bytes:
        """Return the output of the container, or of the one before its restart."""
        return self._previous_log if previous else self.container.log() if self.container else b""

    def end(self) -> None:
        """Start to end the pod; `gone` is set when it has ended."""
        self._ending.set()

    def _live(self) -> None:
        try:
            while not self._ending.is_set():
                try:
                    self.container = self._node.runtime(self.pod, self._node)
                except ImagePullError as error:
                    self._state = {"waiting": {"reason": "ErrImagePull", "message": str(error)}}
                    self._ending.wait(1.0)
                    continue
                self._state = {"running": {}}
                self._watch(self.container)
        finally:
            if self._ready and "preStop" in self._spec.get("lifecycle", {}):
                time.sleep(PRE_STOP_S)
            if self.container:
                self.container.stop()
            self.gone.set()

    def _watch(self, container: Container) -> None:
        """Wait until the container has ended and its back-off is over, or the pod ends."""
        while (code := container.exit_code()) is None:
            self._ready = self._ready or self._answers(container)
            if self._ending.wait(_PROBE_S):
                return
        self._ready, self._previous_log = False, container.log()
        self._state = {"terminated": {"exitCode": code, "reason": "Error"}}
        if not self._ending.wait(BACK_OFF_S):
            container.stop()
            self._last_state, self._restarts = self._state, self._restarts + 1

    def _answers(self, container: Container) -> bool:
        """Run the readiness probe. Without one, a running container is ready."""
        probe = self._spec.get("readinessProbe")
        if probe is None:
            return True
        handler = probe.get("httpGet") or probe["tcpSocket"]
        with suppress(OSError, HTTPException):
            address = self.address(handler["port"])
            assert address
            connection = HTTPConnection(*address, timeout=2)
            connection.connect()
            try:
                if "httpGet" not in probe:
                    return True
                connection.request("GET", handler["path"])
                return connection.getresponse().status == 200
            finally:
                connection.close()
        return False
