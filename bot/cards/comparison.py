"""Comparison of what an endpoint serves with what a job would make of it, for the approvers. Pure."""

from collections.abc import Sequence

from bot.blocks import code, date, escape
from workers.contract.catalogue import Served, Version
from workers.contract.jobs import Job

_DIGEST_LENGTH = 19
"""Characters of "sha256:…", enough to distinguish versions."""
_MOST_METRICS = 6


def compare(job: Job, served: Sequence[Served], versions: Sequence[Version]) -> str:
    """Return what runs now on the job's endpoint, and the change of the metrics if the job deploys a version.

    `served` are all endpoints, and `versions` the published versions of the job's model.
    """
    now = next((one for one in served if (one.environment, one.model) == (job.environment, job.model)), None)
    if now is None:
        return f"Runs now: no version of {escape(job.model)}."
    published = {version.version: version for version in versions}
    before, after = published.get(now.version), published.get(getattr(job, "version", now.version))
    content = f", content {code(before.digest[:_DIGEST_LENGTH])}" if before else ""
    runs = f"Runs now: v{now.version}{content}, on {now.ready} ready (bounds {now.replicas}), since {date(now.since_s)}"
    lines = [f"{runs}, job #{now.job_id}."]
    if getattr(job, "version", now.version) != now.version:
        lines.append(_metrics(before, after))
        if after and after.probe:
            lines.append(f"Probe of v{after.version}: {escape(after.probe)}.")
    return "\n".join(lines)


def _metrics(before: Version | None, after: Version | None) -> str:
    if before is None or after is None:
        return "Metrics: one of the two versions is not in the model store."
    names = sorted(before.metrics.keys() | after.metrics.keys())[:_MOST_METRICS]
    return "Metrics: " + (" · ".join(_metric(name, before, after) for name in names) or "none are known.")


def _metric(name: str, before: Version, after: Version) -> str:
    was, becomes = before.metrics.get(name), after.metrics.get(name)
    if was == becomes:
        return f"{escape(name)} {_number(was)} (same)"
    difference = f" ({becomes - was:+.4f})" if was is not None and becomes is not None else ""
    return f"{escape(name)} {_number(was)} → {_number(becomes)}{difference}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"
