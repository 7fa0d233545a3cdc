"""The autoscaler decides as a HorizontalPodAutoscaler does: its documentation's rules, one by one, and in general."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.contract.replicas import Replicas
from workers.platforms.embedded.cluster.autoscaler import Behaviour, Decision, History, Measurement, decide, recommend

WIDE = Replicas(minimum=1, maximum=100)


def at(*percents: float | None, unready: int = 0) -> list[Measurement]:
    """Measurements of ready replicas, and so many that are not ready yet."""
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
    """One decision with Kubernetes' default behaviour."""
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
    ("measurements", "target", "wanted", "rule"),
    [
        (at(200), 100, 2, "a ratio of 2 doubles"),
        (at(50, 50), 100, 1, "a ratio of 0.5 halves"),
        (at(91), 60, 2, "what is needed is rounded up"),
        (at(60, 60, 60), 60, 3, "on target nothing changes"),
        (at(66, 66, 66), 60, 3, "within the tolerance above nothing changes"),
        (at(54.1, 54.1, 54.1), 60, 3, "within the tolerance below nothing changes"),
        (at(67, 67, 67), 60, 4, "above the tolerance it grows"),
        (at(0, 0, 0), 60, 0, "without any load nothing is needed: the bounds keep one"),
        (at(), 60, 0, "without replicas there is nothing to multiply"),
        (at(None, None), 60, 2, "without any metric nothing changes"),
        (at(120, None), 60, 2, "a missing metric counts as 0 % when growing: 120 % over two is on target"),
        (at(240, None), 60, 4, "and dampens the growth: 240 % over two, not over one"),
        (at(10, None), 60, 2, "a missing metric counts as the target when shrinking: 35 % of 60 % needs two"),
        (at(10, 10, 10, None), 60, 2, "which dampens the shrinking: 90 % over 60 % needs two, not one"),
        (at(240, unready=1), 60, 4, "one that is not ready counts as 0 % when growing"),
        (at(90, unready=1), 60, 2, "and where that turns the direction round nothing changes"),
        (at(20, 20, 20, unready=1), 60, 1, "one that is not ready is left out when shrinking"),
    ],
)
def test_the_documented_formula(measurements: list[Measurement], target: float, wanted: int, rule: str) -> None:
    """desired = ceil(current × metric ÷ target), and the rules around it."""
    assert recommend(current=len(measurements), target_percent=target, measurements=measurements) == wanted, rule


def test_a_change_carries_its_reason_and_no_change_none() -> None:
    """The reason names the measured and the wanted CPU."""
    assert step(at(91)).reason == "cpu 91 % of the request, target 60 %"
    assert step(at(60)).reason == ""


@pytest.mark.parametrize(
    ("percent", "bounds", "wanted"),
    [
        (600, Replicas(minimum=1, maximum=3), 3),
        (0, Replicas(minimum=2, maximum=5), 2),
        (60, Replicas(minimum=1, maximum=1), 1),
    ],
)
def test_the_bounds_hold(percent: float, bounds: Replicas, wanted: int) -> None:
    """Whatever the load, the count stays within them."""
    assert step(at(percent, percent), bounds=bounds).replicas == wanted


def test_it_grows_by_four_or_to_the_double_in_fifteen_seconds() -> None:
    """The default policy for growth takes the greater of 4 replicas and 100 %, counted from the period's start."""
    first = step(at(6000))
    assert first.replicas == 5
    within = step(at(*[6000.0] * 5), now_s=3, history=first.history)
    assert within.replicas == 5
    after = step(at(*[6000.0] * 5), now_s=15, history=within.history)
    assert after.replicas == 10


def test_it_shrinks_only_when_five_minutes_have_wanted_less() -> None:
    """The highest recommendation of the stabilisation window holds."""
    decision = step(at(*[60.0] * 4))
    for now_s in range(3, 301, 3):
        decision = step(at(*[15.0] * 4), now_s=now_s, history=decision.history)
        assert decision.replicas == 4
    decision = step(at(*[15.0] * 4), now_s=303, history=decision.history)
    assert (decision.replicas, decision.reason) == (1, "cpu 15 % of the request, target 60 %")


def test_it_shrinks_to_the_highest_recommendation_of_the_window() -> None:
    """A short rise within the window is remembered."""
    decision = step(at(*[15.0] * 8))
    decision = step(at(*[30.0] * 8), now_s=200, history=decision.history)
    decision = step(at(*[7.5] * 8), now_s=301, history=decision.history)
    assert decision.replicas == 4


def test_a_restart_is_no_reason_to_shrink() -> None:
    """Without a history the count that is there counts as recommended."""
    assert step(at(0, 0, 0)).replicas == 3


def test_growth_is_not_delayed() -> None:
    """The stabilisation window for growth is 0 s: one decision suffices, also after a long rest."""
    decision = step(at(0))
    assert step(at(120), now_s=3, history=decision.history).replicas == 2


def test_the_history_stays_small() -> None:
    """Nothing older than the window and the period is kept."""
    decision = step(at(120))
    for now_s in range(3, 3000, 3):
        decision = step(at(*[120.0] * decision.replicas), now_s=now_s, history=decision.history)
    assert len(decision.history.recommendations) <= 101
    assert len(decision.history.added) <= 5


PERCENTS = st.none() | st.floats(min_value=0, max_value=2000)
MEASUREMENTS = st.lists(st.builds(Measurement, cpu_percent=PERCENTS, ready=st.booleans()), min_size=1, max_size=20)


@given(measurements=MEASUREMENTS, target=st.integers(1, 1000), low=st.integers(1, 30), span=st.integers(0, 30))
def test_a_decision_never_leaves_the_bounds(measurements: list[Measurement], target: int, low: int, span: int) -> None:
    """For every measurement and every target."""
    bounds = Replicas(minimum=low, maximum=low + span)
    decision = step(measurements, bounds=bounds, target=target)
    assert bounds.minimum <= decision.replicas <= bounds.maximum
    assert bool(decision.reason) == (decision.replicas != len(measurements))


@given(percents=st.lists(st.floats(min_value=0, max_value=2000), min_size=1, max_size=20), target=st.integers(1, 1000))
def test_the_recommendation_brings_the_mean_to_the_target(percents: list[float], target: int) -> None:
    """Spread over the recommended count the same load meets the target, and over one less it would not."""
    wanted = recommend(current=len(percents), target_percent=target, measurements=at(*percents))
    ratio = math.fsum(percents) / len(percents) / target
    if abs(ratio - 1) <= 0.1 + 1e-9:
        assert wanted in (len(percents), math.ceil(ratio * len(percents)))
    else:
        assert math.fsum(percents) <= target * (wanted + 1e-6)
        assert wanted == 0 or math.fsum(percents) > target * (wanted - 1 - 1e-6)


@given(percents=st.lists(st.floats(min_value=0, max_value=2000), min_size=1, max_size=20), more=st.floats(1, 3))
def test_more_load_never_wants_fewer(percents: list[float], more: float) -> None:
    """The recommendation grows with the load."""
    count = len(percents)
    before = recommend(current=count, target_percent=60, measurements=at(*percents))
    after = recommend(current=count, target_percent=60, measurements=at(*[percent * more for percent in percents]))
    assert after >= before
