"""Numbers of a report in words, the same in every sentence, table and picture. Pure."""


def number(value: float) -> str:
    """Three significant digits below a hundred, whole numbers above."""
    return f"{value:.3g}" if abs(value) < 99.95 else f"{value:,.0f}"


def ms(value_ms: float) -> str:
    """A time in milliseconds, from ten seconds on in seconds."""
    return f"{number(value_ms)} ms" if value_ms < 10_000 else f"{number(value_ms / 1000)} s"


def percentile_name(percentile: float) -> str:
    """ "p99.9"; the hundredth is the slowest request, "max"."""
    return "max" if percentile == 100 else f"p{percentile:g}"


def percent(part: float, whole: float) -> float:
    """`part` of `whole` in per cent; 0 of nothing."""
    return 100 * part / whole if whole else 0.0
