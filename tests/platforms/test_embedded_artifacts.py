"""What only the registry in a folder promises: processes side by side, crashes between steps, a folder meddled with."""

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
from workers.platforms.protocols.artifacts import Manifest

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


def prepared(artifacts: EmbeddedArtifacts) -> Manifest:
    """A claimed version with a staged file, and its manifest."""
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


def claimed_at_once(root: Path, jobs: list[list[str]]) -> list[tuple[str, int]]:
    """What as many processes were given that began to claim at the same moment: (job, number)."""
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


def test_processes_that_claim_at_once_never_get_the_same_number(root: Path) -> None:
    """Four processes, 25 jobs each: a hundred different numbers, none left out."""
    claims = claimed_at_once(root, [[f"P{process}-{i}" for i in range(25)] for process in range(4)])
    assert sorted(number for _, number in claims) == list(range(1, 101))


def test_one_job_claimed_by_two_processes_at_once_has_one_number(root: Path) -> None:
    """A worker that was thought dead and the one that took over go on with the same version."""
    jobs = [f"J{i}" for i in range(25)]
    claims = claimed_at_once(root, [jobs, jobs, jobs])
    assert set(Counter(claims).values()) == {3}
    assert sorted({number for _, number in claims}) == list(range(1, 26))


def test_a_process_that_is_killed_as_it_claims_spends_no_number(artifacts: EmbeddedArtifacts, root: Path) -> None:
    """The job's next attempt has the number that this one would have had."""
    die_as_it_is_written = (
        "import os, signal, sys; from pathlib import Path\n"
        "from workers.platforms.embedded.artifacts import EmbeddedArtifacts\n"
        "os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)\n"
        "EmbeddedArtifacts(root=Path(sys.argv[1])).claim(model='iris', job_id='J1')\n"
    )
    died = subprocess.run([sys.executable, "-c", die_as_it_is_written, str(root)], check=False)
    assert died.returncode == -signal.SIGKILL
    assert artifacts.claim(model="iris", job_id="J1") == 1
    assert [path.name for path in (root / "iris").iterdir()] == ["1"]


def test_a_folder_that_nobody_claimed_is_stepped_over(artifacts: EmbeddedArtifacts, root: Path) -> None:
    """Its number was somebody's once."""
    (root / "iris" / "1").mkdir(parents=True)
    assert artifacts.claim(model="iris", job_id="J1") == 2
    assert artifacts.versions(model="iris") == []


def test_a_crash_between_the_files_and_the_manifest_is_made_good(artifacts: EmbeddedArtifacts, root: Path) -> None:
    """There is no version before its manifest; publishing again, staged anew or not, completes it."""
    manifest = prepared(artifacts)
    (root / "iris/1/staging").rename(root / "iris/1/files")
    assert artifacts.versions(model="iris") == []
    artifacts.publish(manifest=manifest)
    assert artifacts.folder(model="iris", version=1) == root / "iris/1/files"


def test_files_of_a_crashed_attempt_are_replaced(artifacts: EmbeddedArtifacts, root: Path) -> None:
    """An attempt that stages anew publishes what it staged."""
    (root / "iris/1/files").mkdir(parents=True)
    (root / "iris/1/files/other.onnx").write_bytes(b"of the dead attempt")
    (root / "iris/1/claim.json").write_text('{"job_id": "J1"}')
    artifacts.publish(manifest=prepared(artifacts))
    assert [path.name for path in artifacts.folder(model="iris", version=1).iterdir()] == ["model.onnx"]


def test_publishing_leaves_claim_files_and_manifest_and_nothing_else(artifacts: EmbeddedArtifacts, root: Path) -> None:
    """No staging, no temporary file stays behind; the manifest is JSON that a person can read."""
    manifest = prepared(artifacts)
    artifacts.publish(manifest=manifest)
    assert {path.name for path in (root / "iris/1").iterdir()} == {"claim.json", "files", "manifest.json"}
    assert json.loads((root / "iris/1/manifest.json").read_text())["trained_by"] == "Ada"


@pytest.mark.parametrize("meddling", ["changed", "added", "removed", "linked"])
def test_files_that_were_meddled_with_are_not_served(
    artifacts: EmbeddedArtifacts, root: Path, tmp_path: Path, meddling: str
) -> None:
    """A folder that is not what was published is told with the version and the folder, and stays closed."""
    artifacts.publish(manifest=prepared(artifacts))
    files = root / "iris/1/files"
    match meddling:
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
def test_a_damaged_manifest_is_named_not_skipped(artifacts: EmbeddedArtifacts, root: Path, damage: bytes) -> None:
    """Neither one version nor the list of all hides it: the message has the file, and what can be done."""
    artifacts.publish(manifest=prepared(artifacts))
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


def test_a_version_copied_under_another_number_is_not_that_version(artifacts: EmbeddedArtifacts, root: Path) -> None:
    """A manifest counts only where it was written."""
    artifacts.publish(manifest=prepared(artifacts))
    (root / "iris/1").rename(root / "iris/5")
    with pytest.raises(PermanentError, match=r"iris/5/manifest\.json.*iris v1"):
        artifacts.manifest(model="iris", version=5)


def test_what_else_lies_in_the_folder_is_no_version(artifacts: EmbeddedArtifacts, root: Path) -> None:
    """Names that are no numbers are left alone."""
    artifacts.publish(manifest=prepared(artifacts))
    for name in (".DS_Store", "latest", "01", "-1", "1.5", "٣"):
        (root / "iris" / name).mkdir()
    assert [manifest.version for manifest in artifacts.versions(model="iris")] == [1]
    assert artifacts.claim(model="iris", job_id="J2") == 2


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The message has the path, and is no traceback."""
    (tmp_path / "models").write_text("a file, not a folder")
    with pytest.raises(PermanentError, match="models") as caught:
        EmbeddedArtifacts(root=tmp_path / "models").claim(model="iris", job_id="J1")
    assert caught.value.advice


def test_a_disk_that_is_full_is_named_and_nothing_half_written_is_left(
    artifacts: EmbeddedArtifacts, root: Path
) -> None:
    """The message has the file that there was no room for."""
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


def test_old_reports_make_room_for_new_ones(
    artifacts: EmbeddedArtifacts, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place's newest are kept, so many and no more; another place's are not touched."""
    monkeypatch.setattr(embedded_artifacts, "MOST_REPORTS", 3)
    artifacts.keep_report(place="checkout", job_id="0", report={"job": 0})
    for job in range(1, 6):
        artifacts.keep_report(place="staging/iris", job_id=str(job), report={"job": job})
    assert [report["job"] for report in artifacts.reports(place="staging/iris", newest=10)] == [5, 4, 3]
    assert len(list((root / "_reports").rglob("*"))) == len(["checkout", "staging", "iris"]) + 1 + 3
    assert artifacts.reports(place="checkout", newest=10) == [{"job": 0}]


def test_a_damaged_report_is_left_out(artifacts: EmbeddedArtifacts, root: Path) -> None:
    """Half a file, or what is no object, hides no other report."""
    for job in range(1, 4):
        artifacts.keep_report(place="staging", job_id=str(job), report={"job": job})
    first, second, _ = sorted((root / "_reports" / "staging").iterdir())
    first.write_bytes(b'{"job": ')
    second.write_bytes(b"[2]")
    assert artifacts.reports(place="staging", newest=10) == [{"job": 3}]
