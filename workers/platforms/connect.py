"""Connection of the addresses in the settings to adapters, which are imported lazily.

No other module decides between this machine and the cloud.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from workers.contract.settings import SettingsError, SettingsFile
from workers.errors import PermanentError
from workers.platforms.protocols import Artifacts, Cluster, Images, LoadGenerator, Platforms, Warehouse
from workers.settings import WorkerSettings

LOCAL = "local"
BIGQUERY = "bigquery://PROJECT/DATASET/LOCATION"
BUCKET = "gs://BUCKET/PREFIX"
_PATTERNS = {
    BIGQUERY: r"bigquery://(?P<project>[a-z0-9.:-]+)/(?P<dataset>[A-Za-z0-9_]+)/(?P<location>[A-Za-z0-9-]+)",
    BUCKET: r"gs://(?P<bucket>[a-z0-9._-]+)/?(?P<prefix>[A-Za-z0-9._/-]*)",
}
Adapter = TypeVar("Adapter")


def connect(settings: WorkerSettings) -> Platforms:
    """Return the adapters that the settings select, without calling their services.

    Raises SettingsError that names every address that cannot be used.
    """
    file = settings.file
    mistakes: list[str] = []

    def make(field: str, factory: Callable[[WorkerSettings], Adapter]) -> Adapter | None:
        try:
            return factory(settings)
        except (ValueError, ImportError, PermanentError, SettingsError) as error:
            mistakes.extend(f"{settings.config}: {field}: {mistake}" for mistake in _mistakes(error))
            return None

    warehouse, artifacts = make("warehouse", _warehouse), make("artifacts", _artifacts)
    images = make("images", _images)
    pairs = {
        name: make(f"environments.{name}.cluster", partial(_cluster_and_load, address=environment.cluster))
        for name, environment in file.environments.items()
    }
    if mistakes or warehouse is None or artifacts is None or images is None:
        raise SettingsError(tuple(mistakes))
    if file.loadtest.locustfile is not None:
        locustfile = str((settings.config.parent / file.loadtest.locustfile).absolute())
        file = file.model_copy(update={"loadtest": file.loadtest.model_copy(update={"locustfile": locustfile})})
    loads = {name: pair[1] for name, pair in pairs.items() if pair}
    return Platforms(
        settings=file,
        warehouse=warehouse,
        artifacts=artifacts,
        images=images,
        clusters={name: pair[0] for name, pair in pairs.items() if pair},
        loads=loads | dict.fromkeys(file.targets, _local_load(settings.home)),
    )


def _mistakes(error: Exception) -> tuple[str, ...]:
    match error:
        case SettingsError():
            return error.mistakes
        case PermanentError():
            return (f"{error} {error.advice}".rstrip(),)
        case ImportError():
            return (f"{error.name} is not installed; install the extra cloud.",)
    return (str(error),)


def take_down(*, home: Path) -> None:
    """Stop every endpoint that this machine serves under `home`, including those of former settings."""
    from workers.platforms.embedded.cluster.cluster import EmbeddedCluster

    EmbeddedCluster(home=home).remove_all()


def query_here(sql: str, *, file: SettingsFile, folder: Path, explain: bool) -> Iterator[str]:
    """Yield the parts of the answer of the warehouse on this machine, or of its translation.

    The settings' files are relative to `folder`. Raises PermanentError if the query is refused or stops.
    """
    from workers.platforms.embedded.googlesql.errors import Refused
    from workers.platforms.embedded.warehouse.query import answer, explanation
    from workers.platforms.embedded.warehouse.tables import stored_tables

    files = stored_tables(file.tables, folder=folder)
    try:
        yield from [explanation(sql, files=files)] if explain else answer(sql, files=files)
    except Refused as error:
        raise PermanentError(error.problem, advice=error.advice) from error


def _parse(address: str, form: str) -> dict[str, str]:
    """Return the parts of `address` by their names in lower case. Raises ValueError if it does not have the form."""
    if match := re.fullmatch(_PATTERNS[form], address):
        return match.groupdict()
    raise ValueError(f'unknown address {address!r}; use "local" or "{form}".')


def _parse_other(address: str, form: str) -> dict[str, str]:
    """Parse the address of another field. Raises SettingsError without mistakes: that field reports its own."""
    try:
        return _parse(address, form)
    except ValueError as error:
        raise SettingsError(()) from error


def _warehouse(settings: WorkerSettings) -> Warehouse:
    file = settings.file
    if file.warehouse == LOCAL:
        from workers.platforms.embedded.warehouse.tables import stored_tables
        from workers.platforms.embedded.warehouse.warehouse import EmbeddedWarehouse

        tables = stored_tables(file.tables, folder=settings.config.parent)
        return EmbeddedWarehouse(home=settings.home, tables=tables)
    address = _parse(file.warehouse, BIGQUERY)
    if file.artifacts == LOCAL:
        raise ValueError("BigQuery can export models to a bucket only; set artifacts to gs://BUCKET/PREFIX, too.")
    from workers.platforms.cloud.bigquery.warehouse import BigQueryWarehouse

    return BigQueryWarehouse(
        project=address["project"],
        dataset=address["dataset"],
        location=address["location"],
        bucket=_parse_other(file.artifacts, BUCKET)["bucket"],
        endpoint=settings.bigquery_endpoint,
    )


def _artifacts(settings: WorkerSettings) -> Artifacts:
    file = settings.file
    if file.artifacts == LOCAL:
        from workers.platforms.embedded.artifacts import EmbeddedArtifacts

        return EmbeddedArtifacts(root=settings.home / "models")
    address = _parse(file.artifacts, BUCKET)
    if file.warehouse == LOCAL:
        raise ValueError("the local warehouse exports models to a folder; set warehouse to bigquery://…, too.")
    dataset = _parse_other(file.warehouse, BIGQUERY)
    from workers.platforms.cloud.storage.artifacts import GcsArtifacts

    return GcsArtifacts.open(
        bucket=address["bucket"],
        prefix=address["prefix"],
        location=dataset["location"],
        project=dataset["project"],
        cache=settings.home / "cache",
    )


def _images(settings: WorkerSettings) -> Images:
    if settings.file.images is None:
        from workers.platforms.embedded.images import EmbeddedImages

        return EmbeddedImages()
    from workers.platforms.cloud.docker.images import DockerImages

    return DockerImages(
        settings=settings.file.images,
        environ=settings.docker,
        username=settings.registry_username,
        password=settings.registry_password,
    )


def _cluster_and_load(settings: WorkerSettings, *, address: str) -> tuple[Cluster, LoadGenerator]:
    if address == LOCAL:
        from workers.platforms.embedded.cluster.cluster import EmbeddedCluster

        return EmbeddedCluster(home=settings.home), _local_load(settings.home)
    from workers.platforms.cloud.endpoints.cluster import KubernetesCluster
    from workers.platforms.cloud.kubernetes.api import connect as connect_kubernetes
    from workers.platforms.cloud.load.generator import KubernetesLoad

    api = connect_kubernetes(address)
    if settings.file.images is None:
        raise ValueError("a cluster runs images; set the repository that they are pushed to under [images].")
    return KubernetesCluster(api=api), KubernetesLoad(api=api, image=settings.file.loadtest.image)


def _local_load(home: Path) -> LoadGenerator:
    from workers.platforms.embedded.load import EmbeddedLoad

    return EmbeddedLoad(home=home)
