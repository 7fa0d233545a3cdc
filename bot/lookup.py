"""The facts that parsers and requests look up, read from Redis: versions, endpoints and the newest jobs."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.policy import Refused
from workers.contract.catalogue import Served, Version
from workers.contract.queue import Catalogue, Queue
from workers.contract.record import Record
from workers.contract.settings import SettingsFile

MOST_RECENT = 200
"""Questions about the past look at this many of the newest jobs."""


@dataclass(frozen=True, kw_only=True)
class CatalogueLookup:
    """Implements `commands.Lookup`. Raises QueueUnavailable while Redis is away."""

    settings: SettingsFile
    catalogue: Catalogue
    queue: Queue

    def versions(self, model: str) -> Sequence[Version]:
        return self.catalogue.versions(model)

    def served(self) -> Sequence[Served]:
        return self.catalogue.served()

    def recent(self) -> Sequence[Record]:
        return self.queue.recent(MOST_RECENT)

    def job(self, *, job_id: str) -> Record:
        record = self.queue.record(job_id)
        if record is None:
            raise Refused(f"There is no job #{job_id}; /jobs lists the newest.")
        return record
