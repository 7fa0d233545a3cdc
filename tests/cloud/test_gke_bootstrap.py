"""The script k8s/gke/bootstrap.sh: its plan, its settings and its arguments."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

K8S = Path(__file__).parents[2] / "k8s"
BOOTSTRAP = K8S / "gke" / "bootstrap.sh"
GOLDEN = Path(__file__).parent / "golden" / "bootstrap.txt"


def bootstrap(*words: str, path: str = "") -> "subprocess.CompletedProcess[str]":
    environ = os.environ | ({"PATH": f"{path}:{os.environ['PATH']}"} if path else {})
    return subprocess.run(["bash", BOOTSTRAP, *words], capture_output=True, text=True, env=environ, timeout=60)


def test_bootstrap_dry_run_equals_its_golden_file() -> None:
    """Set UPDATE_GOLDEN=1 to rewrite the file."""
    run = bootstrap("--project", "my-project", "--dry-run")
    assert run.returncode == 0, run.stderr
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(run.stdout, encoding="utf-8")
    assert run.stdout == GOLDEN.read_text(encoding="utf-8")


def test_bootstrap_prints_the_settings_of_the_overlay() -> None:
    printed = GOLDEN.read_text(encoding="utf-8").partition("\nwarehouse = ")
    lines = [line.partition("#")[0].strip() for line in (printed[1] + printed[2]).splitlines() if " = " in line]
    shipped = (K8S / "overlays" / "gke" / "seatrial.toml").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 7
    assert [line for line in lines if line not in shipped] == []


def test_bootstrap_creates_only_missing_resources(tmp_path: Path) -> None:
    log, there = tmp_path / "log", tmp_path / "there"
    for name in ("gcloud", "bq"):
        tool = tmp_path / name
        tool.write_text(
            f'#!/bin/sh\necho "{name} $*" >>{log}\n'
            f'case "$*" in *describe*|*"show --dataset"*) test -e {there} ;; esac\n'
        )
        tool.chmod(0o755)
    planned = [line for line in GOLDEN.read_text(encoding="utf-8").splitlines() if re.match(r"(gcloud|bq) ", line)]
    assert bootstrap("--project", "my-project", path=str(tmp_path)).returncode == 0
    ran = [line for line in log.read_text().splitlines() if not re.search(r" describe | show --dataset ", line)]
    assert len(ran) == len(planned)
    log.unlink()
    there.touch()
    assert bootstrap("--project", "my-project", path=str(tmp_path)).returncode == 0
    assert not re.search(r" create | mk ", log.read_text())


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--project"],
        ["--project", "No Such"],
        ["--project", "my-project", "--zone", "us"],
        ["--project", "my-project", "--location", ""],
        ["--project", "my-project", "--location", "Europe"],
        ["--project", "my-project", "--machine-type", "large one"],
        ["--prject", "x"],
    ],
)
def test_bootstrap_refuses_invalid_arguments(words: list[str]) -> None:
    """It prints its usage and exits with status 2 before any command."""
    run = bootstrap(*words)
    assert run.returncode == 2
    assert "--dry-run" in run.stderr
    assert run.stdout == ""


def test_bootstrap_passes_shellcheck() -> None:
    found = shutil.which("shellcheck") or shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("needs shellcheck")
    run = subprocess.run([found, BOOTSTRAP], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout
