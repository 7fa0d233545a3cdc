"""A small API server for what kmock has not: applies that create, selectors, resource versions, 410, the service proxy.

Shaped by https://kubernetes.io/docs/reference/using-api/api-concepts/ and, for applies, by
https://kubernetes.io/docs/reference/using-api/server-side-apply/. It refuses what a real one refuses: unknown fields.
"""

import copy
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.cloud.strict_models import mistakes
from workers.platforms.cloud.kubernetes_api import KINDS

Object = dict[str, Any]
NAMESPACE = "bay"
_KIND_OF = {resource: kind for kind, (_, resource) in KINDS.items()}


class Refusal(Exception):
    """An answer of kind Status."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


class Store:
    """The objects, their versions, and every change since the beginning."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.changes: list[tuple[int, str, Object]] = []
        self.changed = threading.Condition(threading.RLock())
        self.oldest = 0  # changes before this version are forgotten
        self.version = 0
        self._applied: dict[tuple[str, str], Object] = {}
        self._uids = itertools.count(1)

    def put(self, obj: Object) -> Object:
        """Keep the object as it is given; one that differs from what is there gets a new version."""
        with self.changed:
            key = (obj["kind"], obj["metadata"]["name"])
            was = self.objects.get(key)
            made = _defaulted(copy.deepcopy(obj))
            meta = made["metadata"]
            meta.setdefault("namespace", NAMESPACE)
            if was is None:
                meta |= {"uid": f"uid-{next(self._uids)}", "generation": 1, "creationTimestamp": _now()}
            else:
                meta |= {key: was["metadata"][key] for key in ("uid", "generation", "creationTimestamp")}
                meta["generation"] += made.get("spec") != was.get("spec")
                if {**made, "metadata": {**meta, "resourceVersion": ""}} == {
                    **was,
                    "metadata": {**was["metadata"], "resourceVersion": ""},
                }:
                    return was
            self._record("ADDED" if was is None else "MODIFIED", made)
            self.objects[key] = made
            return made

    def apply(self, obj: Object) -> Object:
        """Merge, and take away what the last apply set and this one leaves out."""
        with self.changed:
            key = (obj["kind"], obj["metadata"]["name"])
            live = copy.deepcopy(self.objects.get(key, {}))
            made = _merged(_without(live, self._applied.get(key, {}), obj), obj)
            self._applied[key] = copy.deepcopy(obj)
            return self.put(made)

    def get(self, kind: str, name: str) -> Object:
        """The object. Raises Refusal 404."""
        with self.changed:
            if (kind, name) not in self.objects:
                raise Refusal(404, "NotFound", f'{KINDS[kind][1]} "{name}" not found')
            return copy.deepcopy(self.objects[kind, name])

    def list(self, kind: str, selected: Callable[[Object], bool] = lambda obj: True) -> "list[Object]":
        """All of the kind that are selected."""
        with self.changed:
            return [copy.deepcopy(obj) for (of, _), obj in self.objects.items() if of == kind and selected(obj)]

    def delete(self, kind: str, name: str) -> None:
        """Delete the object and, as the garbage collector does, what it owns."""
        with self.changed:
            gone = self.get(kind, name)
            del self.objects[kind, name]
            self._applied.pop((kind, name), None)
            self._record("DELETED", gone)
            for obj in list(self.objects.values()):
                owners = obj["metadata"].get("ownerReferences", ())
                if any(owner["uid"] == gone["metadata"]["uid"] for owner in owners):
                    self.delete(obj["kind"], obj["metadata"]["name"])

    def forget(self) -> None:
        """Have every watch that is open or comes from an older version answered with 410 Gone."""
        with self.changed:
            self.version += 1
            self.oldest = self.version
            self.changed.notify_all()

    def _record(self, change: str, obj: Object) -> None:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.changes.append((self.version, change, copy.deepcopy(obj)))
        self.changed.notify_all()


