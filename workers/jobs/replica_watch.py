"""The number of replicas while a system is under load."""

from workers.context import Context
from workers.errors import TemporaryError
from workers.jobs.system_under_test import SystemUnderTest


class ReplicaWatch:
    """Counts the ready replicas of a system and reports each change. A load target has no replicas."""

    def __init__(self, system: SystemUnderTest, context: Context) -> None:
        self.changes: list[tuple[float, int]] = [(0.0, system.ready)] if system.endpoint else []
        """(Seconds since the start, replicas ready from then on)."""
        self._system = system
        self._context = context

    @property
    def ready(self) -> int:
        """Return the number at the last count."""
        return self.changes[-1][1] if self.changes else 0

    def count(self, at_s: float) -> None:
        """Count the replicas. If the cluster does not answer, the next second's count will do."""
        if self._system.endpoint is None:
            return
        platforms, place = self._context.platforms, self._system.place
        environment = platforms.settings.environments[place]
        try:
            endpoint = platforms.clusters[place].endpoint(model=self._system.model, environment=environment)
        except TemporaryError:
            return
        ready = endpoint.ready if endpoint else 0
        if ready != self.ready:
            cpu = endpoint.cpu_percent if endpoint else None
            reason = "" if cpu is None else f"CPU {cpu:.0f} % of the request, target {environment.cpu_target} %"
            self._context.scaled(before=self.ready, after=ready, reason=reason)
            self.changes.append((at_s, ready))
