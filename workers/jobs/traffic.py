"""Traffic to a system, from its start to its totals, for load tests and capacity searches. Knows no kind of job."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from workers.context import Context
from workers.contract.formatting import show_count, show_duration, show_number
from workers.contract.load import Abort, Sample
from workers.jobs.replica_watch import ReplicaWatch
from workers.jobs.stop_rules import ErrorRateStop, OverrateStop
from workers.jobs.system_under_test import SystemUnderTest
from workers.platforms.protocols.load import LoadResult, TrafficPlan


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

    @property
    def summary(self) -> str:
        """Return the counts in words."""
        return f"{show_count(self.result.requests, 'request')}, {self.result.failures:,} failed"


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
    rules: list[ErrorRateStop | OverrateStop] = [ErrorRateStop(abort)]
    if plan.locustfile:
        rules.append(OverrateStop(plan.rate_rps))
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
    stopped_s = seconds[-1].at_s if stopped_by else None
    if isinstance(stopped_by, OverrateStop):
        trouble = f"{_overrate(plan, stopped_by, seconds[-1].at_s)} {result.generator_trouble}"
        result = replace(result, generator_trouble=trouble.rstrip())
    return Traffic(
        result=result,
        seconds=result.seconds or seconds,
        aborted_after_s=stopped_s if isinstance(stopped_by, ErrorRateStop) else None,
        overrate_after_s=stopped_s if isinstance(stopped_by, OverrateStop) else None,
    )


def _overrate(plan: TrafficPlan, rule: OverrateStop, after_s: float) -> str:
    return (
        f"Stopped after {show_duration(after_s)}: your Locust file sent {rule.surplus:,.0f} requests above the limit of"
        f" {show_number(plan.rate_rps)}/s."
    )


def no_traffic(plan: TrafficPlan) -> Traffic:
    """Return the empty traffic of a test whose system did not answer."""
    due = sum((stage.from_rps + stage.to_rps) / 2 * stage.length_s for stage in plan.stages)
    result = LoadResult(
        requests=0, failures=0, duration_s=0.0, asked_rps=due / plan.whole_s, achieved_rps=0.0, latency_ms={}
    )
    return Traffic(result=result, seconds=())
