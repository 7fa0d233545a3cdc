"""Errors that the answers of an API server become."""

import json

import pytest

from workers.errors import PermanentError, TemporaryError
from workers.platforms.cloud.kubernetes.errors import ApiCall, refusal

CALL = ApiCall(verb="patch", group="apps", resource="deployments", namespace="prod", cluster="gke://p/l/c")


@pytest.mark.parametrize(
    ("status", "reason", "kind", "message", "advice"),
    [
        (
            401,
            "Unauthorized",
            PermanentError,
            "gke://p/l/c does not accept the credentials: Unauthorized",
            "Log in again",
        ),
        (
            403,
            'User "worker" cannot patch resource "deployments"',
            PermanentError,
            'User "worker" cannot patch',
            'resources: ["deployments"], verbs: ["patch"] (or, by IAM',
        ),
        (403, 'User "system:anonymous" cannot patch', PermanentError, "received no credentials", "Log in again"),
        (403, "pods is forbidden: exceeded quota: q", PermanentError, "exceeded quota: q", "ResourceQuota"),
        (404, 'namespaces "prod" not found', PermanentError, "not found", "kubectl create namespace prod"),
        (404, "the server could not find the requested resource", PermanentError, "refused to patch deployments", ""),
        (409, "the object has been modified", TemporaryError, "has been modified", ""),
        (410, "too old resource version", TemporaryError, "too old", ""),
        (422, "spec.replicas: Invalid value: -1", PermanentError, "spec.replicas: Invalid value: -1", ""),
        (429, "too many requests", TemporaryError, "too many requests", ""),
        (500, "etcdserver: request timed out", TemporaryError, "failed to patch deployments", ""),
    ],
)
def test_refusal_becomes_an_error_with_advice(
    status: int, reason: str, kind: type[Exception], message: str, advice: str
) -> None:
    """The error quotes the server. It is temporary if a retry may help."""
    body = json.dumps({"kind": "Status", "message": reason}).encode()
    error = refusal(CALL, status=status, body=body, headers={"Retry-After": "7"})
    assert type(error) is kind
    assert message in str(error)
    assert advice in getattr(error, "advice", "")
    assert getattr(error, "retry_after_s", 7.0) == 7.0


@pytest.mark.parametrize(
    "reason",
    [
        'admission webhook "policy.example.com" denied the request: images must be signed',
        "unable to create new content in namespace prod because it is being terminated",
    ],
)
def test_refusal_by_admission_is_not_a_missing_right(reason: str) -> None:
    """Its status is 403 too, but a Role would not help."""
    error = refusal(CALL, status=403, body=json.dumps({"kind": "Status", "message": reason}).encode(), headers={})
    assert isinstance(error, PermanentError)
    assert reason in str(error)
    assert "Role" not in error.advice


def test_refusal_without_a_status_object_is_quoted() -> None:
    """A proxy in front of the server may answer with its own page."""
    assert "<html>gone" in str(refusal(CALL, status=502, body=b"<html>gone", headers={}))
