"""The common look of all charts: size, palette, type, panels. Pure.

Imports matplotlib with the first figure. Safe in any thread, because it does not use matplotlib's global state.
"""

import math
import textwrap
from collections.abc import Iterable, Sequence
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: distinct with every kind of colour vision, and in grey. https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
INK, GREY, PALE = "#222222", "#7F7F7F", "#DDDDDD"
WIDTH_PX, HEIGHT_PX, DPI = 1600, 1200, 100
TITLE_PT, PANEL_PT, TICK_PT = 34, 28, 25  # a phone shows the picture at a quarter of its size
LOG_FROM = 20.0  # ratio of greatest to least from which a quantity is drawn on a logarithmic scale
BOUND_DASHES = (0, (2, 1.5))
MARKED_POINTS = 30  # a curve with more points needs no marks to be visible
ROW_LETTERS, ENTRY_LETTERS = 72, 7
"""Letters that fit in a panel's name and legend together, and letters that an entry takes beside its own words."""
MOST_LOG_TICKS = 5


def new_figure(title: str) -> "Figure":
    """Return an empty figure with `title`, cut to two lines."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(hspace=0.0, h_pad=0.12, w_pad=0.2)
    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, layout=layout, facecolor="white")
    lines = "\n".join(textwrap.wrap(title, width=48, max_lines=2, placeholder=" …"))
    figure.suptitle(lines, fontsize=TITLE_PT, fontweight="bold", color=INK, parse_math=False)
    return figure


def png(figure: "Figure") -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()


def finish(axes: "Axes", name: str) -> None:
    scale = ", log scale" if axes.get_yscale() == "log" else ""
    axes.set_title(name + scale, loc="left", fontsize=PANEL_PT, color=INK)
    axes.tick_params(labelsize=TICK_PT, colors=INK, which="both")
    axes.tick_params(axis="x", pad=8)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.minorticks_off()
    axes.grid(axis="both", color=PALE, linewidth=1)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if names := axes.get_legend_handles_labels()[1]:
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 0.99),
            borderaxespad=0,
            ncols=_columns(names, room=ROW_LETTERS - len(name + scale)),
            fontsize=PANEL_PT,
            frameon=False,
            handlelength=1.2,
            columnspacing=1.2,
            handletextpad=0.5,
        )


def _columns(names: Sequence[str], *, room: int) -> int:
    """Return how many columns fit if they are filled one after the other, as matplotlib does."""
    for columns in range(len(names), 1, -1):
        size, more = divmod(len(names), columns)
        left = iter(names)
        heights = (size + (column < more) for column in range(columns))
        if sum(ENTRY_LETTERS + max(map(len, islice(left, height))) for height in heights) <= room:
            return columns
    return 1


def scale_latency(axes: "Axes", values_ms: Iterable[float]) -> None:
    """Set the limits of a latency axis, with a logarithmic scale if the values lie far apart."""
    positive = [value for value in values_ms if value > 0]
    if positive and max(positive) / min(positive) >= LOG_FROM:
        axes.set_yscale("log", subs=[])
        least, greatest_ms = min(positive) / 1.5, max(positive) * 1.7
        axes.set_ylim(least, greatest_ms)
        axes.set_yticks(log_ticks(least, greatest_ms, most=MOST_LOG_TICKS))
    else:
        axes.set_ylim(0, 1.15 * greatest(positive, least=1.0))


def curve(values: Iterable[float | None]) -> list[float]:
    """Return the values, with NaN for None and infinity."""
    return [value if value is not None and math.isfinite(value) else math.nan for value in values]


def greatest(values: Iterable[float], *, least: float) -> float:
    """Return the greatest value that is not NaN, or `least` if all values are zero or NaN."""
    return max([value for value in values if not math.isnan(value)], default=least) or least


def draw_curve(
    axes: "Axes", at: Sequence[float], values: Sequence[float], *, label: str, colour: str, width: float
) -> None:
    """Draw a line through the values, with marks on a short curve and on a value between two gaps."""
    gaps = [True, *map(math.isnan, values), True]
    alone = [place for place in range(len(values)) if gaps[place] and gaps[place + 2]]
    marked = list(range(len(values))) if len(values) <= MARKED_POINTS else alone
    marker = "o" if marked else ""
    axes.plot(at, values, color=colour, linewidth=width, label=label, marker=marker, markersize=11, markevery=marked)


def log_ticks(least: float, greatest: float, *, most: int) -> list[float]:
    """Return at most `most` ticks of a logarithmic axis: the powers of ten, and points half-way if they fit."""
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(greatest)) + 1)
    halves = [first * 10.0**power for power in powers for first in (1, 3) if least <= first * 10.0**power <= greatest]
    if len(halves) <= most:
        return halves
    whole = [10.0**power for power in powers if least <= 10.0**power <= greatest]
    return whole[:: math.ceil(len(whole) / most)]
