"""Quantities as text for people. `units` reads most of it back."""

from collections.abc import Mapping
from decimal import Decimal

_MEANS_CHARACTERS = 500


def show_duration(seconds: float) -> str:
    """Return seconds as text: "40 ms", "2.4 s", "42 s", "5 m", "1 h 30 m"."""
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if count]
    return " ".join(parts) or "0 s"


def show_number(number: float) -> str:
    """Return three significant digits, or a whole number from 100 on: "0.126", "2.1", "33.3", "1,203"."""
    return f"{number:,.0f}" if number >= 99.95 else f"{number:.3g}"


def show_count(count: int, noun: str) -> str:
    """Return a count with its noun: "1 replica", "30,000 requests", "0 rows". The plural must end in s."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def show_ms(milliseconds: float) -> str:
    """Return a latency as text: "0.126 ms", "312 ms", or from ten seconds on "12.3 s"."""
    return f"{show_number(milliseconds)} ms" if milliseconds < 10_000 else f"{show_number(milliseconds / 1000)} s"


def show_percentile(percentile: float) -> str:
    """Return a percentile's name: "p95", "p99.9", or "max" for 100, the slowest request."""
    return "max" if percentile == 100 else f"p{digits(percentile)}"


def show_share(part: float, whole: float) -> str:
    """Return a share with two significant digits: "0.04 %", "12 %". If `whole` is 0, "0 %"."""
    return f"{digits(float(f'{share_percent(part, whole):.2g}'))} %"


def share_percent(part: float, whole: float) -> float:
    """Return `part` of `whole` in percent, or 0 if `whole` is 0."""
    return 100 * part / whole if whole else 0.0


def digits(number: float) -> str:
    """Return all digits of a number, without exponent, commas or trailing zeros: "86400000", "0.001"."""
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def show_means(means: Mapping[str, float]) -> str:
    """Return the means of features with six significant digits, at most a paragraph: "age 29.7 · … and 50 more"."""
    shown: list[str] = []
    for name, mean in means.items():
        shown.append(f"{name} {digits(float(f'{mean:.6g}'))}")
        if sum(map(len, shown)) > _MEANS_CHARACTERS:
            break
    left = len(means) - len(shown)
    return " · ".join([*shown, f"… and {left} more"] if left else shown)


def exact(number: float) -> str:
    """Return all digits of a number for a command. Three decimals get a zero, as "1.125" could be read as 1,125."""
    text = digits(number)
    return f"{text}0" if number >= 1 and len(text.partition(".")[2]) == 3 else text
