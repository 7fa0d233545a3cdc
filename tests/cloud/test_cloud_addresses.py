"""Adapters created from cloud addresses in seatrial.toml: without any request, and with all mistakes at once."""

from pathlib import Path

import pytest

from workers.contract.settings import SettingsError
from workers.platforms.cloud.endpoints import manifests
from workers.platforms.connect import connect
from workers.settings import read_settings

IMAGES = '[images]\nrepository = "us-docker.pkg.dev/p/r"\n'
CLUSTER = '[environments.staging]\ncluster = "gke://p/us-central1-b/serving/prod"\n'


def mistakes(tmp_path: Path, text: str) -> tuple[str, ...]:
    """Return the mistakes in a settings file."""
    (tmp_path / "seatrial.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        connect(read_settings({"SEATRIAL_CONFIG": str(tmp_path / "seatrial.toml")}))
    return tuple(mistake.removeprefix(f"{tmp_path}/seatrial.toml: ") for mistake in caught.value.mistakes)


def test_adapters_are_created_without_credentials(tmp_path: Path) -> None:
    """A worker can start while its services are unavailable."""
    warehouse = 'warehouse = "bigquery://demo-project/ml/EU"\nartifacts = "gs://models/ml"\n'
    (tmp_path / "seatrial.toml").write_text(warehouse + IMAGES + CLUSTER)
    platforms = connect(read_settings({"SEATRIAL_CONFIG": str(tmp_path / "seatrial.toml")}))
    adapters = (platforms.warehouse, platforms.artifacts, platforms.images, platforms.clusters["staging"])
    assert all(type(adapter).__module__.startswith("workers.platforms.cloud.") for adapter in adapters)


def test_every_mistake_is_reported_once(tmp_path: Path) -> None:
    """With its field, also if the adapter of another field needs it."""
    text = 'warehouse = "bigquery://demo-project/ml"\nartifacts = "gs://Models"\n' + CLUSTER
    warehouse, bucket, images = mistakes(tmp_path, text)
    assert warehouse.startswith("warehouse: unknown address 'bigquery://demo-project/ml'")
    assert bucket.startswith("artifacts: unknown address 'gs://Models'")
    assert images.startswith("environments.staging.cluster: a cluster runs images")


def test_invalid_bigquery_name_is_reported(tmp_path: Path) -> None:
    """With the invalid part and the form of the address."""
    (mistake,) = mistakes(tmp_path, 'warehouse = "bigquery://demo-project/ml/E"\nartifacts = "gs://models"\n')
    assert mistake.startswith("warehouse: 'E' is not a location")
    assert mistake.endswith("write bigquery://PROJECT/DATASET/LOCATION.")


def test_missing_yaml_is_reported_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker installed from a wheel alone has no k8s folder."""
    monkeypatch.setitem(manifests._FILES, "Service", "absent.yaml")
    (missing,) = mistakes(tmp_path, IMAGES + CLUSTER)
    assert missing.startswith("environments.staging.cluster: ")
    assert "absent.yaml cannot be read: No such file" in missing
