"""Contract suite of Artifacts. An adapter joins with a line in `REGISTRIES`."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.cloud import gcs_server
from workers.errors import PermanentError
from workers.platforms.embedded.artifacts import EmbeddedArtifacts
from workers.platforms.protocols import Artifacts, Manifest


def gcs(folder: Path) -> Artifacts:
    from workers.platforms.cloud.storage.artifacts import GcsArtifacts
    from workers.platforms.cloud.storage.bucket import Bucket

    bucket = Bucket(f"models-{uuid4().hex}", project=gcs_server.PROJECT)
    return GcsArtifacts(bucket=bucket, prefix="ml/models", cache=folder)


REGISTRIES: dict[str, Callable[[Path], Artifacts]] = {
    "embedded": lambda folder: EmbeddedArtifacts(root=folder),
    "gcs": gcs,
}

FILES = {"model.onnx": b"\x08\x07 a graph", "variables/data": b"weights"}


@pytest.fixture(scope="module")
def gcs_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with gcs_server.gcs_server(tmp_path_factory.mktemp("gcs")) as url:
        yield url


@pytest.fixture(params=REGISTRIES)
def artifacts(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifacts:
    if request.param == "gcs":
        # The variable by which the client finds an emulator.
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("gcs_url"))
    return REGISTRIES[request.param](tmp_path / "models")


def stage(artifacts: Artifacts, version: int, files: dict[str, bytes]) -> None:
    address = artifacts.staging(model="iris", version=version)
    if address.startswith("gs://"):
        gcs_server.upload(os.environ["STORAGE_EMULATOR_HOST"], address, files)
        return
    for name, content in files.items():
        (Path(address) / name).parent.mkdir(parents=True, exist_ok=True)
        (Path(address) / name).write_bytes(content)


def manifest(artifacts: Artifacts, version: int, **changes: Any) -> Manifest:
    """Return the manifest of the staged files."""
    digest, size_bytes = artifacts.describe(model="iris", version=version)
    made = Manifest(
        model="iris",
        version=version,
        digest=digest,
        format="onnx",
        size_bytes=size_bytes,
        metrics={"accuracy": 0.97, "log_loss": 1},
        query_sha256="0" * 64,
        training="iris-v1-0123abcd",
        trained_by="Ada ⚓",
        job_id="J1",
        created_at_s=1_790_000_000.25,
    )
    return replace(made, **changes)


def publish(artifacts: Artifacts, *, job_id: str = "J1", files: dict[str, bytes] = FILES) -> Manifest:
    """Claim, stage and publish a version."""
    version = artifacts.claim(model="iris", job_id=job_id)
    stage(artifacts, version, files)
    made = manifest(artifacts, version, job_id=job_id)
    artifacts.publish(manifest=made)
    return made


def test_versions_of_a_model_are_numbered_from_one(artifacts: Artifacts) -> None:
    assert [artifacts.claim(model="iris", job_id=f"J{i}") for i in range(12)] == list(range(1, 13))
    assert artifacts.claim(model="orders", job_id="J0") == 1


def test_second_claim_of_a_job_returns_the_same_number(artifacts: Artifacts) -> None:
    assert artifacts.claim(model="iris", job_id="J1") == 1
    assert artifacts.claim(model="iris", job_id="J2") == 2
    assert artifacts.claim(model="iris", job_id="J1") == 1


def test_number_of_a_failed_job_is_not_reused(artifacts: Artifacts) -> None:
    assert artifacts.claim(model="iris", job_id="fails") == 1
    stage(artifacts, 1, FILES)
    made = publish(artifacts, job_id="J2")
    assert made.version == 2
    assert artifacts.versions(model="iris") == [made]


def test_published_version_has_its_manifest_and_files(artifacts: Artifacts) -> None:
    made = publish(artifacts)
    assert artifacts.manifest(model="iris", version=1) == made
    folder = artifacts.folder(model="iris", version=1)
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == FILES


def test_versions_are_sorted_by_number(artifacts: Artifacts) -> None:
    for i in range(11):
        publish(artifacts, job_id=f"J{i}")
    assert [made.version for made in artifacts.versions(model="iris")] == list(range(1, 12))
    assert artifacts.versions(model="orders") == []


def test_digest_covers_names_and_contents(artifacts: Artifacts) -> None:
    variants: list[dict[str, bytes]] = [
        FILES,
        {**FILES, "model.onnx": b"\x08\x07 a gralh"},
        {"model.onn": FILES["model.onnx"], "variables/data": FILES["variables/data"]},
        {"model.onnx": FILES["variables/data"], "variables/data": FILES["model.onnx"]},
        {**FILES, "empty": b""},
    ]
    described = []
    for i, files in enumerate([*variants, FILES]):
        version = artifacts.claim(model="iris", job_id=f"J{i}")
        stage(artifacts, version, files)
        described.append(artifacts.describe(model="iris", version=version))
    assert described[-1] == described[0]
    assert len({digest for digest, _ in described}) == len(variants)
    contents = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    whole = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
    assert described[0] == (f"sha256:{whole}", sum(map(len, FILES.values())))


def test_staging_again_discards_earlier_files(artifacts: Artifacts) -> None:
    version = artifacts.claim(model="iris", job_id="J1")
    stage(artifacts, version, {"left-over": b"half"})
    stage(artifacts, version, FILES)
    artifacts.publish(manifest=manifest(artifacts, version))
    assert not (artifacts.folder(model="iris", version=version) / "left-over").exists()


def test_folder_has_the_staged_files_until_the_version_is_published(artifacts: Artifacts) -> None:
    """The smoke test runs before the version is published."""
    version = artifacts.claim(model="iris", job_id="J1")
    stage(artifacts, version, FILES)
    assert (artifacts.folder(model="iris", version=version) / "model.onnx").read_bytes() == FILES["model.onnx"]
    artifacts.publish(manifest=manifest(artifacts, version))
    stage(artifacts, version, {"model.onnx": b"another"})
    assert (artifacts.folder(model="iris", version=version) / "model.onnx").read_bytes() == FILES["model.onnx"]


def test_publishing_the_same_files_again_changes_nothing(artifacts: Artifacts) -> None:
    made = publish(artifacts)
    artifacts.publish(manifest=made)
    stage(artifacts, made.version, FILES)
    artifacts.publish(manifest=replace(made, created_at_s=made.created_at_s + 60))
    assert artifacts.versions(model="iris") == [made]
    assert artifacts.folder(model="iris", version=made.version)


def test_publishing_other_files_under_a_published_number_is_refused(artifacts: Artifacts) -> None:
    made = publish(artifacts)
    stage(artifacts, made.version, {"model.onnx": b"another"})
    with pytest.raises(PermanentError, match="iris v1"):
        artifacts.publish(manifest=manifest(artifacts, made.version))
    assert artifacts.manifest(model="iris", version=1) == made
    assert artifacts.folder(model="iris", version=1)


def test_manifest_with_another_digest_is_refused(artifacts: Artifacts) -> None:
    version = artifacts.claim(model="iris", job_id="J1")
    stage(artifacts, version, FILES)
    with pytest.raises(PermanentError, match="iris v1"):
        artifacts.publish(manifest=manifest(artifacts, version, digest="sha256:" + "0" * 64))
    assert artifacts.versions(model="iris") == []


def test_metric_that_is_nan_is_refused(artifacts: Artifacts) -> None:
    """JSON has no NaN."""
    version = artifacts.claim(model="iris", job_id="J1")
    stage(artifacts, version, FILES)
    with pytest.raises(PermanentError, match="accuracy"):
        artifacts.publish(manifest=manifest(artifacts, version, metrics={"accuracy": float("nan")}))
    assert artifacts.versions(model="iris") == []


def test_missing_version_is_reported_with_the_published_ones(artifacts: Artifacts) -> None:
    """The message distinguishes unknown from unpublished versions."""
    publish(artifacts)
    artifacts.claim(model="iris", job_id="fails")
    with pytest.raises(PermanentError, match="no iris v9") as unknown:
        artifacts.manifest(model="iris", version=9)
    assert "v1" in unknown.value.advice
    with pytest.raises(PermanentError, match=r"iris v2 was never published.*fails"):
        artifacts.folder(model="iris", version=2)
    with pytest.raises(PermanentError, match="no orders v1"):
        artifacts.manifest(model="orders", version=1)


def test_staging_needs_a_claim_and_describing_needs_files(artifacts: Artifacts) -> None:
    with pytest.raises(PermanentError, match="never claimed"):
        artifacts.staging(model="iris", version=1)
    version = artifacts.claim(model="iris", job_id="J1")
    with pytest.raises(PermanentError, match="no files"):
        artifacts.describe(model="iris", version=version)
    artifacts.staging(model="iris", version=version)
    with pytest.raises(PermanentError, match="no files"):
        artifacts.describe(model="iris", version=version)


def test_reports_of_a_place_are_returned_newest_first(artifacts: Artifacts) -> None:
    assert artifacts.reports(place="staging/iris", newest=10) == []
    for job in range(1, 13):
        artifacts.keep_report(
            place="staging/iris", job_id=str(job), at_s=float(job), report={"job": job, "text": "⚓ p95"}
        )
    artifacts.keep_report(place="checkout", job_id="13", at_s=1.0, report={"job": 13})
    found = artifacts.reports(place="staging/iris", newest=5)
    assert [report["job"] for report in found] == [12, 11, 10, 9, 8]
    assert found[0] == {"job": 12, "text": "⚓ p95"}
    assert len(artifacts.reports(place="staging/iris", newest=50)) == 12
    assert artifacts.reports(place="checkout", newest=5) == [{"job": 13}]
    assert artifacts.versions(model="staging") == []


def test_report_replaces_an_earlier_one_of_the_same_job(artifacts: Artifacts) -> None:
    artifacts.keep_report(place="staging/iris", job_id="1", at_s=2.0, report={"attempt": 1})
    artifacts.keep_report(place="staging/iris", job_id="2", at_s=3.0, report={"attempt": 1})
    artifacts.keep_report(place="staging/iris", job_id="1", at_s=4.0, report={"attempt": 2})
    assert artifacts.reports(place="staging/iris", newest=10) == [{"attempt": 2}, {"attempt": 1}]


def test_report_with_nan_is_refused(artifacts: Artifacts) -> None:
    with pytest.raises(PermanentError, match="JSON"):
        artifacts.keep_report(place="staging/iris", job_id="1", at_s=1.0, report={"p95": float("nan")})
    assert artifacts.reports(place="staging/iris", newest=10) == []


@pytest.mark.parametrize(
    "place", ["..", "../iris", "/etc", "", "staging/", "staging//iris", "Staging", "_reports", "a\0"]
)
def test_invalid_place_or_job_is_refused_for_a_report(artifacts: Artifacts, tmp_path: Path, place: str) -> None:
    """Both become part of a path."""
    with pytest.raises(PermanentError, match="not a place"):
        artifacts.keep_report(place=place, job_id="1", at_s=1.0, report={})
    with pytest.raises(PermanentError, match="not a place"):
        artifacts.reports(place=place, newest=1)
    with pytest.raises(PermanentError, match="not a job's id"):
        artifacts.keep_report(place="staging/iris", job_id=f"1/{place}", at_s=1.0, report={})
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["..", "../iris", "/etc", "iris/1", "", "Iris", "iris\n", "a" * 41, "ír", "iris\0"])
def test_invalid_model_name_is_refused_by_every_method(artifacts: Artifacts, tmp_path: Path, name: str) -> None:
    """It becomes part of a path."""
    for call in (
        lambda: artifacts.claim(model=name, job_id="J1"),
        lambda: artifacts.versions(model=name),
        lambda: artifacts.manifest(model=name, version=1),
        lambda: artifacts.folder(model=name, version=1),
        lambda: artifacts.staging(model=name, version=1),
    ):
        with pytest.raises(PermanentError, match="not a model's name"):
            call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("version", [0, -1])
def test_version_below_one_is_refused(artifacts: Artifacts, version: int) -> None:
    with pytest.raises(PermanentError, match=str(version)):
        artifacts.manifest(model="iris", version=version)
