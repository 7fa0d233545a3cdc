"""How the registry in a bucket says what is wrong: rights, places, credentials, the network; and what doctor finds."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from google.cloud import storage

from tests.cloud import gcs_server
from tests.cloud.gcs_server import LOCATION, Front
from workers.contract.findings import Finding
from workers.errors import PermanentError, TemporaryError
from workers.platforms.cloud.storage.artifacts import GcsArtifacts
from workers.platforms.cloud.storage.bucket import colocated
from workers.platforms.protocols.platforms import Diagnosable

ACCOUNT = "worker@demo.iam.gserviceaccount.com"
RIGHTS = ("storage.buckets.get", "storage.objects.list", "storage.objects.get", "storage.objects.create")


def denied(permission: str, what: str = "bucket") -> str:
    """Cloud Storage's words for a missing right."""
    return (
        f"{ACCOUNT} does not have {permission} access to the Google Cloud Storage {what}."
        f" Permission '{permission}' denied on resource (or it may not exist)."
    )


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with gcs_server.gcs_server(tmp_path_factory.mktemp("gcs")) as url:
        yield url


@pytest.fixture
def front(url: str) -> Iterator[Front]:
    with gcs_server.front(url) as front:
        yield front


@pytest.fixture
def bucket() -> str:
    return f"models-{uuid4().hex}"


def at(url: str, bucket: str, cache: Path, *, location: str | None = None, patience_s: float = 5.0) -> GcsArtifacts:
    client = gcs_server.client(url)
    return GcsArtifacts(
        bucket=bucket, prefix="ml", location=location, cache=cache, client=client, patience_s=patience_s
    )


@pytest.fixture
def artifacts(front: Front, bucket: str, tmp_path: Path) -> GcsArtifacts:
    """A registry behind the front."""
    return at(front.url, bucket, tmp_path / "cache")


def found(artifacts: GcsArtifacts) -> list[Finding]:
    return list(artifacts.diagnose())


def test_the_bucket_is_made_as_it_should_be_and_once(front: Front, bucket: str, tmp_path: Path) -> None:
    """Uniform access, versions kept, the dataset's location; later claims ask nothing more of the bucket itself."""
    artifacts = at(front.url, bucket, tmp_path, location=LOCATION)
    assert [artifacts.claim(model="iris", job_id=f"J{i}") for i in range(3)] == [1, 2, 3]
    [made] = [
        json.loads(one.body) for one in front.asked if one.method == "POST" and one.path.startswith("/storage/v1/b?")
    ]
    assert made["name"] == bucket
    assert made["location"] == LOCATION
    assert made["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"] is True
    assert made["versioning"]["enabled"] is True
    assert front.count(f"GET /storage/v1/b/{bucket}\\?projection") == 1


def test_before_the_bucket_is_made_there_are_no_versions(artifacts: GcsArtifacts, front: Front) -> None:
    """Whoever only looks makes nothing."""
    assert artifacts.versions(model="iris") == []
    with pytest.raises(PermanentError, match="no iris v1"):
        artifacts.manifest(model="iris", version=1)
    assert front.count("POST") == 0


def test_a_bucket_that_another_worker_made_in_between_is_taken(
    artifacts: GcsArtifacts, front: Front, url: str, bucket: str
) -> None:
    """Two first claims at once: the second is told 409, and goes on."""
    gcs_server.client(url).create_bucket(bucket)
    front.refuse(f"GET /storage/v1/b/{bucket}\\?", 404, "Not Found", times=1)
    assert artifacts.claim(model="iris", job_id="J1") == 1


def test_a_bucket_elsewhere_than_the_dataset_is_refused_before_training(
    front: Front, url: str, bucket: str, tmp_path: Path
) -> None:
    """The claim, which comes before everything that costs, names both locations; no number is spent."""
    gcs_server.client(url).create_bucket(bucket)
    with pytest.raises(PermanentError, match=f"{LOCATION}.*europe-west4") as caught:
        at(front.url, bucket, tmp_path, location="europe-west4").claim(model="iris", job_id="J1")
    assert "artifacts" in caught.value.advice
    assert at(front.url, bucket, tmp_path).claim(model="iris", job_id="J2") == 1


@pytest.mark.parametrize(
    ("dataset", "bucket", "together"),
    [
        ("US", "US", True),
        ("us", "US-CENTRAL1", True),
        ("US", "NAM4", True),
        ("US", "EU", False),
        ("US", "ASIA-EAST1", False),
        ("EU", "EUROPE-WEST4", True),
        ("EU", "US-EAST1", False),
        ("europe-west4", "EUROPE-WEST4", True),
        ("europe-west4", "EU", False),
        ("us-central1", "US", False),
        ("us-central1", "US-EAST1", False),
    ],
)
def test_where_a_dataset_can_be_exported(dataset: str, bucket: str, together: bool) -> None:
    """A region into itself; a multi-region into itself and the regions in it."""
    assert colocated(dataset=dataset, bucket=bucket) is together


