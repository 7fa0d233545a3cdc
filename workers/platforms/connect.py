"""From the settings' addresses to adapters, imported only when they are asked for. Nothing else asks which it is."""

from pathlib import Path

from workers.contract.settings import SettingsError, SettingsFile
from workers.platforms.protocols import Platforms


def connect(*, file: SettingsFile, config: Path, home: Path) -> Platforms:
    """The adapters that `file` (read from `config`) asks for. Raises SettingsError naming each unknown address."""
    addresses = {"warehouse": file.warehouse, "artifacts": file.artifacts}
    addresses |= {f"environments.{name}.cluster": item.cluster for name, item in file.environments.items()}
    unknown = [
        f'{config}: {field}: {found!r} is not known here; it can be "local".'
        for field, found in addresses.items()
        if found != "local"
    ]
    if unknown:
        raise SettingsError(tuple(unknown))

    from workers.platforms.embedded.artifacts import EmbeddedArtifacts
    from workers.platforms.embedded.cluster import EmbeddedCluster
    from workers.platforms.embedded.images import EmbeddedImages
    from workers.platforms.embedded.load import EmbeddedLoad
    from workers.platforms.embedded.warehouse import EmbeddedWarehouse

    tables = {name: (config.parent / path).absolute() for name, path in file.tables.items()}
    cluster = EmbeddedCluster(home=home)
    return Platforms(
        settings=file,
        warehouse=EmbeddedWarehouse(home=home, tables=tables),
        artifacts=EmbeddedArtifacts(root=home / "models"),
        images=EmbeddedImages(),
        clusters=dict.fromkeys(file.environments, cluster),
        load=EmbeddedLoad(home=home),
    )


def take_down(*, home: Path) -> None:
    """Stop every endpoint that this machine serves under `home`, whatever the settings name today."""
    from workers.platforms.embedded.cluster import EmbeddedCluster

    EmbeddedCluster(home=home).remove_all()
