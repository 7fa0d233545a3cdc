"""The registry in a folder: concurrent processes, crashes between steps, and a folder that was changed by hand."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from workers.errors import PermanentError
from workers.platforms.embedded import artifacts as embedded_artifacts
from workers.platforms.embedded.artifacts import EmbeddedArtifacts
from workers.platforms.protocols import Manifest

CLAIMER = """
import sys
from pathlib import Path
from workers.platforms.embedded.artifacts import EmbeddedArtifacts

artifacts = EmbeddedArtifacts(root=Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for job_id in sys.argv[2:]:
    print(job_id, artifacts.claim(model="iris", job_id=job_id), flush=True)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def artifacts(root: Path) -> EmbeddedArtifacts:
    return EmbeddedArtifacts(root=root)


def stage(artifacts: EmbeddedArtifacts) -> Manifest:
    """Claim a version, stage a file, and return the manifest to publish."""
    version = artifacts.claim(model="iris", job_id="J1")
    (Path(artifacts.staging(model="iris", version=version)) / "model.onnx").write_bytes(b"a graph")
    digest, size_bytes = artifacts.describe(model="iris", version=version)
    return Manifest(
        model="iris",
        version=version,
        digest=digest,
        format="onnx",
        size_bytes=size_bytes,
        metrics={"accuracy": 0.97},
        query_sha256="0" * 64,
        training="iris-v1-0123abcd",
        trained_by="Ada",
        job_id="J1",
        created_at_s=1_790_000_000.0,
    )


def claim_concurrently(root: Path, jobs: list[list[str]]) -> list[tuple[str, int]]:
    """Claim for each list of jobs in a separate process. Return (job, number) pairs."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, str(root), *ids], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
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


def test_concurrent_claims_get_consecutive_numbers(root: Path) -> None:
    claims = claim_concurrently(root, [[f"P{process}-{i}" for i in range(25)] for process in range(3)])
    assert sorted(number for _, number in claims) == list(range(1, 76))


def test_concurrent_claims_of_one_job_get_one_number(root: Path) -> None:
    """A job may run on a worker that lost its lease and on the next worker at the same time."""
    jobs = [f"J{i}" for i in range(25)]
    claims = claim_concurrently(root, [jobs, jobs])
    assert set(Counter(claims).values()) == {2}
    assert sorted({number for _, number in claims}) == list(range(1, 26))


def test_process_killed_during_a_claim_uses_no_number(artifacts: EmbeddedArtifacts, root: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from workers.platforms.embedded.artifacts import EmbeddedArtifacts\n"
        "os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)\n"
        "EmbeddedArtifacts(root=Path(sys.argv[1])).claim(model='iris', job_id='J1')\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(root)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert artifacts.claim(model="iris", job_id="J1") == 1
    assert [path.name for path in (root / "iris").iterdir()] == ["1"]


def test_folder_without_a_claim_keeps_its_number(artifacts: EmbeddedArtifacts, root: Path) -> None:
    (root / "iris" / "1").mkdir(parents=True)
    assert artifacts.claim(model="iris", job_id="J1") == 2
    assert artifacts.versions(model="iris") == []


def test_publish_after_a_crash_before_the_manifest_completes_the_version(
    artifacts: EmbeddedArtifacts, root: Path
) -> None:
    manifest = stage(artifacts)
    (root / "iris/1/staging").rename(root / "iris/1/files")
    assert artifacts.versions(model="iris") == []
    artifacts.publish(manifest=manifest)
    assert artifacts.folder(model="iris", version=1) == root / "iris/1/files"


def test_publish_replaces_files_of_a_crashed_attempt(artifacts: EmbeddedArtifacts, root: Path) -> None:
    (root / "iris/1/files").mkdir(parents=True)
    (root / "iris/1/files/other.onnx").write_bytes(b"of the crashed attempt")
    (root / "iris/1/claim.json").write_text('{"job_id": "J1"}')
    artifacts.publish(manifest=stage(artifacts))
    assert [path.name for path in artifacts.folder(model="iris", version=1).iterdir()] == ["model.onnx"]


def test_publish_leaves_no_staging_or_temporary_files(artifacts: EmbeddedArtifacts, root: Path) -> None:
    manifest = stage(artifacts)
    artifacts.publish(manifest=manifest)
    assert {path.name for path in (root / "iris/1").iterdir()} == {"claim.json", "files", "manifest.json"}
    assert json.loads((root / "iris/1/manifest.json").read_text())["trained_by"] == "Ada"


@pytest.mark.parametrize("change", ["changed", "added", "removed", "linked"])
def test_changed_files_are_refused_with_their_folder(
    artifacts: EmbeddedArtifacts, root: Path, tmp_path: Path, change: str
) -> None:
    artifacts.publish(manifest=stage(artifacts))
    files = root / "iris/1/files"
    match change:
        case "changed":
            (files / "model.onnx").write_bytes(b"a groph")
        case "added":
            (files / "more").write_bytes(b"")
        case "removed":
            (files / "model.onnx").unlink()
        case "linked":
            (files / "model.onnx").rename(tmp_path / "elsewhere")
            (files / "model.onnx").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermanentError, match="iris") as caught:
        artifacts.folder(model="iris", version=1)
    assert str(files) in str(caught.value)
    assert caught.value.advice
    assert artifacts.manifest(model="iris", version=1)


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"\xff\xfe", b"[]", b'{"model": "iris"}', b'"version": "1"', b'"accuracy": null']
)
def test_damaged_manifest_is_reported_with_its_path(artifacts: EmbeddedArtifacts, root: Path, damage: bytes) -> None:
    """The list of versions does not skip it, either."""
    artifacts.publish(manifest=stage(artifacts))
    path = root / "iris/1/manifest.json"
    whole = {b'"version": "1"': b'"version": 1', b'"accuracy": null': b'"accuracy": 0.97'}.get(damage)
    path.write_bytes(path.read_bytes().replace(whole, damage) if whole else damage)
    for call in (
        lambda: artifacts.manifest(model="iris", version=1),
        lambda: artifacts.folder(model="iris", version=1),
        lambda: artifacts.versions(model="iris"),
    ):
        with pytest.raises(PermanentError, match="is damaged") as caught:
            call()
        assert str(path) in str(caught.value)
        assert caught.value.advice
    assert artifacts.claim(model="iris", job_id="J2") == 2


def test_version_under_another_number_is_refused(artifacts: EmbeddedArtifacts, root: Path) -> None:
    artifacts.publish(manifest=stage(artifacts))
    (root / "iris/1").rename(root / "iris/5")
    with pytest.raises(PermanentError, match=r"iris/5/manifest\.json.*iris v1"):
        artifacts.manifest(model="iris", version=5)


def test_folders_not_named_by_a_number_are_ignored(artifacts: EmbeddedArtifacts, root: Path) -> None:
    artifacts.publish(manifest=stage(artifacts))
    for name in (".DS_Store", "latest", "01", "-1", "1.5", "٣"):
        (root / "iris" / name).mkdir()
    assert [manifest.version for manifest in artifacts.versions(model="iris")] == [1]
    assert artifacts.claim(model="iris", job_id="J2") == 2


def test_unwritable_root_is_reported_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file, not a folder")
    with pytest.raises(PermanentError, match="models") as caught:
        EmbeddedArtifacts(root=tmp_path / "models").claim(model="iris", job_id="J1")
    assert caught.value.advice


def test_full_disk_is_reported_with_the_file_and_leaves_no_partial_file(
    artifacts: EmbeddedArtifacts, root: Path
) -> None:
    artifacts.claim(model="iris", job_id="J1")
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from workers.errors import PermanentError\n"
        "from workers.platforms.embedded.artifacts import EmbeddedArtifacts\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "try: EmbeddedArtifacts(root=Path(sys.argv[1])).claim(model='iris', job_id='J2')\n"
        "except PermanentError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)], capture_output=True, text=True, timeout=60, check=True
    )
    assert f"{root}/iris/.claiming/claim.json: " in done.stdout
    assert not list((root / "iris/.claiming").iterdir())
    assert artifacts.claim(model="iris", job_id="J2") == 2


def test_oldest_reports_of_a_place_are_deleted(
    artifacts: EmbeddedArtifacts, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_artifacts, "MAX_REPORTS", 3)
    artifacts.keep_report(place="checkout", job_id="0", at_s=0.0, report={"job": 0})
    for job in range(1, 6):
        artifacts.keep_report(place="staging/iris", job_id=str(job), at_s=float(job), report={"job": job})
    assert [report["job"] for report in artifacts.reports(place="staging/iris", newest=10)] == [5, 4, 3]
    assert len(list((root / "_reports").rglob("*"))) == len(["checkout", "staging", "iris"]) + 1 + 3
    assert artifacts.reports(place="checkout", newest=10) == [{"job": 0}]


def test_damaged_reports_are_skipped(artifacts: EmbeddedArtifacts, root: Path) -> None:
    for job in range(1, 4):
        artifacts.keep_report(place="staging", job_id=str(job), at_s=float(job), report={"job": job})
    first, second, _ = sorted((root / "_reports" / "staging").iterdir())
    first.write_bytes(b'{"job": ')
    second.write_bytes(b"[2]")
    assert artifacts.reports(place="staging", newest=10) == [{"job": 3}]
