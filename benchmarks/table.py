"""Table of a benchmark's measurements."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

_HEADINGS = ("what", "measured", "compared with", "ratio", "goal", "reached")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One measurement. `compared` is the baseline in the same run; `reached` is None without a goal."""

    what: str
    measured: str
    compared: str = ""
    ratio: float | None = None
    goal: str = ""
    reached: bool | None = None


def show(title: str, rows: Sequence[Row]) -> None:
    """Print a table with the machine's load average."""
    lines = [_HEADINGS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    load = os.getloadavg()[0]
    print(f"\n{title}  (load average {load:.1f} on {os.cpu_count()} cores)\n")
    for line in lines:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print(flush=True)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of `values` that at least `percent` of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(percent / 100 * len(ordered)) - 1, 0)]


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    reached = {None: "", True: "yes", False: "NO"}[row.reached]
    return row.what, row.measured, row.compared, ratio, row.goal, reached
