"""How many replicas an endpoint wants: the HorizontalPodAutoscaler's decision. Pure.

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

    `tolerance`: how far the ratio of metric to target may lie from 1 without a change.
    `scale_down_window_s`: the highest recommendation of so many seconds holds, so that a pause is no reason to shrink.
    `scale_up_period_s`, `scale_up_replicas`, `scale_up_percent`: in each period the count may grow by the greater of
    the two.
    """

    tolerance: float = 0.1
    scale_down_window_s: float = 300.0
    scale_up_period_s: float = 15.0
    scale_up_replicas: int = 4
    scale_up_percent: float = 100.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One replica's mean CPU since the last decision, in percent of its request; None where it is not known."""

    cpu_percent: float | None
    ready: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """What earlier decisions leave behind: (at_s, replicas) recommended, and (at_s, how many more) added."""

    recommendations: tuple[tuple[float, int], ...] = ()
    added: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The count wanted from now on; `reason` is for people and "" where nothing changes."""

    replicas: int
    reason: str
    history: History


def recommend(
    *, current: int, target_percent: float, measurements: Sequence[Measurement], tolerance: float = 0.1
) -> int:
    """desired = ceil(current × metric ÷ target), within the tolerance no change.

    Replicas that are not ready count as using nothing when growing; those without a metric count as using nothing
    when growing and all of the target when shrinking. Where that turns the direction round, nothing changes.
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
    # Rounded first: 66 ÷ 60 is within a tenth, and 3 × 0.2 ÷ 0.6 is 1, whatever their last binary digits say.
    if round(abs(adjusted - 1), 9) <= tolerance or (adjusted > 1) != (ratio > 1):
        return current
    wanted = math.ceil(round(adjusted * len(filled), 9))
    return max(wanted, current) if adjusted > 1 else min(wanted, current)


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
    """The count of replicas from `now_s` on, any clock's seconds. Call once every sync period."""
    recommended = recommend(
        current=current, target_percent=target_percent, measurements=measurements, tolerance=behaviour.tolerance
    )
    # The count at the first decision counts as recommended: a restart is no reason to shrink.
    earlier = history.recommendations or ((now_s, current),)
    recommendations = tuple(
        (at_s, count)
        for at_s, count in (*earlier, (now_s, recommended))
        if now_s - at_s <= behaviour.scale_down_window_s
    )
    added = tuple((at_s, count) for at_s, count in history.added if now_s - at_s < behaviour.scale_up_period_s)

    wanted = recommended
    if recommended < current:
        wanted = min(current, max(count for _, count in recommendations))
    elif recommended > current:
        wanted = min(recommended, _scale_up_limit(current, added, behaviour))
    wanted = min(max(wanted, bounds.minimum), bounds.maximum)

    if wanted > current:
        added = (*added, (now_s, wanted - current))
    reason = _reason(measurements, target_percent) if wanted != current else ""
    return Decision(replicas=wanted, reason=reason, history=History(recommendations=recommendations, added=added))


def mean_cpu_percent(measurements: Sequence[Measurement]) -> float | None:
    """The mean over the replicas whose CPU is known; None where that is none."""
    known = [item.cpu_percent for item in measurements if item.cpu_percent is not None]
    return fmean(known) if known else None


def _scale_up_limit(current: int, added: Sequence[tuple[float, int]], behaviour: Behaviour) -> int:
    at_start_of_period = current - sum(count for _, count in added)
    by_percent = math.ceil(at_start_of_period * (1 + behaviour.scale_up_percent / 100))
    # Never below what is there: the policy slows growth and shrinks nothing.
    return max(current, at_start_of_period + behaviour.scale_up_replicas, by_percent)


def _reason(measurements: Sequence[Measurement], target_percent: float) -> str:
    cpu = mean_cpu_percent(measurements)
    return "the bounds" if cpu is None else f"cpu {cpu:.0f} % of the request, target {target_percent:g} %"
