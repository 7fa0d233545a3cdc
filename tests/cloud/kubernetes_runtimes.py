"""Runtimes of the Kubernetes stand-in: Docker containers of the real image, or processes of this machine."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker.errors

from tests.cloud.kubernetes_node import Container, ImagePullError, Node
from tests.cloud.kubernetes_proxy import Address
from workers.platforms.cloud.kubernetes.objects import Object

ROOT = Path(__file__).parents[2]
GRACE_S = 5
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


class Process:
    """A container as a process of this machine. Its own loopback address lets it use its real ports."""

    def __init__(self, command: list[str], *, address: str, environ: Mapping[str, str], folder: Path) -> None:
        self._host = address
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent,
            )

    def address(self, port: int) -> Address:
        """See Container."""
        return self._host, port

    def exit_code(self) -> int | None:
        """See Container."""
        return self.process.poll()

    def log(self) -> bytes:
        """See Container."""
        return self._log.read_bytes()

    def stop(self) -> None:
        """See Container."""
        self.process.terminate()
        try:
            self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _die_with_parent() -> None:
    if _LIBC:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class LocustRuntime:
    """Runtime of load tests' pods. An image named "missing" cannot be pulled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, pod: Object, node: Node) -> Container:
        """See Runtime."""
        container = pod["spec"]["containers"][0]
        if container["image"] == "missing":
            raise ImagePullError("missing: not found")
        folder, address = self._folder / pod["metadata"]["name"], node.new_address()
        folder.mkdir(exist_ok=True)
        for volume in pod["spec"]["volumes"]:
            if "configMap" in volume:
                for file, text in node.store.get("ConfigMap", volume["configMap"]["name"])["data"].items():
                    (folder / file).write_text(node.resolved(text))
        command = [sys.executable, *container["command"][1:], *container["args"]]
        command = [
            word.replace("=locustfile.py", f"={folder}/locustfile.py") for word in command
        ]  # identifies the process
        if "--master" in command:
            command += ["--web-host", address, "--master-bind-host", address]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("LOCUST_")}
        return Process(command, address=address, environ=environ | environment(container, node), folder=folder)


class ServingRuntime:
    """Runtime of endpoints' pods without images: `models` maps an image to its folder /models."""

    def __init__(self, folder: Path, models: Mapping[str, Path]) -> None:
        self._folder = folder
        self._models = models

    def __call__(self, pod: Object, node: Node) -> Container:
        """See Runtime."""
        container = pod["spec"]["containers"][0]
        if container["image"] not in self._models:
            raise ImagePullError(f"{container['image']}: not found")
        folder, address = self._folder / pod["metadata"]["name"], node.new_address()
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "workers.platforms.serving", "--host", address, "--port", "8501"]
        environ = {**os.environ, "MODEL_BASE_PATH": str(self._models[container["image"]]), "PYTHONPATH": str(ROOT)}
        return Process(command, address=address, environ=environ | environment(container, node), folder=folder)


class DockerRuntime:
    """Runtime that pulls pods' images with the `engine`, using the node's own credentials.

    Containers are confined by the pod's security context and volumes, and carry `label`.
    """

    def __init__(self, engine: Any, *, credentials: Mapping[str, str], label: str) -> None:
        self._engine = engine
        self._credentials = credentials
        self.label = label

    def __call__(self, pod: Object, node: Node) -> Container:
        """See Runtime."""
        container = pod["spec"]["containers"][0]
        try:
            self._engine.pull(container["image"], auth_config=dict(self._credentials))
            self._engine.inspect_image(container["image"])
        except docker.errors.APIError as error:
            raise ImagePullError(
                f'failed to pull and unpack image "{container["image"]}": {error.explanation}'
            ) from error
        ports = [item["containerPort"] for item in container["ports"]]
        mounts = {mount["name"]: mount["mountPath"] for mount in container.get("volumeMounts", ())}
        security = container["securityContext"]
        host_config = self._engine.create_host_config(
            port_bindings=dict.fromkeys(ports, ("127.0.0.1", None)),
            read_only=security["readOnlyRootFilesystem"],
            cap_drop=security["capabilities"]["drop"],
            security_opt=[] if security["allowPrivilegeEscalation"] else ["no-new-privileges"],
            tmpfs={mounts[item["name"]]: "" for item in pod["spec"]["volumes"] if "emptyDir" in item},
        )
        created = self._engine.create_container(
            container["image"],
            environment=environment(container, node),
            host_config=host_config,
            labels=[self.label],
            ports=ports,
            user=str(pod["spec"]["securityContext"]["runAsUser"]),
        )
        identity = str(created["Id"])
        try:
            self._engine.start(identity)
            published = self._engine.inspect_container(identity)["NetworkSettings"]["Ports"]
        except docker.errors.APIError:
            self._engine.remove_container(identity, force=True, v=True)
            raise
        addresses = {port: int(published[f"{port}/tcp"][0]["HostPort"]) for port in ports}
        return DockerContainer(self._engine, identity, addresses)


class DockerContainer:
    """A container of the Docker engine. `published` maps its ports to loopback ports."""

    def __init__(self, engine: Any, identity: str, published: Mapping[int, int]) -> None:
        self._engine = engine
        self.identity = identity
        self._published = published

    def address(self, port: int) -> Address:
        """See Container."""
        return "127.0.0.1", self._published[port]

    def exit_code(self) -> int | None:
        """See Container."""
        state = self._engine.inspect_container(self.identity)["State"]
        return None if state["Running"] else int(state["ExitCode"])

    def log(self) -> bytes:
        """See Container."""
        return bytes(self._engine.logs(self.identity))

    def stop(self) -> None:
        """See Container."""
        self._engine.stop(self.identity, timeout=GRACE_S)
        self._engine.remove_container(self.identity, force=True, v=True)


def environment(container: Object, node: Node) -> dict[str, str]:
    """Return the container's environment variables, with values from ConfigMaps."""
    found = {}
    for variable in container.get("env", ()):
        value = variable.get("value")
        if value is None:
            reference = variable["valueFrom"]["configMapKeyRef"]
            value = node.store.get("ConfigMap", reference["name"])["data"][reference["key"]]
        found[variable["name"]] = node.resolved(value)
    return found
