"""`/loadtest`: load on an endpoint or a load target, its effect on latency and replicas, a verdict and a report."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from workers.context import Context
from workers.contract.formatting import show_count
from workers.contract.jobs import LoadTest, Tested
from workers.errors import PermanentError, TargetDown, TemporaryError
from workers.jobs.system_under_test import SystemUnderTest, find_system
from workers.jobs.traffic import ReplicaWatch, Traffic, run_traffic
from workers.platforms.protocols import LoadResult, TrafficPlan
from workers.reports import (
    POINTS,
    ReplicaChanges,
    Verdict,
    comparison,
    draw_load_test,
    earlier_runs,
    judge,
    render_page,
    report_json,
    thinned,
)

Result = TypeVar("Result")

COMPARED = 50
"""Newest stored reports that are searched for earlier runs under the same load: some months of nightly tests."""
MOST_ROWS = 3_600
"""Rows in the report's table and JSON: an hour's seconds. In longer tests, a row covers several seconds."""


def load_test(job: LoadTest, context: Context) -> Tested:
    with context.step("find endpoint") as step:
        system = find_system(context, place=job.environment, model=job.model)
        plan = system.plan(context, stages=job.stages, ramp_s=job.ramp_s, spacing=job.spacing)
        replicas = ReplicaWatch(system, context)
        step.fact = system.fact
    with context.step("load") as step:
        traffic, verdict = _load(job, system, plan, replicas, context)
        counts = f"{show_count(traffic.result.requests, 'request')}, {traffic.result.failures:,} failed"
        step.fact = counts if traffic.seconds else "no load was sent"
    with context.step("report") as step:
        report = _Report(job, traffic, replicas.changes, system.report_place, context)
        tested = report.write(verdict)
        step.fact = verdict.outcome
    return tested


def _load(
    job: LoadTest, system: SystemUnderTest, plan: TrafficPlan, replicas: ReplicaWatch, context: Context
) -> tuple[Traffic, Verdict]:
    """Run the traffic and judge it. A system that does not answer at the start is a FAIL."""
    try:
        traffic = run_traffic(
            system,
            plan,
            context=context,
            replicas=replicas,
            abort=job.abort,
            on_sample=lambda second: context.report(min(second.at_s, plan.whole_s), plan.whole_s),
        )
    except TargetDown as down:
        due = sum((stage.from_rps + stage.to_rps) / 2 * stage.length_s for stage in plan.stages)
        none_sent = LoadResult(
            requests=0, failures=0, duration_s=0.0, asked_rps=due / plan.whole_s, achieved_rps=0.0, latency_ms={}
        )
        reasons = tuple(filter(None, (str(down), down.advice)))
        return Traffic(result=none_sent, seconds=()), Verdict(outcome="FAIL", reasons=reasons)
    aborted_after_s = traffic.aborted_after_s
    return traffic, judge(slo=job.slo, result=traffic.result, abort=job.abort, aborted_after_s=aborted_after_s)


@dataclass(frozen=True, slots=True)
class _Report:
    """One attempt's report: the outcome, its files, and the comparison with earlier tests."""

    job: LoadTest
    traffic: Traffic
    replicas: ReplicaChanges
    place: str
    context: Context

    def write(self, verdict: Verdict) -> Tested:
        """Attach chart, page and numbers, and store the numbers under `place` for later comparisons."""
        context, artifacts, now_s = self.context, self.context.platforms.artifacts, self.context.now_s()
        tested = self._tested(verdict)
        numbers = report_json(job_id=context.job_id, at_s=now_s, job=self.job, tested=tested, replicas=self.replicas)
        self._attach(tested, numbers, now_s)
        self._unless_away(
            "The report could not be stored for later comparisons",
            lambda: artifacts.keep_report(place=self.place, job_id=context.job_id, at_s=now_s, report=numbers),
        )
        return tested

    def _tested(self, verdict: Verdict) -> Tested:
        traffic, result = self.traffic, self.traffic.result
        counts = [count for _, count in self.replicas] or [0]
        changed_s = [at_s for at_s, _ in self.replicas[1:]]
        return Tested(
            verdict=verdict.outcome,
            reasons=verdict.reasons,
            asked_rps=result.asked_rps,
            achieved_rps=result.achieved_rps,
            requests=result.requests,
            failures=result.failures,
            failures_by_kind=dict(result.failures_by_kind),
            latency_ms=dict(result.latency_ms),
            replicas_before=counts[0],
            replicas_most=max(counts),
            scaled_after_s=changed_s[0] if changed_s else None,
            settled_after_s=changed_s[-1] if changed_s else None,
            dropped=result.dropped,
            send_lag_ms=dict(result.send_lag_ms),
            service_ms=dict(result.service_ms),
            aborted_after_s=traffic.overrate_after_s if traffic.aborted_after_s is None else traffic.aborted_after_s,
            earlier=earlier_runs(self._stored(), job=self.job, job_id=self.context.job_id),
            timeline=tuple(thinned(traffic.seconds, most=POINTS)),
        )

    def _stored(self) -> Sequence[Mapping[str, Any]]:
        artifacts = self.context.platforms.artifacts
        read = self._unless_away(
            "Earlier reports could not be read", lambda: artifacts.reports(place=self.place, newest=COMPARED)
        )
        return read or ()

    def _attach(self, tested: Tested, numbers: dict[str, Any], at_s: float) -> None:
        job, traffic, context = self.job, self.traffic, self.context
        rows = thinned(traffic.seconds, most=MOST_ROWS)
        title = f"{tested.verdict}: {job.place} at {job.shape}"
        picture = b""
        if traffic.seconds:
            picture = draw_load_test(
                title=title,
                seconds=traffic.seconds,
                replicas=self.replicas,
                ramp_s=job.ramp_s,
                slo=job.slo,
                aborted_after_s=tested.aborted_after_s,
            )
            context.attach(name="chart.png", title=title, data=picture)
        html = render_page(
            job_id=context.job_id,
            at_s=at_s,
            job=job,
            tested=tested,
            against=comparison(tested, slo=job.slo),
            seconds=rows,
            replicas=self.replicas,
            chart=picture,
        )
        context.attach(name="report.html", title="The report", data=html)
        with_seconds = numbers | {"seconds": [asdict(second) for second in rows]}
        context.attach(name="report.json", title="The numbers", data=json.dumps(with_seconds).encode())
        if traffic.result.report_html:
            context.attach(name="locust.html", title="Locust's report", data=traffic.result.report_html)

    def _unless_away(self, otherwise: str, call: Callable[[], Result]) -> Result | None:
        """Return the result of `call`, or log why there is none: an unreachable store must not fail a finished test."""
        try:
            return call()
        except (PermanentError, TemporaryError) as error:
            self.context.log(f"{otherwise}: {error}")
            return None
