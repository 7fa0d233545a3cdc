"""Model images on a real engine: build, smoke test, push to a real registry, and pull."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.docker_peers import (
    ENVIRON,
    MODEL,
    PASSWORD,
    PEAR,
    USERNAME,
    DockerEnvironment,
    manifest,
    open_docker_environment,
    servable,
)
from tests.platforms.progress import RecordedProgress
from tests.waiting import wait_until
from workers.contract.settings import ImageSettings
from workers.errors import JobCancelled, PermanentError, TemporaryError
from workers.platforms.cloud.docker import images as docker_images, smoke_test
from workers.platforms.cloud.docker.images import KEPT_VERSIONS, DockerImages

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def docker_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEnvironment]:
    """Yield one environment for all tests here."""
    with open_docker_environment(tmp_path_factory.mktemp("registry")) as opened:
        yield opened


@pytest.fixture
def images(docker_environment: DockerEnvironment) -> DockerImages:
    """Return the adapter under test, with the right password."""
    return DockerImages(settings=docker_environment.settings, environ=ENVIRON, username=USERNAME, password=PASSWORD)


def based_on(docker_environment: DockerEnvironment, base: str) -> DockerImages:
    """Return an adapter with another base image for SavedModels."""
    settings = docker_environment.settings.model_copy(update={"tensorflow": base})
    return DockerImages(settings=settings, environ=ENVIRON, username=USERNAME, password=PASSWORD)


def test_version_is_built_tested_pushed_and_pulled(
    docker_environment: DockerEnvironment, images: DockerImages, tmp_path: Path
) -> None:
    """The registry has the tested image under the digest of publish. No container or network remains."""
    before, progress, folder = docker_environment.remains(), RecordedProgress(), servable(tmp_path / "model")
    image = images.build(model=MODEL, manifest=manifest(version=1), folder=folder, progress=progress)
    assert image == f"{docker_environment.settings.repository}/fruit:v1"
    assert any(line.startswith("Step 1/") for line in progress.lines)
    assert progress.reports[-1][2].startswith("step ")
    fact = images.smoke_test(model=MODEL, folder=folder, image=image, spread=None, progress=RecordedProgress()).fact
    assert fact.startswith("pear 0.90 in ")
    tried = docker_environment.engine.inspect_image(image)["Id"]

    pushed = images.publish(image=image, progress=RecordedProgress())
    assert (
        pushed == f"{docker_environment.settings.repository}/fruit@{docker_environment.registry.digest('fruit', 'v1')}"
    )
    docker_environment.forget(image)
    docker_environment.engine.pull(pushed, auth_config={"username": USERNAME, "password": PASSWORD})
    assert docker_environment.engine.inspect_image(pushed)["Id"] == tried
    docker_environment.forget(pushed)
    assert docker_environment.remains() <= before


def test_image_has_labels_and_the_environment_of_tensorflow_serving(
    docker_environment: DockerEnvironment, images: DockerImages, tmp_path: Path
) -> None:
    made = manifest(version=2, job_id='m-"$HOME\\')
    image = images.build(model=MODEL, manifest=made, folder=servable(tmp_path / "model"), progress=RecordedProgress())
    config = docker_environment.engine.inspect_image(image)["Config"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == "v2"
    assert labels["org.opencontainers.image.base.name"] == docker_environment.settings.tensorflow
    assert (labels["seatrial.model"], labels["seatrial.version"]) == ("fruit", "2")
    assert (labels["seatrial.digest"], labels["seatrial.job"]) == (made.digest, 'm-"$HOME\\')
    assert "MODEL_NAME=fruit" in config["Env"]


def test_same_input_gives_the_same_digest_from_engine_or_registry(
    docker_environment: DockerEnvironment, images: DockerImages, tmp_path: Path
) -> None:
    folder = servable(tmp_path / "model")
    first = images.build(model=MODEL, manifest=manifest(version=3), folder=folder, progress=RecordedProgress())
    identity = docker_environment.engine.inspect_image(first)["Id"]
    again = images.build(model=MODEL, manifest=manifest(version=3), folder=folder, progress=RecordedProgress())
    assert again == first
    assert docker_environment.engine.inspect_image(first)["Id"] == identity
    digest = images.publish(image=first, progress=RecordedProgress())
    docker_environment.forget(str(first))
    elsewhere = images.build(model=MODEL, manifest=manifest(version=3), folder=folder, progress=RecordedProgress())
    assert docker_environment.engine.inspect_image(elsewhere)["Id"] == identity
    assert images.publish(image=elsewhere, progress=RecordedProgress()) == digest


def test_model_layer_does_not_depend_on_the_day(
    docker_environment: DockerEnvironment, images: DockerImages, tmp_path: Path
) -> None:
    folder = servable(tmp_path / "model")
    first = images.build(model=MODEL, manifest=manifest(version=4), folder=folder, progress=RecordedProgress())
    layers = docker_environment.engine.inspect_image(first)["RootFS"]["Layers"]
    docker_environment.forget(str(first))
    (folder / "saved_model.pb").touch()
    changed = manifest(version=4, job_id="m-another")
    second = images.build(model=MODEL, manifest=changed, folder=folder, progress=RecordedProgress())
    assert docker_environment.engine.inspect_image(second)["RootFS"]["Layers"] == layers


def test_other_files_give_another_image(
    docker_environment: DockerEnvironment, images: DockerImages, tmp_path: Path
) -> None:
    folder = servable(tmp_path / "model")
    first = images.build(model=MODEL, manifest=manifest(version=5), folder=folder, progress=RecordedProgress())
    identity = docker_environment.engine.inspect_image(first)["Id"]
    (folder / "saved_model.pb").write_bytes(b"other weights")
    other = manifest(version=5, digest="sha256:" + "ef" * 32)
    images.build(model=MODEL, manifest=other, folder=folder, progress=RecordedProgress())
    assert docker_environment.engine.inspect_image(first)["Id"] != identity


def test_only_the_newest_versions_stay_on_the_engine(
    docker_environment: DockerEnvironment, images: DockerImages, tmp_path: Path
) -> None:
    """The registry keeps all of them."""
    folder, renamed = servable(tmp_path / "model"), MODEL.model_copy(update={"name": "grain"})
    for version in range(1, KEPT_VERSIONS + 2):
        made = manifest(version=version, model="grain")
        image = images.build(model=renamed, manifest=made, folder=folder, progress=RecordedProgress())
        images.publish(image=image, progress=RecordedProgress())
    found = docker_environment.engine.images(name=f"{docker_environment.settings.repository}/grain")
    tags = {str(name).rpartition(":")[2] for item in found for name in item["RepoTags"]}
    assert tags == {f"v{version}" for version in range(2, KEPT_VERSIONS + 2)}
    assert docker_environment.registry.digest("grain", "v1")


def test_refused_password_says_what_to_check(docker_environment: DockerEnvironment, tmp_path: Path) -> None:
    stranger = DockerImages(settings=docker_environment.settings, environ=ENVIRON, username=USERNAME, password="wrong")
    folder = servable(tmp_path / "model")
    image = stranger.build(model=MODEL, manifest=manifest(version=6), folder=folder, progress=RecordedProgress())
    with pytest.raises(PermanentError, match=r"refused the push to .*/fruit: .*(unauthorized|no basic auth)") as caught:
        stranger.publish(image=image, progress=RecordedProgress())
    assert "REGISTRY_PASSWORD" in caught.value.advice
    assert "wrong" not in f"{caught.value}{caught.value.advice}"
    assert docker_environment.registry.digest("fruit", "v6") is None


def test_unreachable_registry_is_a_temporary_error(docker_environment: DockerEnvironment, tmp_path: Path) -> None:
    settings = ImageSettings(repository="127.0.0.1:1/sales", tensorflow=docker_environment.settings.tensorflow)
    alone = DockerImages(settings=settings, environ=ENVIRON, username=USERNAME, password=PASSWORD)
    with pytest.raises(TemporaryError, match="connection refused"):
        alone.build(
            model=MODEL, manifest=manifest(version=1), folder=servable(tmp_path / "m"), progress=RecordedProgress()
        )


def test_missing_base_image_names_the_setting(
    docker_environment: DockerEnvironment, images: DockerImages, tmp_path: Path
) -> None:
    settings = docker_environment.settings.model_copy(
        update={"seatrial": f"{docker_environment.registry.address}/sales/none:1"}
    )
    adapter = DockerImages(settings=settings, environ=ENVIRON, username=USERNAME, password=PASSWORD)
    with pytest.raises(PermanentError, match=r"does not have .*/sales/none:1, and cannot pull it") as caught:
        adapter.build(
            model=MODEL,
            manifest=manifest(version=7, format="onnx"),
            folder=servable(tmp_path / "m"),
            progress=RecordedProgress(),
        )
    assert "images.seatrial" in caught.value.advice
    assert "--target serving" in caught.value.advice


def test_unknown_format_is_refused(images: DockerImages, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="'pickle'"):
        images.build(
            model=MODEL,
            manifest=manifest(version=7, format="pickle"),
            folder=servable(tmp_path / "m"),
            progress=RecordedProgress(),
        )


def test_failed_build_reports_the_cause_and_leaves_no_image(
    docker_environment: DockerEnvironment, tmp_path: Path
) -> None:
    before, progress = docker_environment.remains(), RecordedProgress()
    with pytest.raises(PermanentError, match=r"cannot be built: .*returned a non-zero code: 3"):
        based_on(docker_environment, docker_environment.base("serving-broken")).build(
            model=MODEL, manifest=manifest(version=8), folder=servable(tmp_path / "m"), progress=progress
        )
    assert "on fire" in progress.lines
    assert docker_environment.remains() <= before


def test_cancelled_build_returns_at_once_and_leaves_no_image(
    docker_environment: DockerEnvironment, tmp_path: Path
) -> None:
    before, progress = docker_environment.remains(), RecordedProgress()
    folder = servable(tmp_path / "model")

    def cancel_when_under_way() -> None:
        wait_until(lambda: "a very slow build" in progress.lines)
        progress.cancelled.set()

    watcher = threading.Thread(target=cancel_when_under_way)
    watcher.start()
    with pytest.raises(JobCancelled):
        based_on(docker_environment, docker_environment.base("serving-slow")).build(
            model=MODEL, manifest=manifest(version=9), folder=folder, progress=progress
        )
    watcher.join()
    wait_until(lambda: docker_environment.remains() <= before)
    assert not docker_environment.engine.images(name=f"{docker_environment.settings.repository}/fruit:v9")


def test_model_that_does_not_load_fails_with_the_container_log(
    docker_environment: DockerEnvironment, images: DockerImages, tmp_path: Path
) -> None:
    """Container and network are removed."""
    before, folder = docker_environment.remains(), servable(tmp_path / "model", files={"saved_model.pb": b""})
    image = images.build(model=MODEL, manifest=manifest(version=10), folder=folder, progress=RecordedProgress())
    with pytest.raises(PermanentError, match=r"ended with 1\. Its log: .*Loading servable: .* version: 10.* failed"):
        images.smoke_test(model=MODEL, folder=folder, image=image, spread=None, progress=RecordedProgress())
    assert docker_environment.remains() <= before


def test_model_that_never_becomes_ready_fails_at_the_deadline(
    docker_environment: DockerEnvironment, images: DockerImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The running container is removed."""
    monkeypatch.setattr(smoke_test, "READY_WITHIN_S", 5.0)
    before, folder = docker_environment.remains(), servable(tmp_path / "model", files={"never_ready": b"1"})
    image = images.build(model=MODEL, manifest=manifest(version=11), folder=folder, progress=RecordedProgress())
    with pytest.raises(PermanentError, match=r"not ready within 5 s\. Its log: Reading SavedModel"):
        images.smoke_test(model=MODEL, folder=folder, image=image, spread=None, progress=RecordedProgress())
    assert docker_environment.remains() <= before


