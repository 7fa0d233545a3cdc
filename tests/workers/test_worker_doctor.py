"""`python -m workers doctor`: each check passing and failing, with a real Redis."""

import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.demo import processes
from tests.cloud import gcs_server
from workers.contract.findings import Finding
from workers.contract.queue.diagnosis import judge, judge_clock
from workers.doctor import findings, of_adapters
from workers.errors import PermanentError
from workers.platforms.cloud.storage.artifacts import GcsArtifacts
from workers.platforms.cloud.storage.bucket import Bucket
from workers.platforms.connect import connect
from workers.platforms.embedded.images import EmbeddedImages
from workers.platforms.embedded.load import EmbeddedLoad
from workers.settings import read_settings

ROOT = Path(__file__).parents[2]
SETTINGS = """
[models.iris]
type = "logistic_reg"
label = "species"
query = "SELECT 1"
sample = [{ sepal_length = 5.0 }]

[environments.staging]
"""


@pytest.fixture
def good_environ(redis_url: str, environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Return environment variables with which all checks pass."""
    (tmp_path / "seatrial.toml").write_text(SETTINGS)
    return environ | {
        "REDIS_URL": redis_url,
        "SEATRIAL_CONFIG": str(tmp_path / "seatrial.toml"),
        "SEATRIAL_HOME": str(tmp_path / "home"),
    }


def doctor(environ: dict[str, str], *options: str) -> tuple[int, list[str]]:
    """Run the command; return its exit status and its lines."""
    command = [sys.executable, *options, "-m", "workers", "doctor"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines()


def failed(environ: dict[str, str]) -> list[str]:
    """Return the lines of the failed checks."""
    return [str(finding) for finding in findings(environ) if not finding.ok]


def test_doctor_passes_with_good_settings(good_environ: dict[str, str]) -> None:
    status, lines = doctor(good_environ)
    assert status == 0
    assert all(line.startswith("✓") for line in lines)
    for word in ("models iris", "Redis", "can be written", "free disk", "packages", "locustfile.py"):
        assert any(word in line for line in lines), word


def test_all_mistakes_in_the_settings_are_reported(good_environ: dict[str, str]) -> None:
    """The checks that need the settings are left out."""
    Path(good_environ["SEATRIAL_CONFIG"]).write_text("[models.iris]")
    lines = [str(finding) for finding in findings(good_environ | {"SEATRIAL_THREADS": "many"})]
    assert any("SEATRIAL_THREADS" in line for line in lines)
    assert any("models.iris" in line for line in lines)
    assert all(line.startswith("✗") for line in lines)


def test_unreachable_redis_is_reported_and_other_checks_pass(good_environ: dict[str, str]) -> None:
    [line] = failed(good_environ | {"REDIS_URL": f"redis://127.0.0.1:{processes.free_port()}/0"})
    assert "cannot be reached" in line
    assert "REDIS_URL" in line


def test_invalid_redis_url_is_reported_without_its_password(good_environ: dict[str, str]) -> None:
    [line] = failed(good_environ | {"REDIS_URL": "http://:geheim@127.0.0.1/"})
    assert "REDIS_URL" in line
    assert "geheim" not in line


@pytest.mark.parametrize(
    ("info", "failures"),
    [
        ({"redis_version": "6.2.0", "aof_enabled": 1, "maxmemory_policy": "noeviction"}, []),
        ({"redis_version": "10.0.1", "aof_enabled": 1, "maxmemory_policy": "noeviction"}, []),
        ({"redis_version": "6.0.16", "aof_enabled": 1, "maxmemory_policy": "noeviction"}, ["6.2 or newer"]),
        ({"redis_version": "7.2.4"}, ["appendonly yes"]),
    ],
)
def test_redis_version_and_persistence_are_judged(info: Mapping[str, Any], failures: list[str]) -> None:
    """Versions are compared as numbers. A setting that INFO lacks counts as off."""
    found = [finding.advice for finding in judge("127.0.0.1:6379", info) if not finding.ok]
    assert len(found) == len(failures)
    assert all(words in advice for words, advice in zip(failures, found, strict=True))


def test_wrong_clock_is_reported_with_its_direction() -> None:
    assert judge_clock(-2.0).ok
    ahead, behind = judge_clock(300.0), judge_clock(-60.0)
    assert (ahead.ok, ahead.what) == (False, "this machine's clock is 5 m ahead of Redis'")
    assert (behind.ok, behind.what) == (False, "this machine's clock is 1 m behind Redis'")


def test_home_that_cannot_be_written_is_reported(good_environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    [line] = failed(good_environ | {"SEATRIAL_HOME": str(tmp_path / "file/home")})
    assert f"{tmp_path}/file/home cannot be written: Not a directory" in line
    assert "SEATRIAL_HOME" in line


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder on a full disk, as in Linux")
def test_full_disk_is_reported(good_environ: dict[str, str]) -> None:
    lines = failed(good_environ | {"SEATRIAL_HOME": "/proc/seatrial"})
    assert any("0.0 GB of free disk" in line and "Free at least 1 GB" in line for line in lines)


def test_missing_packages_are_reported_with_their_extras(good_environ: dict[str, str], tmp_path: Path) -> None:
    """The checkout's folder locust/ is not taken for the package."""
    installed = tmp_path / "installed"
    installed.mkdir()
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for path in Path(place).iterdir():
            if not path.name.startswith(("locust", "duckdb")):
                (installed / path.name).symlink_to(path)
    status, lines = doctor(good_environ | {"PYTHONPATH": f"{installed}:{ROOT}"}, "-S")
    [line] = [line for line in lines if line.startswith("✗")]
    assert status == 1
    assert "not installed: duckdb, locust" in line
    assert "pip install 'seatrial[worker,load]'" in line


def test_unknown_address_is_reported(good_environ: dict[str, str]) -> None:
    Path(good_environ["SEATRIAL_CONFIG"]).write_text(
        SETTINGS.replace("[models", 'artifacts = "s3://models"\n[models', 1)
    )
    [line] = failed(good_environ)
    assert "s3://models" in line


def test_address_without_its_packages_is_reported_with_the_extra(
    good_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for adapter in ("bigquery.warehouse", "storage.artifacts"):
        monkeypatch.setitem(sys.modules, f"workers.platforms.cloud.{adapter}", None)
    addresses = 'warehouse = "bigquery://p/d/US"\nartifacts = "gs://b/p"\n'
    Path(good_environ["SEATRIAL_CONFIG"]).write_text(SETTINGS.replace("[models", addresses + "[models", 1))
    lines = failed(good_environ)
    assert [line.split(": ")[1] for line in lines] == ["warehouse", "artifacts"]
    assert all("is not installed; install the extra cloud" in line for line in lines)


def test_locust_file_is_not_checked_without_a_local_environment(good_environ: dict[str, str]) -> None:
    Path(good_environ["SEATRIAL_CONFIG"]).write_text(SETTINGS.replace("[environments.staging]", ""))
    found = list(findings(good_environ))
    assert all(finding.ok for finding in found)
    assert not any("locustfile" in finding.what for finding in found)


def test_adapters_report_on_their_services(good_environ: dict[str, str], tmp_path: Path) -> None:
    """Local adapters have no findings."""
    local = connect(read_settings(good_environ))
    assert list(of_adapters(local)) == []
    client = gcs_server.client(gcs_server.unused_url())
    bucket = GcsArtifacts(bucket=Bucket("models", client=client, patience_s=0.5), prefix="", cache=tmp_path)
    [finding] = of_adapters(replace(local, artifacts=bucket))
    assert not finding.ok
    assert "gs://models cannot be reached" in finding.what


def test_error_in_one_adapter_does_not_end_the_checks(good_environ: dict[str, str], tmp_path: Path) -> None:
    """The error becomes a finding with its advice."""

    class Broken(EmbeddedImages):
        def diagnose(self) -> Iterator[Finding]:
            raise PermanentError("There is no engine.", advice="Start it.")

    class Well(EmbeddedLoad):
        def diagnose(self) -> Iterator[Finding]:
            yield Finding(what="load", ok=True)

    platforms = connect(read_settings(good_environ))
    platforms = replace(platforms, images=Broken(), loads={"staging": Well(home=tmp_path)})
    assert [str(finding) for finding in of_adapters(platforms)] == ["✗ There is no engine. Start it.", "✓ load"]
