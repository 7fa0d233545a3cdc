"""Deployment files: valid, consistent with each other and with the code, and free of secrets."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import redis
import yaml

from tests.cloud.manifest_references import broken, containers, pod_spec, workloads
from tests.cloud.strict_models import mistakes
from workers.contract.jobs import Asked, TrainModel
from workers.contract.queue import Queue
from workers.contract.settings_reader import read_settings_file
from workers.platforms.cloud.endpoints.diagnosis import OUTSIDE, RIGHTS
from workers.platforms.cloud.kubernetes.api import KINDS
from workers.platforms.cloud.kubernetes.objects import Object

TOP = Path(__file__).parents[2]
K8S = TOP / "k8s"
RENDERED = ["overlays/gke", "overlays/local", "locust", "serving"]
KUSTOMIZATIONS = sorted([*K8S.rglob("kustomization.yaml"), TOP / "locust" / "kustomization.yaml"])
CUSTOM = {"ScaledObject"}
REQUEUE_S = 30
"""Time that a worker needs after its grace period to requeue its jobs and stop: workers/__main__.py."""


def documents(path: Path) -> list[Object]:
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def plain_resources() -> list[Path]:
    """Return every file of whole objects: those that a kustomization names as resources."""
    named = [each.parent / name for each in KUSTOMIZATIONS for name in documents(each)[0].get("resources", ())]
    return sorted(path for path in named if path.suffix == ".yaml")


def short(path: Path) -> str:
    return str(path.relative_to(TOP))


@cache
def rendered(folder: str) -> list[Object]:
    """Return the objects that `kubectl kustomize` renders, or skip the test without kubectl."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("needs kubectl")
    run = subprocess.run([kubectl, "kustomize", K8S / folder], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return [each for each in yaml.safe_load_all(run.stdout) if each]


def base(file: str, kind: str) -> Object:
    return next(each for each in documents(K8S / "base" / file) if each["kind"] == kind)


@pytest.mark.parametrize("path", plain_resources(), ids=short)
def test_objects_are_valid(path: Path) -> None:
    """By the Kubernetes client's own models: no field is unknown, missing or of the wrong type."""
    found = documents(path)
    assert found
    assert [line for each in found if each["kind"] not in CUSTOM for line in mistakes(each)] == []


def test_every_file_is_used_by_a_kustomization() -> None:
    used = set(KUSTOMIZATIONS)
    for each in KUSTOMIZATIONS:
        content = documents(each)[0]
        names = [*content.get("resources", ()), *(patch.get("path", "") for patch in content.get("patches", ()))]
        names += [file for made in content.get("configMapGenerator", ()) for file in made["files"]]
        used |= {(each.parent / name).resolve() for name in names}
    used.add(K8S / "gke" / "bootstrap.sh")
    assert [short(path) for path in sorted(K8S.rglob("*")) if path.is_file() and path.resolve() not in used] == []


def test_config_map_of_load_tests_contains_every_module() -> None:
    """A module that is missing from the kustomization is missing in the pods."""
    generator = documents(TOP / "locust" / "kustomization.yaml")[0]["configMapGenerator"][0]
    assert generator["files"] == sorted(path.name for path in (TOP / "locust").glob("*.py"))
    plan = json.loads((K8S / "locust" / "plan.json").read_text())
    assert plan["workers"] == documents(K8S / "locust" / "worker-controller.yaml")[0]["spec"]["replicas"]


@pytest.mark.parametrize("folder", RENDERED)
def test_rendered_objects_are_valid_and_complete(folder: str) -> None:
    """Also after kustomize's patches, every object is valid and every reference is satisfied."""
    objects = rendered(folder)
    assert [line for each in objects if each["kind"] not in CUSTOM for line in mistakes(each)] == []
    assert broken(objects) == []


def test_references_in_the_base_are_satisfied() -> None:
    """Without kubectl."""
    objects = [each for file in plain_resources() if file.parent == K8S / "base" for each in documents(file)]
    data = {"seatrial.toml": ""}
    objects.append({"kind": "ConfigMap", "metadata": {"name": "seatrial"}, "data": data})
    assert broken(objects) == []


@pytest.mark.parametrize("component", ["keda", "docker-engine"])
def test_components_can_be_added_to_the_base(component: str, tmp_path: Path) -> None:
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(K8S / "base", tmp_path.resolve())],
        "components": [os.path.relpath(K8S / "components" / component, tmp_path.resolve())],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    objects = rendered(str(tmp_path))
    assert [line for each in objects if each["kind"] not in CUSTOM for line in mistakes(each)] == []
    assert broken(objects) == []


