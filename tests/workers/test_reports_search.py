"""The search for capacity: which rate is tried next, when it ends, and what it says."""

from hypothesis import given
from hypothesis import strategies as st

from workers.contract.jobs import Probe
from workers.contract.load import MOST_PROBES
from workers.reports.search import NEAR, bounds, limit, next_rate


def probe(rate_rps: float, verdict: str = "PASS", *, replicas: int = 1) -> Probe:
    """A rate that was tried."""
    return Probe(
        rate_rps=rate_rps,
        verdict=verdict,  # type: ignore[arg-type]
        reason="p95 was 312 ms.",
        latency_ms={},
        errors_percent=0.0,
        replicas=replicas,
    )


def search(capacity_rps: float, *, lowest_rps: float, highest_rps: float) -> list[Probe]:
    """All probes of a target that carries `capacity_rps` and no more."""
    probes: list[Probe] = []
    while (rate_rps := next_rate(probes, lowest_rps=lowest_rps, highest_rps=highest_rps, replicas=1)) is not None:
        probes.append(probe(rate_rps, "PASS" if rate_rps <= capacity_rps else "FAIL"))
    return probes


@given(
    capacity_rps=st.floats(min_value=0.01, max_value=100_000),
    lowest_rps=st.floats(min_value=0.01, max_value=1_000),
    span=st.floats(min_value=1, max_value=1_000),
)
def test_a_search_ends_and_never_says_too_much(capacity_rps: float, lowest_rps: float, span: float) -> None:
    """Never above the capacity, never a rate outside of what was asked, never a rate twice, never too many."""
    highest_rps = lowest_rps * span
    probes = search(capacity_rps, lowest_rps=lowest_rps, highest_rps=highest_rps)
    rates = [each.rate_rps for each in probes]
    assert 1 <= len(rates) == len(set(rates)) <= MOST_PROBES
    assert all(lowest_rps <= rate <= highest_rps for rate in rates)
    held_rps, _ = bounds(probes)
    assert held_rps is None or held_rps <= capacity_rps
    assert (held_rps is None) == (capacity_rps < lowest_rps)
    assert limit(probes)


@given(capacity_rps=st.floats(min_value=100, max_value=20_000))
def test_a_hundredfold_range_is_searched_to_within_a_twentieth(capacity_rps: float) -> None:
    """From 100 to 10,000 rps twelve probes are enough, wherever the limit lies."""
    probes = search(capacity_rps, lowest_rps=100, highest_rps=10_000)
    held_rps, _ = bounds(probes)
    assert held_rps is not None
    assert min(capacity_rps, 10_000) <= held_rps * NEAR


def test_rates_are_doubled_and_then_halved_by_ratio() -> None:
    """100, 200, 400, 800; then between 400 and 800 until 5 % are left; rates that people can read."""
    rates = [each.rate_rps for each in search(500, lowest_rps=100, highest_rps=10_000)]
    assert rates == [100, 200, 400, 800, 566, 476, 519, 497]


def test_the_highest_rate_that_is_allowed_ends_the_search() -> None:
    """It is tried itself, and its holding is told."""
    probes = search(9_999, lowest_rps=100, highest_rps=300)
    assert [each.rate_rps for each in probes] == [100, 200, 300]
    assert limit(probes) == "300 rps held, and no higher rate was to be tried."


def test_a_lowest_rate_that_fails_ends_the_search() -> None:
    """There is no rate to tell; the reason says why."""
    probes = [probe(100, "FAIL")]
    assert next_rate(probes, lowest_rps=100, highest_rps=1_000, replicas=1) is None
    assert bounds(probes) == (None, 100)
    assert limit(probes) == "100 rps, the lowest rate, did not hold. p95 was 312 ms."


def test_what_could_not_be_measured_ends_the_search() -> None:
    """What held until then is what is known."""
    probes = [probe(100), probe(200), probe(400, "INVALID")]
    assert next_rate(probes, lowest_rps=100, highest_rps=1_000) is None
    assert bounds(probes) == (200, None)
    assert limit(probes) == "At 400 rps nothing could be measured, so the search ended. p95 was 312 ms."


def test_a_rate_that_was_tried_again_counts_as_it_was_last() -> None:
    """Replicas had been added in between."""
    probes = [probe(100), probe(200, "FAIL"), probe(200)]
    assert bounds(probes) == (200, None)
    assert next_rate(probes, lowest_rps=100, highest_rps=1_000) == 400


def test_a_rate_that_failed_while_replicas_were_added_is_tried_again() -> None:
    """It is tried as often as some were added, and within the number of probes that there may be."""
    asked = {"lowest_rps": 100.0, "highest_rps": 1_000.0, "replicas": 1}
    assert next_rate([probe(100, "FAIL", replicas=2)], **asked) == 100
    assert next_rate([probe(100), probe(200, "FAIL", replicas=3)], **asked) == 200
    assert next_rate([probe(100), probe(200, "FAIL", replicas=3), probe(200, "FAIL", replicas=3)], **asked) == 141
    growing = [probe(100, "FAIL", replicas=2 + attempt) for attempt in range(MOST_PROBES)]
    assert next_rate(growing, **asked) is None


def test_a_search_that_ran_out_of_probes_says_between_what() -> None:
    """The rate that is told held; how far the truth may lie above is said, too."""
    probes = [*(probe(2.0**power) for power in range(MOST_PROBES - 1)), probe(2_048, "FAIL")]
    assert next_rate(probes, lowest_rps=1, highest_rps=100_000) is None
    assert limit(probes).startswith("The limit lies between 1,024 and 2,048 rps; the search ended after 12 rates.")
