"""A Kubernetes API server as few methods on plain objects, in one namespace; the only place that speaks to one.

Objects go in and out as the API's own JSON, as dicts. https://kubernetes.io/docs/reference/using-api/api-concepts/
How a request is sent, and what becomes of it: kubernetes_http.
"""

import json
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from workers.errors import PermanentError
from workers.platforms.cloud.kubernetes.access import ClusterAddress, read_address
from workers.platforms.cloud.kubernetes.errors import ApiCall, unreachable
from workers.platforms.cloud.kubernetes.http import ANSWER_S, FIELD_MANAGER, Http, Object, object_of
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
"""Kind → (apiVersion, resource), of those that are used; all of them live in a namespace."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiResponse:
    """What a Service answered through the API server."""

    status: int
    body: bytes


def connect(address: str) -> "Api":
    """The API server at `address`: "kubernetes://CONTEXT/NAMESPACE", "kubernetes://in-cluster/NAMESPACE" or
    "gke://PROJECT/LOCATION/CLUSTER/NAMESPACE".

    Nothing is sent before the first call, which may raise PermanentError for want of a context or credentials.
    Raises ValueError, with one sentence, for an address of another form.
    """
    return Api(target=read_address(address))


class Api:
    """One namespace of one cluster, for any number of threads.

    Every method raises PermanentError (rights, refusals: with `advice`) or TemporaryError (network, overload,
    conflict). `labels` select objects that carry all of them; `fields` is a field selector ("type=Warning").
    """

    def __init__(self, *, target: ClusterAddress, client: Any = None, answer_s: float = ANSWER_S) -> None:
        """`client`: a `kubernetes.client.ApiClient` to use in place of the one that `target` leads to. `answer_s`: how
        long an answer is waited for, once more where the connection breaks meanwhile."""
        self.target = target
        self.namespace = target.namespace
        self._http = Http(target, client=client, answer_s=answer_s)

    def apply(self, obj: Object) -> Object:
        """Create or change the object so that it has these fields (server-side apply, by force); return it whole.

        Fields that an earlier call set and this one leaves out are taken away; those of other owners stay. Unknown
        fields are refused.
        """
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        name = obj["metadata"]["name"]
        applied: Object = self._json(
            "patch", obj["kind"], name, query=query, body=obj, content="application/apply-patch+yaml"
        )
        return applied

    def patch(self, kind: str, name: str, changes: Object, *, subresource: str = "") -> Object:
        """Merge `changes` into the object (JSON merge patch: None takes a field away); return it whole."""
        query = {"fieldManager": FIELD_MANAGER}
        content = "application/merge-patch+json"
        patched: Object = self._json("patch", kind, name, subresource, query=query, body=changes, content=content)
        return patched

    def scale(self, kind: str, name: str, replicas: int) -> None:
        """Set the count through the scale subresource, as `kubectl scale` and the autoscaler do."""
        self.patch(kind, name, {"spec": {"replicas": replicas}}, subresource="scale")

    def get(self, kind: str, name: str) -> Object | None:
        """The object, or None where there is none."""
        answer: Object | None = self._json("get", kind, name, may_miss=True)
        return answer

    def list(self, kind: str, *, labels: Mapping[str, str] | None = None, fields: str = "") -> tuple[Object, ...]:
        """All objects of the kind in the namespace that are selected."""
        answer = self._json("list", kind, query=_selection(labels, fields))
        return tuple(answer["items"])

    def delete(self, kind: str, name: str) -> bool:
        """Delete the object, and what it owns in the background. False where there was none."""
        query = {"propagationPolicy": "Background"}
        return self._json("delete", kind, name, query=query, may_miss=True) is not None

    def watch(
        self, kind: str, *, labels: Mapping[str, str] | None = None, fields: str = ""
    ) -> AbstractContextManager[Watched]:
        """A copy of the selected objects that is kept up to date until the context is left; see Watched."""
        api_version, resource = KINDS[kind]
        call = self._call("watch", api_version, resource)
        query = _selection(labels, fields)

        def listed() -> Object:
            return dict(self._json("list", kind, query=query))

        def stream(query_of_watch: Mapping[str, str], read_s: float) -> Any:
            return self._http.send(
                call, "GET", self._path(kind), query={**query, **query_of_watch}, read_s=read_s, stream=True
            )

        return watching(name=f"watch {resource}", listed=listed, stream=stream)

    def logs(self, pod: str, *, container: str = "", lines: int = 20, previous: bool = False) -> str:
        """The last lines that a container of the pod wrote (`previous`: the one before its restart), or ""."""
        query = {"tailLines": str(lines), "previous": str(previous).lower()}
        if container:
            query["container"] = container
        call = self._call("get", "v1", "pods/log")
        try:
            response = self._http.send(call, "GET", self._path("Pod", pod, "log"), query=query)
        except PermanentError:  # the container has not started, or the pod has gone
            return ""
        return str(response.data.decode(errors="replace")).strip()

    def ask_service(
        self,
        name: str,
        port: int,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        content: str = "application/json",
        answer_s: float | None = None,
    ) -> ApiResponse:
        """One HTTP request to a Service's `port`, carried by the API server, for a worker outside the cluster.

        What the Service answers comes back whatever its status is. TemporaryError where nothing answers behind it.
        https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls
        """
        call = self._call("create" if method == "POST" else "get", "v1", "services/proxy")
        where = self._behind(name, port, path)
        response = self._http.send(
            call, method, where, body=body or None, content=content, read_s=answer_s, by_service=True
        )
        return ApiResponse(status=response.status, body=response.data)

    def follow_service(self, name: str, port: int, path: str, *, silence_s: float) -> Generator[bytes, None, None]:
        """The lines of an answer without end, as they come: a GET as that of `ask_service`.

        The Service loses the connection when the generator is closed, and when this process dies. TemporaryError also
        where nothing comes for `silence_s`, or the Service refuses.
        """
        import urllib3

        call = self._call("get", "v1", "services/proxy")
        response = self._http.send(call, "GET", self._behind(name, port, path), read_s=silence_s, stream=True)
        try:
            yield from response
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(call, error) from error
        finally:
            response.close()

    def may(self, verb: str, kind: str, *, subresource: str = "") -> bool:
        """Whether these credentials have the right, as `kubectl auth can-i` asks."""
        api_version, resource = KINDS[kind]
        asked = {"group": _group(api_version), "resource": resource, "subresource": subresource}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": self.namespace, "verb": verb, **asked}},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        call = self._call("create", "authorization.k8s.io/v1", "selfsubjectaccessreviews")
        response = self._http.send(call, "POST", path, body=json.dumps(review).encode(), content="application/json")
        return bool(object_of(call, response.data)["status"]["allowed"])

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
    ) -> Any:
        """The object that a call on `kind` answers with; None where it `may_miss` and is not there."""
        api_version, resource = KINDS[kind]
        call = self._call(verb, api_version, f"{resource}/{subresource}" if subresource else resource)
        method = {"get": "GET", "list": "GET", "patch": "PATCH", "delete": "DELETE"}[verb]
        data = None if body is None else json.dumps(body).encode()
        path = self._path(kind, name, subresource)
        response = self._http.send(call, method, path, query=query, body=data, content=content, may_miss=may_miss)
        return None if response is None else object_of(call, response.data)

    def _path(self, kind: str, name: str = "", subresource: str = "") -> str:
        api_version, resource = KINDS[kind]
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        parts = ["namespaces", self.namespace, resource, name, subresource]
        return "/".join([root, *(quote(part, safe=":") for part in parts if part)])

    def _behind(self, service: str, port: int, path: str) -> str:
        """The path by which the API server's proxy carries a request to a Service."""
        return f"{self._path('Service', f'{service}:{port}', 'proxy')}/{path.lstrip('/')}"

    def _call(self, verb: str, api_version: str, resource: str) -> ApiCall:
        return ApiCall(
            verb=verb,
            group=_group(api_version),
            resource=resource,
            namespace=self.namespace,
            cluster=self.target.cluster,
        )


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]


def _selection(labels: Mapping[str, str] | None, fields: str) -> dict[str, str]:
    query = {}
    if labels:
        query["labelSelector"] = ",".join(f"{key}={value}" for key, value in labels.items())
    if fields:
        query["fieldSelector"] = fields
    return query
