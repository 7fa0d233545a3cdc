"""The warehouse and the model store. Both run on one machine or both in the cloud: one exports to the other."""

from workers.platforms.connect.addresses import BIGQUERY, BUCKET, LOCAL, parse, parse_other
from workers.platforms.protocols.artifacts import Artifacts
from workers.platforms.protocols.warehouse import Warehouse
from workers.settings import WorkerSettings


def warehouse(settings: WorkerSettings) -> Warehouse:
    """Return the adapter for the field `warehouse`. Raises ValueError, SettingsError or ImportError."""
    file = settings.file
    if file.warehouse == LOCAL:
        from workers.platforms.embedded.warehouse.warehouse import EmbeddedWarehouse

        folder = settings.config.parent
        tables = {name: (folder / path).absolute() for name, path in file.tables.items()}
        return EmbeddedWarehouse(home=settings.home, tables=tables)
    address = parse(file.warehouse, BIGQUERY)
    if file.artifacts == LOCAL:
        raise ValueError("BigQuery can export models to a bucket only; set artifacts to gs://BUCKET/PREFIX, too.")
    from workers.platforms.cloud.bigquery.warehouse import BigQueryWarehouse

    return BigQueryWarehouse(
        project=address["project"],
        dataset=address["dataset"],
        location=address["location"],
        bucket=parse_other(file.artifacts, BUCKET)["bucket"],
        endpoint=settings.bigquery_endpoint,
    )


def artifacts(settings: WorkerSettings) -> Artifacts:
    """Return the adapter for the field `artifacts`. Raises ValueError, SettingsError or ImportError."""
    file = settings.file
    if file.artifacts == LOCAL:
        from workers.platforms.embedded.artifacts import EmbeddedArtifacts

        return EmbeddedArtifacts(root=settings.home / "models")
    address = parse(file.artifacts, BUCKET)
    if file.warehouse == LOCAL:
        raise ValueError("the local warehouse exports models to a folder; set warehouse to bigquery://…, too.")
    dataset = parse_other(file.warehouse, BIGQUERY)
    from workers.platforms.cloud.storage.artifacts import GcsArtifacts

    return GcsArtifacts.open(
        bucket=address["bucket"],
        prefix=address["prefix"],
        location=dataset["location"],
        project=dataset["project"],
        cache=settings.home / "cache",
    )
