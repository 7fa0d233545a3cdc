"""Answers of an API server translated to errors that a person can act on. Pure.

Refusals are objects of kind Status:
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.errors import JobError, PermanentError, TemporaryError

_RETRY_AFTER_S = 2.0
_ANONYMOUS = "system:anonymous"
"""https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests"""
_LOG_IN = "Log in again, or check the service account that the worker uses."


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiCall:
    """A request in the terms of RBAC: `verb` on `resource` of `group`."""

    verb: str
    group: str
    resource: str
    namespace: str
    cluster: str

    @property
    def description(self) -> str:
        """The call as "get pods in namespace 'prod'"."""
        return f"{self.verb} {self.resource} in namespace {self.namespace!r}"


def refusal(call: ApiCall, *, status: int, body: bytes, headers: Mapping[str, str]) -> JobError:
    """Return the error for a status outside 200–299.

    Permanent: missing rights, missing objects, invalid requests (the server's message names the field).
    Temporary: conflicts of two writers, too many requests, and faults of the server.
    """
    answer = status_object(body)
    reason = str(answer.get("message") or body[:300].decode(errors="replace") or f"HTTP {status}").strip().rstrip(".")
    match status:
        case 401:
            return PermanentError(f"{call.cluster} does not accept the credentials: {reason}.", advice=_LOG_IN)
        case 403 if "exceeded quota" in reason:
            return PermanentError(f"{reason}.", advice="Raise the namespace's ResourceQuota, or free some of it.")
        case 403 if _ANONYMOUS in reason:
            return PermanentError(f"{call.cluster} received no credentials: {reason}.", advice=_LOG_IN)
        case 403 if " cannot " in reason:  # RBAC and IAM use this word; admission also answers 403, without it
            return PermanentError(f"{reason}.", advice=_grant(call))
        case 404 if "namespaces" in reason:
            return PermanentError(f"{reason}.", advice=f"Create it: kubectl create namespace {call.namespace}.")
        case 409 if answer.get("reason") == "AlreadyExists":
            return PermanentError(f"{reason}.")
        case 408 | 409 | 410 | 429:
            return TemporaryError(f"{call.cluster} answered: {reason}.", retry_after_s=_retry_after_s(headers))
        case _ if status >= 500:
            message = f"{call.cluster} failed to {call.description}: {reason}."
            return TemporaryError(message, retry_after_s=_retry_after_s(headers))
    return PermanentError(f"{call.cluster} refused to {call.description}: {reason}.")


def is_rejected_login(*, status: int, body: bytes) -> bool:
    """Return True if the server did not recognize the login, so a new one may help."""
    return status == 401 or (status == 403 and _ANONYMOUS.encode() in body)


def unreachable(call: ApiCall, error: Exception) -> JobError:
    """Return the error for a server that did not answer. An untrusted certificate is permanent."""
    message = f"{call.cluster} could not be reached to {call.description}: {error}."
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return PermanentError(message, advice="Check the cluster's certificate authority in the kubeconfig.")
    return TemporaryError(message)


def _grant(call: ApiCall) -> str:
    rule = f'apiGroups: ["{call.group}"], resources: ["{call.resource}"], verbs: ["{call.verb}"]'
    iam = " (or, by IAM, roles/container.developer on the project)" if call.cluster.startswith("gke://") else ""
    return f"Grant the worker's account a Role in namespace {call.namespace!r} with {rule}{iam}."


def status_object(body: bytes) -> Mapping[str, Any]:
    """Return the object of kind Status in a refusal, or {} if another server answered."""
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """Return Retry-After, within 0.5–30 s: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/"""
    try:
        return min(max(float(headers.get("Retry-After", "")), 0.5), 30.0)
    except ValueError:
        return _RETRY_AFTER_S
