"""Number of replicas of an endpoint, decided as by Kubernetes' HorizontalPodAutoscaler. Pure.

Formula, tolerance and the treatment of replicas without a metric:
https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#algorithm-details
Stabilisation window and policies, with Kubernetes' defaults:
https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#configurable-scaling-behavior
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from workers.contract.replicas import Replicas


@dataclass(frozen=True, kw_only=True, slots=True)
class Behaviour:
    """The autoscaler's settings; the defaults are Kubernetes'.

    * `tolerance`: distance from 1 of the ratio of metric to target that causes no change.
    * `scale_down_window_s`: the highest recommendation of these seconds is used, to ignore short pauses in the load.
    * `scale_up_period_s`, `scale_up_replicas`, `scale_up_percent`: the count may grow by the greater of the two limits
      in each period.
    """

    tolerance: float = 0.1
    scale_down_window_s: float = 300.0
    scale_up_period_s: float = 15.0
    scale_up_replicas: int = 4
    scale_up_percent: float = 100.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One replica's mean CPU since the last decision, in percent of its request, or None if unknown."""

    cpu_percent: float | None
    ready: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """Earlier decisions: (at_s, recommended replicas) and (at_s, replicas added)."""

    recommendations: tuple[tuple[float, int], ...] = ()
    added: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The new number of replicas. `reason` is for people, and "" without a change."""

    replicas: int
    reason: str
    history: History


def recommend(
    *, current: int, target_percent: float, measurements: Sequence[Measurement], tolerance: float = 0.1
) -> int:
    """Return ceil(current × metric ÷ target), or `current` within the tolerance.

    When growing, replicas that are not ready or have no metric count as 0 %. When shrinking, replicas without a metric
    count as the target. If that reverses the direction, the count stays.
    """
    known = [item.cpu_percent for item in measurements if item.ready and item.cpu_percent is not None]
    if not known:
        return current
    ratio = fmean(known) / target_percent
    missing = sum(1 for item in measurements if item.ready and item.cpu_percent is None)
    unready = sum(1 for item in measurements if not item.ready)
    assumed = [0.0] * (missing + unready) if ratio > 1 else [target_percent] * missing
    filled = [*known, *assumed]
    adjusted = fmean(filled) / target_percent
    # Round against binary errors: 66 ÷ 60 is within a tenth, and 3 × 0.2 ÷ 0.6 is 1.
    if round(abs(adjusted - 1), 9) <= tolerance or (adjusted > 1) != (ratio > 1):
        return current
    needed = math.ceil(round(adjusted * len(filled), 9))
    return max(needed, current) if adjusted > 1 else min(needed, current)


def decide(
    *,
    current: int,
    bounds: Replicas,
    target_percent: float,
    measurements: Sequence[Measurement],
    history: History,
    now_s: float,
    behaviour: Behaviour,
) -> Decision:
    """Decide the number of replicas at `now_s`, in seconds of any monotonic clock. Call once per sync period."""
    recommended = recommend(
        current=current, target_percent=target_percent, measurements=measurements, tolerance=behaviour.tolerance
    )
    # At the first decision the current count counts as recommended: a restart must not shrink the endpoint.
    earlier = history.recommendations or ((now_s, current),)
    recommendations = tuple(
        (at_s, count)
        for at_s, count in (*earlier, (now_s, recommended))
        if now_s - at_s <= behaviour.scale_down_window_s
    )
    added = tuple((at_s, count) for at_s, count in history.added if now_s - at_s < behaviour.scale_up_period_s)

    replicas = recommended
    if recommended < current:
        replicas = min(current, max(count for _, count in recommendations))
    elif recommended > current:
        replicas = min(recommended, _scale_up_limit(current, added, behaviour))
    replicas = min(max(replicas, bounds.minimum), bounds.maximum)

    if replicas > current:
        added = (*added, (now_s, replicas - current))
    reason = _reason(measurements, target_percent) if replicas != current else ""
    return Decision(replicas=replicas, reason=reason, history=History(recommendations=recommendations, added=added))


def mean_cpu_percent(measurements: Sequence[Measurement]) -> float | None:
    """Return the mean over the replicas with a known CPU, or None without any."""
    known = [item.cpu_percent for item in measurements if item.cpu_percent is not None]
    return fmean(known) if known else None


def _scale_up_limit(current: int, added: Sequence[tuple[float, int]], behaviour: Behaviour) -> int:
    at_start_of_period = current - sum(count for _, count in added)
    by_percent = math.ceil(at_start_of_period * (1 + behaviour.scale_up_percent / 100))
    # Never below `current`: the policy only slows growth.
    return max(current, at_start_of_period + behaviour.scale_up_replicas, by_percent)


def _reason(measurements: Sequence[Measurement], target_percent: float) -> str:
    cpu = mean_cpu_percent(measurements)
    return "the bounds" if cpu is None else f"cpu {cpu:.0f} % of the request, target {target_percent:g} %"
