"""Versions, endpoints and jobs for parsers: as workers published them, or as given. The desk and `explain` use it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.contract.catalogue import Served, Version
from workers.contract.jobs import Asked, Deploy, Deployed
from workers.contract.queue import Catalogue, Queue
from workers.contract.record import Record
from workers.contract.settings import SettingsFile

MOST_RECENT = 200
"""Questions about the past look at this many of the newest jobs."""


@dataclass(frozen=True, kw_only=True)
class PublishedLookup:
    """Implements `commands.Lookup` with Redis. Raises QueueUnavailable while Redis is away."""

    settings: SettingsFile
    catalogue: Catalogue
    queue: Queue

    def versions(self, model: str) -> Sequence[Version]:
        return self.catalogue.versions(model)

    def served(self) -> Sequence[Served]:
        return self.catalogue.served()

    def recent(self) -> Sequence[Record]:
        return self.queue.recent(MOST_RECENT)


@dataclass(frozen=True, kw_only=True)
class GivenLookup:
    """Implements `commands.Lookup` without Redis.

    `numbers` has the published versions of each model, in order. The newest is deployed in each of `environments`,
    where it replaced the version `replaced` has for its model, if any.
    """

    settings: SettingsFile
    numbers: Mapping[str, Sequence[int]]
    environments: Sequence[str]
    replaced: Mapping[str, int | None]

    def versions(self, model: str) -> Sequence[Version]:
        return [published(model, number) for number in self.numbers.get(model, ())]

    def served(self) -> Sequence[Served]:
        return [
            Served(
                model=model,
                environment=name,
                version=numbers[-1],
                address="",
                ready=self.settings.environments[name].replicas.minimum,
                replicas=self.settings.environments[name].replicas,
                since_s=0.0,
                job_id="1",
            )
            for model, numbers in self.numbers.items()
            for name in self.environments
            if numbers
        ]

    def recent(self) -> Sequence[Record]:
        return [
            Record(
                id=served.job_id,
                job=Deploy(model=served.model, version=served.version, environment=served.environment, digest=""),
                asked=Asked(by="", by_name="", where=""),
                state="succeeded",
                outcome=Deployed(
                    version=served.version,
                    previous=self.replaced.get(served.model),
                    address=served.address,
                    ready=served.ready,
                    replicas=served.replicas,
                ),
            )
            for served in self.served()
        ]


def published(model: str, number: int) -> Version:
    """Return a version of which only the number is known."""
    return Version(
        model=model,
        version=number,
        digest=f"sha256:{number}",
        metrics={},
        size_bytes=0,
        trained_by="",
        created_at_s=0.0,
        job_id="1",
    )
