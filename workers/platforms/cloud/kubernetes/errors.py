"""From what an API server answered to an error that a person can act on. Pure.

What a refusal looks like (kind Status):
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.errors import JobError, PermanentError, TemporaryError

_RETRY_AFTER_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiCall:
    """What was asked of the server, in the terms in which rights are granted: `verb` on `resource` of `group`."""

    verb: str
    group: str
    resource: str
    namespace: str
    cluster: str

    @property
    def words(self) -> str:
        """The call as a person would say it."""
        return f"{self.verb} {self.resource} in namespace {self.namespace!r}"


def refusal(call: ApiCall, *, status: int, body: bytes, headers: Mapping[str, str]) -> JobError:
    """The error for an answer outside 200–299.

    Permanent: rights, what is not there, what the server finds wrong (with its words, which name the field).
    Temporary: a conflict of two writers, too many requests, and every fault of the server's own.
    """
    answer = _status_object(body)
    said = str(answer.get("message") or body[:300].decode(errors="replace") or f"HTTP {status}").strip().rstrip(".")
    match status:
        case 401:
            return PermanentError(f"{call.cluster} does not accept the credentials: {said}.", advice=_LOG_IN)
        case 403 if "exceeded quota" in said:
            return PermanentError(f"{said}.", advice="Raise the namespace's ResourceQuota, or free some of it.")
        case 403 if _ANONYMOUS in said:
            return PermanentError(f"{call.cluster} was sent no credentials: {said}.", advice=_LOG_IN)
        case 403 if " cannot " in said:  # RBAC's and IAM's word; admission, too, refuses with 403
            return PermanentError(f"{said}.", advice=_grant(call))
        case 404 if "namespaces" in said:
            return PermanentError(f"{said}.", advice=f"Create it: kubectl create namespace {call.namespace}.")
        case 409 if answer.get("reason") == "AlreadyExists":
            return PermanentError(f"{said}.")
        case 408 | 409 | 410 | 429:
            return TemporaryError(f"{call.cluster} says: {said}.", retry_after_s=_retry_after_s(headers))
        case _ if status >= 500:
            return TemporaryError(
                f"{call.cluster} failed to {call.words}: {said}.", retry_after_s=_retry_after_s(headers)
            )
    return PermanentError(f"{call.cluster} refused to {call.words}: {said}.")


def is_stranger(*, status: int, body: bytes) -> bool:
    """Whether the server did not know who asked: another login may help."""
    return status == 401 or (status == 403 and _ANONYMOUS.encode() in body)


def no_object(call: ApiCall, body: bytes) -> JobError:
    """The error for an answer that is well and no object of the API: a login page, or some other server."""
    said = " ".join(body[:100].decode(errors="replace").split())
    return PermanentError(
        f"{call.cluster} did not {call.words} as a Kubernetes API server does; it says: {said}",
        advice="Check the server's address in the kubeconfig, and what stands before it.",
    )


def unreachable(call: ApiCall, error: Exception) -> JobError:
    """The error for a server that did not answer. A certificate that is not trusted will not be so later either."""
    words = f"{call.cluster} could not be reached to {call.words}: {error}."
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return PermanentError(words, advice="Check the cluster's certificate authority in the kubeconfig.")
    return TemporaryError(words)


_ANONYMOUS = "system:anonymous"
"""https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests"""
_LOG_IN = "Log in again, or check the service account whose credentials the worker has."


def _grant(call: ApiCall) -> str:
    rule = f'apiGroups: ["{call.group}"], resources: ["{call.resource}"], verbs: ["{call.verb}"]'
    iam = " (or, by IAM, roles/container.developer on the project)" if call.cluster.startswith("gke://") else ""
    return f"Grant the worker's account a Role in namespace {call.namespace!r} with {rule}{iam}."


def _status_object(body: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """https://kubernetes.io/docs/concepts/cluster-administration/flow-control/: 429 comes with Retry-After."""
    try:
        return min(max(float(headers.get("Retry-After", "")), 0.5), 30.0)
    except ValueError:
        return _RETRY_AFTER_S
