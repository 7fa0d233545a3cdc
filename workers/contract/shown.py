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


def show_rate(rps: float) -> str:
    """Requests a second: "0.5", "33.3", "1,000"."""
    return show_number(rps)


def show_number(number: float) -> str:
    """Three significant digits, and whole from a hundred on: "0.126", "2.1", "33.3", "1,203"."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def digits(number: float) -> str:
    """All the digits of a number, without an exponent, a comma or a needless nought: "86400000", "0.001"."""
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
