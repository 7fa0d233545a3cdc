"""The facts that a HorizontalPodAutoscaler states: CPU, the reason of its last scaling, and trouble. Pure."""

from collections.abc import Sequence

from workers.platforms.cloud.endpoints.troubles import event_time
from workers.platforms.cloud.kubernetes.pods import Object, condition, sentence


def cpu_percent(autoscaler: Object | None) -> float | None:
    """The mean CPU of the replicas in percent of their request, as the autoscaler measured it last, or None."""
    for metric in ((autoscaler or {}).get("status") or {}).get("currentMetrics") or ():
        current = metric.get("resource", {}).get("current", {})
        if metric.get("resource", {}).get("name") == "cpu" and "averageUtilization" in current:
            return float(current["averageUtilization"])
    return None


def scaling_reason(autoscaler: Object | None, events: Sequence[Object]) -> str:
    """Why the autoscaler set the count that it set last, in its own words, or "" where it has not."""
    rescaled = [event for event in events if event.get("reason") == "SuccessfulRescale"]
    said = str(max(rescaled, key=event_time).get("message", "")) if rescaled else ""
    percent = cpu_percent(autoscaler)
    target = _cpu_target(autoscaler)
    measured = f"CPU {percent:.0f} % of the request, target {target} %" if percent is not None and target else ""
    return "; ".join(part for part in (said, measured) if part)


def scaling_trouble(autoscaler: Object | None) -> str:
    """Why the autoscaler cannot do its work (no metrics, no such target), in its own words, or ""."""
    if autoscaler is None:
        return ""
    for kind in ("AbleToScale", "ScalingActive"):
        found = condition(autoscaler, kind)
        # A count of 0 switches the autoscaler off by design, and it says so as if it were trouble.
        if found.get("status") == "False" and found.get("reason") != "ScalingDisabled":
            return sentence(f"The autoscaler does not scale: {found.get('message') or found.get('reason')}")
    return ""


def _cpu_target(autoscaler: Object | None) -> int | None:
    for metric in ((autoscaler or {}).get("spec") or {}).get("metrics") or ():
        if metric.get("resource", {}).get("name") == "cpu":
            target: int | None = metric["resource"]["target"].get("averageUtilization")
            return target
    return None
