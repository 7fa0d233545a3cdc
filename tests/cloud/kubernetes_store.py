"""Object store of the Kubernetes stand-in: resource versions, server-side apply, and the history of changes."""

import copy
import itertools
import threading
import time
from collections.abc import Callable, Iterator

from workers.platforms.cloud.kubernetes.api import KINDS
from workers.platforms.cloud.kubernetes.objects import Object

NAMESPACE = "test"


class StatusError(Exception):
    """An error that the API server answers with an object of kind Status."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


class ObjectStore:
    """The objects, their versions, and every change since the start. Thread-safe."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.changes: list[tuple[int, str, Object]] = []
        self.changed = threading.Condition(threading.RLock())
        self.oldest = 0  # older changes are no longer available
        self.version = 0
        self._applied: dict[tuple[str, str], Object] = {}
        self._uids = itertools.count(1)

    def put(self, obj: Object) -> Object:
        """Replace the object. It gets a new version if it differs from the stored one."""
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
        """Merge the object, and remove the fields that the last apply set and this one omits."""
        with self.changed:
            key = (obj["kind"], obj["metadata"]["name"])
            live = copy.deepcopy(self.objects.get(key, {}))
            made = merged(_without(live, self._applied.get(key, {}), obj), obj)
            self._applied[key] = copy.deepcopy(obj)
            return self.put(made)

    def get(self, kind: str, name: str) -> Object:
        """Return a copy of the object. Raises StatusError 404."""
        with self.changed:
            if (kind, name) not in self.objects:
                raise StatusError(404, "NotFound", f'{KINDS[kind][1]} "{name}" not found')
            return copy.deepcopy(self.objects[kind, name])

    def list(self, kind: str, selected: Callable[[Object], bool] = lambda obj: True) -> "list[Object]":
        """Return copies of the selected objects of the kind."""
        with self.changed:
            return [copy.deepcopy(obj) for (of, _), obj in self.objects.items() if of == kind and selected(obj)]

    def delete(self, kind: str, name: str) -> None:
        """Delete the object. A pod is only marked: its kubelet ends it."""
        with self.changed:
            gone = self.get(kind, name)
            if kind != "Pod":
                self.remove(kind, name)
            elif "deletionTimestamp" not in gone["metadata"]:
                gone["metadata"]["deletionTimestamp"] = _now()
                self.put(gone)

    def remove(self, kind: str, name: str) -> None:
        """Remove the object and delete its dependents, as the garbage collector does."""
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
        """Answer every open watch, and every watch from an older version, with 410 Gone."""
        with self.changed:
            self.version += 1
            self.oldest = self.version
            self.changed.notify_all()

    def _record(self, change: str, obj: Object) -> None:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.changes.append((self.version, change, copy.deepcopy(obj)))
        self.changed.notify_all()


def merged(live: Object, changes: Object) -> Object:
    """Apply a JSON merge patch (RFC 7386)."""
    made = dict(live)
    for key, value in changes.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merged(made.get(key) or {}, value) if isinstance(value, dict) else value
    return made


def _without(live: Object, before: Object, now: Object) -> Object:
    """Return `live` without the fields that were applied before and are not applied now."""
    made = dict(live)
    for key, value in before.items():
        if key not in now:
            made.pop(key, None)
        elif isinstance(value, dict) and isinstance(made.get(key), dict) and isinstance(now[key], dict):
            made[key] = _without(made[key], value, now[key])
    return made


def _defaulted(obj: Object) -> Object:
    """Fill in some of the server's defaults."""
    if obj["kind"] == "Deployment":
        obj["spec"].setdefault("replicas", 1)
    if obj["kind"] in ("Deployment", "ReplicaSet"):
        template = obj["spec"]["template"]
        template["metadata"].setdefault("creationTimestamp", None)
        template["spec"].setdefault("restartPolicy", "Always")
        for container in template["spec"]["containers"]:
            container.setdefault("terminationMessagePath", "/dev/termination-log")
    return obj


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def versions(store: ObjectStore) -> Iterator[str]:
    """Yield the resourceVersion of each object."""
    yield from (f"{kind}/{name}@{obj['metadata']['resourceVersion']}" for (kind, name), obj in store.objects.items())
