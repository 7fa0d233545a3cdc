"""A Kubernetes API server in miniature, whose pods are Locust processes of this machine.

It has what a load test needs: server-side apply of objects that are valid by the client's own models, get, list and
watch by labels, deletion with what is owned, logs, and the proxy to a Service. Each pod gets a loopback address of its
own, so that all of them use their real ports.
"""

import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubernetes.client import ApiClient, Configuration

from tests.cloud.strict_models import mistakes
from workers.platforms.cloud.kubernetes_access import Target
from workers.platforms.cloud.kubernetes_api import Api

Object = dict[str, Any]
KINDS = {"configmaps": "ConfigMap", "services": "Service", "deployments": "Deployment", "pods": "Pod"}


class Pod:
    """A pod and its process; `obj` is what the API tells of it."""

    def __init__(self, *, name: str, deployment: Object, address: str, folder: Path) -> None:
        self.deployment = deployment["metadata"]["name"]
        self.address = address
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        metadata = {"name": name, "labels": deployment["spec"]["template"]["metadata"]["labels"]}
        self.obj: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": "Pending"}}

    def run(self, command: list[str], environ: dict[str, str], folder: Path) -> None:
        """Start the container."""
        with self.log.open("wb") as log:
            # The pipe's other end is here: the process ends with this one, however that ends.
            self.process = subprocess.Popen(
                command, cwd=folder, env=environ, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
            )
        self.obj["status"] = {"phase": "Running", "containerStatuses": [{"name": "locust", "state": {"running": {}}}]}

    def look(self) -> None:
        """Take note of a process that has ended."""
        if self.process and self.process.poll() is not None:
            ended = {"terminated": {"exitCode": self.process.returncode}}
            self.obj["status"]["containerStatuses"] = [{"name": "locust", "state": ended}]

    def end(self) -> None:
        """As a kubelet does: SIGTERM, and SIGKILL after the grace period."""
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            assert self.process.stdin
            self.process.stdin.close()


