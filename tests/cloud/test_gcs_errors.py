"""Errors of the registry in a bucket, and the checks of `doctor`."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cloud import gcs_server
from tests.cloud.gcs_server import LOCATION, Front
from workers.contract.findings import Finding
from workers.errors import PermanentError, TemporaryError
from workers.platforms.cloud.storage.artifacts import GcsArtifacts
from workers.platforms.cloud.storage.bucket import Bucket, colocated
from workers.platforms.protocols import Diagnosable

ACCOUNT = "worker@demo.iam.gserviceaccount.com"
RIGHTS = ("storage.buckets.get", "storage.objects.list", "storage.objects.get", "storage.objects.create")


def denied(permission: str, what: str = "bucket") -> str:
    """Return Cloud Storage's message for a missing permission."""
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
    with gcs_server.open_front(url) as front:
        yield front


@pytest.fixture
def bucket() -> str:
    return f"models-{uuid4().hex}"


def at(url: str, bucket: str, cache: Path, *, location: str = "", patience_s: float = 5.0) -> GcsArtifacts:
    there = Bucket(bucket, location=location, client=gcs_server.client(url), patience_s=patience_s)
    return GcsArtifacts(bucket=there, prefix="ml", cache=cache)


@pytest.fixture
def artifacts(front: Front, bucket: str, tmp_path: Path) -> GcsArtifacts:
    """Return a registry behind the front."""
    return at(front.url, bucket, tmp_path / "cache")


def found(artifacts: GcsArtifacts) -> list[Finding]:
    return list(artifacts.diagnose())


def test_first_claim_creates_the_bucket(front: Front, bucket: str, tmp_path: Path) -> None:
    """Uniform access, object versions, the location of the dataset. Later claims do not check the bucket."""
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


def test_versions_without_a_bucket_are_empty_and_create_none(artifacts: GcsArtifacts, front: Front) -> None:
    assert artifacts.versions(model="iris") == []
    with pytest.raises(PermanentError, match="no iris v1"):
        artifacts.manifest(model="iris", version=1)
    assert front.count("POST") == 0


def test_bucket_created_meanwhile_is_used(artifacts: GcsArtifacts, front: Front, url: str, bucket: str) -> None:
    gcs_server.client(url).create_bucket(bucket)
    front.refuse(f"GET /storage/v1/b/{bucket}\\?", 404, "Not Found", times=1)
    assert artifacts.claim(model="iris", job_id="J1") == 1


def test_bucket_in_another_location_is_refused_at_the_claim(
    front: Front, url: str, bucket: str, tmp_path: Path
) -> None:
    """No version number is used."""
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
def test_locations_to_which_a_dataset_can_be_exported(dataset: str, bucket: str, together: bool) -> None:
    assert colocated(dataset=dataset, bucket=bucket) is together


@pytest.mark.parametrize(
    ("pattern", "permission", "role"),
    [
        ("GET /storage/v1/b/[^/]*\\?", "storage.buckets.get", "roles/storage.legacyBucketReader"),
        ("GET /storage/v1/b/[^/]*/o\\?", "storage.objects.list", "roles/storage.objectViewer"),
        ("POST /upload/", "storage.objects.create", "roles/storage.objectCreator"),
    ],
)
def test_missing_permission_comes_with_the_command_that_grants_it(
    artifacts: GcsArtifacts, front: Front, bucket: str, pattern: str, permission: str, role: str
) -> None:
    front.refuse(pattern, 403, denied(permission))
    with pytest.raises(PermanentError, match=permission) as caught:
        artifacts.claim(model="iris", job_id="J1")
    command = f"gcloud storage buckets add-iam-policy-binding gs://{bucket} --member=serviceAccount:{ACCOUNT}"
    assert caught.value.advice == f"Run: {command} --role={role}"


def test_refused_bucket_comes_with_the_command_that_creates_it(front: Front, bucket: str, tmp_path: Path) -> None:
    front.refuse("POST /storage/v1/b\\?", 403, denied("storage.buckets.create", "project"))
    with pytest.raises(PermanentError, match=r"storage\.buckets\.create") as caught:
        at(front.url, bucket, tmp_path, location="EU").claim(model="iris", job_id="J1")
    assert (
        f"gcloud storage buckets create gs://{bucket} --location=EU --uniform-bucket-level-access"
        in caught.value.advice
    )


def test_refused_download_has_the_message_of_google(artifacts: GcsArtifacts, front: Front) -> None:
    artifacts.claim(model="iris", job_id="J1")
    front.refuse("GET /download/", 403, denied("storage.objects.get", "object"))
    with pytest.raises(PermanentError, match=f"read an object: {ACCOUNT} does not have") as caught:
        artifacts.manifest(model="iris", version=1)
    assert "http" not in str(caught.value)
    assert "roles/storage.objectViewer" in caught.value.advice


def test_refusal_for_billing_suggests_no_role(artifacts: GcsArtifacts, front: Front) -> None:
    front.refuse("POST /upload/", 403, "The billing account for the owning project is disabled in state absent")
    with pytest.raises(PermanentError, match="billing account") as caught:
        artifacts.claim(model="iris", job_id="J1")
    assert caught.value.advice == ""


def test_unknown_credentials_say_how_to_log_in(artifacts: GcsArtifacts, front: Front) -> None:
    front.refuse(".*", 401, "Invalid Credentials")
    with pytest.raises(PermanentError, match="does not accept") as caught:
        artifacts.claim(model="iris", job_id="J1")
    assert "gcloud auth application-default login" in caught.value.advice


