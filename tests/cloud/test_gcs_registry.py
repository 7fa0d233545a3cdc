"""Promises of the registry in a bucket: parallel workers, lost responses, the cache, and changed objects."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cloud import gcs_server
from tests.cloud.gcs_server import Front
from workers.errors import PermanentError, TemporaryError
from workers.platforms.cloud.storage.artifacts import KEPT, GcsArtifacts
from workers.platforms.cloud.storage.bucket import Bucket
from workers.platforms.protocols import Manifest

CLAIMER = """
import sys
from pathlib import Path
from tests.cloud import gcs_server
from workers.platforms.cloud.storage.artifacts import GcsArtifacts
from workers.platforms.cloud.storage.bucket import Bucket

bucket = Bucket(sys.argv[2], client=gcs_server.client(sys.argv[1]))
artifacts = GcsArtifacts(bucket=bucket, prefix="ml", cache=Path("unused"))
print("ready", flush=True)
sys.stdin.readline()
for job_id in sys.argv[3:]:
    print(job_id, artifacts.claim(model="iris", job_id=job_id), flush=True)
"""
FILES = {"saved_model.pb": b"a graph", "variables/variables.index": b"weights"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with gcs_server.gcs_server(tmp_path_factory.mktemp("gcs")) as url:
        yield url


@pytest.fixture
def bucket() -> str:
    return f"models-{uuid4().hex}"


@pytest.fixture
def front(url: str) -> Iterator[Front]:
    with gcs_server.open_front(url) as front:
        yield front


@pytest.fixture
def artifacts(front: Front, bucket: str, tmp_path: Path) -> GcsArtifacts:
    """Return a registry behind the front."""
    return at(front.url, bucket, tmp_path / "cache")


def at(url: str, bucket: str, cache: Path, prefix: str = "ml") -> GcsArtifacts:
    there = Bucket(bucket, client=gcs_server.client(url), patience_s=5.0)
    return GcsArtifacts(bucket=there, prefix=prefix, cache=cache)


def prepared(artifacts: GcsArtifacts, url: str, files: dict[str, bytes] = FILES) -> Manifest:
    """Claim a version, stage files, and return its manifest."""
    version = artifacts.claim(model="iris", job_id="J1")
    gcs_server.upload(url, artifacts.staging(model="iris", version=version), files)
    digest, size_bytes = artifacts.describe(model="iris", version=version)
    return Manifest(
        model="iris",
        version=version,
        digest=digest,
        format="saved_model",
        size_bytes=size_bytes,
        metrics={"accuracy": 0.97},
        query_sha256="0" * 64,
        training="iris-v1-0123abcd",
        trained_by="Ada",
        job_id="J1",
        created_at_s=1_790_000_000.0,
    )


def claimed_at_once(url: str, bucket: str, jobs: list[list[str]]) -> list[tuple[str, int]]:
    """Return (job, number) of as many processes that claim at the same moment."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, url, bucket, *ids], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for ids in jobs
    ]
    try:
        for process in processes:
            assert process.stdout and process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        lines = [line.split() for process in processes for line in process.communicate(timeout=60)[0].splitlines()]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [(job_id, int(number)) for job_id, number in lines]


def test_parallel_claims_get_different_numbers(url: str, bucket: str) -> None:
    """Three processes claim for 12 jobs each, before the bucket exists."""
    claims = claimed_at_once(url, bucket, [[f"P{process}-{i}" for i in range(12)] for process in range(3)])
    assert sorted(number for _, number in claims) == list(range(1, 37))


def test_parallel_claims_of_one_job_get_one_number(url: str, bucket: str) -> None:
    jobs = [f"J{i}" for i in range(12)]
    claims = claimed_at_once(url, bucket, [jobs, jobs, jobs])
    assert set(Counter(claims).values()) == {3}
    assert sorted({number for _, number in claims}) == list(range(1, 13))


def test_claim_with_a_lost_response_keeps_its_number(artifacts: GcsArtifacts, front: Front) -> None:
    front.refuse("POST .*/upload/", 503, "Backend Error", times=1, after_processing=True)
    assert artifacts.claim(model="iris", job_id="J1") == 1
    assert artifacts.claim(model="iris", job_id="J2") == 2
    assert front.count("POST .*/upload/") == 3


def test_objects_are_never_overwritten_or_deleted(artifacts: GcsArtifacts, front: Front, url: str) -> None:
    artifacts.publish(manifest=prepared(artifacts, url))
    assert artifacts.folder(model="iris", version=1)
    assert {one.method for one in front.asked} == {"GET", "POST"}
    uploads = [one.path for one in front.asked if "/upload/" in one.path]
    assert len(uploads) == 3
    assert all("ifGenerationMatch=0" in path for path in uploads)


