"""The report of a load test: its outcome, attached files, and the comparison with earlier tests."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from workers.context import Context
from workers.contract.jobs import LoadTest, Tested
from workers.errors import PermanentError, TemporaryError
from workers.jobs.traffic import Traffic
from workers.reports.chart import chart
from workers.reports.history import comparison, earlier_runs, report_json
from workers.reports.html_report import page
from workers.reports.timeline import POINTS, Replicas, thinned
from workers.reports.verdict import Verdict

Result = TypeVar("Result")

COMPARED = 50
"""Newest stored reports that are searched for earlier runs under the same load: some months of nightly tests."""
MOST_ROWS = 3_600
"""Rows in the report's table and JSON: an hour's seconds. In longer tests, a row covers several seconds."""


class LoadReport:
    """One attempt's report."""

    def __init__(self, job: LoadTest, traffic: Traffic, replicas: Replicas, context: Context) -> None:
        self._job = job
        self._traffic = traffic
        self._replicas = replicas
        self._context = context

    def write(self, verdict: Verdict, *, place: str) -> Tested:
        """Attach chart, page and numbers, and store the numbers under `place` for later comparisons."""
        context, artifacts = self._context, self._context.platforms.artifacts
        tested = self._tested(verdict, place)
        now_s = time.time()
        numbers = report_json(job_id=context.job_id, at_s=now_s, job=self._job, tested=tested, replicas=self._replicas)
        self._attach(tested, numbers, now_s)
        self._unless_away(
            "The report could not be stored for later comparisons",
            lambda: artifacts.keep_report(place=place, job_id=context.job_id, report=numbers),
        )
        return tested

    def _tested(self, verdict: Verdict, place: str) -> Tested:
        traffic, result = self._traffic, self._traffic.result
        counts = [count for _, count in self._replicas] or [0]
        changed_s = [at_s for at_s, _ in self._replicas[1:]]
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
            earlier=earlier_runs(self._stored(place), job=self._job, job_id=self._context.job_id),
            timeline=tuple(thinned(traffic.seconds, most=POINTS)),
        )

    def _stored(self, place: str) -> Sequence[Mapping[str, Any]]:
        artifacts = self._context.platforms.artifacts
        reports = self._unless_away(
            "Earlier reports could not be read", lambda: artifacts.reports(place=place, newest=COMPARED)
        )
        return reports or ()

    def _attach(self, tested: Tested, numbers: dict[str, Any], at_s: float) -> None:
        """Attach the chart and the page for people, the numbers for programs, and Locust's own report."""
        job, traffic, context = self._job, self._traffic, self._context
        rows = thinned(traffic.seconds, most=MOST_ROWS)
        title = f"{tested.verdict}: {job.place} at {job.shape}"
        picture = b""
        if traffic.seconds:
            picture = chart(
                title=title,
                seconds=traffic.seconds,
                replicas=self._replicas,
                ramp_s=job.ramp_s,
                slo=job.slo,
                aborted_after_s=tested.aborted_after_s,
            )
            context.attach(name="chart.png", title=title, data=picture)
        html = page(
            job_id=context.job_id,
            at_s=at_s,
            job=job,
            tested=tested,
            against=comparison(tested, slo=job.slo),
            seconds=rows,
            replicas=self._replicas,
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
            self._context.log(f"{otherwise}: {error}")
            return None
