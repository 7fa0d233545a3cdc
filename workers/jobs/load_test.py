"""`/loadtest`: load on an endpoint or a target, what it did to latency and replicas, and a verdict."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TypeVar

from workers.context import Context
from workers.contract.formatting import show_count
from workers.contract.jobs import Earlier, LoadTest, Tested
from workers.contract.load import Sample
from workers.errors import PermanentError, TargetDown, TemporaryError
from workers.jobs.load_runner import Loaded, ReplicaWatch, Sent, find, send
from workers.platforms.protocols.load import LoadResult, TrafficPlan
from workers.platforms.protocols.platforms import Platforms
from workers.reports.chart import chart
from workers.reports.history import comparison, earlier, kept
from workers.reports.html_report import page
from workers.reports.timeline import POINTS, thinned
from workers.reports.verdict import Verdict, judge

Answer = TypeVar("Answer")

COMPARED = 50
"""How many of the newest kept reports are looked at for earlier runs under the same load: some months of nights."""
MOST_ROWS = 3_600
"""Seconds in the report's table and its JSON: an hour's. Longer tests have several seconds in a row."""


def load_test(job: LoadTest, context: Context, platforms: Platforms) -> Tested:
    """Find what is to be loaded, load it while counting its replicas, judge, report."""
    with context.step("find endpoint") as step:
        loaded = find(platforms, name=job.environment, model=job.model)
        plan = loaded.plan(platforms, stages=job.stages, ramp_s=job.ramp_s, spacing=job.spacing, job_id=context.job_id)
        step.fact = loaded.fact
    replicas = ReplicaWatch(loaded, platforms, context)
    with context.step("load") as step:
        try:
            sent = _send(job, plan, loaded, replicas, context, platforms)
        except TargetDown as down:
            sent, judged = _nothing_sent(plan), Verdict(outcome="FAIL", reasons=_reasons(down))
            step.fact = "no load was sent"
        else:
            judged = judge(slo=job.slo, result=sent.result, abort=job.abort, aborted_after_s=sent.aborted_after_s)
            step.fact = f"{show_count(sent.result.requests, 'request')}, {sent.result.failures:,} failed"
    with context.step("report") as step:
        tested = _tested(sent, judged, replicas)
        tested = replace(tested, earlier=_earlier(job, loaded, context, platforms))
        _report(job, loaded, sent, replicas, tested, context, platforms)
        step.fact = judged.outcome
    return tested


def _send(
    job: LoadTest, plan: TrafficPlan, loaded: Loaded, replicas: ReplicaWatch, context: Context, platforms: Platforms
) -> Sent:
    def tell(second: Sample) -> None:
        context.report(min(second.at_s, plan.whole_s), plan.whole_s)

    return send(
        plan,
        loaded=loaded,
        platforms=platforms,
        context=context,
        replicas=replicas,
        abort=job.abort,
        told=tell,
    )


def _reasons(down: TargetDown) -> tuple[str, ...]:
    return (str(down), down.advice) if down.advice else (str(down),)


def _nothing_sent(plan: TrafficPlan) -> Sent:
    asked = sum((stage.from_rps + stage.to_rps) / 2 * stage.length_s for stage in plan.stages)
    result = LoadResult(
        requests=0,
        failures=0,
        duration_s=0.0,
        asked_rps=asked / plan.whole_s,
        achieved_rps=0.0,
        latency_ms={},
    )
    return Sent(result=result, seconds=())


def _tested(sent: Sent, judged: Verdict, replicas: ReplicaWatch) -> Tested:
    result, counts = sent.result, [count for _, count in replicas.changes] or [0]
    changed_s = [at_s for at_s, _ in replicas.changes[1:]]
    return Tested(
        verdict=judged.outcome,
        reasons=judged.reasons,
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
        aborted_after_s=sent.curbed_after_s if sent.aborted_after_s is None else sent.aborted_after_s,
        timeline=tuple(thinned(sent.seconds, most=POINTS)),
    )


def _earlier(job: LoadTest, loaded: Loaded, context: Context, platforms: Platforms) -> Earlier | None:
    reports = _unless_away(
        context,
        "Earlier reports could not be read",
        lambda: platforms.artifacts.reports(place=loaded.place, newest=COMPARED),
    )
    return earlier(reports or (), job=job, job_id=context.job_id)


def _report(
    job: LoadTest,
    loaded: Loaded,
    sent: Sent,
    replicas: ReplicaWatch,
    tested: Tested,
    context: Context,
    platforms: Platforms,
) -> None:
    """The chart and the page for people, the numbers for programs and for later, and the generator's own report."""
    now_s = time.time()
    numbers = kept(job_id=context.job_id, at_s=now_s, job=job, tested=tested, replicas=replicas.changes)
    rows = thinned(sent.seconds, most=MOST_ROWS)
    title = f"{tested.verdict}: {loaded.words} at {job.shape}"
    picture = _picture(title, job, sent, replicas, tested) if sent.seconds else b""
    if picture:
        context.attach(name="chart.png", title=title, data=picture)
    html = page(
        job_id=context.job_id,
        at_s=now_s,
        job=job,
        tested=tested,
        against=comparison(tested, slo=job.slo),
        seconds=rows,
        replicas=replicas.changes,
        chart=picture,
    )
    context.attach(name="report.html", title="The report", data=html)
    whole = numbers | {"seconds": [asdict(second) for second in rows]}
    context.attach(name="report.json", title="The numbers", data=json.dumps(whole).encode())
    if sent.result.report_html:
        context.attach(name="locust.html", title="Locust's report", data=sent.result.report_html)
    _unless_away(
        context,
        "The report could not be kept for later ones to be compared with",
        lambda: platforms.artifacts.keep_report(place=loaded.place, job_id=context.job_id, report=numbers),
    )


def _picture(title: str, job: LoadTest, sent: Sent, replicas: ReplicaWatch, tested: Tested) -> bytes:
    return chart(
        title=title,
        seconds=sent.seconds,
        replicas=replicas.changes,
        ramp_s=job.ramp_s,
        slo=job.slo,
        aborted_after_s=tested.aborted_after_s,
    )


def _unless_away(context: Context, otherwise: str, call: Callable[[], Answer]) -> Answer | None:
    """What `call` returns. A store that cannot be reached costs the comparison, and not the test that was just run."""
    try:
        return call()
    except (PermanentError, TemporaryError) as error:
        context.log(f"{otherwise}: {error}")
        return None
