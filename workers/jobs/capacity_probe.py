"""One rate of a capacity search: the traffic at that rate, and its verdict."""

from time import monotonic
from typing import Literal

from workers.context import Context
from workers.contract.formatting import share_percent, show_number
from workers.contract.jobs import FindCapacity, Probe
from workers.errors import TargetDown
from workers.jobs.replica_watch import ReplicaWatch
from workers.jobs.system_under_test import SystemUnderTest
from workers.jobs.traffic import Traffic, run_traffic
from workers.reports.verdict import judge

REST_S = 3.0
"""Pause after a rate that failed: the target may still work on requests that have timed out."""
BACK_WITHIN_S = 30.0
"""Time that a target has to recover after a probe has brought it down."""


class Prober:
    """Tries rates on one system."""

    def __init__(self, job: FindCapacity, system: SystemUnderTest, context: Context) -> None:
        self._job = job
        self._system = system
        self._context = context
        self._replicas = ReplicaWatch(system, context)
        self._tried = 0

    def probe(self, rate_rps: float, *, best: str) -> Probe:
        """Try `rate_rps`. `best`: the highest rate that has passed, in words for the card."""
        gives_up_at_s = monotonic() + (BACK_WITHIN_S if self._tried else 0.0)
        abort = self._context.platforms.settings.loadtest.abort
        while True:
            try:
                traffic = self._load(rate_rps, best)
                break
            except TargetDown as down:
                if monotonic() >= gives_up_at_s:
                    return self._probe(rate_rps, "INVALID", str(down))
                self._context.wait(1.0)
        verdict = judge(slo=self._job.slo, result=traffic.result, abort=abort, aborted_after_s=traffic.aborted_after_s)
        if verdict.outcome == "FAIL":
            self._context.wait(REST_S)
        return self._probe(rate_rps, verdict.outcome, verdict.reasons[0], traffic)

    def _load(self, rate_rps: float, best: str) -> Traffic:
        fact = f"trying {show_number(rate_rps)} rps" + (f", {best}" if best else "")
        plan = self._system.plan(self._context, stages=self._job.probe_stages(rate_rps), ramp_s=self._job.ramp_s)
        return run_traffic(
            self._system,
            plan,
            context=self._context,
            replicas=self._replicas,
            abort=self._context.platforms.settings.loadtest.abort,
            on_sample=lambda _: self._context.report(self._tried, fact=fact),
        )

    def _probe(
        self, rate_rps: float, verdict: Literal["PASS", "FAIL", "INVALID"], reason: str, traffic: Traffic | None = None
    ) -> Probe:
        self._context.log(f"{show_number(rate_rps)} rps: {verdict}. {reason}")
        self._tried += 1
        return Probe(
            rate_rps=rate_rps,
            verdict=verdict,
            reason=reason,
            latency_ms=dict(traffic.result.latency_ms) if traffic else {},
            errors_percent=share_percent(traffic.result.failures, traffic.result.requests) if traffic else 0.0,
            replicas=self._replicas.ready,
        )
