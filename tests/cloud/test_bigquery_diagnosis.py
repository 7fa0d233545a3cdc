"""What `doctor` says of BigQuery."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cloud.bigquery_harness import model as iris
from tests.cloud.bigquery_harness import serving, trained, warehouse
from tests.cloud.bigquery_stand_in import BigQueryStandIn
from workers.platforms.cloud.bigquery import jobs
from workers.platforms.cloud.bigquery.warehouse import BigQueryWarehouse
from workers.platforms.connect import connect
from workers.settings import read_settings

ROOT = Path(__file__).parents[2]


def said(bigquery: BigQueryStandIn, **changes: object) -> list[str]:
    """The findings, as lines."""
    return [str(finding) for finding in warehouse(bigquery, **changes).diagnose()]


def test_a_dataset_that_is_not_there_yet_is_no_trouble() -> None:
    """The right to run jobs is there; the first training makes the dataset."""
    with serving(BigQueryStandIn()) as bigquery:
        lines = said(bigquery)
    assert [line[0] for line in lines] == ["✓", "✓"]
    assert "the first training creates it" in lines[1]


def test_an_emulator_is_found_by_the_name_that_googles_sdks_give_it(tmp_path: Path) -> None:
    """BIGQUERY_EMULATOR_HOST, with or without a scheme, leads there, and nobody logs in."""
    config = tmp_path / "seatrial.toml"
    config.write_text('warehouse = "bigquery://demo-project/ships/EU"\nartifacts = "gs://models"\n')
    with serving(BigQueryStandIn()) as bigquery:
        for host in (bigquery.url, bigquery.url.removeprefix("http://")):
            platforms = connect(read_settings({"SEATRIAL_CONFIG": str(config), "BIGQUERY_EMULATOR_HOST": host}))
            assert isinstance(platforms.warehouse, BigQueryWarehouse)
            assert all(finding.ok for finding in platforms.warehouse.diagnose())


def test_a_dataset_elsewhere_is_named_with_what_to_change() -> None:
    """Where it lies, what the settings say, and the address that would be right."""
    with serving(BigQueryStandIn()) as bigquery:
        trained(bigquery, iris())
        lines = said(bigquery, location="asia-east1")
    assert lines[-1].startswith("✗")
    assert "asia-east1" in lines[-1]


def test_bigquery_out_of_reach_is_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there: one line, which says so, once it has been tried for a while."""
    monkeypatch.setattr(jobs, "RETRY", jobs.RETRY.with_timeout(1.0))
    with serving(BigQueryStandIn()) as bigquery:
        pass
    lines = said(bigquery)
    assert len(lines) == 1
    assert lines[0].startswith("✗")


def test_the_doctor_alone_speaks(tmp_path: Path) -> None:
    """What Google's SDKs log of missing credentials is said by the findings, and nowhere else."""
    config = tmp_path / "seatrial.toml"
    config.write_text('warehouse = "bigquery://demo-project/ships/EU"\nartifacts = "gs://models"\n')
    environ = {"SEATRIAL_CONFIG": str(config), "SEATRIAL_HOME": str(tmp_path), "REDIS_URL": "redis://127.0.0.1:1/0"}
    environ |= {"NO_GCE_CHECK": "true", "CLOUDSDK_CONFIG": str(tmp_path), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "workers", "doctor"]
    run = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert "✗ BigQuery could not run queries in demo-project: Your default credentials were not found" in run.stdout
    assert "✗ Google credentials are missing: Your default credentials were not found" in run.stdout
    assert run.stderr == ""
