"""Quantities as people type them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.contract.formatting import digits, show_duration, show_number
from workers.contract.load import Abort, Shape, ShapeKind, Slo, Stage
from workers.contract.replicas import Replicas
from workers.contract.units import (
    HIGHEST_RPS,
    LONGEST_S,
    LOWEST_RPS,
    quoted,
    read_abort,
    read_duration_s,
    read_rate_rps,
    read_rates_rps,
    read_replicas,
    read_slo,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1d", 86400), ("1.5m", 90), ("500ms", 0.5), ("5M", 300)],
)
def test_times_are_read_in_seconds(text: str, seconds: float) -> None:
    """Each unit counts, units add up, and case does not matter."""
    assert read_duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "-5s", "0s", "1e3s", "5 m", "m", "25h", "2d", "9" * 400 + "s", "5ſ", "٣s", "5s\n", "5min", "1.s"]
)
def test_other_times_are_refused(text: str) -> None:
    """No unit, a sign, nothing, more than a day, or another script's letters and digits."""
    with pytest.raises(ValueError, match=r"(is not a time|is out of range)"):
        read_duration_s(text)


def test_the_longest_time_is_the_caller_s() -> None:
    """A caller may allow less or more than a day."""
    assert read_duration_s("2d", longest_s=2 * LONGEST_S) == 2 * LONGEST_S
    with pytest.raises(ValueError, match="at most 1 m"):
        read_duration_s("61s", longest_s=60.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, "420 ms"),
        (2.44, "2.4 s"),
        (42, "42 s"),
        (300, "5 m"),
        (5400, "1 h 30 m"),
        (3601, "1 h 1 s"),
        (0, "0 s"),
        (59.6, "1 m"),
    ],
)
def test_times_are_shown_as_people_write_them(seconds: float, text: str) -> None:
    """The parts that are nothing are left out."""
    assert show_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "rate_rps"),
    [
        ("1000rps", 1000),
        ("1krps", 1000),
        ("1.5KRPS", 1500),
        ("1mrps", 1_000_000),
        ("60/s", 60),
        ("5req/s", 5),
        ("90/min", 1.5),
        ("60/m", 1),
        ("7qps", 7),
    ],
)
def test_rates_are_read_in_requests_a_second(text: str, rate_rps: float) -> None:
    """Every spelling of the unit, thousands and millions, and rates a minute."""
    assert read_rate_rps(text) == rate_rps


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "-5", "-5rps", "0rps", "1e99", "1e99rps", "1000", "1000 rps", "1000rpsrps", "nanrps", "rps"),
        *("1" * 400 + "rps", "1000001rps", "0.0001rps", "٣rps", "1000rpſ"),
    ],
)
def test_other_rates_are_refused(text: str) -> None:
    """No unit, signs, exponents, nothing at all or too much."""
    with pytest.raises(ValueError, match=r"(is not a rate|is out of range)"):
        read_rate_rps(text)


def test_the_range_of_rates_is_told_in_digits() -> None:
    """The bounds in the sentence can be typed as they stand."""
    with pytest.raises(ValueError, match=r"at least 0\.001rps and at most 1000000rps"):
        read_rate_rps("0rps")
    assert (read_rate_rps("0.001rps"), read_rate_rps("1000000rps")) == (LOWEST_RPS, HIGHEST_RPS)


@pytest.mark.parametrize(
    ("text", "rates_rps"),
    [
        ("200..2000rps", (200, 2000)),
        ("200rps..2krps", (200, 2000)),
        ("1k..2KRPS", (1000, 2000)),
        ("200..2krps", (200, 2000)),
        ("60..120/min", (1, 2)),
        ("30/min..2/s", (0.5, 2)),
        ("0.5..1.5rps", (0.5, 1.5)),
    ],
)
def test_two_rates_are_read_in_requests_a_second(text: str, rates_rps: tuple[float, float]) -> None:
    """A unit that the lower one lacks is the higher one's; a factor is not."""
    assert read_rates_rps(text) == rates_rps


@pytest.mark.parametrize(
    "text",
    [
        *("", "200", "200rps", "200..2000", "..2000rps", "200..", "2000..200rps", "5..5rps", "0..5rps", "-1..5rps"),
        *("1..2rps..3rps", "1..2..3rps", "1 ..2rps", "1...2rps", "1..2mrps", "xrps..2rps", "1..xrps", "٣..5rps"),
    ],
)
def test_other_pairs_of_rates_are_refused(text: str) -> None:
    """No unit, one rate or three, the higher one first, none at all or too much."""
    with pytest.raises(ValueError, match=r"(is not two rates|does not rise|is out of range|is not a rate)"):
        read_rates_rps(text)


@pytest.mark.parametrize(
    ("text", "abort"),
    [
        ("errors>20% for 10s", Abort(errors_percent=20.0, for_s=10.0)),
        ("error>0.5% for 1m30s", Abort(errors_percent=0.5, for_s=90.0)),
        ("errors>0% for 1.5s", Abort(errors_percent=0.0, for_s=1.5)),
        ("ERRORS>99.9%", Abort(errors_percent=99.9, for_s=10.0)),
    ],
)
def test_what_ends_a_test_early_is_read(text: str, abort: Abort) -> None:
    """A share of failures, for how long; without a time, 10 s; and it is shown as it is read."""
    assert read_abort(text) == abort == read_abort(str(abort))


