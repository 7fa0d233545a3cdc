"""`/loadtest find`: the highest rate at which an endpoint or a load target still meets its objectives."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from time import monotonic
from typing import Literal

from workers.context import Context
from workers.contract.formatting import share_percent, show_count, show_number
from workers.contract.jobs import CapacityFound, FindCapacity, Probe
from workers.contract.units import read_replicas
from workers.errors import PermanentError, Superseded, TargetDown, TemporaryError
from workers.jobs.system_under_test import SystemUnderTest, find_system
from workers.jobs.traffic import ReplicaWatch, Traffic, run_traffic
from workers.platforms.protocols import Endpoint, Replicas
from workers.reports import bounds, draw_search, judge, limit, next_rate

REST_S = 3.0  # pause after a rate that failed: the target may still work on requests that have timed out
BACK_WITHIN_S = 30.0  # time that a target has to recover after a probe has brought it down
BOUNDS_ID = "replicas before the search"
"""The key of the saved bounds: if this attempt is killed, the next one restores them."""


def find_capacity(job: FindCapacity, context: Context) -> CapacityFound:
    """Find the system, freeze its replicas if requested, try rates, report."""
    with _frozen_replicas(job, context):
        with context.step("find endpoint") as step:
            system = find_system(context, place=job.environment, model=job.model)
            step.fact = system.fact
            if job.hold_replicas and system.endpoint:
                _freeze(job, system.endpoint, context)
        with context.step("search") as step:
            probes = _Search(job, system, context).run()
            step.fact = _best(probes) or "no rate held"
    with context.step("report") as step:
        found_rps, _ = bounds(probes)
        replicas = [probe.replicas for probe in probes if probe.rate_rps == found_rps] or [system.ready]
        outcome = CapacityFound(rate_rps=found_rps, replicas=replicas[-1], limit=limit(probes), probes=probes)
        _attach(job, outcome, context)
        step.fact = f"{show_count(len(probes), 'rate')} tried"
    return outcome


class _Search:
    """Tries rates on one system until the limit is found."""

    def __init__(self, job: FindCapacity, system: SystemUnderTest, context: Context) -> None:
        self._job = job
        self._system = system
        self._context = context
        self._abort = context.platforms.settings.loadtest.abort
        self._replicas = ReplicaWatch(system, context)
        self._probes: list[Probe] = []

    def run(self) -> tuple[Probe, ...]:
        lowest_rps, highest_rps, replicas = self._job.lowest_rps, self._job.highest_rps, self._system.ready
        while rate_rps := next_rate(self._probes, lowest_rps=lowest_rps, highest_rps=highest_rps, replicas=replicas):
            self._probes.append(self._try(rate_rps))
        return tuple(self._probes)

    def _try(self, rate_rps: float) -> Probe:
        gives_up_at_s = monotonic() + (BACK_WITHIN_S if self._probes else 0.0)
        while True:
            try:
                traffic = self._load(rate_rps)
                break
            except TargetDown as down:
                if monotonic() >= gives_up_at_s:
                    return self._probe(rate_rps, "INVALID", str(down))
                self._context.wait(1.0)
        aborted_after_s = traffic.aborted_after_s
        verdict = judge(slo=self._job.slo, result=traffic.result, abort=self._abort, aborted_after_s=aborted_after_s)
        if verdict.outcome == "FAIL":
            self._context.wait(REST_S)
        return self._probe(rate_rps, verdict.outcome, verdict.reasons[0], traffic)

    def _load(self, rate_rps: float) -> Traffic:
        fact = ", ".join(filter(None, (f"trying {show_number(rate_rps)} rps", _best(self._probes))))
        return run_traffic(
            self._system,
            self._system.plan(self._context, stages=self._job.probe_stages(rate_rps), ramp_s=self._job.ramp_s),
            context=self._context,
            replicas=self._replicas,
            abort=self._abort,
            on_sample=lambda _: self._context.report(len(self._probes), fact=fact),
        )

    def _probe(
        self, rate_rps: float, verdict: Literal["PASS", "FAIL", "INVALID"], reason: str, traffic: Traffic | None = None
    ) -> Probe:
        self._context.log(f"{show_number(rate_rps)} rps: {verdict}. {reason}")
        return Probe(
            rate_rps=rate_rps,
            verdict=verdict,
            reason=reason,
            latency_ms=dict(traffic.result.latency_ms) if traffic else {},
            errors_percent=share_percent(traffic.result.failures, traffic.result.requests) if traffic else 0.0,
            replicas=self._replicas.ready,
        )


def _best(probes: Sequence[Probe]) -> str:
    passed_rps, _ = bounds(probes)
    return "" if passed_rps is None else f"{show_number(passed_rps)} rps held"


def _attach(job: FindCapacity, outcome: CapacityFound, context: Context) -> None:
    title = f"Capacity of {job.place}: {_best(outcome.probes).removesuffix(' held') or 'no rate held'}"
    picture = draw_search(title=title, probes=outcome.probes, slo=job.slo, found_rps=outcome.rate_rps)
    context.attach(name="chart.png", title=title, data=picture)
    numbers = {"job": context.job_id, "asked": asdict(job), "result": asdict(outcome)}
    context.attach(name="capacity.json", title="The numbers", data=json.dumps(numbers).encode())


@contextmanager
def _frozen_replicas(job: FindCapacity, context: Context) -> Iterator[None]:
    """Restore the bounds that `_freeze` saved, however the search ends, unless another attempt has the job now."""
    superseded = False
    try:
        yield
    except Superseded:
        superseded = True
        raise
    finally:
        if not superseded:
            _restore(job, context)


def _freeze(job: FindCapacity, endpoint: Endpoint, context: Context) -> None:
    """Save the endpoint's bounds, then fix its replicas at the number that is ready."""
    fixed = Replicas(minimum=endpoint.ready, maximum=endpoint.ready)
    if endpoint.replicas == fixed:
        return
    if context.external_id(BOUNDS_ID) is None:
        context.save_external_id(BOUNDS_ID, str(endpoint.replicas))
    environment = context.platforms.settings.environments[job.environment]
    cluster = context.platforms.clusters[job.environment]
    cluster.scale(model=job.model, environment=environment, replicas=fixed, progress=context)


def _restore(job: FindCapacity, context: Context) -> None:
    """Set the saved bounds, if this attempt or an earlier one saved any."""
    before = context.external_id(BOUNDS_ID)
    if before is None:
        return
    environment = context.platforms.settings.environments[job.environment]
    cluster = context.platforms.clusters[job.environment]
    try:
        cluster.set_bounds(model=job.model, environment=environment, replicas=read_replicas(before))
    except (PermanentError, TemporaryError) as error:
        raise PermanentError(
            f"The search is over, but the replica bounds of {job.model} on {job.environment} were not restored:"
            f" {error}",
            advice=f"Set them: /scale {before} {job.model} on {job.environment}.",
        ) from error