def test_every_staging_address_is_new(artifacts: GcsArtifacts, bucket: str) -> None:
    assert artifacts.claim(model="iris", job_id="J1") == 1
    addresses = [artifacts.staging(model="iris", version=1) for _ in range(3)]
    assert addresses == [f"gs://{bucket}/ml/iris/1/files/{attempt}" for attempt in (1, 2, 3)]


@pytest.mark.parametrize("same", [True, False])
def test_first_of_two_parallel_publications_stays(
    artifacts: GcsArtifacts, front: Front, url: str, bucket: str, tmp_path: Path, same: bool
) -> None:
    """The second succeeds if the files are the same, and fails otherwise."""
    first = prepared(at(url, bucket, tmp_path / "other"), url)
    at(url, bucket, tmp_path / "other").publish(manifest=first)
    second = prepared(artifacts, url, FILES if same else {"saved_model.pb": b"another"})
    front.refuse("GET .*manifest.json.*alt=media", 404, "No such object", times=1)
    if same:
        artifacts.publish(manifest=second)
    else:
        with pytest.raises(PermanentError, match="published already, with other files"):
            artifacts.publish(manifest=second)
    assert artifacts.manifest(model="iris", version=1) == first
    assert (
        front.count("POST .*/upload/") == 2
    )  # the mark of its attempt at staging, and the manifest that came too late


def test_files_are_downloaded_once(artifacts: GcsArtifacts, front: Front, url: str) -> None:
    artifacts.publish(manifest=prepared(artifacts, url))
    fetched = front.count(r"GET .*%2Ffiles%2F.*alt=media")
    assert fetched == len(FILES)
    assert artifacts.folder(model="iris", version=1) == artifacts.folder(model="iris", version=1)
    assert front.count(r"GET .*%2Ffiles%2F.*alt=media") == fetched


def test_cache_keeps_the_versions_used_last(artifacts: GcsArtifacts, url: str, tmp_path: Path) -> None:
    artifacts.publish(manifest=prepared(artifacts, url))
    model = tmp_path / "cache/iris"
    left = [model / str(version) for version in range(2, KEPT + 5)]
    left += [tmp_path / f"cache/.partial/{number}" for number in range(KEPT + 1)]
    for age_h, path in enumerate(left, 25):
        path.mkdir() if path.parent == model else path.write_bytes(b"half")
        os.utime(path, (0, time.time() - age_h * 3600))
    (model / "used-today").mkdir()
    artifacts.folder(model="iris", version=1)
    assert {path.name for path in model.iterdir()} == {"1", "used-today", "2", "3", "4"}
    assert len(list((tmp_path / "cache/.partial").iterdir())) == KEPT


@pytest.mark.parametrize("meddling", ["changed", "added", "removed", "linked"])
def test_changed_cache_is_repaired(artifacts: GcsArtifacts, url: str, tmp_path: Path, meddling: str) -> None:
    artifacts.publish(manifest=prepared(artifacts, url))
    folder = artifacts.folder(model="iris", version=1)
    file = folder / "saved_model.pb"
    match meddling:
        case "changed":
            file.write_bytes(b"a groph")
        case "added":
            (folder / "variables/more").write_bytes(b"")
        case "removed":
            file.unlink()
        case "linked":
            file.rename(tmp_path / "elsewhere")
            file.symlink_to(tmp_path / "elsewhere")
    assert artifacts.folder(model="iris", version=1) == folder
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == FILES
    assert not file.is_symlink()


@pytest.mark.parametrize("meddling", ["changed", "added", "removed"])
def test_changed_objects_are_refused(artifacts: GcsArtifacts, url: str, bucket: str, meddling: str) -> None:
    artifacts.publish(manifest=prepared(artifacts, url))
    files = gcs_server.client(url).bucket(bucket)
    match meddling:
        case "changed":
            files.blob("ml/iris/1/files/1/saved_model.pb").upload_from_string(b"a groph")
        case "added":
            files.blob("ml/iris/1/files/1/more").upload_from_string(b"")
        case "removed":
            files.blob("ml/iris/1/files/1/saved_model.pb").delete()
    with pytest.raises(PermanentError, match=f"iris v1.*gs://{bucket}/ml/iris/1/files/1") as caught:
        artifacts.folder(model="iris", version=1)
    assert caught.value.advice
    assert artifacts.manifest(model="iris", version=1)


