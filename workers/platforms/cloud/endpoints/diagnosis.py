"""Findings of `doctor` about a cluster: is it reachable, and which rights are missing in the namespace."""

from collections.abc import Iterator, Mapping

from workers.contract.findings import Finding
from workers.errors import JobError
from workers.platforms.cloud.kubernetes.api import KINDS, Api

_ALL = ("get", "list", "watch", "create", "patch", "delete")
_READ = ("get", "list", "watch")

RIGHTS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("Deployment", ""): _ALL,
    ("Deployment", "scale"): ("patch",),
    ("ReplicaSet", ""): _READ,
    ("Pod", ""): _READ,
    ("Pod", "log"): ("get",),
    ("Event", ""): _READ,
    ("Service", ""): _ALL,
    ("HorizontalPodAutoscaler", ""): _ALL,
    ("PodDisruptionBudget", ""): _ALL,
    ("ConfigMap", ""): ("list", "create", "patch", "delete"),
}
"""(kind, subresource) → verbs for serving and load tests, as granted by k8s/environment/rbac.yaml."""

OUTSIDE: Mapping[tuple[str, str], tuple[str, ...]] = {("Service", "proxy"): ("get", "create")}
"""Further rights of workers outside the cluster, which reach Services through the API server."""


def diagnose(api: Api) -> Iterator[Finding]:
    """Yield one finding about the connection and one for each resource. Asks for rights without using them."""
    rights = RIGHTS if api.target.inside else {**RIGHTS, **OUTSIDE}
    where = f"{api.target.cluster}/{api.namespace}"
    try:
        for position, ((kind, subresource), verbs) in enumerate(rights.items()):
            missing = [verb for verb in verbs if not api.may(verb, kind, subresource=subresource)]
            if position == 0:
                yield Finding(what=f"{where} is reachable", ok=True)
            resource = "/".join(filter(None, (KINDS[kind][1], subresource)))
            what = f"{', '.join(missing or verbs)} {resource} on {where}"
            yield Finding(what=what, ok=not missing, advice=_grant(api, kind, resource, missing))
    except JobError as error:
        advice = getattr(error, "advice", "Check the network path to the cluster's API server.")
        yield Finding(what=str(error).rstrip("."), ok=False, advice=advice)


def _grant(api: Api, kind: str, resource: str, verbs: list[str]) -> str:
    """Return the command that grants the verbs.

    https://kubernetes.io/docs/reference/access-authn-authz/rbac/#kubectl-create-role
    """
    group = KINDS[kind][0].rpartition("/")[0]
    name, slash, subresource = resource.partition("/")
    qualified = f"{name}.{group}{slash}{subresource}" if group else resource
    role = f"seatrial-{resource.replace('/', '-')}"
    return (
        f"kubectl --namespace {api.namespace} create role {role} --verb={','.join(verbs)} --resource={qualified}, "
        "and bind it to the worker's account with kubectl create rolebinding. k8s/environment/rbac.yaml has all rules."
    )
