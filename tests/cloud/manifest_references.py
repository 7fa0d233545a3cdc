"""Check of the references between Kubernetes objects. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from workers.platforms.cloud.kubernetes.objects import Object

SECRETS = {"redis": {"password"}, "slack": {"bot-token", "app-token", "signing-secret"}}
"""Secrets that people create by hand, following k8s/base/kustomization.yaml, and their keys."""


def broken(objects: Sequence[Object]) -> list[str]:
    """Return one line for each reference to a missing object."""
    return [line for obj in objects for line in _broken(obj, objects)]


def pod_spec(obj: Object) -> Object:
    """Return the spec of a workload's pod template."""
    spec: Object = obj["spec"]["template"]["spec"]
    return spec


def containers(obj: Object) -> list[Object]:
    """Return all containers of a workload, including sidecars."""
    spec = pod_spec(obj)
    return [*spec.get("initContainers", ()), *spec["containers"]]


def workloads(objects: Iterable[Object]) -> list[Object]:
    """Return the objects that have pods."""
    return [obj for obj in objects if obj["kind"] in ("Deployment", "StatefulSet")]


def _broken(obj: Object, objects: Sequence[Object]) -> Iterator[str]:
    subject, near = f"{obj['kind']} {obj['metadata']['name']}", _near(obj, objects)
    match obj["kind"]:
        case "Deployment" | "StatefulSet":
            yield from (f"{subject}: {words}" for words in _workload(obj, near))
        case "Service":
            yield from (f"{subject}: {words}" for words in _service(obj, near))
        case "PodDisruptionBudget":
            if not _selected(obj["spec"]["selector"], near):
                yield f"{subject}: selects no pod"
        case "HorizontalPodAutoscaler" | "ScaledObject":
            name = obj["spec"]["scaleTargetRef"]["name"]
            if not _named(near, "Deployment", name):
                yield f"{subject}: there is no Deployment {name}"
        case "RoleBinding":
            if not _named(near, obj["roleRef"]["kind"], obj["roleRef"]["name"]):
                yield f"{subject}: there is no such role"
            for subject in obj["subjects"]:
                accounts = [each for each in objects if each["metadata"].get("namespace") == subject.get("namespace")]
                if subject["kind"] == "ServiceAccount" and not _named(accounts, "ServiceAccount", subject["name"]):
                    yield f"{subject}: there is no service account {subject['name']}"


def _workload(obj: Object, near: Sequence[Object]) -> Iterator[str]:
    labels = obj["spec"]["template"]["metadata"]["labels"]
    if not obj["spec"]["selector"]["matchLabels"].items() <= labels.items():
        yield "its selector does not select its pods"
    spec = pod_spec(obj)
    account = spec.get("serviceAccountName")
    if account and not _named(near, "ServiceAccount", account):
        yield f"there is no service account {account}"
    volumes = {volume["name"] for volume in spec.get("volumes", ())}
    volumes |= {claim["metadata"]["name"] for claim in obj["spec"].get("volumeClaimTemplates", ())}
    for volume in spec.get("volumes", ()):
        if "configMap" in volume and not _named(near, "ConfigMap", volume["configMap"]["name"]):
            yield f"there is no ConfigMap {volume['configMap']['name']}"
        claim = volume.get("persistentVolumeClaim")
        if claim and not _named(near, "PersistentVolumeClaim", claim["claimName"]):
            yield f"there is no claim {claim['claimName']}"
    for container in containers(obj):
        yield from _container(container, volumes, near)


def _container(container: Object, volumes: set[str], near: Sequence[Object]) -> Iterator[str]:
    known: set[str] = set()
    for variable in container.get("env", ()):
        source = variable.get("valueFrom", {})
        secret = source.get("secretKeyRef")
        if secret and secret["key"] not in SECRETS.get(secret["name"], ()):
            yield f"no instructions to create the secret {secret['name']}/{secret['key']}"
        if reference := source.get("configMapKeyRef"):
            maps = _named(near, "ConfigMap", reference["name"])
            if not maps or reference["key"] not in maps[0]["data"]:
                yield f"there is no {reference['key']} in a ConfigMap {reference['name']}"
        value = variable.get("value", "")
        if "$(" in value and value.split("$(")[1].split(")")[0] not in known:
            yield f"{variable['name']} uses a variable that is defined after it or not at all"
        known.add(variable["name"])
    yield from (
        f"there is no volume {mount['name']}"
        for mount in container.get("volumeMounts", ())
        if mount["name"] not in volumes
    )
    ports = {port["name"] for port in container.get("ports", ())}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        for how in ("httpGet", "tcpSocket"):
            port = container.get(probe, {}).get(how, {}).get("port")
            if isinstance(port, str) and port not in ports:
                yield f"its {probe} uses a missing port {port}"


def _service(obj: Object, near: Sequence[Object]) -> Iterator[str]:
    behind = _selected({"matchLabels": obj["spec"]["selector"]}, near)
    if not behind:
        yield "selects no pod"
    names = {port["name"] for each in behind for container in containers(each) for port in container.get("ports", ())}
    for port in obj["spec"]["ports"]:
        if isinstance(port.get("targetPort"), str) and port["targetPort"] not in names:
            yield f"no pod behind it has a port {port['targetPort']}"


def _selected(selector: Mapping[str, Any], near: Sequence[Object]) -> list[Object]:
    labels = selector.get("matchLabels", {})
    return [
        each for each in workloads(near) if labels.items() <= each["spec"]["template"]["metadata"]["labels"].items()
    ]


def _named(objects: Iterable[Object], kind: str, name: str) -> list[Object]:
    return [obj for obj in objects if obj["kind"] == kind and obj["metadata"]["name"] == name]


def _near(obj: Object, objects: Sequence[Object]) -> list[Object]:
    """Return the objects of the same namespace, in which names are resolved."""
    namespace = obj["metadata"].get("namespace")
    return [each for each in objects if each["metadata"].get("namespace") == namespace]
