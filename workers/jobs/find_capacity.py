"""`/loadtest find`: the highest rate at which an endpoint or a load target still meets its objectives."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from workers.context import Context
from workers.contract.formatting import show_count, show_number
from workers.contract.jobs import CapacityFound, FindCapacity, Probe
from workers.jobs.capacity_probe import Prober
from workers.jobs.replica_freeze import freeze, frozen_replicas
from workers.jobs.system_under_test import SystemUnderTest, find_system
from workers.reports.probe_chart import probe_chart
from workers.reports.search import bounds, limit, next_rate


def find_capacity(job: FindCapacity, context: Context) -> CapacityFound:
    """Find the system, freeze its replicas if requested, try rates, report."""
    with frozen_replicas(job, context):
        with context.step("find endpoint") as step:
            system = find_system(context, place=job.environment, model=job.model)
            step.fact = system.fact
            if job.hold_replicas and system.endpoint:
                freeze(job, system.endpoint, context)
        with context.step("search") as step:
            probes = _search(job, system, context)
            step.fact = _best(probes) or "no rate held"
    with context.step("report") as step:
        outcome = _outcome(system, probes)
        _attach(job, outcome, context)
        step.fact = f"{show_count(len(probes), 'rate')} tried"
    return outcome


def _search(job: FindCapacity, system: SystemUnderTest, context: Context) -> tuple[Probe, ...]:
    prober = Prober(job, system, context)
    probes: list[Probe] = []
    lowest_rps, highest_rps = job.lowest_rps, job.highest_rps
    while rate_rps := next_rate(probes, lowest_rps=lowest_rps, highest_rps=highest_rps, replicas=system.ready):
        probes.append(prober.probe(rate_rps, best=_best(probes)))
    return tuple(probes)


def _best(probes: Sequence[Probe]) -> str:
    passed_rps, _ = bounds(probes)
    return "" if passed_rps is None else f"{show_number(passed_rps)} rps held"


def _outcome(system: SystemUnderTest, probes: tuple[Probe, ...]) -> CapacityFound:
    passed_rps, _ = bounds(probes)
    replicas = [probe.replicas for probe in probes if probe.rate_rps == passed_rps]
    return CapacityFound(
        rate_rps=passed_rps, replicas=replicas[-1] if replicas else system.ready, limit=limit(probes), probes=probes
    )


def _attach(job: FindCapacity, outcome: CapacityFound, context: Context) -> None:
    title = f"Capacity of {job.place}: {_best(outcome.probes).removesuffix(' held') or 'no rate held'}"
    picture = probe_chart(title=title, probes=outcome.probes, slo=job.slo, found_rps=outcome.rate_rps)
    context.attach(name="chart.png", title=title, data=picture)
    numbers = {"job": context.job_id, "asked": asdict(job), "result": asdict(outcome)}
    context.attach(name="capacity.json", title="The numbers", data=json.dumps(numbers).encode())
