"""What `doctor` says of a cluster: whether it answers, and which rights are missing in the namespace."""

from collections.abc import Iterator, Mapping

from workers.contract.findings import Finding
from workers.errors import JobError, PermanentError
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
"""(kind, subresource) → verbs that serving and load tests need; k8s/environment/rbac.yaml grants them."""

OUTSIDE: Mapping[tuple[str, str], tuple[str, ...]] = {("Service", "proxy"): ("get", "create")}
"""The same, of workers outside the cluster: to them the API server is the way to Services."""


def diagnose(api: Api) -> Iterator[Finding]:
    """Reachable, and one finding for each resource. Asks for rights without using them; changes nothing."""
    rights = RIGHTS if api.target.inside else {**RIGHTS, **OUTSIDE}
    where = f"{api.target.cluster}/{api.namespace}"
    try:
        for position, ((kind, subresource), verbs) in enumerate(rights.items()):
            missing = [verb for verb in verbs if not api.may(verb, kind, subresource=subresource)]
            if position == 0:
                yield Finding(what=f"{where} is reachable", ok=True)
            resource = "/".join(part for part in (KINDS[kind][1], subresource) if part)
            yield Finding(
                what=f"{', '.join(missing or verbs)} {resource} on {where}",
                ok=not missing,
                advice=_grant(api, kind, resource, missing),
            )
    except JobError as error:
        advice = error.advice if isinstance(error, PermanentError) else "Check the way to the cluster's API server."
        yield Finding(what=str(error).rstrip("."), ok=False, advice=advice)


def _grant(api: Api, kind: str, resource: str, verbs: list[str]) -> str:
    """https://kubernetes.io/docs/reference/access-authn-authz/rbac/#kubectl-create-role"""
    group = KINDS[kind][0].rpartition("/")[0]
    name, _, subresource = resource.partition("/")
    of = f"{name}.{group}" if group else name
    of = f"{of}/{subresource}" if subresource else of
    role = f"seatrial-{resource.replace('/', '-')}"
    return (
        f"kubectl --namespace {api.namespace} create role {role} --verb={','.join(verbs)} --resource={of}, and bind it "
        f"to the worker's account with kubectl create rolebinding; k8s/environment/rbac.yaml has all of them."
    )
