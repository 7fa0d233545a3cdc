"""Quantities as people read them, and as `units` reads them again. Pure."""

from decimal import Decimal


def show_duration(seconds: float) -> str:
    """Seconds as people write them: "40 ms", "2.4 s", "42 s", "5 m", "1 h 30 m"."""
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if count]
    return " ".join(parts) or "0 s"


def show_number(number: float) -> str:
    """Three significant digits, and whole from a hundred on: "0.126", "2.1", "33.3", "1,203"."""
    return f"{number:,.0f}" if number >= 99.95 else f"{number:.3g}"


def show_count(count: int, noun: str) -> str:
    """How many there are of what makes its plural with an s: "1 replica", "30,000 requests", "0 rows"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def show_ms(milliseconds: float) -> str:
    """A latency: "0.126 ms", "312 ms", and from ten seconds on "12.3 s"."""
    in_seconds = milliseconds >= 10_000
    return f"{show_number(milliseconds / 1000)} s" if in_seconds else f"{show_number(milliseconds)} ms"


def show_percentile(percentile: float) -> str:
    """A percentile's name: "p95", "p99.9"; the hundredth is the slowest request, "max"."""
    return "max" if percentile == 100 else f"p{digits(percentile)}"


def show_share(part: float, whole: float) -> str:
    """A part of a whole to two significant digits: "0.04 %", "12 %"; of nothing, "0 %"."""
    return f"{digits(float(f'{share_percent(part, whole):.2g}'))} %"


def share_percent(part: float, whole: float) -> float:
    """`part` of `whole` in per cent; 0 of nothing."""
    return 100 * part / whole if whole else 0.0


def digits(number: float) -> str:
    """All the digits of a number, without an exponent, a comma or a needless nought: "86400000", "0.001"."""
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