def policies() -> Iterator[tuple[str, Object, list[Object]]]:
    """Yield each NetworkPolicy with the workloads of its namespace."""
    serving = ["locust/master-controller.yaml", "locust/worker-controller.yaml", "serving/deployment.yaml"]
    base_files = ["redis.yaml", "bot.yaml", "worker.yaml"]
    workload_files = {
        "base": [K8S / "base" / file for file in base_files],
        "environment": [K8S / file for file in serving],
    }
    for folder, files in workload_files.items():
        pods = [each for file in files for each in workloads(documents(file))]
        for policy in documents(K8S / folder / "network-policies.yaml"):
            yield f"{folder}/{policy['metadata']['name']}", policy["spec"], pods


def test_network_policies_match_our_pods_and_ports() -> None:
    """All other traffic is denied."""
    for name, spec, pods in policies():
        labels = spec["podSelector"].get("matchLabels", {})
        selected = [each for each in pods if labels.items() <= each["spec"]["template"]["metadata"]["labels"].items()]
        assert selected, name
        ports = {
            port["containerPort"] for each in selected for one in containers(each) for port in one.get("ports", ())
        }
        allowed = {port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"]}
        assert allowed <= ports, name
        assert bool(labels) or "ingress" not in spec, name
    denied = [name for name, spec, _ in policies() if not spec.keys() & {"ingress", "egress"}]
    assert denied == ["base/default-deny", "environment/default-deny"]


def test_checks_find_broken_objects() -> None:
    """A misspelt field, a wrong label, a missing account and a secret without instructions."""
    worker = base("worker.yaml", "Deployment")
    worker["spec"]["replica"] = 2
    worker["spec"]["template"]["metadata"]["labels"] = {"app.kubernetes.io/name": "wroker"}
    worker["spec"]["template"]["spec"]["containers"][0]["env"].append(
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "slack", "key": "token"}}}
    )
    assert mistakes(worker) == ["Deployment.spec.replica: V1DeploymentSpec has no such field"]
    assert broken([worker]) == [
        "Deployment worker: its selector does not select its pods",
        "Deployment worker: there is no service account worker",
        "Deployment worker: there is no ConfigMap seatrial",
        "Deployment worker: no instructions to create the secret slack/token",
    ]


def images() -> Iterator[tuple[str, str]]:
    for path in plain_resources():
        for each in workloads(documents(path)):
            yield from ((short(path), container["image"]) for container in containers(each))
    for name, service in documents(TOP / "docker-compose.yml")[0]["services"].items():
        yield f"docker-compose.yml: {name}", service["image"]


def test_images_are_pinned() -> None:
    """Every image has a tag other than `latest`."""
    found = dict(images())
    assert found
    assert [item for item in found.items() if not re.fullmatch(r"\S+:(?!latest)[\w.-]+", item[1])] == []


def test_no_file_contains_a_secret() -> None:
    """No object of kind Secret, and no text like a token, a key or a password."""
    like_a_secret = re.compile(r"xox[abp]-\d|xapp-\d|-----BEGIN|AIza[\w-]{30}|ya29\.|AKIA[A-Z0-9]{16}|password:\s*\S")
    files = [path for path in sorted(K8S.rglob("*")) if path.is_file()] + [TOP / "docker-compose.yml"]
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not like_a_secret.search(text), path
        assert not re.search(r"^kind: Secret$|secretGenerator", text, re.MULTILINE), path


def test_pods_are_confined() -> None:
    """Containers run as an unprivileged user with a read-only file system and no capabilities."""
    for path in plain_resources():
        for each in workloads(documents(path)):
            assert pod_spec(each)["securityContext"]["runAsNonRoot"], path
            for container in containers(each):
                context = container["securityContext"]
                assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"], path
                assert context["capabilities"] == {"drop": ["ALL"]}, path


