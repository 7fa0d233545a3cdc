"""Whether objects that refer to each other find each other: `broken(objects)` says in words what does not. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Object = dict[str, Any]

SECRETS = {"redis": {"password"}, "slack": {"bot-token", "app-token", "signing-secret"}}
"""Secrets and their keys that people make by hand, as k8s/base/kustomization.yaml tells them."""


def broken(objects: Sequence[Object]) -> list[str]:
    """One line for each reference that leads nowhere."""
    return [line for obj in objects for line in _broken(obj, objects)]


def pod_spec(obj: Object) -> Object:
    """The pod template's spec of a workload."""
    spec: Object = obj["spec"]["template"]["spec"]
    return spec


def containers(obj: Object) -> list[Object]:
    """All containers of a workload, side cars too."""
    spec = pod_spec(obj)
    return [*spec.get("initContainers", ()), *spec["containers"]]


def workloads(objects: Iterable[Object]) -> list[Object]:
    """Those that have pods."""
    return [obj for obj in objects if obj["kind"] in ("Deployment", "StatefulSet")]


def _broken(obj: Object, objects: Sequence[Object]) -> Iterator[str]:
    where, near = f"{obj['kind']} {obj['metadata']['name']}", _near(obj, objects)
    match obj["kind"]:
        case "Deployment" | "StatefulSet":
            yield from (f"{where}: {words}" for words in _workload(obj, near))
        case "Service":
            yield from (f"{where}: {words}" for words in _service(obj, near))
        case "PodDisruptionBudget":
            if not _selected(obj["spec"]["selector"], near):
                yield f"{where}: selects no pod"
        case "HorizontalPodAutoscaler" | "ScaledObject":
            name = obj["spec"]["scaleTargetRef"]["name"]
            if not _named(near, "Deployment", name):
                yield f"{where}: there is no Deployment {name}"
        case "RoleBinding":
            if not _named(near, obj["roleRef"]["kind"], obj["roleRef"]["name"]):
                yield f"{where}: there is no such role"
            for subject in obj["subjects"]:
                accounts = [each for each in objects if each["metadata"].get("namespace") == subject.get("namespace")]
                if subject["kind"] == "ServiceAccount" and not _named(accounts, "ServiceAccount", subject["name"]):
                    yield f"{where}: there is no service account {subject['name']}"


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
            yield f"nobody is told to make the secret {secret['name']}/{secret['key']}"
        if reference := source.get("configMapKeyRef"):
            maps = _named(near, "ConfigMap", reference["name"])
            if not maps or reference["key"] not in maps[0]["data"]:
                yield f"there is no {reference['key']} in a ConfigMap {reference['name']}"
        value = variable.get("value", "")
        if "$(" in value and value.split("$(")[1].split(")")[0] not in known:
            yield f"{variable['name']} uses a variable that is not defined before it"
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
                yield f"its {probe} asks a port {port} that it does not have"


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
    """Those of the same namespace, which is as far as a name reaches."""
    namespace = obj["metadata"].get("namespace")
    return [each for each in objects if each["metadata"].get("namespace") == namespace]
