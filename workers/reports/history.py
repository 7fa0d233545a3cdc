"""A load test beside the earlier ones of the same target under the same load. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from pydantic import TypeAdapter, ValidationError

from workers.contract.formatting import share_percent, show_count, show_ms, show_number, show_percentile
from workers.contract.jobs import Earlier, LoadTest, Tested
from workers.contract.load import Slo
from workers.reports.timeline import Replicas


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """What is read back of a report; it holds more, for people and other programs."""

    job: str
    asked: LoadTest
    result: Tested


_KEPT = TypeAdapter(_Kept)


def kept(*, job_id: str, at_s: float, job: LoadTest, tested: Tested, replicas: Replicas) -> dict[str, Any]:
    """A report as JSON's types, to be kept and read back by `earlier`; `at_s` Unix seconds."""
    return {
        "job": job_id,
        "at_s": at_s,
        "asked": asdict(job),
        "result": asdict(tested),
        "replicas": [{"at_s": since_s, "ready": count} for since_s, count in replicas],
    }


def earlier(reports: Iterable[Mapping[str, Any]], *, job: LoadTest, job_id: str) -> Earlier | None:
    """Medians over those of `reports` (newest first) that can be compared with `job`; None where there are none.

    Compared is the same load: shape, spacing, duration and ramp. Left out are INVALID tests, those that were ended
    early or sent nothing, and what an earlier attempt of `job_id` itself has kept.
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
    return Earlier(
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
    """ "p95 2.4 ms, 12 % above the median of 7 earlier runs (2.1 ms)": the objective's percentile, or p95; else ""."""
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


def _read(report: Mapping[str, Any]) -> _Kept | None:
    try:
        return _KEPT.validate_python(report)
    except ValidationError:
        # Of another release, or another's: it says nothing that could be compared.
        return None