def test_bot_has_no_rights_in_the_cluster() -> None:
    """The worker's Role names its resources, without wildcards, Secrets or access to pods."""
    assert pod_spec(base("bot.yaml", "Deployment"))["automountServiceAccountToken"] is False
    role, binding = documents(K8S / "environment" / "rbac.yaml")
    assert [subject["name"] for subject in binding["subjects"]] == ["worker"]
    for rule in role["rules"]:
        assert not {"*", "secrets", "pods/exec", "pods/attach", "pods/portforward"} & set(rule["resources"])
        assert "*" not in rule["verbs"] + rule["apiGroups"]


def test_role_grants_all_rights_that_the_doctor_checks() -> None:
    """Also those of workers outside the cluster."""
    role, _ = documents(K8S / "environment" / "rbac.yaml")
    granted = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    for (kind, subresource), verbs in {**RIGHTS, **OUTSIDE}.items():
        resource = "/".join(part for part in (KINDS[kind][1], subresource) if part)
        assert {(resource, verb) for verb in verbs} <= granted


def test_all_locust_pods_may_use_dns() -> None:
    """They resolve Services' names, which a worker outside the cluster cannot do for them."""
    specs = {name: spec for name, spec, _ in policies()}
    assert specs["environment/locust-dns"]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "locust"}}
    assert specs["environment/locust-dns"]["egress"] == specs["base/dns"]["egress"]


def test_workers_have_time_to_requeue_their_jobs() -> None:
    """They are killed only after their own grace period and the time for requeueing, on Kubernetes and in compose."""
    worker = base("worker.yaml", "Deployment")
    environ = {variable["name"]: variable.get("value") for variable in containers(worker)[0]["env"]}
    assert pod_spec(worker)["terminationGracePeriodSeconds"] > float(environ["SEATRIAL_GRACE_S"]) + REQUEUE_S
    service = documents(TOP / "docker-compose.yml")[0]["services"]["worker"]
    grace_s = float(service["environment"]["SEATRIAL_GRACE_S"])
    assert float(service["stop_grace_period"].removesuffix("s")) > grace_s + REQUEUE_S


def test_redis_persists_and_does_not_evict() -> None:
    """On Kubernetes and in compose."""
    on_kubernetes = containers(base("redis.yaml", "StatefulSet"))[0]["args"]
    in_compose = documents(TOP / "docker-compose.yml")[0]["services"]["redis"]["command"]
    for words in (on_kubernetes, in_compose):
        assert words[words.index("--appendonly") + 1] == "yes"
        assert words[words.index("--maxmemory-policy") + 1] == "noeviction"


def test_keda_scales_workers_by_the_queue_list(redis_url: str) -> None:
    """A job that waits for a worker is in the list of the ScaledObject."""
    scaled, _ = documents(K8S / "components" / "keda" / "scaled-object.yaml")
    client = redis.Redis.from_url(redis_url)
    queue = Queue(client)
    asked = Asked(by="U1", by_name="ada", where="C1")
    job_id, _ = queue.reserve(key="k", job=TrainModel(model="iris"), asked=asked)
    queue.submit(job_id)
    assert client.llen(scaled["spec"]["triggers"][0]["metadata"]["listName"]) == 1
    client.close()


@pytest.mark.parametrize("path", sorted(K8S.rglob("*.toml")), ids=short)
def test_shipped_settings_are_valid(path: Path) -> None:
    assert read_settings_file(path).models


def test_gke_environments_have_namespaces() -> None:
    """Each in-cluster namespace in the settings has the worker's Role."""
    settings = read_settings_file(K8S / "overlays" / "gke" / "seatrial.toml")
    wanted = {each.cluster.rpartition("/")[2] for each in settings.environments.values()}
    folders = [K8S / "overlays" / "gke" / name for name in ("staging", "production")]
    assert {documents(folder / "kustomization.yaml")[0]["namespace"] for folder in folders} == wanted
