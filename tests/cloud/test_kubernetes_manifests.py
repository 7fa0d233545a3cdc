"""Objects of an endpoint: golden files, strict validation against the client's models, and `kubectl kustomize`."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

pytest.importorskip("kubernetes.client", reason="needs the cloud libraries: pip install 'seatrial[cloud]'")
yaml = pytest.importorskip("yaml")

from tests.cloud.strict_models import mistakes  # noqa: E402
from workers.contract.replicas import Replicas  # noqa: E402
from workers.errors import PermanentError  # noqa: E402
from workers.platforms.cloud.endpoints.manifests import SERVING, EndpointId, Manifests  # noqa: E402
from workers.platforms.cloud.endpoints.revisions import (  # noqa: E402
    DeployedRelease,
    deployed_release,
    is_verified,
    rolled_back,
    template_hash,
)
from workers.platforms.cloud.kubernetes.objects import Object  # noqa: E402

GOLDEN = Path(__file__).parent / "golden"
IRIS = EndpointId(model="iris", environment="staging")
RELEASE = DeployedRelease(
    version=3, digest="sha256:abc", replicas=Replicas(minimum=2, maximum=20), job_id="job-7", asked_by="Ada Lovelace",
    since_s=1767225600.5, verified="0123",
)  # fmt: skip
IMAGE = "us-docker.pkg.dev/p/models/iris@sha256:" + "a" * 64
NAMES = ["deployment", "service", "autoscaler", "disruption-budget"]


def deployment(release: DeployedRelease = RELEASE, **how: Any) -> Object:
    return Manifests(**how).deployment(IRIS, release, image=IMAGE, cpu_request="250m")


def objects() -> dict[str, Object]:
    """Return all four objects by the name of their golden file."""
    manifests = Manifests()
    return {
        "deployment": deployment(),
        "service": manifests.service(IRIS),
        "autoscaler": manifests.autoscaler(IRIS, replicas=RELEASE.replicas, cpu_target=75),
        "disruption-budget": manifests.disruption_budget(IRIS),
    }


@pytest.mark.parametrize("name", NAMES)
def test_object_equals_its_golden_file(name: str) -> None:
    """Set UPDATE_GOLDEN=1 to rewrite the files."""
    path = GOLDEN / f"serving-{name}.json"
    text = json.dumps(objects()[name], indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("name", NAMES)
def test_every_field_exists_in_the_api(name: str) -> None:
    """In the object and in its source file."""
    assert mistakes(objects()[name]) == []
    assert mistakes(yaml.safe_load((SERVING / f"{name}.yaml").read_text())) == []


def test_selectors_match_the_pods_by_labels_that_never_change() -> None:
    """A selector that contained the version could not be updated."""
    made = objects()
    labels = made["deployment"]["spec"]["template"]["metadata"]["labels"]
    selector = made["deployment"]["spec"]["selector"]["matchLabels"]
    assert selector == made["service"]["spec"]["selector"]
    assert selector == made["disruption-budget"]["spec"]["selector"]["matchLabels"]
    assert selector.items() <= labels.items()
    assert labels["app.kubernetes.io/version"] not in selector.values()
    assert made["autoscaler"]["spec"]["scaleTargetRef"]["name"] == made["deployment"]["metadata"]["name"]


def test_another_job_for_the_same_release_replaces_no_pod() -> None:
    """The Deployment's annotations record job and people, not the pod template."""
    other = DeployedRelease(
        version=3, digest="sha256:abc", replicas=Replicas(minimum=1, maximum=1), job_id="job-8",
        asked_by="Bob", since_s=0,
    )  # fmt: skip
    assert deployment()["spec"] == deployment(other)["spec"]
    assert template_hash(deployment()) == template_hash(deployment(other)) != ""


def test_release_is_read_back_from_the_annotations() -> None:
    """Damaged annotations raise an error."""
    assert deployed_release(deployment()) == RELEASE
    damaged = deployment()
    damaged["metadata"]["annotations"]["seatrial/replicas"] = "many"
    with pytest.raises(PermanentError, match="The annotations of iris-staging are damaged"):
        deployed_release(damaged)


def test_rollback_restores_template_and_release_of_the_revision() -> None:
    """Without the controller's hash and revision number, and marked as verified."""
    later = DeployedRelease(
        version=4, digest="sha256:def", replicas=Replicas(minimum=1, maximum=1), job_id="job-9",
        asked_by="Bob", since_s=9,
    )  # fmt: skip
    revision = deployment()
    revision["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "3"
    revision["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] = "123"
    restored = rolled_back(deployment(later), revision)
    assert restored["spec"] == deployment()["spec"]
    assert deployed_release(restored).job_id == "job-7"
    assert is_verified(restored)
    assert "deployment.kubernetes.io/revision" not in restored["metadata"]["annotations"]
    assert restored["metadata"]["labels"] == deployment()["metadata"]["labels"]


def test_long_name_is_shortened_and_stays_unique() -> None:
    """A pod's host name has at most 63 characters."""
    longest = [EndpointId(model="m" * 40, environment=name * 40) for name in "ab"]
    names = {endpoint_id.name for endpoint_id in longest}
    assert len(names) == 2
    assert all(len(f"{name}-0123456789-01234") <= 63 for name in names)
    assert IRIS.name == "iris-staging"


def test_edits_of_the_yaml_are_kept(tmp_path: Path) -> None:
    """Seatrial sets only a release's values: other containers, variables and a node selector stay."""
    folder = copytree(SERVING, tmp_path / "serving")
    written = yaml.safe_load((folder / "deployment.yaml").read_text())
    pods = written["spec"]["template"]["spec"]
    pods["containers"].insert(0, {"name": "proxy", "image": "proxy:1"})
    pods["containers"][1]["env"].append({"name": "TF_CPP_MIN_LOG_LEVEL", "value": "1"})
    pods["nodeSelector"] = {"pool": "models"}
    (folder / "deployment.yaml").write_text(yaml.safe_dump(written))
    changed = deployment(folder=folder)["spec"]["template"]["spec"]
    assert changed["nodeSelector"] == {"pool": "models"}
    assert [container["image"] for container in changed["containers"]] == ["proxy:1", IMAGE]
    assert [item["name"] for item in changed["containers"][1]["env"]] == ["MODEL_NAME", "TF_CPP_MIN_LOG_LEVEL"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "deployment.yaml is not valid YAML"),
        ("kind: Service", "deployment.yaml must hold one object of the kind Deployment"),
        ("kind: Deployment\nspec: {template: {spec: {containers: [{name: other}]}}}", "has no container named 'model'"),
        (None, "deployment.yaml cannot be read: No such file or directory"),
    ],
)
def test_broken_file_is_named_when_it_is_read(tmp_path: Path, text: str | None, message: str) -> None:
    folder = copytree(SERVING, tmp_path / "serving")
    (folder / "deployment.yaml").unlink()
    if text is not None:
        (folder / "deployment.yaml").write_text(text)
    with pytest.raises(PermanentError, match=message):
        Manifests(folder=folder)


def test_kubectl_builds_the_folder_as_it_is() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        assert not os.environ.get("CI"), "CI installs kubectl"
        pytest.skip("needs kubectl")
    done = subprocess.run([kubectl, "kustomize", str(SERVING)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert sorted(item["kind"] for item in built) == [
        "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service",
    ]  # fmt: skip
    assert [mistakes(item) for item in built] == [[]] * 4
