"""The objects of an endpoint: golden files, strict validation against the client's own models, kubectl's own look."""

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
from workers.platforms.cloud.endpoints.manifests import SERVING, EndpointId, Manifests, ReleaseNotes, back_to, origin_of  # noqa: E402
from workers.platforms.cloud.endpoints.revisions import fingerprint, is_verified  # noqa: E402

GOLDEN = Path(__file__).parent / "golden"
PLACED = EndpointId(model="iris", environment="staging")
ORIGIN = ReleaseNotes(
    version=3, digest="sha256:abc", replicas=Replicas(minimum=2, maximum=20), job_id="job-7", asked_by="Ada Lovelace",
    since_s=1767225600.5, proven="0123",
)  # fmt: skip
IMAGE = "us-docker.pkg.dev/p/models/iris@sha256:" + "a" * 64


def deployment(origin: ReleaseNotes = ORIGIN, **how: Any) -> dict[str, Any]:
    return Manifests(**how).deployment(PLACED, origin, image=IMAGE, cpu_request="250m")


def made() -> dict[str, dict[str, Any]]:
    """All four, by the name of their golden file."""
    manifests = Manifests()
    return {
        "deployment": deployment(),
        "service": manifests.service(PLACED),
        "autoscaler": manifests.autoscaler(PLACED, replicas=ORIGIN.replicas, cpu_target=75),
        "disruption-budget": manifests.disruption_budget(PLACED),
    }


@pytest.mark.parametrize("name", ["deployment", "service", "autoscaler", "disruption-budget"])
def test_an_object_is_made_as_its_golden_file_shows(name: str) -> None:
    """To the letter; run with UPDATE_GOLDEN=1 to write them anew."""
    path = GOLDEN / f"serving-{name}.json"
    text = json.dumps(made()[name], indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("name", ["deployment", "service", "autoscaler", "disruption-budget"])
def test_every_field_is_one_that_the_api_has(name: str) -> None:
    """In what is made, and in the file that it is made from."""
    assert mistakes(made()[name]) == []
    assert mistakes(yaml.safe_load((SERVING / f"{name}.yaml").read_text())) == []


def test_the_selectors_select_the_pods_and_nothing_that_changes() -> None:
    """Of the Service, the budget and the Deployment alike; a selector with a version in it could never be updated."""
    objects = made()
    labels = objects["deployment"]["spec"]["template"]["metadata"]["labels"]
    selector = objects["deployment"]["spec"]["selector"]["matchLabels"]
    assert selector == objects["service"]["spec"]["selector"]
    assert selector == objects["disruption-budget"]["spec"]["selector"]["matchLabels"]
    assert selector.items() <= labels.items()
    assert labels["app.kubernetes.io/version"] not in selector.values()
    assert objects["autoscaler"]["spec"]["scaleTargetRef"]["name"] == objects["deployment"]["metadata"]["name"]


def test_another_job_for_the_same_release_replaces_no_pod() -> None:
    """Job and people are noted on the Deployment and not in the pods' template."""
    other = ReleaseNotes(
        version=3, digest="sha256:abc", replicas=Replicas(minimum=1, maximum=1), job_id="job-8",
        asked_by="Bob", since_s=0,
    )  # fmt: skip
    assert deployment()["spec"] == deployment(other)["spec"]
    assert fingerprint(deployment()) == fingerprint(deployment(other)) != ""


def test_the_origin_is_read_back_as_it_was_noted() -> None:
    """All of it; annotations that somebody spoilt are told, not guessed."""
    assert origin_of(deployment()) == ORIGIN
    spoilt = deployment()
    spoilt["metadata"]["annotations"]["seatrial/replicas"] = "many"
    with pytest.raises(PermanentError, match="The annotations of iris-staging do not tell what it runs any more"):
        origin_of(spoilt)


def test_what_comes_back_is_the_revision_with_its_own_origin() -> None:
    """Its template without the controller's hash, its job, and the mark that it is proven."""
    later = ReleaseNotes(
        version=4, digest="sha256:def", replicas=Replicas(minimum=1, maximum=1), job_id="job-9",
        asked_by="Bob", since_s=9,
    )  # fmt: skip
    revision = deployment()
    revision["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "3"
    revision["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] = "123"
    back = back_to(deployment(later), revision)
    assert back["spec"] == deployment()["spec"]
    assert origin_of(back).job_id == "job-7"
    assert is_verified(back)
    assert "deployment.kubernetes.io/revision" not in back["metadata"]["annotations"]
    assert back["metadata"]["labels"] == deployment()["metadata"]["labels"]


def test_a_long_name_is_cut_to_one_of_its_own() -> None:
    """A pod's host name has 63 characters at most; two endpoints never share a name for having been cut."""
    longest = [EndpointId(model="m" * 40, environment=name * 40) for name in "ab"]
    names = {endpoint_id.name for endpoint_id in longest}
    assert len(names) == 2
    assert all(len(f"{name}-0123456789-01234") <= 63 for name in names)
    assert EndpointId(model="iris", environment="staging").name == "iris-staging"


def test_what_people_change_in_the_yaml_stays(tmp_path: Path) -> None:
    """Other containers, a LoadBalancer, annotations; only the values of a release are set."""
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
    ("text", "words"),
    [
        ("a: [", "deployment.yaml is not valid YAML"),
        ("kind: Service", "deployment.yaml must hold one object of the kind Deployment"),
        (
            "kind: Deployment\nspec: {template: {spec: {containers: [{name: other}]}}}",
            "has no container of the name 'model'",
        ),
        (None, "deployment.yaml cannot be read: No such file or directory"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str | None, words: str) -> None:
    """With what is wrong in it, when it is read and not when it is used."""
    folder = copytree(SERVING, tmp_path / "serving")
    (folder / "deployment.yaml").unlink()
    if text is not None:
        (folder / "deployment.yaml").write_text(text)
    with pytest.raises(PermanentError, match=words):
        Manifests(folder=folder)


def test_kubectl_takes_the_folder_as_it_is() -> None:
    """`kubectl kustomize` gives the four objects."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        assert not os.environ.get("CI"), "kubectl is on CI's machine"
        pytest.skip("needs kubectl")
    done = subprocess.run([kubectl, "kustomize", str(SERVING)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert sorted(item["kind"] for item in built) == [
        "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service",
    ]  # fmt: skip
    assert [mistakes(item) for item in built] == [[]] * 4
