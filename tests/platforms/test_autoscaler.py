"""The autoscaler follows the documented rules of the HorizontalPodAutoscaler."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from workers.contract.replicas import Replicas
from workers.platforms.embedded.cluster.autoscaler import Behaviour, Decision, History, Measurement, decide, recommend

WIDE = Replicas(minimum=1, maximum=100)


def at(*percents: float | None, unready: int = 0) -> list[Measurement]:
    """Return measurements of ready replicas and of `unready` others."""
    ready = [Measurement(cpu_percent=percent) for percent in percents]
    return ready + [Measurement(cpu_percent=None, ready=False)] * unready


def step(
    measurements: Sequence[Measurement],
    *,
    current: int | None = None,
    now_s: float = 0.0,
    history: History | None = None,
    bounds: Replicas = WIDE,
    target: float = 60,
) -> Decision:
    """Decide with Kubernetes' default behaviour."""
    return decide(
        current=len(measurements) if current is None else current,
        bounds=bounds,
        target_percent=target,
        measurements=measurements,
        history=history or History(),
        now_s=now_s,
        behaviour=Behaviour(),
    )


@pytest.mark.parametrize(
    ("measurements", "target", "expected", "rule"),
    [
        (at(200), 100, 2, "a ratio of 2 doubles"),
        (at(50, 50), 100, 1, "a ratio of 0.5 halves"),
        (at(91), 60, 2, "the result is rounded up"),
        (at(60, 60, 60), 60, 3, "on target nothing changes"),
        (at(66, 66, 66), 60, 3, "within the tolerance above nothing changes"),
        (at(54.1, 54.1, 54.1), 60, 3, "within the tolerance below nothing changes"),
        (at(67, 67, 67), 60, 4, "above the tolerance it grows"),
        (at(0, 0, 0), 60, 0, "without load the result is 0; the bounds keep one"),
        (at(), 60, 0, "0 replicas stay 0"),
        (at(None, None), 60, 2, "without any metric nothing changes"),
        (at(120, None), 60, 2, "a missing metric counts as 0 % when growing: 120 % over two is on target"),
        (at(240, None), 60, 4, "and dampens the growth: 240 % over two, not over one"),
        (at(10, None), 60, 2, "a missing metric counts as the target when shrinking: 35 % of 60 % needs two"),
        (at(10, 10, 10, None), 60, 2, "which dampens the shrinking: 90 % over 60 % needs two, not one"),
        (at(240, unready=1), 60, 4, "an unready replica counts as 0 % when growing"),
        (at(90, unready=1), 60, 2, "and nothing changes if that reverses the direction"),
        (at(20, 20, 20, unready=1), 60, 1, "an unready replica is ignored when shrinking"),
    ],
)
def test_recommendation_follows_the_documentation(
    measurements: list[Measurement], target: float, expected: int, rule: str
) -> None:
    assert recommend(current=len(measurements), target_percent=target, measurements=measurements) == expected, rule


def test_only_a_change_has_a_reason() -> None:
    assert step(at(91)).reason == "cpu 91 % of the request, target 60 %"
    assert step(at(60)).reason == ""


@pytest.mark.parametrize(
    ("percent", "bounds", "expected"),
    [
        (600, Replicas(minimum=1, maximum=3), 3),
        (0, Replicas(minimum=2, maximum=5), 2),
        (60, Replicas(minimum=1, maximum=1), 1),
    ],
)
def test_decision_stays_within_the_bounds(percent: float, bounds: Replicas, expected: int) -> None:
    assert step(at(percent, percent), bounds=bounds).replicas == expected


def test_growth_in_fifteen_seconds_is_limited_to_four_replicas_or_double() -> None:
    """The greater limit applies, counted from the start of the period."""
    first = step(at(6000))
    assert first.replicas == 5
    within = step(at(*[6000.0] * 5), now_s=3, history=first.history)
    assert within.replicas == 5
    after = step(at(*[6000.0] * 5), now_s=15, history=within.history)
    assert after.replicas == 10


def test_endpoint_shrinks_after_five_minutes_of_lower_recommendations() -> None:
    decision = step(at(*[60.0] * 4))
    for now_s in range(3, 301, 3):
        decision = step(at(*[15.0] * 4), now_s=now_s, history=decision.history)
        assert decision.replicas == 4
    decision = step(at(*[15.0] * 4), now_s=303, history=decision.history)
    assert (decision.replicas, decision.reason) == (1, "cpu 15 % of the request, target 60 %")


def test_endpoint_shrinks_to_the_highest_recommendation_of_the_window() -> None:
    decision = step(at(*[15.0] * 8))
    decision = step(at(*[30.0] * 8), now_s=200, history=decision.history)
    decision = step(at(*[7.5] * 8), now_s=301, history=decision.history)
    assert decision.replicas == 4


def test_first_decision_does_not_shrink() -> None:
    assert step(at(0, 0, 0)).replicas == 3


def test_growth_is_not_delayed() -> None:
    """Its stabilisation window is 0 s."""
    decision = step(at(0))
    assert step(at(120), now_s=3, history=decision.history).replicas == 2


def test_history_keeps_only_the_window_and_the_period() -> None:
    decision = step(at(120))
    for now_s in range(3, 3000, 3):
        decision = step(at(*[120.0] * decision.replicas), now_s=now_s, history=decision.history)
    assert len(decision.history.recommendations) <= 101
    assert len(decision.history.added) <= 5


PERCENTS = st.none() | st.floats(min_value=0, max_value=2000)
MEASUREMENTS = st.lists(st.builds(Measurement, cpu_percent=PERCENTS, ready=st.booleans()), min_size=1, max_size=20)


@given(measurements=MEASUREMENTS, target=st.integers(1, 1000), low=st.integers(1, 30), span=st.integers(0, 30))
def test_any_decision_stays_within_the_bounds(
    measurements: list[Measurement], target: int, low: int, span: int
) -> None:
    bounds = Replicas(minimum=low, maximum=low + span)
    decision = step(measurements, bounds=bounds, target=target)
    assert bounds.minimum <= decision.replicas <= bounds.maximum
    assert bool(decision.reason) == (decision.replicas != len(measurements))


@given(percents=st.lists(st.floats(min_value=0, max_value=2000), min_size=1, max_size=20), target=st.integers(1, 1000))
def test_recommendation_is_the_smallest_that_meets_the_target(percents: list[float], target: int) -> None:
    replicas = recommend(current=len(percents), target_percent=target, measurements=at(*percents))
    ratio = math.fsum(percents) / len(percents) / target
    if abs(ratio - 1) <= 0.1 + 1e-9:
        assert replicas in (len(percents), math.ceil(ratio * len(percents)))
    else:
        assert math.fsum(percents) <= target * (replicas + 1e-6)
        assert replicas == 0 or math.fsum(percents) > target * (replicas - 1 - 1e-6)


@given(percents=st.lists(st.floats(min_value=0, max_value=2000), min_size=1, max_size=20), more=st.floats(1, 3))
def test_more_load_never_lowers_the_recommendation(percents: list[float], more: float) -> None:
    count = len(percents)
    before = recommend(current=count, target_percent=60, measurements=at(*percents))
    after = recommend(current=count, target_percent=60, measurements=at(*[percent * more for percent in percents]))
    assert after >= before