def test_damaged_download_is_removed_and_temporary(
    artifacts: GcsArtifacts, front: Front, url: str, tmp_path: Path
) -> None:
    version = artifacts.claim(model="iris", job_id="J1")
    gcs_server.upload(url, artifacts.staging(model="iris", version=version), FILES)
    front.spoil = lambda media: bytes([media[0] ^ 1]) + media[1:]
    with pytest.raises(TemporaryError, match="damaged"):
        artifacts.describe(model="iris", version=version)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
    front.spoil = lambda media: media
    assert artifacts.describe(model="iris", version=version)[1] == sum(map(len, FILES.values()))


@pytest.mark.parametrize("name", ["../../manifest.json", "a//b", "./a", "a\\..\\b", "/etc/passwd"])
def test_object_name_cannot_leave_the_cache(artifacts: GcsArtifacts, url: str, tmp_path: Path, name: str) -> None:
    version = artifacts.claim(model="iris", job_id="J1")
    gcs_server.upload(url, artifacts.staging(model="iris", version=version), {name: b"{}"})
    with pytest.raises(PermanentError, match="not a file's name"):
        artifacts.describe(model="iris", version=version)
    assert list(tmp_path.rglob("*.json")) == []


def test_folder_markers_are_ignored(artifacts: GcsArtifacts, url: str) -> None:
    marked = prepared(artifacts, url, FILES | {"variables/": b"", "assets/": b""})
    assert marked.digest == prepared(artifacts, url).digest


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b'{"model": "iris"}', b'"version": "1"', b'"attempt": 0.5'])
def test_damaged_manifest_is_an_error(artifacts: GcsArtifacts, url: str, bucket: str, damage: bytes) -> None:
    artifacts.publish(manifest=prepared(artifacts, url))
    manifest = gcs_server.client(url).bucket(bucket).blob("ml/iris/1/manifest.json")
    whole = {b'"version": "1"': b'"version": 1', b'"attempt": 0.5': b'"attempt": 1'}.get(damage)
    manifest.upload_from_string(manifest.download_as_bytes().replace(whole, damage) if whole else damage)
    for call in (
        lambda: artifacts.manifest(model="iris", version=1),
        lambda: artifacts.folder(model="iris", version=1),
        lambda: artifacts.versions(model="iris"),
    ):
        with pytest.raises(PermanentError, match=f"gs://{bucket}/ml/iris/1/manifest.json is damaged") as caught:
            call()
        assert caught.value.advice
    assert artifacts.claim(model="iris", job_id="J2") == 2


def test_manifest_copied_to_another_version_is_refused(artifacts: GcsArtifacts, url: str, bucket: str) -> None:
    artifacts.publish(manifest=prepared(artifacts, url))
    there = gcs_server.client(url).bucket(bucket)
    there.copy_blob(there.blob("ml/iris/1/manifest.json"), there, "ml/iris/5/manifest.json")
    with pytest.raises(PermanentError, match=r"iris/5/manifest\.json.*iris v1"):
        artifacts.manifest(model="iris", version=5)


def test_foreign_objects_are_ignored(artifacts: GcsArtifacts, url: str, bucket: str) -> None:
    manifest = prepared(artifacts, url)
    artifacts.publish(manifest=manifest)
    there = gcs_server.client(url).bucket(bucket)
    for name in ("claims/01.json", "claims/x.json", "claims/2.json.bak", "README", "1/notes.txt"):
        there.blob(f"ml/iris/{name}").upload_from_string(b"{}")
    assert artifacts.claim(model="iris-2", job_id="J9") == 1
    assert artifacts.versions(model="iris") == [manifest]
    assert artifacts.claim(model="iris", job_id="J2") == 2


def test_registry_works_without_a_prefix(url: str, bucket: str, tmp_path: Path) -> None:
    top = at(url, bucket, tmp_path, prefix="/")
    assert top.claim(model="iris", job_id="J1") == 1
    assert top.staging(model="iris", version=1) == f"gs://{bucket}/iris/1/files/1"


def test_manifest_is_readable_json(artifacts: GcsArtifacts, url: str, bucket: str) -> None:
    artifacts.publish(manifest=prepared(artifacts, url))
    written = json.loads(gcs_server.client(url).bucket(bucket).blob("ml/iris/1/manifest.json").download_as_bytes())
    assert (written["trained_by"], written["attempt"]) == ("Ada", 1)


def test_damaged_report_is_left_out(artifacts: GcsArtifacts, front: Front, bucket: str) -> None:
    artifacts.keep_report(place="staging/iris", job_id="1", at_s=1.0, report={"job": 1})
    folder = f"gs://{bucket}/ml/_reports/staging/iris"
    names = ("20990101T000000000000Z-2.json", "20990101T000000000001Z-3.json", "notes.txt")
    gcs_server.upload(front.url, folder, dict(zip(names, (b'{"job": ', b"[3]", b"{}"), strict=True)))
    assert artifacts.reports(place="staging/iris", newest=10) == [{"job": 1}]
