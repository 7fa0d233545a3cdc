"""API server of the Kubernetes stand-in: applies that create, selectors, resource versions, 410 and the service proxy.

KUBERNETES_STAND_IN.md describes the imitated behaviour and its sources.
"""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from kubernetes.client import ApiClient, Configuration

from tests.cloud.kubernetes_services import ServiceAnswer, ServiceRequest, StreamedAnswer, no_endpoints
from tests.cloud.kubernetes_store import NAMESPACE, ObjectStore, StatusError, merged
from tests.cloud.strict_models import mistakes
from workers.platforms.cloud.kubernetes.access import ClusterAddress
from workers.platforms.cloud.kubernetes.api import KINDS, Api
from workers.platforms.cloud.kubernetes.objects import Object

CONTEXT = "test-cluster"
_KIND_OF = {resource: kind for kind, (_, resource) in KINDS.items()}
_PROXY = re.compile(r"services/(?:http:)?([a-z0-9-]+):(\d+)/proxy(/.*)")


class StandIn:
    """The server.

    Faults: `refused` maps (method, resource) to a status and message; `failing` maps a method to the number of its next
    requests that get 503; `accepted` is the only accepted Authorization, unless ""; `lag_s` maps a kind to the delay of
    its watches. Records: `asked` lists requests, `rights` the same as RBAC's verb and resource, `mistakes` the invalid
    fields. Hooks: `log` returns a pod's log (name, previous container), `services` answers requests to Services.
    """

    def __init__(self) -> None:
        self.store = ObjectStore()
        self.refused: dict[tuple[str, str], tuple[int, str]] = {}
        self.failing: Counter[str] = Counter()
        self.accepted = ""
        self.asked: list[tuple[str, str]] = []
        self.rights: set[tuple[str, str]] = set()
        self.mistakes: list[str] = []
        self.cuts = 0
        self.lag_s: dict[str, float] = {}
        self.log: Callable[[str, bool], bytes] = lambda pod, previous: b""
        self.services: Callable[[ServiceRequest], ServiceAnswer] = no_endpoints
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stand_in": self}))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "StandIn":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The base URL of the server."""
        return f"http://127.0.0.1:{self.port}"

    def api(self) -> Api:
        """Return a client that is outside the cluster."""
        target = ClusterAddress(cluster=f"kubernetes://{CONTEXT}", namespace=NAMESPACE, context=CONTEXT)
        return Api(target=target, client=ApiClient(Configuration(host=self.url)))

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig with the context CONTEXT for this server.

        https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
        """
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "",
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": "secret"}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": "c", "user": "u"}}],
        }  # fmt: skip
        path.write_text(json.dumps(config))  # JSON is YAML
        return path

    def cut(self) -> None:
        """Break off every open watch, and every answer that the proxy is passing on."""
        with self.store.changed:
            self.cuts += 1
            self.store.changed.notify_all()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: StandIn

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client's process has died
            super().handle()

    def do_GET(self) -> None:
        self._handle(self._get)

    def do_PATCH(self) -> None:
        self._handle(self._patch)

    def do_DELETE(self) -> None:
        self._handle(self._delete)

    def do_POST(self) -> None:
        self._handle(self._post)

    def _handle(self, answer: Callable[[], None]) -> None:
        self.cuts = self.stand_in.cuts  # read before checking for refusals, to miss neither
        url = urlsplit(self.path)
        self.query = dict(parse_qsl(url.query))
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        _, _, rest = url.path.partition(f"/namespaces/{NAMESPACE}/")
        resource, _, rest = rest.partition("/")
        self.name, _, self.subresource = rest.partition("/")
        self.kind = _KIND_OF.get(resource, "")
        where = "/".join(part for part in (resource, self.subresource.partition("/")[0]) if part)
        self.stand_in.asked.append((self.command, url.path))
        if resource:
            self.stand_in.rights.add((self._verb(), where))
        try:
            if self.stand_in.failing[self.command] > 0:
                self.stand_in.failing[self.command] -= 1
                raise StatusError(503, "ServiceUnavailable", "the server is away")
            if self.stand_in.accepted not in ("", self.headers["Authorization"]):
                raise StatusError(
                    403, "Forbidden", f'User "system:anonymous" cannot {self._verb()} resource "{resource}"'
                )
            if (self.command, where) in self.stand_in.refused:
                status, message = self.stand_in.refused[self.command, where]
                raise StatusError(status, "", message)
            answer()
        except StatusError as error:
            self._send(error.status, {"kind": "Status", "reason": error.reason, "message": str(error)})

    def _verb(self) -> str:
        """Return the verb by which RBAC names the request.

        https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
        """
        read = "watch" if self.query.get("watch") else "get" if self.name else "list"
        return {"GET": read, "POST": "create"}.get(self.command, self.command.lower())

    def _get(self) -> None:
        if self.subresource == "log":
            self._send(200, self.stand_in.log(self.name, self.query.get("previous") == "true"))
        elif self.subresource.startswith("proxy/"):
            self._call_service()
        elif self.name:
            self._send(200, self.stand_in.store.get(self.kind, self.name))
        elif self.query.get("watch"):
            self._watch()
        else:
            with self.stand_in.store.changed:
                items = self.stand_in.store.list(self.kind, self._selected)
                for item in items:  # a list states the kind once
                    del item["kind"], item["apiVersion"]
                meta = {"resourceVersion": str(self.stand_in.store.version)}
            self._send(200, {"kind": f"{self.kind}List", "metadata": meta, "items": items})

    def _patch(self) -> None:
        store, given = self.stand_in.store, json.loads(self.body)
        if self.headers["Content-Type"] == "application/apply-patch+yaml":
            wrong = mistakes(given)
            self.stand_in.mistakes += wrong
            if wrong and self.query.get("fieldValidation") == "Strict":
                raise StatusError(422, "Invalid", f"{self.kind} is invalid: {'; '.join(wrong)}")
            self._send(200, store.apply(given))
        else:
            assert self.headers["Content-Type"] == "application/merge-patch+json"
            self._send(200, store.put(merged(store.get(self.kind, self.name), given)))

    def _delete(self) -> None:
        self.stand_in.store.delete(self.kind, self.name)
        self._send(200, {"kind": "Status", "status": "Success"})

    def _post(self) -> None:
        if self.path.endswith("selfsubjectaccessreviews"):
            right = json.loads(self.body)["spec"]["resourceAttributes"]
            verbs = {"GET": ("get", "list", "watch"), "PATCH": ("patch", "create"), "DELETE": ("delete",)}
            refused = {(verb, where) for method, where in self.stand_in.refused for verb in verbs.get(method, ())}
            self._send(200, {"status": {"allowed": (right["verb"], right["resource"]) not in refused}})
            return
        self._call_service()

    def _call_service(self) -> None:
        """Forward to a Service, as the proxy does. Other paths are treated as requests to a load balancer."""
        service, port, path = match.groups() if (match := _PROXY.search(self.path)) else ("", "0", self.path)
        request = ServiceRequest(
            service=service,
            port=int(port),
            method=self.command,
            path=path,
            body=self.body,
            content_type=self.headers["Content-Type"],
        )
        status, body = self.stand_in.services(request)
        if isinstance(body, StreamedAnswer):
            self._pass_on(status, body)
        else:
            self._send(status, body)

    def _pass_on(self, status: int, answer: StreamedAnswer) -> None:
        self._begin_chunks(status)
        with closing(answer.parts(client=self.connection)) as parts:
            for data in parts:
                self._chunk(data)
                if self._cut:
                    break
        self._end_chunks(whole=not self._cut)

    def _watch(self) -> None:
        self._begin_chunks(200)
        store, seen = self.stand_in.store, int(self.query["resourceVersion"])
        ends_at_s = time.monotonic() + float(self.query["timeoutSeconds"])
        self.close_connection = False
        while time.monotonic() < ends_at_s and not self._cut and not self.close_connection:
            with store.changed:
                if seen < store.oldest:
                    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
                    self._change("ERROR", status)
                    break
                new = [item for item in store.changes if item[0] > seen]
                if not new:
                    store.changed.wait(0.2)
                    continue
                seen = new[-1][0]
            time.sleep(self.stand_in.lag_s.get(self.kind, 0.0))
            for _, change, obj in new:
                if obj["kind"] == self.kind and self._selected(obj):
                    self._change(change, obj)
        self._end_chunks(whole=not self._cut)

    @property
    def _cut(self) -> bool:
        """True if this answer must break off."""
        return self.stand_in.cuts != self.cuts

    def _selected(self, obj: Object) -> bool:
        labels = obj["metadata"].get("labels", {})
        wanted = dict(part.split("=", 1) for part in self.query.get("labelSelector", "").split(",") if part)
        if any(labels.get(key) != value for key, value in wanted.items()):
            return False
        fields = dict(part.split("=", 1) for part in self.query.get("fieldSelector", "").split(",") if part)
        return all(_field(obj, path) == value for path, value in fields.items())

    def _change(self, kind: str, obj: Object) -> None:
        self._chunk(json.dumps({"type": kind, "object": obj}).encode() + b"\n")

    def _begin_chunks(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self._write(b"%x\r\n%s\r\n" % (len(data), data))

    def _end_chunks(self, *, whole: bool) -> None:
        """End the answer, properly if `whole`."""
        if whole:
            self._write(b"0\r\n\r\n")
        self.close_connection = True

    def _write(self, data: bytes) -> None:
        try:
            self.wfile.write(data)
        except OSError:  # the client has disconnected
            self.close_connection = True

    def _send(self, status: int, answer: Object | bytes) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _field(obj: Object, path: str) -> str:
    value: Any = obj
    for part in path.split("."):
        value = value.get(part, {}) if isinstance(value, dict) else {}
    return str(value)