def test_new_credentials_are_used_without_a_restart(
    front: Front, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins = [gcs_server.client(front.url) for _ in range(2)]
    monkeypatch.setattr("workers.platforms.cloud.storage.bucket.Client", logins.pop)
    artifacts = GcsArtifacts(bucket=Bucket(bucket), prefix="ml", cache=tmp_path)
    front.refuse(".*", 401, "Invalid Credentials")
    with pytest.raises(PermanentError, match="does not accept"):
        artifacts.claim(model="iris", job_id="J1")
    front.answers.clear()
    assert artifacts.claim(model="iris", job_id="J1") == 1
    assert artifacts.claim(model="iris", job_id="J2") == 2
    assert logins == [], "one for each, and none for the calls after that"


def test_missing_credentials_are_reported_at_the_first_call(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    artifacts = GcsArtifacts(bucket=Bucket(bucket), prefix="", cache=tmp_path)
    with pytest.raises(PermanentError, match="Google credentials are missing") as caught:
        artifacts.versions(model="iris")
    assert "gcloud auth application-default login" in caught.value.advice
    assert [finding.ok for finding in found(artifacts)] == [False]


def test_unreachable_network_is_a_temporary_error_after_retries(bucket: str, tmp_path: Path) -> None:
    artifacts = at(gcs_server.unused_url(), bucket, tmp_path, patience_s=0.5)
    for call in (
        lambda: artifacts.claim(model="iris", job_id="J1"),
        lambda: artifacts.versions(model="iris"),
        lambda: artifacts.folder(model="iris", version=1),
    ):
        began_s = time.monotonic()
        with pytest.raises(TemporaryError, match=f"gs://{bucket} cannot be reached"):
            call()
        assert time.monotonic() - began_s < 60  # Google's library by itself tries for 120 s


def test_503_and_429_are_retried(artifacts: GcsArtifacts, front: Front) -> None:
    front.refuse("GET .*/o\\?", 503, "Backend Error", times=1)
    front.refuse("POST /upload/", 429, "Too many requests", times=1)
    assert artifacts.claim(model="iris", job_id="J1") == 1


def test_lasting_faults_are_temporary_errors(front: Front, bucket: str, tmp_path: Path) -> None:
    front.refuse(".*", 503, "Backend Error")
    with pytest.raises(TemporaryError, match="Backend Error"):
        at(front.url, bucket, tmp_path, patience_s=0.5).claim(model="iris", job_id="J1")


def test_removed_bucket_is_not_created_again(artifacts: GcsArtifacts, url: str, bucket: str) -> None:
    """Otherwise the version numbers would start again."""
    assert artifacts.claim(model="iris", job_id="J1") == 1
    gcs_server.client(url).bucket(bucket).delete(force=True)
    with pytest.raises(PermanentError, match=f"The bucket gs://{bucket}"):
        artifacts.claim(model="iris", job_id="J2")


def test_unwritable_cache_is_named(front: Front, url: str, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    artifacts = at(front.url, bucket, tmp_path / "cache")
    version = artifacts.claim(model="iris", job_id="J1")
    gcs_server.upload(url, artifacts.staging(model="iris", version=version), {"saved_model.pb": b"a graph"})
    with pytest.raises(PermanentError, match=str(tmp_path / "cache")) as caught:
        artifacts.describe(model="iris", version=version)
    assert "SEATRIAL_HOME" in caught.value.advice


def test_doctor_reports_a_working_bucket(front: Front, url: str, bucket: str, tmp_path: Path) -> None:
    gcs_server.client(url).create_bucket(bucket)
    front.grant(*RIGHTS)
    artifacts = at(front.url, bucket, tmp_path, location=LOCATION)
    assert isinstance(artifacts, Diagnosable)
    findings = found(artifacts)
    assert all(finding.ok for finding in findings)
    assert len(findings) == 2 + len(RIGHTS)
    assert front.count("POST") == front.count("POST /storage/v1/b\\?") == 0


def test_doctor_names_each_missing_permission_with_its_command(
    artifacts: GcsArtifacts, front: Front, url: str, bucket: str
) -> None:
    gcs_server.client(url).create_bucket(bucket)
    front.grant("storage.buckets.get", "storage.objects.list")
    missing = [finding for finding in found(artifacts) if not finding.ok]
    assert [finding.what.split()[0] for finding in missing] == ["storage.objects.get", "storage.objects.create"]
    assert "--role=roles/storage.objectViewer" in missing[0].advice
    assert f"add-iam-policy-binding gs://{bucket}" in missing[1].advice
    assert "--role=roles/storage.objectCreator" in missing[1].advice


def test_doctor_reports_a_missing_bucket_and_creates_none(front: Front, bucket: str, tmp_path: Path) -> None:
    [finding] = found(at(front.url, bucket, tmp_path, location="EU"))
    assert not finding.ok
    assert f"gcloud storage buckets create gs://{bucket} --location=EU" in finding.advice
    assert front.count("POST") == 0


def test_doctor_reports_a_bucket_in_the_wrong_location(front: Front, url: str, bucket: str, tmp_path: Path) -> None:
    gcs_server.client(url).create_bucket(bucket)
    front.grant(*RIGHTS)
    last = found(at(front.url, bucket, tmp_path, location="EU"))[-1]
    assert not last.ok
    assert LOCATION in last.what


def test_doctor_reports_an_unreachable_google_once(bucket: str, tmp_path: Path) -> None:
    [finding] = found(at(gcs_server.unused_url(), bucket, tmp_path, patience_s=0.5))
    assert not finding.ok
    assert f"gs://{bucket} cannot be reached" in finding.what
