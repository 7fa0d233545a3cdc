"""`/loadtest find`: the highest rate at which an endpoint or a target still holds its objectives."""

import json
from dataclasses import asdict
from time import monotonic
from typing import Literal

from workers.context import Context
from workers.contract.formatting import share_percent, show_count, show_number
from workers.contract.jobs import CapacityFound, FindCapacity, Probe
from workers.contract.load import Sample, Stage
from workers.errors import TargetDown
from workers.jobs.load_runner import Loaded, ReplicaWatch, Sent, find, send
from workers.jobs.replica_freeze import given_back, hold
from workers.platforms.protocols.load import LoadResult
from workers.platforms.protocols.platforms import Platforms
from workers.reports.probe_chart import probe_chart
from workers.reports.search import bounds, limit, next_rate
from workers.reports.verdict import judge

RAMP_S = 2.0
"""How long each probe's rate rises, unjudged: connections are opened, and replicas warm up."""
REST_S = 3.0
"""How long the target is left alone after a rate that failed: it may still work on what nobody waits for any more."""
BACK_WITHIN_S = 30.0
"""How long a target that a probe has brought down is waited for."""


def find_capacity(job: FindCapacity, context: Context, platforms: Platforms) -> CapacityFound:
    """Find what is to be loaded, hold its replicas if asked, try rates, report."""
    with given_back(job, context, platforms):
        with context.step("find endpoint") as step:
            loaded = find(platforms, name=job.environment, model=job.model)
            step.fact = loaded.fact
            if job.hold_replicas and loaded.endpoint:
                hold(job, loaded.endpoint, context, platforms)
        with context.step("search") as step:
            probes = _Search(job, loaded, context, platforms).run()
            held_rps, _ = bounds(probes)
            step.fact = "no rate held" if held_rps is None else f"{show_number(held_rps)} rps held"
    with context.step("report") as step:
        found = _found(loaded, probes)
        _attach(job, loaded, found, context)
        step.fact = f"{show_count(len(probes), 'rate')} tried"
    return found


class _Search:
    """The rates that were tried so far, and the trying."""

    def __init__(self, job: FindCapacity, loaded: Loaded, context: Context, platforms: Platforms) -> None:
        self._job = job
        self._loaded = loaded
        self._context = context
        self._platforms = platforms
        self._replicas = ReplicaWatch(loaded, platforms, context)
        self._probes: list[Probe] = []

    def run(self) -> tuple[Probe, ...]:
        """Try rates until the search is over."""
        while (rate_rps := self._next()) is not None:
            self._probes.append(self._probe(rate_rps))
        return tuple(self._probes)

    def _next(self) -> float | None:
        return next_rate(
            self._probes,
            lowest_rps=self._job.lowest_rps,
            highest_rps=self._job.highest_rps,
            replicas=self._loaded.ready,
        )

    def _probe(self, rate_rps: float) -> Probe:
        gives_up_at_s = monotonic() + (BACK_WITHIN_S if self._probes else 0.0)
        while True:
            try:
                sent = self._send(rate_rps)
                break
            except TargetDown as down:
                if monotonic() >= gives_up_at_s:
                    return self._told(rate_rps, "INVALID", str(down))
                self._context.wait(1.0)
        abort = self._platforms.settings.loadtest.abort
        judged = judge(slo=self._job.slo, result=sent.result, abort=abort, aborted_after_s=sent.aborted_after_s)
        if judged.outcome == "FAIL":
            self._context.wait(REST_S)
        return self._told(rate_rps, judged.outcome, judged.reasons[0], sent.result)

    def _told(
        self,
        rate_rps: float,
        verdict: Literal["PASS", "FAIL", "INVALID"],
        reason: str,
        result: LoadResult | None = None,
    ) -> Probe:
        self._context.log(f"{show_number(rate_rps)} rps: {verdict}. {reason}")
        return Probe(
            rate_rps=rate_rps,
            verdict=verdict,
            reason=reason,
            latency_ms=dict(result.latency_ms) if result else {},
            errors_percent=share_percent(result.failures, result.requests) if result else 0.0,
            replicas=self._replicas.ready,
        )

    def _send(self, rate_rps: float) -> Sent:
        held_rps, _ = bounds(self._probes)
        best = "" if held_rps is None else f", {show_number(held_rps)} rps held"
        plan = self._loaded.plan(
            self._platforms,
            stages=(
                Stage(from_rps=0.0, to_rps=rate_rps, length_s=RAMP_S),
                Stage(from_rps=rate_rps, to_rps=rate_rps, length_s=self._job.probe_s),
            ),
            ramp_s=RAMP_S,
            spacing="constant",
            job_id=self._context.job_id,
        )

        def tell(_: Sample) -> None:
            self._context.report(len(self._probes), fact=f"trying {show_number(rate_rps)} rps{best}")

        return send(
            plan,
            loaded=self._loaded,
            platforms=self._platforms,
            context=self._context,
            replicas=self._replicas,
            abort=self._platforms.settings.loadtest.abort,
            told=tell,
        )


def _found(loaded: Loaded, probes: tuple[Probe, ...]) -> CapacityFound:
    held_rps, _ = bounds(probes)
    held = [probe.replicas for probe in probes if probe.rate_rps == held_rps]
    return CapacityFound(
        rate_rps=held_rps,
        replicas=held[-1] if held else loaded.ready,
        limit=limit(probes),
        probes=probes,
    )


def _attach(job: FindCapacity, loaded: Loaded, found: CapacityFound, context: Context) -> None:
    rate = "no rate held" if found.rate_rps is None else f"{show_number(found.rate_rps)} rps"
    title = f"Capacity of {loaded.words}: {rate}"
    picture = probe_chart(title=title, probes=found.probes, slo=job.slo, found_rps=found.rate_rps)
    context.attach(name="chart.png", title=title, data=picture)
    numbers = {"job": context.job_id, "asked": asdict(job), "result": asdict(found)}
    context.attach(name="capacity.json", title="The numbers", data=json.dumps(numbers).encode())