@pytest.mark.parametrize(
    ("version", "answer", "reason"),
    [(12, {**PEAR, "fruit_probs": [0.5, 0.9]}, "add up to 1.4"), (13, [1.8], "not a classification")],
)
def test_response_with_wrong_shape_or_values_fails(
    docker_environment: DockerEnvironment,
    images: DockerImages,
    tmp_path: Path,
    version: int,
    answer: object,
    reason: str,
) -> None:
    before, folder = docker_environment.remains(), servable(tmp_path / "model", answer=answer)
    image = images.build(model=MODEL, manifest=manifest(version=version), folder=folder, progress=RecordedProgress())
    with pytest.raises(PermanentError, match=reason):
        images.smoke_test(model=MODEL, folder=folder, image=image, spread=None, progress=RecordedProgress())
    assert docker_environment.remains() <= before


def test_cancelled_smoke_test_leaves_no_container(
    docker_environment: DockerEnvironment, images: DockerImages, tmp_path: Path
) -> None:
    before, folder = docker_environment.remains(), servable(tmp_path / "model", files={"never_ready": b"1"})
    image = images.build(model=MODEL, manifest=manifest(version=15), folder=folder, progress=RecordedProgress())
    progress = RecordedProgress()
    progress.cancelled.set()
    with pytest.raises(JobCancelled):
        images.smoke_test(model=MODEL, folder=folder, image=image, spread=None, progress=progress)
    assert docker_environment.remains() <= before


