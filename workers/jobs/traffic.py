"""Traffic to a system, from its start to its totals, and the rules that end it early. Knows no kind of job."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from workers.context import Context
from workers.contract.formatting import show_duration, show_number
from workers.contract.load import Abort, Sample
from workers.errors import TemporaryError
from workers.jobs.system_under_test import SystemUnderTest
from workers.platforms.protocols import LoadResult, TrafficPlan

SURPLUS_S = 2.0  # seconds' worth of requests that may be sent above the highest rate: users who act in waves are uneven
LEAST_SURPLUS = 30.0  # requests that may always be sent above it: one user's task may be a whole visit


@dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """Traffic that has ended, with one sample per second.

    `aborted_after_s`: when too many failures ended it early. `overrate_after_s`: when it was ended early because the
    user's Locust file sent too much, which the result's `generator_trouble` explains.
    """

    result: LoadResult
    seconds: Sequence[Sample]
    aborted_after_s: float | None = None
    overrate_after_s: float | None = None


class ReplicaWatch:
    """Counts the ready replicas of a system and reports each change. A load target has no replicas."""

    def __init__(self, system: SystemUnderTest, context: Context) -> None:
        self.changes: list[tuple[float, int]] = [(0.0, system.ready)] if system.endpoint else []
        """(Seconds since the start, replicas ready from then on)."""
        self._system = system
        self._context = context

    @property
    def ready(self) -> int:
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


class ErrorRateStop:
    """Applies `abort` to a test's seconds, one after the other. Without `abort` it never ends the test."""

    def __init__(self, abort: Abort | None) -> None:
        self._abort = abort
        self._at_s = 0.0  # when the last second ended
        self._bad_since_s: float | None = None

    def ends_with(self, second: Sample) -> bool:
        """Return whether too much has failed in every second for long enough, `second` being the last of them.

        A second in which no request ended counts neither way.
        """
        began_s, self._at_s = self._at_s, second.at_s
        if self._abort is None or not second.ended_per_s:
            return False
        if 100 * second.failures_per_s <= self._abort.errors_percent * second.ended_per_s:
            self._bad_since_s = None
            return False
        if self._bad_since_s is None:
            self._bad_since_s = began_s
        return second.at_s - self._bad_since_s >= self._abort.for_s


class OverrateStop:
    """Limits a test in which the user's Locust file decides how much is sent.

    A leaky bucket: requests sent above `highest_rps` fill it (`surplus`), and a lower rate empties it.
    """

    def __init__(self, highest_rps: float) -> None:
        self.surplus = 0.0
        self._highest_rps = highest_rps
        self._at_s = 0.0  # when the last second ended
        self._sent = 0  # requests that had left by then

    def ends_with(self, second: Sample) -> bool:
        """Return whether too much has been sent by the end of `second`."""
        length_s, self._at_s = second.at_s - self._at_s, second.at_s
        sent, self._sent = second.requests - second.dropped - self._sent, second.requests - second.dropped
        self.surplus = max(self.surplus + sent - self._highest_rps * length_s, 0.0)
        return self.surplus > max(SURPLUS_S * self._highest_rps, LEAST_SURPLUS)


def run_traffic(
    system: SystemUnderTest,
    plan: TrafficPlan,
    *,
    context: Context,
    replicas: ReplicaWatch,
    abort: Abort | None,
    on_sample: Callable[[Sample], None],
) -> Traffic:
    """Run the traffic until it ends, `abort` applies, or the user's Locust file exceeds the highest rate.

    Raises TargetDown before any load if the system does not answer.
    """
    seconds: list[Sample] = []
    overrate = [OverrateStop(plan.rate_rps)] if plan.locustfile else []
    rules: list[ErrorRateStop | OverrateStop] = [ErrorRateStop(abort), *overrate]
    stopped_by: ErrorRateStop | OverrateStop | None = None
    with context.platforms.loads[system.place].start(plan=plan, progress=context) as running:
        for second in running.samples():
            replicas.count(second.at_s)
            seconds.append(second)
            context.measured(second, left_s=max(plan.whole_s - second.at_s, 0.0), replicas=replicas.ready)
            on_sample(second)
            if stopped_by := next((rule for rule in rules if rule.ends_with(second)), None):
                running.stop()
                break
        result = running.result()
    traffic = Traffic(result=result, seconds=result.seconds or seconds)
    match stopped_by:
        case ErrorRateStop():
            return replace(traffic, aborted_after_s=seconds[-1].at_s)
        case OverrateStop(surplus=surplus):
            trouble = (
                f"Stopped after {show_duration(seconds[-1].at_s)}: your Locust file sent {surplus:,.0f} requests above"
                f" the limit of {show_number(plan.rate_rps)}/s. {result.generator_trouble}"
            )
            result = replace(result, generator_trouble=trouble.rstrip())
            return replace(traffic, result=result, overrate_after_s=seconds[-1].at_s)
        case None:
            return traffic
