"""Figures of a load test as people read them, and tables of them. Pure."""

from collections.abc import Mapping, Sequence

from bot.blocks import Block, preformatted
from workers.contract.formatting import show_ms, show_percentile


def ms(milliseconds: float | None) -> str:
    """A latency, and "–" where there is none."""
    return "–" if milliseconds is None else show_ms(milliseconds)


def latency(by_percentile: Mapping[float, float]) -> str:
    """Latencies in a line: "p50 2.1 ms · p95 312 ms". A line ends between them only, not within one."""
    each = (f"{show_percentile(key)} {ms(value)}" for key, value in sorted(by_percentile.items()))
    return " · ".join(one.replace(" ", "\N{NO-BREAK SPACE}") for one in each)


def change(before: float | None, after: float | None) -> str:
    """How much more `after` is: "+12 %", "−3 %", "±0 %"; "–" where that cannot be said."""
    if not before or after is None:
        return "–"
    percents = round(100 * (after - before) / before)
    return "±0 %" if percents == 0 else f"{'+' if percents > 0 else '−'}{abs(percents):,} %"


def replicas(before: int, most: int) -> str:
    """How a number of replicas grew: "1 → 4", or the number."""
    return str(before) if before == most else f"{before} → {most}"


def table(rows: Sequence[Sequence[str]]) -> Block:
    """Rows in columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return preformatted("\n".join(lines))
