"""A small API server for what kmock has not: applies that create, selectors, resource versions, 410, the service proxy.

What becomes of the objects is their controllers' work (kubernetes_controllers), as it is in a real cluster. Shaped by
https://kubernetes.io/docs/reference/using-api/api-concepts/ and, for applies, by
https://kubernetes.io/docs/reference/using-api/server-side-apply/. It refuses what a real one refuses: unknown fields.
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

from tests.cloud.kubernetes_services import Answered, Streamed, ToService, nobody
from tests.cloud.kubernetes_store import NAMESPACE, Refusal, Store, merged
from tests.cloud.strict_models import mistakes
from workers.platforms.cloud.kubernetes.access import ClusterAddress
from workers.platforms.cloud.kubernetes.api import KINDS, Api

Object = dict[str, Any]
CONTEXT = "docker_environment"
_KIND_OF = {resource: kind for kind, (_, resource) in KINDS.items()}
_PROXY = re.compile(r"services/(?:http:)?([a-z0-9-]+):(\d+)/proxy(/.*)")


class StandIn:
    """The server. `refused` maps (method, resource) to the Status that such requests get, `failing` a method to how
    many of its next requests get 503; `accepted` is the one Authorization that is known, where there is one.

    `asked` is what was asked, `rights` the same as RBAC names it: verb and resource. `mistakes` is what was wrong in
    manifests. `behind_s` is by how much watches of a kind lag. `log` has a pod's (its name, whether of the container
    before), `services` what answers behind Services.
    """

    def __init__(self) -> None:
        self.store = Store()
        self.refused: dict[tuple[str, str], tuple[int, str]] = {}
        self.failing: Counter[str] = Counter()
        self.accepted = ""
        self.asked: list[tuple[str, str]] = []
        self.rights: set[tuple[str, str]] = set()
        self.mistakes: list[str] = []
        self.cuts = 0
        self.behind_s: dict[str, float] = {}
        self.log: Callable[[str, bool], bytes] = lambda pod, previous: b""
        self.services: Callable[[ToService], Answered] = nobody
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
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def api(self) -> Api:
        """A client of it, from outside the cluster."""
        target = ClusterAddress(cluster=f"kubernetes://{CONTEXT}", namespace=NAMESPACE, context=CONTEXT)
        return Api(target=target, client=ApiClient(Configuration(host=self.url)))

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig whose context CONTEXT leads here.

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
        """Break every open watch, and every answer that the proxy is passing on, in the middle."""
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
        self._answered(self._get)

    def do_PATCH(self) -> None:
        self._answered(self._patch)

    def do_DELETE(self) -> None:
        self._answered(self._delete)

    def do_POST(self) -> None:
        self._answered(self._post)

    def _answered(self, answer: Callable[[], None]) -> None:
        self.cuts = self.stand_in.cuts  # before any refusal is looked for: what slips past the one meets the other
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
                raise Refusal(503, "ServiceUnavailable", "the server is away")
            if self.stand_in.accepted not in ("", self.headers["Authorization"]):
                raise Refusal(403, "Forbidden", f'User "system:anonymous" cannot {self._verb()} resource "{resource}"')
            if (self.command, where) in self.stand_in.refused:
                status, message = self.stand_in.refused[self.command, where]
                raise Refusal(status, "", message)
            answer()
        except Refusal as refusal:
            self._send(refusal.status, {"kind": "Status", "reason": refusal.reason, "message": str(refusal)})

    def _verb(self) -> str:
        """https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb"""
        read = "watch" if self.query.get("watch") else "get" if self.name else "list"
        return {"GET": read, "POST": "create"}.get(self.command, self.command.lower())

    def _get(self) -> None:
        if self.subresource == "log":
            self._send(200, self.stand_in.log(self.name, self.query.get("previous") == "true"))
        elif self.subresource.startswith("proxy/"):
            self._ask_service()
        elif self.name:
            self._send(200, self.stand_in.store.get(self.kind, self.name))
        elif self.query.get("watch"):
            self._watch()
        else:
            with self.stand_in.store.changed:
                items = self.stand_in.store.list(self.kind, self._selected)
                for item in items:  # a list tells the kind once, for all
                    del item["kind"], item["apiVersion"]
                meta = {"resourceVersion": str(self.stand_in.store.version)}
            self._send(200, {"kind": f"{self.kind}List", "metadata": meta, "items": items})

    def _patch(self) -> None:
        store, given = self.stand_in.store, json.loads(self.body)
        if self.headers["Content-Type"] == "application/apply-patch+yaml":
            wrong = mistakes(given)
            self.stand_in.mistakes += wrong
            if wrong and self.query.get("fieldValidation") == "Strict":
                raise Refusal(422, "Invalid", f"{self.kind} is invalid: {'; '.join(wrong)}")
            self._send(200, store.apply(given))
        else:
            assert self.headers["Content-Type"] == "application/merge-patch+json"
            self._send(200, store.put(merged(store.get(self.kind, self.name), given)))

    def _delete(self) -> None:
        self.stand_in.store.delete(self.kind, self.name)
        self._send(200, {"kind": "Status", "status": "Success"})

    def _post(self) -> None:
        if self.path.endswith("selfsubjectaccessreviews"):
            asked = json.loads(self.body)["spec"]["resourceAttributes"]
            verbs = {"GET": ("get", "list", "watch"), "PATCH": ("patch", "create"), "DELETE": ("delete",)}
            refused = {(verb, where) for method, where in self.stand_in.refused for verb in verbs.get(method, ())}
            self._send(200, {"status": {"allowed": (asked["verb"], asked["resource"]) not in refused}})
            return
        self._ask_service()

    def _ask_service(self) -> None:
        """Hand on to a Service, as the proxy; what comes to the server itself comes as to a load balancer."""
        service, port, path = match.groups() if (match := _PROXY.search(self.path)) else ("", "0", self.path)
        asked = ToService(
            service=service,
            port=int(port),
            method=self.command,
            path=path,
            body=self.body,
            content_type=self.headers["Content-Type"],
        )
        status, body = self.stand_in.services(asked)
        if isinstance(body, Streamed):
            self._pass_on(status, body)
        else:
            self._send(status, body)

    def _pass_on(self, status: int, streamed: Streamed) -> None:
        self._begin_chunks(status)
        with closing(streamed.parts(client=self.connection)) as parts:
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
            time.sleep(self.stand_in.behind_s.get(self.kind, 0.0))
            for _, change, obj in new:
                if obj["kind"] == self.kind and self._selected(obj):
                    self._change(change, obj)
        self._end_chunks(whole=not self._cut)

    @property
    def _cut(self) -> bool:
        """Whether this answer is to break off."""
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
        """`whole`: tell the client that this was all."""
        if whole:
            self._write(b"0\r\n\r\n")
        self.close_connection = True

    def _write(self, data: bytes) -> None:
        try:
            self.wfile.write(data)
        except OSError:  # the client has left
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
