"""Formats for the numbers of a load test, and tables of them. Pure."""

from collections.abc import Mapping, Sequence

from bot.blocks import Block, preformatted
from workers.contract.formatting import show_duration, show_ms, show_percentile


def ms(milliseconds: float | None) -> str:
    """Return a latency, or "–" for None."""
    return "–" if milliseconds is None else show_ms(milliseconds)


def latency(by_percentile: Mapping[float, float]) -> str:
    """Return latencies like "p50 2.1 ms · p95 312 ms", with line breaks only between two of them."""
    each = (f"{show_percentile(key)} {ms(value)}" for key, value in sorted(by_percentile.items()))
    return " · ".join(one.replace(" ", "\N{NO-BREAK SPACE}") for one in each)


def whole_seconds(seconds: float) -> str:
    """Return a duration without fractions of a second."""
    return show_duration(round(seconds))


def change(before: float | None, after: float | None) -> str:
    """Return the relative change: "+12 %", "−3 %", "±0 %", or "–" if a value is missing or `before` is 0."""
    if not before or after is None:
        return "–"
    percents = round(100 * (after - before) / before)
    return "±0 %" if percents == 0 else f"{'+' if percents > 0 else '−'}{abs(percents):,} %"


def replicas(before: int, most: int) -> str:
    """Return the growth of a replica count: "1 → 4", or "4"."""
    return str(before) if before == most else f"{before} → {most}"


def table(rows: Sequence[Sequence[str]]) -> Block:
    """Return rows in columns. The first column is aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = [
        [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        for first, *rest in rows
    ]
    return preformatted("\n".join("  ".join(cells).rstrip() for cells in aligned))