class StandIn:
    """The server. `refused` maps (method, resource) to the Status that such requests get; `asked` is what was asked."""

    def __init__(self) -> None:
        self.store = Store()
        self.refused: dict[tuple[str, str], tuple[int, str]] = {}
        self.asked: list[tuple[str, str]] = []
        self.logs: dict[str, str] = {}
        self.cuts = 0
        self.predictions: Callable[[str, int], tuple[int, Object]] = lambda path, count: (200, {"predictions": []})
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

    def cut(self) -> None:
        """Break every open watch in the middle."""
        with self.store.changed:
            self.cuts += 1
            self.store.changed.notify_all()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: StandIn

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answered(self._get)

    def do_PATCH(self) -> None:
        self._answered(self._patch)

    def do_DELETE(self) -> None:
        self._answered(self._delete)

    def do_POST(self) -> None:
        self._answered(self._post)

    def _answered(self, answer: Callable[[], None]) -> None:
        url = urlsplit(self.path)
        self.query = dict(parse_qsl(url.query))
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        _, _, rest = url.path.partition(f"/namespaces/{NAMESPACE}/")
        resource, _, rest = rest.partition("/")
        self.name, _, self.subresource = rest.partition("/")
        self.kind = _KIND_OF.get(resource, "")
        self.stand_in.asked.append((self.command, url.path))
        try:
            key = (self.command, "/".join(part for part in (resource, self.subresource.partition("/")[0]) if part))
            if key in self.stand_in.refused:
                status, message = self.stand_in.refused[key]
                raise Refusal(status, "", message)
            answer()
        except Refusal as refusal:
            self._send(refusal.status, {"kind": "Status", "reason": refusal.reason, "message": str(refusal)})

    def _get(self) -> None:
        if self.subresource == "log":
            self._send(200, self.stand_in.logs.get(self.name, "").encode())
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
            if wrong and self.query.get("fieldValidation") == "Strict":
                raise Refusal(422, "Invalid", f"{self.kind} is invalid: {'; '.join(wrong)}")
            self._send(200, store.apply(given))
        else:
            assert self.headers["Content-Type"] == "application/merge-patch+json"
            self._send(200, store.put(_merged(store.get(self.kind, self.name), given)))

    def _delete(self) -> None:
        self.stand_in.store.delete(self.kind, self.name)
        self._send(200, {"kind": "Status", "status": "Success"})

    def _post(self) -> None:
        """A prediction: through the service proxy, or at the server itself as at a load balancer."""
        if self.path.endswith("selfsubjectaccessreviews"):
            asked = json.loads(self.body)["spec"]["resourceAttributes"]
            verbs = {"GET": ("get", "list", "watch"), "PATCH": ("patch", "create"), "DELETE": ("delete",)}
            refused = {(verb, where) for method, where in self.stand_in.refused for verb in verbs.get(method, ())}
            self._send(200, {"status": {"allowed": (asked["verb"], asked["resource"]) not in refused}})
            return
        path = self.path[self.path.index("/v1/models/") :]
        self._send(*self.stand_in.predictions(path, len(json.loads(self.body)["instances"])))

    def _watch(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        store, seen, cuts = self.stand_in.store, int(self.query["resourceVersion"]), self.stand_in.cuts
        ends_at_s = time.monotonic() + float(self.query["timeoutSeconds"])
        self.close_connection = False
        while time.monotonic() < ends_at_s and self.stand_in.cuts == cuts and not self.close_connection:
            with store.changed:
                if seen < store.oldest:
                    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
                    self._chunk({"type": "ERROR", "object": status})
                    break
                new = [item for item in store.changes if item[0] > seen]
                if not new:
                    store.changed.wait(0.2)
                    continue
                seen = new[-1][0]
            for _, change, obj in new:
                if obj["kind"] == self.kind and self._selected(obj):
                    self._chunk({"type": change, "object": obj})
        if self.stand_in.cuts == cuts:
            self._write(b"0\r\n\r\n")
        self.close_connection = True

    def _selected(self, obj: Object) -> bool:
        labels = obj["metadata"].get("labels", {})
        wanted = dict(part.split("=", 1) for part in self.query.get("labelSelector", "").split(",") if part)
        if any(labels.get(key) != value for key, value in wanted.items()):
            return False
        fields = dict(part.split("=", 1) for part in self.query.get("fieldSelector", "").split(",") if part)
        return all(_field(obj, path) == value for path, value in fields.items())

    def _chunk(self, change: Object) -> None:
        line = json.dumps(change).encode() + b"\n"
        self._write(b"%x\r\n%s\r\n" % (len(line), line))

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


def _merged(live: Object, changes: Object) -> Object:
    """A JSON merge patch (RFC 7386)."""
    made = dict(live)
    for key, value in changes.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = _merged(made.get(key) or {}, value) if isinstance(value, dict) else value
    return made


def _without(live: Object, before: Object, now: Object) -> Object:
    """`live` without the fields that were applied before and are not now."""
    made = dict(live)
    for key, value in before.items():
        if key not in now:
            made.pop(key, None)
        elif isinstance(value, dict) and isinstance(made.get(key), dict) and isinstance(now[key], dict):
            made[key] = _without(made[key], value, now[key])
    return made


def _defaulted(obj: Object) -> Object:
    """Some of the defaults that the server fills in."""
    if obj["kind"] == "Deployment":
        obj["spec"].setdefault("replicas", 1)
    if obj["kind"] in ("Deployment", "ReplicaSet"):
        template = obj["spec"]["template"]
        template["metadata"].setdefault("creationTimestamp", None)
        template["spec"].setdefault("restartPolicy", "Always")
        for container in template["spec"]["containers"]:
            container.setdefault("terminationMessagePath", "/dev/termination-log")
    return obj


def _field(obj: Object, path: str) -> str:
    value: Any = obj
    for part in path.split("."):
        value = value.get(part, {}) if isinstance(value, dict) else {}
    return str(value)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def versions(store: Store) -> Iterator[str]:
    """The resourceVersions of all objects."""
    yield from (f"{kind}/{name}@{obj['metadata']['resourceVersion']}" for (kind, name), obj in store.objects.items())