def test_smoke_test_removes_the_remains_of_a_killed_one(
    docker_environment: DockerEnvironment, images: DockerImages, tmp_path: Path
) -> None:
    before, folder = docker_environment.remains(), servable(tmp_path / "model")
    image = images.build(model=MODEL, manifest=manifest(version=16), folder=folder, progress=RecordedProgress())
    labels = {smoke_test.LABEL: image}
    network = docker_environment.engine.create_network(
        f"killed-{Path(str(image)).name.replace(':', '-')}", labels=labels
    )
    host = docker_environment.engine.create_host_config(network_mode=network["Id"])
    leftover = docker_environment.engine.create_container(image, labels=labels, host_config=host)
    docker_environment.engine.start(leftover)
    images.smoke_test(model=MODEL, folder=folder, image=image, spread=None, progress=RecordedProgress())
    assert docker_environment.remains() <= before


def test_unreachable_engine_is_named(tmp_path: Path) -> None:
    settings = ImageSettings(repository="127.0.0.1:1/sales")
    away = DockerImages(settings=settings, environ={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    with pytest.raises(
        TemporaryError, match=r"^The Docker engine at unix:.*/none\.sock does not respond \(.*\): .*DOCKER_HOST\.$"
    ):
        away.build(
            model=MODEL, manifest=manifest(version=1), folder=servable(tmp_path / "m"), progress=RecordedProgress()
        )


def test_doctor_checks_engine_registry_and_serving_image(
    docker_environment: DockerEnvironment, images: DockerImages
) -> None:
    engine, registry, serving = images.diagnose()
    assert engine.ok and engine.what.startswith("Docker engine ")
    assert registry.ok and registry.what == f"registry {docker_environment.registry.address} accepts {USERNAME}"
    assert not serving.ok
    assert serving.advice == "Build it: docker build --target serving --tag absent:1 ."


def test_doctor_times_out_on_a_silent_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_images, "DIAGNOSIS_S", 1.0)
    silent = str(tmp_path / "silent.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(silent)
        listener.listen()
        away = DockerImages(
            settings=ImageSettings(repository="127.0.0.1:1/x"), environ={"DOCKER_HOST": f"unix://{silent}"}
        )
        began_s = time.monotonic()
        (finding,) = away.diagnose()
    assert not finding.ok and "does not respond" in finding.what
    assert time.monotonic() - began_s < 45  # the engine's client by itself waits for 60 s


def test_doctor_finds_a_bad_password_and_a_missing_engine(
    docker_environment: DockerEnvironment, tmp_path: Path
) -> None:
    stranger = DockerImages(settings=docker_environment.settings, environ=ENVIRON, username=USERNAME, password="wrong")
    refused = list(stranger.diagnose())[1]
    assert not refused.ok and "REGISTRY_PASSWORD" in refused.advice
    away = DockerImages(settings=docker_environment.settings, environ={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    (finding,) = away.diagnose()
    assert not finding.ok and "does not respond" in finding.what
