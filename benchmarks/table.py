"""What a benchmark found, and how it is printed."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

_HEADINGS = ("what", "measured", "compared with", "ratio", "goal", "reached")


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One measurement. `compared`: what the same run gave for something else; `reached` None where there is no goal."""

    what: str
    measured: str
    compared: str = ""
    ratio: float | None = None
    goal: str = ""
    reached: bool | None = None


def show(title: str, lines: Sequence[Line]) -> None:
    """Print a table, with the load that the machine was under when it was finished."""
    rows = [_HEADINGS, *map(_cells, lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    load = os.getloadavg()[0]
    print(f"\n{title}  (load average {load:.1f} on {os.cpu_count()} cores)\n")
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(flush=True)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that at least `percent` of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(percent / 100 * len(ordered)) - 1, 0)]


def _cells(line: Line) -> tuple[str, ...]:
    ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
    reached = {None: "", True: "yes", False: "NO"}[line.reached]
    return line.what, line.measured, line.compared, ratio, line.goal, reached
