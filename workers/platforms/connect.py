"""From the settings' addresses to adapters, imported only when they are asked for. Nothing else asks which it is."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from workers.contract.settings import Environment, SettingsError, SettingsFile
from workers.errors import PermanentError
from workers.platforms.protocols.artifacts import Artifacts
from workers.platforms.protocols.cluster import Cluster
from workers.platforms.protocols.images import Images
from workers.platforms.protocols.load import LoadGenerator
from workers.platforms.protocols.platforms import Platforms
from workers.platforms.protocols.warehouse import Warehouse
from workers.settings import WorkerSettings

LOCAL = "local"
Adapter = TypeVar("Adapter")
Address = TypeVar("Address")


class _BigQueryAddress(NamedTuple):
    """bigquery://PROJECT/DATASET/LOCATION."""

    project: str
    dataset: str
    location: str


class _BucketAddress(NamedTuple):
    """gs://BUCKET/PREFIX."""

    bucket: str
    prefix: str


def connect(settings: WorkerSettings) -> Platforms:
    """The adapters that the settings ask for. Raises SettingsError naming every address that cannot be used."""
    mistakes: list[str] = []

    def read(field: str, make: Callable[[], Adapter]) -> Adapter | None:
        try:
            return make()
        except ValueError as error:
            mistakes.append(f"{settings.config}: {field}: {error}")
        except SettingsError as error:
            mistakes.extend(f"{settings.config}: {field}: {mistake}" for mistake in error.mistakes)
        except PermanentError as error:
            mistakes.append(f"{settings.config}: {field}: {error} {error.advice}".rstrip())
        except ImportError as error:
            mistakes.append(f"{settings.config}: {field}: {error.name} is not installed; install the extra cloud.")
        return None

    file = settings.file
    warehouse = read("warehouse", lambda: _warehouse(settings))
    artifacts = read("artifacts", lambda: _artifacts(settings))
    images = read("images", lambda: _images(settings))
    clusters: dict[str, Cluster] = {}
    loads: dict[str, LoadGenerator] = {}
    for name, environment in file.environments.items():
        found = read(f"environments.{name}.cluster", lambda item=environment: _serving(settings, item))  # type: ignore[misc]
        if found is not None:
            clusters[name], loads[name] = found
    loads |= dict.fromkeys(file.targets, _load_from_here(settings))
    if mistakes or warehouse is None or artifacts is None or images is None:
        raise SettingsError(tuple(mistakes))
    return Platforms(
        settings=_anchored(file, settings.config.parent),
        warehouse=warehouse,
        artifacts=artifacts,
        images=images,
        clusters=clusters,
        loads=loads,
    )


def _anchored(file: SettingsFile, folder: Path) -> SettingsFile:
    """The settings with what is relative to the settings file's `folder` made absolute, for whoever has no folder."""
    if file.loadtest.locustfile is None:
        return file
    locustfile = str((folder / file.loadtest.locustfile).absolute())
    return file.model_copy(update={"loadtest": file.loadtest.model_copy(update={"locustfile": locustfile})})


def take_down(*, home: Path) -> None:
    """Stop every endpoint that this machine serves under `home`, whatever the settings name today."""
    from workers.platforms.embedded.cluster.cluster import EmbeddedCluster

    EmbeddedCluster(home=home).remove_all()


def _warehouse(settings: WorkerSettings) -> Warehouse:
    file = settings.file
    if file.warehouse == LOCAL:
        from workers.platforms.embedded.warehouse.warehouse import EmbeddedWarehouse

        folder = settings.config.parent
        tables = {name: (folder / path).absolute() for name, path in file.tables.items()}
        return EmbeddedWarehouse(home=settings.home, tables=tables)
    address = _big_query(file.warehouse)
    if file.artifacts == LOCAL:
        raise ValueError("BigQuery exports models to a bucket alone; set artifacts to gs://BUCKET/PREFIX, too.")
    from workers.platforms.cloud.bigquery.warehouse import BigQueryWarehouse

    bucket = _of_another_field(_bucket, file.artifacts).bucket
    return BigQueryWarehouse(**address._asdict(), bucket=bucket, endpoint=settings.bigquery_endpoint or None)


def _artifacts(settings: WorkerSettings) -> Artifacts:
    file = settings.file
    if file.artifacts == LOCAL:
        from workers.platforms.embedded.artifacts import EmbeddedArtifacts

        return EmbeddedArtifacts(root=settings.home / "models")
    address = _bucket(file.artifacts)
    if file.warehouse == LOCAL:
        raise ValueError("the warehouse on this machine writes to a folder; set warehouse to bigquery://…, too.")
    dataset = _of_another_field(_big_query, file.warehouse)
    from workers.platforms.cloud.storage.artifacts import GcsArtifacts

    return GcsArtifacts(
        bucket=address.bucket,
        prefix=address.prefix,
        location=dataset.location,
        project=dataset.project,
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


def _serving(settings: WorkerSettings, environment: Environment) -> tuple[Cluster, LoadGenerator]:
    """Where the environment's endpoints run, and what loads them there."""
    if environment.cluster == LOCAL:
        from workers.platforms.embedded.cluster.cluster import EmbeddedCluster

        return EmbeddedCluster(home=settings.home), _load_from_here(settings)
    from workers.platforms.cloud.endpoints.cluster import KubernetesCluster
    from workers.platforms.cloud.kubernetes.api import connect as connect_api
    from workers.platforms.cloud.load.generator import KubernetesLoad

    api = connect_api(environment.cluster)
    if settings.file.images is None:
        raise ValueError("a cluster runs images; say under [images] where they are pushed.")
    return KubernetesCluster(api=api), KubernetesLoad(api=api, image=settings.file.loadtest.image)


def _load_from_here(settings: WorkerSettings) -> LoadGenerator:
    from workers.platforms.embedded.load.generator import EmbeddedLoad

    return EmbeddedLoad(home=settings.home)


def _of_another_field(read: Callable[[str], Address], address: str) -> Address:
    """What `read` makes of the address; what is wrong with it is told of its own field, and not again."""
    try:
        return read(address)
    except ValueError as error:
        raise SettingsError(()) from error


def _big_query(address: str) -> _BigQueryAddress:
    match = re.fullmatch(r"bigquery://([a-z0-9.:-]+)/([A-Za-z0-9_]+)/([A-Za-z0-9-]+)", address)
    if match is None:
        raise ValueError(f'{address!r} is not known here; write "local" or "bigquery://PROJECT/DATASET/LOCATION".')
    return _BigQueryAddress(*match.groups())


def _bucket(address: str) -> _BucketAddress:
    match = re.fullmatch(r"gs://([a-z0-9._-]+)/?([A-Za-z0-9._/-]*)", address)
    if match is None:
        raise ValueError(f'{address!r} is not known here; write "local" or "gs://BUCKET/PREFIX".')
    return _BucketAddress(*match.groups())
