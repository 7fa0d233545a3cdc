"""The capacity search: its next rate, its end, and its report."""

from hypothesis import given, strategies as st

from workers.contract.jobs import Probe
from workers.contract.load import MOST_PROBES
from workers.reports.search import NEAR, bounds, limit, next_rate


def probe(rate_rps: float, verdict: str = "PASS", *, replicas: int = 1) -> Probe:
    """Return a probe of one rate."""
    return Probe(
        rate_rps=rate_rps,
        verdict=verdict,  # type: ignore[arg-type]
        reason="p95 was 312 ms.",
        latency_ms={},
        errors_percent=0.0,
        replicas=replicas,
    )


def search(capacity_rps: float, *, lowest_rps: float, highest_rps: float) -> list[Probe]:
    """Return all probes of a target that passes up to `capacity_rps`."""
    probes: list[Probe] = []
    while (rate_rps := next_rate(probes, lowest_rps=lowest_rps, highest_rps=highest_rps, replicas=1)) is not None:
        probes.append(probe(rate_rps, "PASS" if rate_rps <= capacity_rps else "FAIL"))
    return probes


@given(
    capacity_rps=st.floats(min_value=0.01, max_value=100_000),
    lowest_rps=st.floats(min_value=0.01, max_value=1_000),
    span=st.floats(min_value=1, max_value=1_000),
)
def test_search_ends_and_never_reports_more_than_the_capacity(
    capacity_rps: float, lowest_rps: float, span: float
) -> None:
    """The rates stay within the range, differ, and are at most MOST_PROBES."""
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
def test_search_of_a_hundredfold_range_is_exact_to_five_percent(capacity_rps: float) -> None:
    probes = search(capacity_rps, lowest_rps=100, highest_rps=10_000)
    held_rps, _ = bounds(probes)
    assert held_rps is not None
    assert min(capacity_rps, 10_000) <= held_rps * NEAR


def test_search_doubles_rates_and_then_bisects_them() -> None:
    """The bisection ends when 5 % are left. Rates have three significant digits."""
    rates = [each.rate_rps for each in search(500, lowest_rps=100, highest_rps=10_000)]
    assert rates == [100, 200, 400, 800, 566, 476, 519, 497]


def test_search_ends_at_the_highest_requested_rate() -> None:
    probes = search(9_999, lowest_rps=100, highest_rps=300)
    assert [each.rate_rps for each in probes] == [100, 200, 300]
    assert limit(probes) == "300 rps held, the highest rate requested."


def test_search_ends_if_the_lowest_rate_fails() -> None:
    probes = [probe(100, "FAIL")]
    assert next_rate(probes, lowest_rps=100, highest_rps=1_000, replicas=1) is None
    assert bounds(probes) == (None, 100)
    assert limit(probes) == "100 rps, the lowest rate, did not hold. p95 was 312 ms."


def test_search_ends_at_an_invalid_probe() -> None:
    probes = [probe(100), probe(200), probe(400, "INVALID")]
    assert next_rate(probes, lowest_rps=100, highest_rps=1_000) is None
    assert bounds(probes) == (200, None)
    assert limit(probes) == "The search ended because the measurement at 400 rps failed. p95 was 312 ms."


def test_last_probe_of_a_rate_counts() -> None:
    probes = [probe(100), probe(200, "FAIL"), probe(200)]
    assert bounds(probes) == (200, None)
    assert next_rate(probes, lowest_rps=100, highest_rps=1_000) == 400


def test_rate_is_tried_again_if_it_failed_while_replicas_were_added() -> None:
    """Each new replica earns another try, up to MOST_PROBES."""
    asked = {"lowest_rps": 100.0, "highest_rps": 1_000.0, "replicas": 1}
    assert next_rate([probe(100, "FAIL", replicas=2)], **asked) == 100
    assert next_rate([probe(100), probe(200, "FAIL", replicas=3)], **asked) == 200
    assert next_rate([probe(100), probe(200, "FAIL", replicas=3), probe(200, "FAIL", replicas=3)], **asked) == 141
    growing = [probe(100, "FAIL", replicas=2 + attempt) for attempt in range(MOST_PROBES)]
    assert next_rate(growing, **asked) is None


def test_search_without_probes_left_reports_the_range_of_the_limit() -> None:
    probes = [*(probe(2.0**power) for power in range(MOST_PROBES - 1)), probe(2_048, "FAIL")]
    assert next_rate(probes, lowest_rps=1, highest_rps=100_000) is None
    assert limit(probes).startswith("The limit lies between 1,024 and 2,048 rps; the search ended after 12 rates.")
