"""Tests of the readers of quantities, and of quantities as text."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from workers.contract.formatting import digits, exact, show_duration, show_number
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
    read_size_bytes,
    read_slo,
)

ACCEPTED: dict[Callable[[str], object], dict[str, object]] = {
    read_duration_s: {
        "90s": 90,
        "5M": 300,
        "1h30m": 5400,
        "1d": 86400,
        "1.5m": 90,
        "5min": 300,
        "2hrs": 7200,
        "30secs": 30,
        "500ms": 0.5,
    },
    read_rate_rps: {
        **{"1000rps": 1000, "1.5KRPS": 1500, "1mrps": 1_000_000, "60/s": 60, "5req/s": 5, "7qps": 7},
        **{"90/min": 1.5, "60/m": 1, "0.001rps": LOWEST_RPS, "1000000rps": HIGHEST_RPS},
    },
    read_rates_rps: {
        **{"200..2000rps": (200, 2000), "200rps..2krps": (200, 2000), "1k..2KRPS": (1000, 2000)},
        **{"200..2krps": (200, 2000), "60..120/min": (1, 2), "30/min..2/s": (0.5, 2), "0.5..1.5rps": (0.5, 1.5)},
    },
    read_replicas: {"3": Replicas(minimum=3, maximum=3), "1..4": Replicas(minimum=1, maximum=4)},
    read_size_bytes: {"500MB": 500_000_000, "1.5 gb": 1_500_000_000, "1TB": 10**12},
    read_slo: {
        "p95<200ms,errors<1%": Slo(latency_ms=((95.0, 200.0),), errors_percent=1.0),
        "P99.9 <= 1.5s": Slo(latency_ms=((99.9, 1500.0),)),
        "p99<1s, p50<20ms": Slo(latency_ms=((50.0, 20.0), (99.0, 1000.0))),
        "error<0.1%": Slo(errors_percent=0.1),
    },
    read_abort: {
        "errors>20% for 10s": Abort(errors_percent=20.0, for_s=10.0),
        "error>0.5% for 1m30s": Abort(errors_percent=0.5, for_s=90.0),
        "errors>0% for 1.5s": Abort(errors_percent=0.0, for_s=1.5),
        "ERRORS>99.9%": Abort(errors_percent=99.9, for_s=10.0),
    },
}
REFUSED: dict[Callable[[str], object], tuple[str, ...]] = {
    read_duration_s: (
        "",
        "5",
        "-5s",
        "0s",
        "1e3s",
        "5 m",
        "m",
        "25h",
        "9" * 400 + "s",
        "5ſ",
        "٣s",
        "5s\n",
        "5months",
        "1.s",
    ),
    read_rate_rps: ("", "-5rps", "0rps", "1e9rps", "1000", "1000 rps", "nanrps", "1000001rps", "0.0001rps", "٣rps"),
    read_rates_rps: (
        "200rps",
        "200..2000",
        "..2rps",
        "2..",
        "20..2rps",
        "5..5rps",
        "0..5rps",
        "1..2..3rps",
        "1..2mrps",
        "1.000,5..2000rps",
    ),
    read_replicas: ("", "0", "-1", "4..1", "0..3", "1001", "1..", "..4", "1...4", "1-4", "1.5", "٣"),
    read_size_bytes: ("", "5", "5B", "-1GB", "1e3GB", "5GiB"),
    read_slo: (
        *("", ",", "p95", "p95<200", "p95>200ms", "p0<1ms", "p100<1ms", "p95<0ms", "errors<101%", "errors<1"),
        *("p95<200ms,", "p95<1s,p95<2s", "errors<1%,errors<2%", "p95<" + "9" * 400 + "ms", "p٩<1ms"),
    ),
    read_abort: ("errors>20", "errors<20%", "p95>1s", "errors>100%", "errors>20% for", "errors>20% for 500ms"),
}


@pytest.mark.parametrize("read", ACCEPTED)
def test_quantity_is_read_in_any_of_its_spellings(read: Callable[[str], object]) -> None:
    assert {text: read(text) for text in ACCEPTED[read]} == ACCEPTED[read]


@pytest.mark.parametrize("read", REFUSED)
def test_text_outside_the_format_or_range_is_refused(read: Callable[[str], object]) -> None:
    for text in REFUSED[read]:
        with pytest.raises(ValueError, match=r"^“.*” (is|does not)"):
            pytest.fail(f"{text!r} was read as {read(text)}")


@pytest.mark.parametrize("text", ["2..3krps", "0.5..1krps", "1..1.5k/min", "1.000..3.000rps"])
def test_range_that_can_be_read_in_two_ways_is_refused(text: str) -> None:
    """Each of the ways that the message offers is read."""
    with pytest.raises(ValueError, match="can be read in two ways") as caught:
        read_rates_rps(text)
    for way in re.findall(r"[0-9.]+k?[a-z/]+(?:\.\.\S+[a-z])?", str(caught.value).split("write ")[1]):
        assert read_rates_rps(way) if ".." in way else read_rate_rps(way)


@pytest.mark.parametrize("read", REFUSED)
@given(text=st.text() | st.text(alphabet="0123456789.<>%,/ kmsrphdoe"))
def test_any_text_is_read_or_refused_in_a_short_sentence(read: Callable[[str], object], text: str) -> None:
    try:
        read(text)
    except ValueError as error:
        assert len(str(error)) < 200 and str(error).isprintable()


def test_longest_duration_can_be_set() -> None:
    assert read_duration_s("2d", longest_s=2 * LONGEST_S) == 2 * LONGEST_S
    with pytest.raises(ValueError, match="at most 1 m"):
        read_duration_s("61s", longest_s=60.0)


def test_refused_rate_names_bounds_that_can_be_typed() -> None:
    with pytest.raises(ValueError, match="out of range") as caught:
        read_rate_rps("0rps")
    bounds = re.findall(r"[0-9.]+rps", str(caught.value).split("”")[1])
    assert [read_rate_rps(bound) for bound in bounds] == [LOWEST_RPS, HIGHEST_RPS]


@given(latency=st.dictionaries(st.integers(1, 99), st.integers(1, 86_400_000), max_size=4), errors=st.integers(0, 100))
def test_slo_as_text_is_read_back(latency: dict[int, int], errors: int) -> None:
    bounds = tuple(sorted((float(percentile), float(bound)) for percentile, bound in latency.items()))
    slo = Slo(latency_ms=bounds, errors_percent=float(errors))
    assert read_slo(str(slo)) == slo


def test_abort_as_text_is_read_back() -> None:
    for abort in ACCEPTED[read_abort].values():
        assert read_abort(str(abort)) == abort


@given(st.floats(min_value=1e-9, max_value=1e12))
def test_digits_of_a_number_are_complete_and_without_exponent(number: float) -> None:
    text = digits(number)
    assert float(text) == number and "e" not in text


def test_duration_is_shown_without_empty_parts() -> None:
    durations = (0.42, 2.44, 42, 300, 5400, 3601, 0, 59.6)
    texts = ["420 ms", "2.4 s", "42 s", "5 m", "1 h 30 m", "1 h 1 s", "0 s", "1 m"]
    assert [show_duration(seconds) for seconds in durations] == texts


def test_number_is_shown_with_three_significant_digits() -> None:
    numbers = (0.001, 0.5, 100 / 3, 99.97, 999.6, 1e6)
    assert [show_number(number) for number in numbers] == ["0.001", "0.5", "33.3", "100", "1,000", "1,000,000"]


@pytest.mark.parametrize(
    ("kind", "stages"),
    [
        ("ramp", [(200, 1000, 50)]),
        ("steps", [(200, 200, 10), (400, 400, 10), (600, 600, 10), (800, 800, 10), (1000, 1000, 10)]),
        ("spike", [(200, 200, 20), (1000, 1000, 10), (200, 200, 20)]),
    ],
)
def test_shape_is_divided_into_stages(kind: ShapeKind, stages: list[tuple[float, float, float]]) -> None:
    shape = Shape(kind=kind, lowest_rps=200.0, highest_rps=1000.0)
    expected = tuple(Stage(from_rps=low, to_rps=high, length_s=length) for low, high, length in stages)
    assert shape.stages(50.0) == expected


@pytest.mark.parametrize(
    ("text", "quotation"),
    [
        ("p95<200ms", "“p95<200ms”"),
        ("a\n\x00 b\u202e", "“a b”"),
        ("`rm`", "“'rm'”"),
        ("<<!here>>", "“!here>>”"),
        ("<@U1|ada> <http://x|y>", "“@U1|ada> http://x|y>”"),
        ("x" * 1_000_000, "“" + "x" * 39 + "…”"),
        ("🚢 مرحبا", "“🚢 مرحبا”"),
        ("\ud800", "“”"),
    ],
)
def test_quoted_text_has_no_mention_link_code_or_second_line(text: str, quotation: str) -> None:
    assert quoted(text) == quotation


@pytest.mark.parametrize(
    ("read", "text", "readings"),
    [
        (read_rate_rps, "1.000rps", "write 1rps or 1000rps"),
        (read_rate_rps, "12.500rps", "write 12.5rps or 12500rps"),
        (read_rate_rps, "1.000.000rps", "write 1000000rps"),
        (read_rates_rps, "1.000..2.000rps", "write 1rps or 1000rps"),
        (read_duration_s, "1.500s", "write 1.5s or 1500s"),
        (read_slo, "p95<1.000ms", "write 1 or 1000"),
    ],
)
def test_number_with_two_readings_is_refused_with_both(read: Callable[[str], object], text: str, readings: str) -> None:
    with pytest.raises(ValueError, match=readings):
        read(text)


@pytest.mark.parametrize(("text", "rate_rps"), [("0.125rps", 0.125), ("1.1250rps", 1.125), ("1.25rps", 1.25)])
def test_decimal_fraction_with_one_reading_is_understood(text: str, rate_rps: float) -> None:
    assert read_rate_rps(text) == rate_rps
    assert read_rate_rps(f"{exact(rate_rps)}rps") == rate_rps
