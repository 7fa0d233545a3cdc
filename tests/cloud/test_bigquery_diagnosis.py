"""Checks of BigQuery by `doctor`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cloud.bigquery_harness import model as iris, serving, trained, warehouse
from tests.cloud.bigquery_stand_in import BigQueryStandIn
from workers.platforms.cloud.bigquery import jobs
from workers.platforms.cloud.bigquery.warehouse import BigQueryWarehouse
from workers.platforms.connect import connect
from workers.settings import read_settings

ROOT = Path(__file__).parents[2]


def lines_of(bigquery: BigQueryStandIn, **changes: object) -> list[str]:
    """Return the findings as lines."""
    return [str(finding) for finding in warehouse(bigquery, **changes).diagnose()]


def test_missing_dataset_is_no_problem() -> None:
    """The first training creates it."""
    with serving(BigQueryStandIn()) as bigquery:
        lines = lines_of(bigquery)
    assert [line[0] for line in lines] == ["✓", "✓"]
    assert "the first training creates it" in lines[1]


def test_emulator_address_works_with_and_without_a_scheme(tmp_path: Path) -> None:
    config = tmp_path / "seatrial.toml"
    config.write_text('warehouse = "bigquery://demo-project/sales/EU"\nartifacts = "gs://models"\n')
    with serving(BigQueryStandIn()) as bigquery:
        for host in (bigquery.url, bigquery.url.removeprefix("http://")):
            platforms = connect(read_settings({"SEATRIAL_CONFIG": str(config), "BIGQUERY_EMULATOR_HOST": host}))
            assert isinstance(platforms.warehouse, BigQueryWarehouse)
            assert all(finding.ok for finding in platforms.warehouse.diagnose())


def test_dataset_in_another_location_names_the_right_address() -> None:
    with serving(BigQueryStandIn()) as bigquery:
        trained(bigquery, iris())
        lines = lines_of(bigquery, location="asia-east1")
    assert lines[-1].startswith("✗")
    assert "asia-east1" in lines[-1]


def test_unreachable_bigquery_is_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "RETRY", jobs.RETRY.with_timeout(1.0))
    with serving(BigQueryStandIn()) as bigquery:
        pass
    lines = lines_of(bigquery)
    assert len(lines) == 1
    assert lines[0].startswith("✗")


def test_doctor_prints_only_findings(tmp_path: Path) -> None:
    """Log lines of Google's SDKs about missing credentials do not appear."""
    config = tmp_path / "seatrial.toml"
    config.write_text('warehouse = "bigquery://demo-project/sales/EU"\nartifacts = "gs://models"\n')
    environ = {"SEATRIAL_CONFIG": str(config), "SEATRIAL_HOME": str(tmp_path), "REDIS_URL": "redis://127.0.0.1:1/0"}
    environ |= {"NO_GCE_CHECK": "true", "CLOUDSDK_CONFIG": str(tmp_path), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "workers", "doctor"]
    run = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert "✗ BigQuery could not run queries in demo-project: Your default credentials were not found" in run.stdout
    assert "✗ Google credentials are missing: Your default credentials were not found" in run.stdout
    assert run.stderr == ""
