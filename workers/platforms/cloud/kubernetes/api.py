"""Client for one namespace of a Kubernetes API server. Requests are sent, and errors translated, in http.py.

Objects are the API's own JSON, as dicts. https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

import json
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from workers.errors import PermanentError, TemporaryError
from workers.platforms.cloud.kubernetes.access import ClusterAddress, open_client, read_address
from workers.platforms.cloud.kubernetes.errors import ApiCall, unreachable
from workers.platforms.cloud.kubernetes.http import FIELD_MANAGER, Http, HttpRequest, parse_object
from workers.platforms.cloud.kubernetes.objects import Object
from workers.platforms.cloud.kubernetes.watch import Watched, watching

KINDS: Mapping[str, tuple[str, str]] = {
    "ConfigMap": ("v1", "configmaps"),
    "Deployment": ("apps/v1", "deployments"),
    "Event": ("v1", "events"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
    "Pod": ("v1", "pods"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "Service": ("v1", "services"),
}
"""Kind → (apiVersion, resource) of the kinds in use. All of them are namespaced."""

_LOG_LINES = 5


def connect(address: str) -> "Api":
    """Return a client for "kubernetes://CONTEXT/NAMESPACE", "kubernetes://in-cluster/NAMESPACE" or
    "gke://PROJECT/LOCATION/CLUSTER/NAMESPACE".

    Connects on the first call. Raises ValueError, with one sentence, for an address of another form.
    """
    return Api(target=read_address(address))


class Api:
    """One namespace of one cluster. Thread-safe.

    Every method raises PermanentError (rights, refusals: with `advice`) or TemporaryError (network, overload,
    conflict). `labels` select objects that carry all of them; `fields` is a field selector ("type=Warning").
    """

    def __init__(self, *, target: ClusterAddress, client: Any = None) -> None:
        """`client` replaces the `kubernetes.client.ApiClient` for `target`."""
        self.target = target
        self.namespace = target.namespace
        self._http = Http(lambda: client or open_client(target))

    def apply(self, obj: Object) -> Object:
        """Create or update the object by forced server-side apply; return all of it.

        Removes fields that an earlier call set and this one omits. Fields of other owners stay. The server refuses
        unknown fields.
        """
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        content = "application/apply-patch+yaml"
        return self._json("patch", obj["kind"], obj["metadata"]["name"], query=query, body=obj, content=content)

    def patch(self, kind: str, name: str, changes: Object, *, subresource: str = "") -> Object:
        """Merge `changes` into the object (JSON merge patch: None removes a field); return all of it."""
        query, content = {"fieldManager": FIELD_MANAGER}, "application/merge-patch+json"
        return self._json("patch", kind, name, subresource, query=query, body=changes, content=content)

    def scale(self, kind: str, name: str, replicas: int) -> None:
        """Set the count through the scale subresource, as `kubectl scale` and the autoscaler do."""
        self.patch(kind, name, {"spec": {"replicas": replicas}}, subresource="scale")

    def get(self, kind: str, name: str) -> Object | None:
        """Return the object, or None if it does not exist."""
        return self._json("get", kind, name, may_miss=True) or None

    def list(self, kind: str, *, labels: Mapping[str, str] | None = None, fields: str = "") -> tuple[Object, ...]:
        """Return the selected objects of the kind."""
        return tuple(self._json("list", kind, query=_selection(labels, fields))["items"])

    def delete(self, kind: str, name: str) -> bool:
        """Delete the object, and its dependents in the background. Return False if it did not exist."""
        return bool(self._json("delete", kind, name, query={"propagationPolicy": "Background"}, may_miss=True))

    def watch(
        self, kind: str, *, labels: Mapping[str, str] | None = None, fields: str = ""
    ) -> AbstractContextManager[Watched]:
        """Keep a copy of the selected objects up to date until the context exits; see Watched."""
        query = _selection(labels, fields)

        def list_objects() -> Object:
            return self._json("list", kind, query=query)

        def open_stream(query_of_watch: Mapping[str, str], read_s: float) -> Any:
            request = HttpRequest(path=self._path(kind), query={**query, **query_of_watch}, read_s=read_s, stream=True)
            return self._http.send(self._call("watch", kind), request)

        return watching(name=f"watch {KINDS[kind][1]}", list_objects=list_objects, open_stream=open_stream)

    def log_end(self, pod: str, container: str) -> str:
        """Return the last log lines of a container, those before its restart if it was restarted, or "".

        Raises no error: the log only adds to a failure that is known already.
        """
        for previous in ("true", "false"):
            query = {"tailLines": str(_LOG_LINES), "previous": previous, "container": container}
            request = HttpRequest(path=self._path("Pod", pod, "log"), query=query)
            with suppress(PermanentError, TemporaryError):  # the container has not started, or the pod is gone
                data: bytes = self._http.send(self._call("get", "Pod", "log"), request).data
                if text := data.decode(errors="replace").strip():
                    return text
        return ""

    def ask_service(
        self, name: str, port: int, method: str, path: str, *, body: bytes = b"", answer_s: float | None = None
    ) -> tuple[int, bytes]:
        """Send one HTTP request to a Service's `port` through the API server, for workers outside the cluster.

        Returns the status of its answer, of an error too, and the body. Raises TemporaryError without a ready pod.
        https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls
        """
        call = self._call("create" if method == "POST" else "get", "Service", "proxy")
        proxy_path = self._proxy_path(name, port, path)
        request = HttpRequest(method=method, path=proxy_path, body=body or None, read_s=answer_s)
        response = self._http.send(call, request, by_service=True)
        return response.status, response.data

    def follow_service(self, name: str, port: int, path: str, *, silence_s: float) -> Generator[bytes, None, None]:
        """Yield the lines of an endless answer to a GET through the API server.

        The connection to the Service closes with the generator or with this process. Also raises TemporaryError if no
        line arrives for `silence_s`, or if the Service refuses.
        """
        import urllib3

        call = self._call("get", "Service", "proxy")
        request = HttpRequest(path=self._proxy_path(name, port, path), read_s=silence_s, stream=True)
        response = self._http.send(call, request)
        try:
            yield from response
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(call, error) from error
        finally:
            response.close()

    def may(self, verb: str, kind: str, *, subresource: str = "") -> bool:
        """Return True if these credentials have the right, as `kubectl auth can-i` does."""
        call = self._call(verb, kind)
        right = {"group": call.group, "resource": call.resource, "subresource": subresource, "verb": verb}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": self.namespace, **right}},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        call = replace(call, verb="create", group="authorization.k8s.io", resource="selfsubjectaccessreviews")
        response = self._http.send(call, HttpRequest(method="POST", path=path, body=json.dumps(review).encode()))
        return bool(parse_object(call, response.data)["status"]["allowed"])

    def _json(
        self,
        verb: str,
        kind: str,
        name: str = "",
        subresource: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content: str = "application/json",
        may_miss: bool = False,
    ) -> Object:
        """Return the object in the answer to a call on `kind`, or {} for a 404 if it `may_miss`."""
        call = self._call(verb, kind, subresource)
        method = {"get": "GET", "list": "GET", "patch": "PATCH", "delete": "DELETE"}[verb]
        data = None if body is None else json.dumps(body).encode()
        path = self._path(kind, name, subresource)
        request = HttpRequest(method=method, path=path, query=query, body=data, content=content)
        response = self._http.send(call, request, may_miss=may_miss)
        return {} if response is None else parse_object(call, response.data)

    def _path(self, kind: str, name: str = "", subresource: str = "") -> str:
        api_version, resource = KINDS[kind]
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        parts = ["namespaces", self.namespace, resource, name, subresource]
        return "/".join([root, *(quote(part, safe=":") for part in parts if part)])

    def _proxy_path(self, service: str, port: int, path: str) -> str:
        return f"{self._path('Service', f'{service}:{port}', 'proxy')}/{path.lstrip('/')}"

    def _call(self, verb: str, kind: str, subresource: str = "") -> ApiCall:
        api_version, resource = KINDS[kind]
        resource = f"{resource}/{subresource}" if subresource else resource
        group = api_version.rpartition("/")[0]
        return ApiCall(verb=verb, group=group, resource=resource, namespace=self.namespace, cluster=self.target.cluster)


def _selection(labels: Mapping[str, str] | None, fields: str) -> dict[str, str]:
    selector = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
    return {key: value for key, value in (("labelSelector", selector), ("fieldSelector", fields)) if value}
