"""From the addresses in the settings to adapters, which are imported lazily.

No other module decides between this machine and the cloud.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from workers.contract.settings import SettingsError, SettingsFile
from workers.errors import PermanentError
from workers.platforms.connect.clusters import cluster_and_load, load_from_here, take_down
from workers.platforms.connect.images import images
from workers.platforms.connect.stores import artifacts, warehouse
from workers.platforms.protocols.platforms import Platforms
from workers.settings import WorkerSettings

__all__ = ["connect", "take_down"]

Adapter = TypeVar("Adapter")


def connect(settings: WorkerSettings) -> Platforms:
    """Return the adapters that the settings select, without calling their services.

    Raises SettingsError that names every address that cannot be used.
    """
    mistakes: list[str] = []

    def make(field: str, factory: Callable[[], Adapter]) -> Adapter | None:
        found: tuple[str, ...]
        try:
            return factory()
        except ValueError as error:
            found = (str(error),)
        except SettingsError as error:
            found = error.mistakes
        except PermanentError as error:
            found = (f"{error} {error.advice}".rstrip(),)
        except ImportError as error:
            found = (f"{error.name} is not installed; install the extra cloud.",)
        mistakes.extend(f"{settings.config}: {field}: {mistake}" for mistake in found)
        return None

    file = settings.file
    data = make("warehouse", partial(warehouse, settings))
    store = make("artifacts", partial(artifacts, settings))
    builder = make("images", partial(images, settings))
    connect_cluster = partial(
        cluster_and_load, home=settings.home, load_image=file.loadtest.image, has_images=file.images is not None
    )
    pairs = {
        name: make(f"environments.{name}.cluster", partial(connect_cluster, environment.cluster))
        for name, environment in file.environments.items()
    }
    if mistakes or data is None or store is None or builder is None:
        raise SettingsError(tuple(mistakes))
    loads = {name: pair[1] for name, pair in pairs.items() if pair}
    return Platforms(
        settings=_with_absolute_paths(file, settings.config.parent),
        warehouse=data,
        artifacts=store,
        images=builder,
        clusters={name: pair[0] for name, pair in pairs.items() if pair},
        loads=loads | dict.fromkeys(file.targets, load_from_here(settings.home)),
    )


def _with_absolute_paths(file: SettingsFile, folder: Path) -> SettingsFile:
    """Resolve the paths that are relative to the settings file's `folder`."""
    if file.loadtest.locustfile is None:
        return file
    locustfile = str((folder / file.loadtest.locustfile).absolute())
    return file.model_copy(update={"loadtest": file.loadtest.model_copy(update={"locustfile": locustfile})})