class LocustCluster:
    """One namespace. `room` is how many pods find a node; an image of the name "missing" cannot be pulled.

    `targets` are Services of tests' own: name → host and port. As many deletions as `failing_deletes` says are answered
    with 503. `asked` gathers verb and resource of every call, as RBAC names them.
    """

    def __init__(self, folder: Path, *, room: int = 100) -> None:
        self.folder = folder
        self.room = room
        self.targets: dict[str, tuple[str, int]] = {}
        self.objects: dict[tuple[str, str], Object] = {}
        self.pods: dict[str, Pod] = {}
        self.refused: list[str] = []
        self.failing_deletes = 0
        self.asked: set[tuple[str, str]] = set()
        self.lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._net = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "LocustCluster":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for pod in self.pods.values():
            pod.end()

    def api(self) -> Api:
        """A client of it, from outside the cluster."""
        configuration = Configuration()
        configuration.host = self.url
        target = Target(cluster="kubernetes://miniature", namespace="load", context="miniature")
        return Api(target=target, client=ApiClient(configuration))

    # ------------------------------------------------------------------------------------------ objects

    def select(self, kind: str, labels: dict[str, str]) -> list[Object]:
        """All objects of the kind that carry the labels."""
        with self.lock:
            for pod in self.pods.values():
                pod.look()
            found = [pod.obj for pod in self.pods.values()] if kind == "Pod" else []
            found += [obj for (of, _), obj in self.objects.items() if of == kind]
            return [obj for obj in found if labels.items() <= obj["metadata"].get("labels", {}).items()]

    def apply(self, obj: Object) -> list[str]:
        """Take the object in; return what is wrong with it."""
        if wrong := mistakes(obj):
            self.refused += wrong
            return wrong
        with self.lock:
            number = next(self._numbers)
            obj["metadata"] |= {"uid": f"uid-{number}", "resourceVersion": str(number), "generation": 1}
            self.objects[obj["kind"], obj["metadata"]["name"]] = obj
            if obj["kind"] == "Service":
                obj["spec"]["clusterIP"] = self._address()
            if obj["kind"] == "Deployment":
                for replica in range(obj["spec"]["replicas"]):
                    self._start(obj, replica)
        return []

    def delete(self, kind: str, name: str) -> bool:
        """Delete the object and, later, what it owns; whether it was there."""
        with self.lock:
            gone = self.objects.pop((kind, name), None)
            if gone is None:
                return False
            threading.Thread(target=self._collect, args=(gone,)).start()
            return True

    def _collect(self, gone: Object) -> None:
        uid = gone["metadata"]["uid"]
        with self.lock:
            owned = [key for key, obj in self.objects.items() if _is_owned(obj, uid)]
            pods = [pod for pod in self.pods.values() if (gone["kind"], pod.deployment) == _identity(gone)]
            for pod in pods:
                pod.obj["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        for pod in pods:
            pod.end()
            self.pods.pop(pod.obj["metadata"]["name"], None)
        for kind, name in owned:
            self.delete(kind, name)

    # ------------------------------------------------------------------------------------------ pods

    def _start(self, deployment: Object, replica: int) -> None:
        name = f"{deployment['metadata']['name']}-{replica}"
        service = next((each for each in self.select("Service", {}) if _selects(each, deployment)), None)
        address = service["spec"]["clusterIP"] if service else self._address()
        pod = self.pods[name] = Pod(name=name, deployment=deployment, address=address, folder=self.folder)
        spec = deployment["spec"]["template"]["spec"]
        container = spec["containers"][0]
        if len(self.pods) > self.room:
            full = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: 3 Insufficient cpu"}
            pod.obj["status"]["conditions"] = [full]
            return
        if container["image"] == "missing":
            waiting = {"reason": "ErrImagePull", "message": "missing: not found"}
            pod.obj["status"]["containerStatuses"] = [
                {"name": "locust", "image": "missing", "state": {"waiting": waiting}}
            ]
            return
        folder = self.folder / name
        folder.mkdir()
        for volume in spec["volumes"]:
            if "configMap" in volume:
                for file, text in self.objects["ConfigMap", volume["configMap"]["name"]]["data"].items():
                    (folder / file).write_text(text)
        words = [sys.executable, *container["command"][1:], *container["args"], "--end-with-stdin"]
        words = [word.replace("=locustfile.py", f"={folder}/locustfile.py") for word in words]  # tells whose it is
        if "--master" in words:
            words += ["--web-host", address, "--master-bind-host", address]
        pod.run(words, dict(self._environ(container)), folder)

    def _environ(self, container: Object) -> Iterator[tuple[str, str]]:
        yield from ((key, value) for key, value in os.environ.items() if not key.startswith("LOCUST_"))
        for variable in container["env"]:
            value = variable.get("value")
            if value is None:
                reference = variable["valueFrom"]["configMapKeyRef"]
                value = self.objects["ConfigMap", reference["name"]]["data"][reference["key"]]
            service = self.objects.get(("Service", value))
            yield variable["name"], service["spec"]["clusterIP"] if service else value

    def _address(self) -> str:
        return f"{self._net}.{next(self._numbers) % 250 + 1}"

    # ------------------------------------------------------------------------------------------ the proxy

    def reach(self, service: str, port: int) -> tuple[str, int] | None:
        """Where a Service's port leads, or None."""
        if service in self.targets:
            return self.targets[service]
        found = self.objects.get(("Service", service))
        return (found["spec"]["clusterIP"], port) if found else None


def _identity(obj: Object) -> tuple[str, str]:
    return "Deployment", obj["metadata"]["name"]


def _is_owned(obj: Object, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in obj["metadata"].get("ownerReferences", ()))


def _selects(service: Object, deployment: Object) -> bool:
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    return bool(service["spec"]["selector"].items() <= labels.items())


def _handler(cluster: LocustCluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_PATCH(self) -> None:
            self._asked()
            obj = json.loads(self._body())
            wrong = cluster.apply(obj)
            self._say(obj) if not wrong else self._refuse(400, "; ".join(wrong))

        def do_DELETE(self) -> None:
            kind, name, _ = self._asked()
            if cluster.failing_deletes > 0:
                cluster.failing_deletes -= 1
                self._refuse(503, "the server is away")
                return
            self._say({"kind": "Status"}) if cluster.delete(kind, name) else self._refuse(404, f"{name} not found")

        def do_POST(self) -> None:
            self._proxy()

        def do_GET(self) -> None:
            kind, name, more = self._asked()
            query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
            labels = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair)
            if more[:1] == ["proxy"]:
                self._proxy()
            elif more == ["log"]:
                self._send(200, cluster.pods[name].log.read_bytes() if query["previous"] == "false" else b"")
            elif name:
                found = [obj for obj in cluster.select(kind, {}) if obj["metadata"]["name"] == name]
                self._say(found[0]) if found else self._refuse(404, f"{name} not found")
            elif "watch" in query:
                self._watch(kind, labels)
            else:
                self._say({"items": cluster.select(kind, labels), "metadata": {"resourceVersion": "1"}})

        def _watch(self, kind: str, labels: dict[str, str]) -> None:
            """Everything anew whenever it changed, for a few seconds."""
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            known: dict[str, str] = {}
            ends_at = time.monotonic() + 5
            while time.monotonic() < ends_at:
                now = {obj["metadata"]["name"]: json.dumps(obj) for obj in cluster.select(kind, labels)}
                changes = [("MODIFIED", obj) for name, obj in now.items() if known.get(name) != obj]
                changes += [("DELETED", obj) for name, obj in known.items() if name not in now]
                for change, text in changes:
                    obj = json.loads(text)
                    obj["metadata"]["resourceVersion"] = "1"
                    try:
                        self.wfile.write(json.dumps({"type": change, "object": obj}).encode() + b"\n")
                    except OSError:
                        return
                known = now
                time.sleep(0.05)

        def _proxy(self) -> None:
            _, service, _ = self._asked()
            name, port = service.removeprefix("http:").split(":")
            where = cluster.reach(name, int(port))
            body, path = self._body(), "/" + self.path.split("/proxy/", 1)[1]
            try:
                if where is None:
                    raise OSError("no endpoints available")
                connection = HTTPConnection(*where, timeout=10)
                connection.request(self.command, path, body, {"Content-Type": self.headers["Content-Type"]})
                answer = connection.getresponse()
                self._send(answer.status, answer.read())
                connection.close()
            except (OSError, HTTPException) as error:
                self._refuse(503, str(error))

        def _asked(self) -> tuple[str, str, list[str]]:
            """Kind, name and the rest of the path."""
            resource, *rest = urlsplit(self.path).path.split("/namespaces/load/", 1)[1].split("/")
            verb = "watch" if "watch=true" in self.path else "get" if rest else "list"
            verb = {"PATCH": "patch", "DELETE": "delete", "POST": "create"}.get(self.command, verb)
            cluster.asked.add((verb, "/".join([resource, *rest[1:2]])))
            return KINDS[resource], rest[0] if rest else "", rest[1:]

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _say(self, obj: Object) -> None:
            self._send(200, json.dumps(obj).encode())

        def _refuse(self, status: int, message: str) -> None:
            self._send(status, json.dumps({"kind": "Status", "message": message, "code": status}).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