@pytest.mark.parametrize(
    "text",
    [
        *("", "errors", "errors>20", "errors<20%", "p95>1s", "errors>20%for 10s", "20% for 10s", "errors>20% 10s"),
        *("errors>100%", "errors>1000% for 5s", "errors>20% for", "errors>20% for 10", "errors>20% for 0.5s", "never"),
    ],
)
def test_other_ends_are_refused(text: str) -> None:
    """The wrong direction, no unit, more than everything, no time or less than a second."""
    with pytest.raises(ValueError, match=r"(is not a stop rule|is out of range|is not a time|is too short)"):
        read_abort(text)


@pytest.mark.parametrize(
    ("kind", "stages"),
    [
        ("ramp", [(200, 1000, 50)]),
        ("steps", [(200, 200, 10), (400, 400, 10), (600, 600, 10), (800, 800, 10), (1000, 1000, 10)]),
        ("spike", [(200, 200, 20), (1000, 1000, 10), (200, 200, 20)]),
    ],
)
def test_a_shape_is_a_row_of_stages(kind: ShapeKind, stages: list[tuple[float, float, float]]) -> None:
    """They begin with the lowest rate, reach the highest, and last as long as the test."""
    shape = Shape(kind=kind, lowest_rps=200.0, highest_rps=1000.0)
    expected = tuple(Stage(from_rps=low, to_rps=high, length_s=length) for low, high, length in stages)
    assert shape.stages(50.0) == expected


@pytest.mark.parametrize(
    ("rps", "text"),
    [(0.001, "0.001"), (0.5, "0.5"), (100 / 3, "33.3"), (99.97, "100"), (999.6, "1,000"), (1e6, "1,000,000")],
)
def test_rates_are_shown_as_people_read_them(rps: float, text: str) -> None:
    """Three digits that count, whole from a hundred on."""
    assert show_number(rps) == text


@given(st.floats(min_value=1e-9, max_value=1e12))
def test_all_digits_are_shown_where_a_number_is_read_again(number: float) -> None:
    """No exponent, and nothing lost."""
    shown = digits(number)
    assert float(shown) == number and "e" not in shown


def test_replicas_are_a_number_or_bounds() -> None:
    """One number is a fixed count."""
    assert read_replicas("3") == Replicas(minimum=3, maximum=3)
    assert read_replicas("1..4") == Replicas(minimum=1, maximum=4)


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "4..1", "0..3", "1001", "1..", "..4", "1...4", "1-4", "1.5", "٣", "1..4..5"]
)
def test_other_replicas_are_refused(text: str) -> None:
    """At least one, the smaller bound first, not beyond reason."""
    with pytest.raises(ValueError, match=r"(is not a number of replicas|is out of range)"):
        read_replicas(text)


@pytest.mark.parametrize(
    ("text", "slo"),
    [
        ("p95<200ms,errors<1%", Slo(latency_ms=((95.0, 200.0),), errors_percent=1.0)),
        ("P99.9 <= 1.5s", Slo(latency_ms=((99.9, 1500.0),))),
        ("p99<1s, p50<20ms", Slo(latency_ms=((50.0, 20.0), (99.0, 1000.0)))),
        ("error<0.1%", Slo(errors_percent=0.1)),
    ],
)
def test_objectives_are_read(text: str, slo: Slo) -> None:
    """Percentiles in rising order, times in milliseconds, errors in percent."""
    assert read_slo(text) == slo


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "p95", "p95<200", "p95>200ms", "p0<1ms", "p100<1ms", "p95<0ms", "errors<101%", "errors<1"),
        *("p95<200ms,", "p95<1s,p95<2s", "errors<1%,errors<2%", "p95<" + "9" * 400 + "ms", "p٩<1ms", "p95<200mſ"),
    ],
)
def test_other_objectives_are_refused(text: str) -> None:
    """No unit, the wrong direction, impossible percentiles, bounds that no test could miss, one thing twice."""
    with pytest.raises(ValueError, match=r"(is not an objective|is out of range|is a second bound)"):
        read_slo(text)


@given(latency=st.dictionaries(st.integers(1, 99), st.integers(1, 86_400_000), max_size=4), errors=st.integers(0, 100))
def test_objectives_are_shown_as_they_are_read(latency: dict[int, int], errors: int) -> None:
    """`str` of an Slo is text that means it."""
    bounds = tuple(sorted((float(percentile), float(bound)) for percentile, bound in latency.items()))
    slo = Slo(latency_ms=bounds, errors_percent=float(errors))
    assert read_slo(str(slo)) == slo


@pytest.mark.parametrize("read", [read_duration_s, read_rate_rps, read_rates_rps, read_replicas, read_slo, read_abort])
@given(text=st.text())
def test_any_text_is_read_or_refused_in_a_short_sentence(read: Callable[[str], object], text: str) -> None:
    """Nothing but ValueError, and what it repeats is cut and on one line."""
    try:
        read(text)
    except ValueError as error:
        assert len(str(error)) < 200 and str(error).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("p95<200ms", "“p95<200ms”"),
        ("a\n\x00 b\u202e", "“a b”"),
        ("`rm`", "“'rm'”"),
        ("<!channel>", "“!channel>”"),
        ("<<!here>>", "“!here>>”"),
        ("<@U1|ada> <http://x|y>", "“@U1|ada> http://x|y>”"),
        ("x" * 41, "“" + "x" * 39 + "…”"),
        ("x" * 1_000_000, "“" + "x" * 39 + "…”"),
        ("🚢 مرحبا", "“🚢 مرحبا”"),
        ("\ud800", "“”"),
    ],
)
def test_what_was_typed_is_repeated_harmlessly(text: str, shown: str) -> None:
    """One line, forty characters, no mention, no link, no code; other scripts and emoji stay."""
    assert quoted(text) == shown
