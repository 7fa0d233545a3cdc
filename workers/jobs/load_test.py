"""`/loadtest`: load on an endpoint or a load target, its effect on latency and replicas, and a verdict."""

from workers.context import Context
from workers.contract.jobs import LoadTest, Tested
from workers.errors import TargetDown
from workers.jobs.load_report import LoadReport
from workers.jobs.replica_watch import ReplicaWatch
from workers.jobs.system_under_test import find_system
from workers.jobs.traffic import Traffic, no_traffic, run_traffic
from workers.reports.verdict import Verdict, judge


def load_test(job: LoadTest, context: Context) -> Tested:
    """Find the system, load it while counting its replicas, judge, report."""
    with context.step("find endpoint") as step:
        run = _LoadTestRun(job, context)
        step.fact = run.system.fact
    with context.step("load") as step:
        traffic, verdict = run.load()
        step.fact = traffic.summary if traffic.seconds else "no load was sent"
    with context.step("report") as step:
        report = LoadReport(job, traffic, run.replicas.changes, context)
        tested = report.write(verdict, place=run.system.report_place)
        step.fact = verdict.outcome
    return tested


class _LoadTestRun:
    """One attempt at a load test."""

    def __init__(self, job: LoadTest, context: Context) -> None:
        self._job = job
        self._context = context
        self.system = find_system(context, place=job.environment, model=job.model)
        self._plan = self.system.plan(context, stages=job.stages, ramp_s=job.ramp_s, spacing=job.spacing)
        self.replicas = ReplicaWatch(self.system, context)

    def load(self) -> tuple[Traffic, Verdict]:
        """Run the traffic and judge it. A system that does not answer at the start is a FAIL."""
        whole_s, abort = self._plan.whole_s, self._job.abort
        try:
            traffic = run_traffic(
                self.system,
                self._plan,
                context=self._context,
                replicas=self.replicas,
                abort=abort,
                on_sample=lambda second: self._context.report(min(second.at_s, whole_s), whole_s),
            )
        except TargetDown as down:
            return no_traffic(self._plan), Verdict(
                outcome="FAIL", reasons=tuple(filter(None, (str(down), down.advice)))
            )
        verdict = judge(slo=self._job.slo, result=traffic.result, abort=abort, aborted_after_s=traffic.aborted_after_s)
        return traffic, verdict
