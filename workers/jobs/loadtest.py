"""`/loadtest`: load on an endpoint, what it did to latency and replicas, and a verdict."""

import json
from dataclasses import asdict

from workers.context import Context
from workers.contract.jobs import LoadTest
from workers.contract.outcomes import Tested
from workers.errors import PermanentError
from workers.platforms.protocols import Attack, Endpoint, LoadResult, LoadSample, Platforms
from workers.reports import Verdict, chart, verdict


def load_test(job: LoadTest, context: Context, platforms: Platforms) -> Tested:
    """Find the endpoint, load it while counting its replicas, judge, report."""
    with context.step("find endpoint") as step:
        endpoint = _endpoint(job, platforms)
        count = "1 replica" if endpoint.ready == 1 else f"{endpoint.ready} replicas"
        step.fact = f"v{endpoint.version} on {count} at {endpoint.address}"
    watched = _Watched(job, context, platforms, endpoint)
    with context.step("load") as step:
        result = _load(job, context, platforms, endpoint, watched)
        step.fact = f"{result.requests:,} requests, {result.failures:,} failed"
    with context.step("report") as step:
        judged = verdict(asked_rps=job.rate_rps, slo=job.slo, result=result)
        tested = _tested(job, result, judged, watched)
        _attach(job, context, result, watched, tested)
        step.fact = judged.outcome
    return tested


class _Watched:
    """What was seen while the load ran: a sample a second, and the replicas whenever their number changed."""

    def __init__(self, job: LoadTest, context: Context, platforms: Platforms, endpoint: Endpoint) -> None:
        self._job = job
        self._context = context
        self._cluster = platforms.clusters[job.environment]
        self._environment = platforms.settings.environments[job.environment]
        self._endpoint = endpoint
        self.samples: list[LoadSample] = []
        self.replicas: list[tuple[float, int]] = [(0.0, endpoint.ready)]

    def add(self, sample: LoadSample) -> None:
        self.samples.append(sample)
        self._context.report(min(sample.at_s, self._whole_s), self._whole_s)
        self._context.measured(
            second_s=sample.at_s,
            asked_rps=sample.asked_rps,
            achieved_rps=sample.achieved_rps,
            failures_per_s=sample.failures_per_s,
            p50_ms=sample.p50_ms,
            p95_ms=sample.p95_ms,
        )
        now = self._cluster.endpoint(model=self._job.model, environment=self._environment)
        if now is not None and now.ready != self.replicas[-1][1]:
            reason = (
                ""
                if now.cpu_percent is None
                else f"CPU {now.cpu_percent:.0f} % of the request, target {self._environment.cpu_target} %"
            )
            self._context.scaled(before=self.replicas[-1][1], after=now.ready, reason=reason)
            self.replicas.append((sample.at_s, now.ready))

    @property
    def _whole_s(self) -> float:
        return self._job.ramp_s + self._job.duration_s


def _endpoint(job: LoadTest, platforms: Platforms) -> Endpoint:
    environment = platforms.settings.environments[job.environment]
    endpoint = platforms.clusters[environment.name].endpoint(model=job.model, environment=environment)
    if endpoint is None or endpoint.ready == 0:
        raise PermanentError(
            f"Nothing answers as {job.model} on {job.environment}.",
            advice=f"Deploy a version first: /deploy v1 {job.model} to {job.environment}.",
        )
    return endpoint


def _load(job: LoadTest, context: Context, platforms: Platforms, endpoint: Endpoint, watched: _Watched) -> LoadResult:
    sample = platforms.settings.models[job.model].sample[0]
    attack = Attack(
        url=f"{endpoint.address}/v1/models/{job.model}:predict",
        body=json.dumps({"instances": [sample]}).encode(),
        rate_rps=job.rate_rps,
        duration_s=job.duration_s,
        ramp_s=job.ramp_s,
        job_id=context.job_id,
    )
    with platforms.loads[job.environment].start(attack=attack, progress=context) as running:
        for second in running.samples():
            watched.add(second)
        return running.result()


def _tested(job: LoadTest, result: LoadResult, judged: Verdict, watched: _Watched) -> Tested:
    first = watched.replicas[0][1]
    return Tested(
        verdict=judged.outcome,
        reasons=judged.reasons,
        asked_rps=job.rate_rps,
        achieved_rps=result.achieved_rps,
        requests=result.requests,
        failures=result.failures,
        failures_by_kind=dict(result.failures_by_kind),
        latency_ms=dict(result.latency_ms),
        replicas_before=first,
        replicas_most=max(count for _, count in watched.replicas),
        scaled_after_s=next((at_s for at_s, count in watched.replicas if count > first), None),
    )


def _attach(job: LoadTest, context: Context, result: LoadResult, watched: _Watched, tested: Tested) -> None:
    """The chart for people, the numbers for programs, the generator's own report for those who want it all."""
    title = f"{tested.verdict}: {job.model} on {job.environment} at {job.rate_rps:g} rps"
    picture = chart(title=title, samples=watched.samples, replicas=watched.replicas)
    context.attach(name="chart.png", title=title, data=picture)
    numbers = {
        "job": context.job_id,
        "asked": asdict(job),
        "result": asdict(tested),
        "seconds": [asdict(sample) for sample in watched.samples],
        "replicas": [{"at_s": at_s, "ready": count} for at_s, count in watched.replicas],
    }
    context.attach(name="report.json", title="The numbers", data=json.dumps(numbers, indent=1).encode())
    if result.report_html:
        context.attach(name="report.html", title="Locust's report", data=result.report_html)
