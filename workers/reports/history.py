"""Load test reports as stored JSON, and the comparison of a test with earlier ones under the same load. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from pydantic import TypeAdapter, ValidationError

from workers.contract.formatting import share_percent, show_count, show_ms, show_number, show_percentile
from workers.contract.jobs import EarlierRuns, LoadTest, Tested
from workers.contract.load import Slo
from workers.reports.timeline import ReplicaChanges


@dataclass(frozen=True, kw_only=True, slots=True)
class _StoredReport:
    """The fields of a stored report that a comparison needs. The JSON has more, for people and other programs."""

    job: str
    asked: LoadTest
    result: Tested


_STORED_REPORT = TypeAdapter(_StoredReport)


def report_json(*, job_id: str, at_s: float, job: LoadTest, tested: Tested, replicas: ReplicaChanges) -> dict[str, Any]:
    """Return a report as JSON values, for `earlier_runs` of later tests. `at_s` is in Unix seconds."""
    return {
        "job": job_id,
        "at_s": at_s,
        "asked": asdict(job),
        "result": asdict(tested),
        "replicas": [{"at_s": since_s, "ready": count} for since_s, count in replicas],
    }


def earlier_runs(reports: Iterable[Mapping[str, Any]], *, job: LoadTest, job_id: str) -> EarlierRuns | None:
    """Return medians over those of `reports` (newest first) that had the same load as `job`, or None without any.

    The same load means the same shape, spacing, duration and ramp. INVALID tests, tests that ended early or sent no
    request, and reports of earlier attempts of `job_id` are left out.
    """
    runs = [
        run.result
        for report in reports
        if (run := _read(report)) is not None
        and run.job != job_id
        and _load(run.asked) == _load(job)
        and run.result.verdict != "INVALID"
        and run.result.aborted_after_s is None
        and run.result.requests
    ]
    if not runs:
        return None
    percentiles = sorted({percentile for run in runs for percentile in run.latency_ms})
    return EarlierRuns(
        runs=len(runs),
        verdict="PASS" if runs[0].verdict == "PASS" else "FAIL",
        achieved_rps=median(run.achieved_rps for run in runs),
        errors_percent=median(share_percent(run.failures, run.requests) for run in runs),
        latency_ms={
            percentile: median(run.latency_ms[percentile] for run in runs if percentile in run.latency_ms)
            for percentile in percentiles
        },
    )


def comparison(tested: Tested, *, slo: Slo) -> str:
    """Return "p95 2.4 ms, 12 % above the median of 7 earlier runs (2.1 ms)", or "" without a number to compare.

    The percentile is that of the first objective, or p95.
    """
    percentile = next((bounded for bounded, _ in slo.latency_ms if bounded in tested.latency_ms), 95.0)
    now_ms = tested.latency_ms.get(percentile)
    if tested.earlier is None or now_ms is None or not (before_ms := tested.earlier.latency_ms.get(percentile)):
        return ""
    change = share_percent(now_ms - before_ms, before_ms)
    far = "as" if abs(change) < 0.5 else f"{show_number(abs(change))} % {'above' if change > 0 else 'below'}"
    runs = show_count(tested.earlier.runs, "earlier run")
    return f"{show_percentile(percentile)} {show_ms(now_ms)}, {far} the median of {runs} ({show_ms(before_ms)})"


def _load(job: LoadTest) -> tuple[object, ...]:
    return job.shape, job.spacing, job.duration_s, job.ramp_s


def _read(report: Mapping[str, Any]) -> _StoredReport | None:
    try:
        return _STORED_REPORT.validate_python(report)
    except ValidationError:
        return None  # written by an incompatible release
