"""The external services that a job may use, as the addresses in the settings select them."""

from collections.abc import Mapping
from dataclasses import dataclass

from workers.contract.settings import SettingsFile
from workers.platforms.protocols.artifacts import Artifacts
from workers.platforms.protocols.cluster import Cluster
from workers.platforms.protocols.images import Images
from workers.platforms.protocols.load import LoadGenerator
from workers.platforms.protocols.warehouse import Warehouse


@dataclass(frozen=True, kw_only=True, slots=True)
class Platforms:
    """Everything foreign that a job may use, as the settings' addresses picked it.

    `clusters` are by the environment's name; `loads` by that or a target's: an environment is loaded from where it
    runs, a target from the worker.
    """

    settings: SettingsFile
    warehouse: Warehouse
    artifacts: Artifacts
    images: Images
    clusters: Mapping[str, Cluster]
    loads: Mapping[str, LoadGenerator]
