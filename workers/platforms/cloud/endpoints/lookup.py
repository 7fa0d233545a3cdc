"""Finds endpoints by their objects in a namespace, and tells how they stand."""

from collections.abc import Mapping
from typing import Any

from workers.errors import PermanentError
from workers.platforms.cloud.endpoints.address import find_address
from workers.platforms.cloud.endpoints.autoscaling import cpu_percent, scaling_trouble
from workers.platforms.cloud.endpoints.manifests import EndpointId, origin_of
from workers.platforms.cloud.endpoints.revisions import is_verified, undo_to, verified_of
from workers.platforms.cloud.endpoints.troubles import troubles
from workers.platforms.cloud.kubernetes.api import Api
from workers.platforms.cloud.kubernetes.http import Object
from workers.platforms.protocols.cluster import Endpoint

_NO_AUTOSCALER = "The autoscaler is gone, so that the number of replicas stays as it is; set the replicas again."


def find(api: Api, endpoint_id: EndpointId) -> Object | None:
    """The endpoint's Deployment, or None. PermanentError where one of its name belongs to somebody else."""
    found = api.get("Deployment", endpoint_id.name)
    if found is None or found["metadata"].get("deletionTimestamp"):
        return None
    check_mine(api, endpoint_id, "Deployment", found)
    return found


def check_mine(api: Api, endpoint_id: EndpointId, kind: str, found: Object | None) -> None:
    """Raise PermanentError where there is an object of the endpoint's name that was not made for it."""
    if found is not None and not is_mine(found, endpoint_id):
        raise PermanentError(
            f"The {kind} {endpoint_id.name} in namespace {api.namespace} is not one of Seatrial's.",
            advice="Delete or rename it, or give the environment a namespace of its own.",
        )


def is_mine(obj: Mapping[str, Any], endpoint_id: EndpointId) -> bool:
    """Whether the object was made for this endpoint."""
    labels = obj["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in endpoint_id.labels.items())


def ready_of(deployment: Mapping[str, Any]) -> int:
    """How many of its replicas are ready, of whatever revision."""
    return int(deployment.get("status", {}).get("readyReplicas", 0))


def count_of(deployment: Mapping[str, Any]) -> int:
    """How many replicas are wanted; https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#replicas"""
    return int(deployment["spec"].get("replicas", 1))


def address_of(api: Api, endpoint_id: EndpointId, service: Object) -> str:
    """The base URL of the endpoint's Service, or "" while it has none."""
    by_node = service["spec"].get("type") == "NodePort"
    pods = api.list("Pod", labels=endpoint_id.selector) if by_node else ()
    return find_address(service, pods, namespace=api.namespace)


def describe(api: Api, endpoint_id: EndpointId, deployment: Object) -> Endpoint:
    """The endpoint as its objects tell it.

    While a release is not proven, the one that was proven before it is what runs.
    """
    served: Mapping[str, Any] = deployment
    if verified_of(deployment) and not is_verified(deployment):
        served = undo_to(deployment, api.list("ReplicaSet", labels=endpoint_id.selector)) or deployment
    origin = origin_of(served)
    autoscaler = None if origin.replicas.fixed else api.get("HorizontalPodAutoscaler", endpoint_id.name)
    lost = autoscaler is None and not origin.replicas.fixed and is_verified(deployment)
    service = api.get("Service", endpoint_id.name)
    ready, desired = ready_of(deployment), count_of(deployment)
    return Endpoint(
        model=endpoint_id.model,
        environment=endpoint_id.environment,
        version=origin.version,
        address=address_of(api, endpoint_id, service) if service else "",
        ready=ready,
        desired=desired,
        replicas=origin.replicas,
        cpu_percent=cpu_percent(autoscaler),
        trouble=(_trouble(api, endpoint_id, deployment) if ready < desired else "")
        or (_NO_AUTOSCALER if lost else scaling_trouble(autoscaler)),
        since_s=origin.since_s,
        job_id=origin.job_id,
    )


def _trouble(api: Api, endpoint_id: EndpointId, deployment: Object) -> str:
    found = troubles(
        deployment=deployment,
        replica_sets=api.list("ReplicaSet", labels=endpoint_id.selector),
        pods=api.list("Pod", labels=endpoint_id.selector),
        events=(),
    )
    return found[0].words if found else ""