@pytest.mark.parametrize(
    ("pattern", "permission", "role"),
    [
        ("GET /storage/v1/b/[^/]*\\?", "storage.buckets.get", "roles/storage.legacyBucketReader"),
        ("GET /storage/v1/b/[^/]*/o\\?", "storage.objects.list", "roles/storage.objectViewer"),
        ("POST /upload/", "storage.objects.create", "roles/storage.objectCreator"),
    ],
)
def test_a_missing_right_comes_with_the_command_that_grants_it(
    artifacts: GcsArtifacts, front: Front, bucket: str, pattern: str, permission: str, role: str
) -> None:
    """The message is Google's, the advice a command with this bucket, this account, the smallest role."""
    front.refuse(pattern, 403, denied(permission))
    with pytest.raises(PermanentError, match=permission) as caught:
        artifacts.claim(model="iris", job_id="J1")
    command = f"gcloud storage buckets add-iam-policy-binding gs://{bucket} --member=serviceAccount:{ACCOUNT}"
    assert caught.value.advice == f"Run: {command} --role={role}"


def test_a_bucket_that_may_not_be_created_comes_with_the_command_that_does(
    front: Front, bucket: str, tmp_path: Path
) -> None:
    """Somebody with the right can paste it; it makes the bucket just as the registry would."""
    front.refuse("POST /storage/v1/b\\?", 403, denied("storage.buckets.create", "project"))
    with pytest.raises(PermanentError, match=r"storage\.buckets\.create") as caught:
        at(front.url, bucket, tmp_path, location="EU").claim(model="iris", job_id="J1")
    assert (
        f"gcloud storage buckets create gs://{bucket} --location=EU --uniform-bucket-level-access"
        in caught.value.advice
    )


def test_refused_media_are_told_in_google_s_words(artifacts: GcsArtifacts, front: Front) -> None:
    """Also where the answer is about an object's content, and without the request's address."""
    artifacts.claim(model="iris", job_id="J1")
    front.refuse("GET /download/", 403, denied("storage.objects.get", "object"))
    with pytest.raises(PermanentError, match=f"read an object: {ACCOUNT} does not have") as caught:
        artifacts.manifest(model="iris", version=1)
    assert "http" not in str(caught.value)
    assert "roles/storage.objectViewer" in caught.value.advice


def test_what_is_refused_for_no_right_gets_no_grant(artifacts: GcsArtifacts, front: Front) -> None:
    """A 403 for billing would not be mended by a role."""
    front.refuse("POST /upload/", 403, "The billing account for the owning project is disabled in state absent")
    with pytest.raises(PermanentError, match="billing account") as caught:
        artifacts.claim(model="iris", job_id="J1")
    assert caught.value.advice == ""


def test_credentials_that_google_does_not_know(artifacts: GcsArtifacts, front: Front) -> None:
    """401 says how to log in."""
    front.refuse(".*", 401, "Invalid Credentials")
    with pytest.raises(PermanentError, match="does not accept") as caught:
        artifacts.claim(model="iris", job_id="J1")
    assert "gcloud auth application-default login" in caught.value.advice


