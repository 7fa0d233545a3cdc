"""The external services that a job may use, as the addresses in the settings select them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from workers.contract.findings import Finding
from workers.contract.settings import SettingsFile
from workers.platforms.protocols.artifacts import Artifacts
from workers.platforms.protocols.cluster import Cluster
from workers.platforms.protocols.images import Images
from workers.platforms.protocols.load import LoadGenerator
from workers.platforms.protocols.warehouse import Warehouse


@dataclass(frozen=True, kw_only=True, slots=True)
class Platforms:
    """One adapter per external service.

    `clusters` is keyed by environment. `loads` is keyed by environment and by load target: an environment is loaded
    from its own cluster, a target from the worker.
    """

    settings: SettingsFile
    warehouse: Warehouse
    artifacts: Artifacts
    images: Images
    clusters: Mapping[str, Cluster]
    loads: Mapping[str, LoadGenerator]


@runtime_checkable
class Diagnosable(Protocol):
    """An adapter that `doctor` can check. Adapters implement it if they can fail to reach a service."""

    def diagnose(self) -> Iterator[Finding]:
        """Yield one finding per check. Never changes the service or raises. A check takes at most about 30 s.

        A finding about a missing right carries the command that grants it. The checks end at the first finding that
        makes the rest pointless, such as missing credentials or an unreachable service.
        """
