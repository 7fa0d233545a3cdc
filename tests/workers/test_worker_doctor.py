"""`python -m workers doctor`: every check made to pass and made to fail, with a real Redis."""

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
from workers.contract.queue.diagnosis import judge
from workers.doctor import findings, of_adapters
from workers.errors import PermanentError
from workers.platforms.cloud.storage.artifacts import GcsArtifacts
from workers.platforms.connect import connect
from workers.platforms.embedded.images import EmbeddedImages
from workers.platforms.embedded.load.generator import EmbeddedLoad
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
def told(redis_url: str, environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """An environment in which all is well."""
    (tmp_path / "seatrial.toml").write_text(SETTINGS)
    return environ | {
        "REDIS_URL": redis_url,
        "SEATRIAL_CONFIG": str(tmp_path / "seatrial.toml"),
        "SEATRIAL_HOME": str(tmp_path / "home"),
    }


def doctor(environ: dict[str, str], *options: str) -> tuple[int, list[str]]:
    """The exit status and the lines."""
    command = [sys.executable, *options, "-m", "workers", "doctor"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines()


def failed(environ: dict[str, str]) -> list[str]:
    """The lines of the checks that fail."""
    return [str(finding) for finding in findings(environ) if not finding.ok]


def test_all_is_well(told: dict[str, str]) -> None:
    """Settings, Redis, the folder, its disk, the packages and the Locust file have a line each, with a tick."""
    status, lines = doctor(told)
    assert status == 0
    assert all(line.startswith("✓") for line in lines)
    for word in ("models iris", "Redis", "can be written", "free disk", "packages", "locustfile.py"):
        assert any(word in line for line in lines), word


def test_mistakes_in_the_settings_are_all_told(told: dict[str, str]) -> None:
    """Each on a line of its own, and nothing is checked that hangs on them."""
    Path(told["SEATRIAL_CONFIG"]).write_text("[models.iris]")
    lines = [str(finding) for finding in findings(told | {"SEATRIAL_THREADS": "many"})]
    assert any("SEATRIAL_THREADS" in line for line in lines)
    assert any("models.iris" in line for line in lines)
    assert all(line.startswith("✗") for line in lines)


def test_a_redis_that_is_away(told: dict[str, str]) -> None:
    """Told in time; the other checks go on."""
    [line] = failed(told | {"REDIS_URL": f"redis://127.0.0.1:{processes.free_port()}/0"})
    assert "cannot be reached" in line
    assert "REDIS_URL" in line


def test_what_is_no_redis_url(told: dict[str, str]) -> None:
    """The setting is named, and its content is not shown."""
    [line] = failed(told | {"REDIS_URL": "http://:geheim@127.0.0.1/"})
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
def test_which_redis_is_good_enough(info: Mapping[str, Any], failures: list[str]) -> None:
    """From its own INFO: 6.2 and newer, by number and not by letter; what it does not tell counts as off."""
    found = [finding.advice for finding in judge("127.0.0.1:6379", info) if not finding.ok]
    assert len(found) == len(failures)
    assert all(words in advice for words, advice in zip(failures, found, strict=True))


def test_a_home_that_cannot_be_written(told: dict[str, str], tmp_path: Path) -> None:
    """With the path, the system's word for why, and the setting."""
    (tmp_path / "file").write_text("")
    [line] = failed(told | {"SEATRIAL_HOME": str(tmp_path / "file/home")})
    assert f"{tmp_path}/file/home cannot be written: Not a directory" in line
    assert "SEATRIAL_HOME" in line


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder on a full disk is had on Linux alone")
def test_a_disk_that_is_full(told: dict[str, str]) -> None:
    """Too little room for models is told before one of them does not fit."""
    lines = failed(told | {"SEATRIAL_HOME": "/proc/seatrial"})
    assert any("0.0 GB of free disk" in line and "Free at least 1 GB" in line for line in lines)


def test_packages_that_are_not_installed(told: dict[str, str], tmp_path: Path) -> None:
    """They are named with the extras that have them; the checkout's folder locust/ is not taken for the package."""
    installed = tmp_path / "installed"
    installed.mkdir()
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for path in Path(place).iterdir():
            if not path.name.startswith(("locust", "duckdb")):
                (installed / path.name).symlink_to(path)
    status, lines = doctor(told | {"PYTHONPATH": f"{installed}:{ROOT}"}, "-S")
    [line] = [line for line in lines if line.startswith("✗")]
    assert status == 1
    assert "not installed: duckdb, locust" in line
    assert "pip install 'seatrial[worker,load]'" in line


def test_an_address_that_is_not_known(told: dict[str, str]) -> None:
    """An adapter that there is not is told as the worker's start would tell it."""
    Path(told["SEATRIAL_CONFIG"]).write_text(SETTINGS.replace("[models", 'artifacts = "s3://models"\n[models', 1))
    [line] = failed(told)
    assert "s3://models" in line


def test_an_address_whose_packages_are_not_installed(told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field that needs them is told, with the extra that has them, as the worker's start would tell it."""
    for adapter in ("bigquery.warehouse", "storage.artifacts"):
        monkeypatch.setitem(sys.modules, f"workers.platforms.cloud.{adapter}", None)
    addresses = 'warehouse = "bigquery://p/d/US"\nartifacts = "gs://b/p"\n'
    Path(told["SEATRIAL_CONFIG"]).write_text(SETTINGS.replace("[models", addresses + "[models", 1))
    lines = failed(told)
    assert [line.split(": ")[1] for line in lines] == ["warehouse", "artifacts"]
    assert all("is not installed; install the extra cloud" in line for line in lines)


def test_work_that_is_not_done_here_needs_nothing_here(told: dict[str, str]) -> None:
    """Without an environment on this machine no Locust file is looked for."""
    Path(told["SEATRIAL_CONFIG"]).write_text(SETTINGS.replace("[environments.staging]", ""))
    found = list(findings(told))
    assert all(finding.ok for finding in found)
    assert not any("locustfile" in finding.what for finding in found)


def test_the_services_behind_the_adapters_are_asked(told: dict[str, str], tmp_path: Path) -> None:
    """An adapter that can tell of its service does, in its own words; those of this machine need not."""
    here = connect(read_settings(told))
    assert list(of_adapters(here)) == []
    client = gcs_server.client(gcs_server.unused_url())
    bucket = GcsArtifacts(bucket="models", prefix="", location=None, cache=tmp_path, client=client, patience_s=0.5)
    [finding] = of_adapters(replace(here, artifacts=bucket))
    assert not finding.ok
    assert "gs://models cannot be reached" in finding.what


def test_an_adapter_that_cannot_tell_does_not_end_the_rest(told: dict[str, str], tmp_path: Path) -> None:
    """Its error is a finding, with its advice, and the next adapter is asked."""

    class Broken(EmbeddedImages):
        def diagnose(self) -> Iterator[Finding]:
            raise PermanentError("There is no engine.", advice="Start it.")

    class Well(EmbeddedLoad):
        def diagnose(self) -> Iterator[Finding]:
            yield Finding(what="load", ok=True)

    here = connect(read_settings(told))
    there = replace(here, images=Broken(), loads={"staging": Well(home=tmp_path)})
    assert [str(finding) for finding in of_adapters(there)] == ["✗ There is no engine. Start it.", "✓ load"]