def test_whoever_has_logged_in_again_need_not_restart_the_worker(
    front: Front, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login that was refused is not kept: the call after it makes another."""
    logins = [gcs_server.client(front.url) for _ in range(2)]
    monkeypatch.setattr(storage, "Client", logins.pop)
    artifacts = GcsArtifacts(bucket=bucket, prefix="ml", location=None, cache=tmp_path)
    front.refuse(".*", 401, "Invalid Credentials")
    with pytest.raises(PermanentError, match="does not accept"):
        artifacts.claim(model="iris", job_id="J1")
    front.answers.clear()
    assert artifacts.claim(model="iris", job_id="J1") == 1
    assert artifacts.claim(model="iris", job_id="J2") == 2
    assert logins == [], "one for each, and none for the calls after that"


def test_no_credentials_at_all(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was given none says so at the first call, not at its start."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    artifacts = GcsArtifacts(bucket=bucket, prefix="", location=None, cache=tmp_path)
    with pytest.raises(PermanentError, match="Google credentials are missing") as caught:
        artifacts.versions(model="iris")
    assert "gcloud auth application-default login" in caught.value.advice
    assert [finding.ok for finding in found(artifacts)] == [False]


def test_a_network_that_is_away_is_told_in_time(bucket: str, tmp_path: Path) -> None:
    """Tried again for a while, then left to the job's own retries."""
    artifacts = at(gcs_server.nobody_listens(), bucket, tmp_path, patience_s=0.5)
    for call in (
        lambda: artifacts.claim(model="iris", job_id="J1"),
        lambda: artifacts.versions(model="iris"),
        lambda: artifacts.folder(model="iris", version=1),
    ):
        began_s = time.monotonic()
        with pytest.raises(TemporaryError, match=f"gs://{bucket} cannot be reached"):
            call()
        assert time.monotonic() - began_s < 60  # Google's library by itself tries for 120 s


def test_faults_of_google_s_own_pass(artifacts: GcsArtifacts, front: Front) -> None:
    """Asked again at 503 and 429, whatever it was that failed."""
    front.refuse("GET .*/o\\?", 503, "Backend Error", times=1)
    front.refuse("POST /upload/", 429, "Too many requests", times=1)
    assert artifacts.claim(model="iris", job_id="J1") == 1


def test_faults_that_do_not_pass_are_temporary(front: Front, bucket: str, tmp_path: Path) -> None:
    """The job may try again later; Google's words are kept."""
    front.refuse(".*", 503, "Backend Error")
    with pytest.raises(TemporaryError, match="Backend Error"):
        at(front.url, bucket, tmp_path, patience_s=0.5).claim(model="iris", job_id="J1")


def test_a_bucket_that_was_removed(artifacts: GcsArtifacts, url: str, bucket: str) -> None:
    """Between two claims of one worker: it is not quietly made again, with its numbers begun anew."""
    assert artifacts.claim(model="iris", job_id="J1") == 1
    gcs_server.client(url).bucket(bucket).delete(force=True)
    with pytest.raises(PermanentError, match=f"The bucket gs://{bucket}"):
        artifacts.claim(model="iris", job_id="J2")


def test_a_cache_that_cannot_be_written_is_named(front: Front, url: str, bucket: str, tmp_path: Path) -> None:
    """The disk's fault is not Google's."""
    (tmp_path / "cache").write_text("a file, not a folder")
    artifacts = at(front.url, bucket, tmp_path / "cache")
    version = artifacts.claim(model="iris", job_id="J1")
    gcs_server.upload(url, artifacts.staging(model="iris", version=version), {"saved_model.pb": b"a graph"})
    with pytest.raises(PermanentError, match=str(tmp_path / "cache")) as caught:
        artifacts.describe(model="iris", version=version)
    assert "SEATRIAL_HOME" in caught.value.advice


def test_doctor_finds_all_well(front: Front, url: str, bucket: str, tmp_path: Path) -> None:
    """The bucket is there, in its place, with every right."""
    gcs_server.client(url).create_bucket(bucket)
    front.grant(*RIGHTS)
    artifacts = at(front.url, bucket, tmp_path, location=LOCATION)
    assert isinstance(artifacts, Diagnosable)
    findings = found(artifacts)
    assert all(finding.ok for finding in findings)
    assert len(findings) == 2 + len(RIGHTS)
    assert front.count("POST") == front.count("POST /storage/v1/b\\?") == 0


def test_doctor_names_each_missing_right_with_its_command(
    artifacts: GcsArtifacts, front: Front, url: str, bucket: str
) -> None:
    """One line for each permission that the registry needs and has not."""
    gcs_server.client(url).create_bucket(bucket)
    front.grant("storage.buckets.get", "storage.objects.list")
    missing = [finding for finding in found(artifacts) if not finding.ok]
    assert [finding.what.split()[0] for finding in missing] == ["storage.objects.get", "storage.objects.create"]
    assert "--role=roles/storage.objectViewer" in missing[0].advice
    assert f"add-iam-policy-binding gs://{bucket}" in missing[1].advice
    assert "--role=roles/storage.objectCreator" in missing[1].advice


def test_doctor_tells_a_bucket_that_is_not_there_yet(front: Front, bucket: str, tmp_path: Path) -> None:
    """With the command that makes it; asking makes nothing."""
    [finding] = found(at(front.url, bucket, tmp_path, location="EU"))
    assert not finding.ok
    assert f"gcloud storage buckets create gs://{bucket} --location=EU" in finding.advice
    assert front.count("POST") == 0


def test_doctor_tells_a_bucket_in_the_wrong_place(front: Front, url: str, bucket: str, tmp_path: Path) -> None:
    """Before anybody has paid for a training that cannot be exported."""
    gcs_server.client(url).create_bucket(bucket)
    front.grant(*RIGHTS)
    last = found(at(front.url, bucket, tmp_path, location="EU"))[-1]
    assert not last.ok
    assert LOCATION in last.what


def test_doctor_tells_that_google_cannot_be_reached(bucket: str, tmp_path: Path) -> None:
    """One line, and none that follows from it."""
    [finding] = found(at(gcs_server.nobody_listens(), bucket, tmp_path, patience_s=0.5))
    assert not finding.ok
    assert f"gs://{bucket} cannot be reached" in finding.what
