"""Comparison of a schedule's interval with the duration of its jobs, for the answer to `/schedule add`. Pure."""

from collections.abc import Sequence
from itertools import pairwise

from workers.contract.jobs import Job
from workers.contract.record import Record

LOAD_OVERHEAD_S = 10.0
"""Time of a load test beyond its load: start of the generator, last answers, report. More on a cluster that grows."""


def overlap(times: Sequence[float], job: Job, recent: Sequence[Record]) -> tuple[float, float] | None:
    """Return the shortest interval between `times` and the job's duration in seconds, if the interval is shorter.

    `times` are firings in Unix seconds. `recent` are the newest jobs, newest first.
    """
    interval_s = min((after_s - before_s for before_s, after_s in pairwise(times)), default=None)
    duration_s = _duration_s(job, recent)
    if interval_s is None or duration_s is None or interval_s >= duration_s:
        return None
    return interval_s, duration_s


def _duration_s(job: Job, recent: Sequence[Record]) -> float | None:
    """Return the duration of the load with its overhead, or of the last such job without load, if there was one."""
    if job.load:
        return job.load.duration_s + LOAD_OVERHEAD_S
    for record in recent:
        same = (record.job.kind, record.job.resource) == (job.kind, job.resource)
        if same and record.state == "succeeded" and record.started_at_s and record.ended_at_s:
            return record.ended_at_s - record.started_at_s
    return None
