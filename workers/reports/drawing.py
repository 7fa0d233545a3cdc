"""How every chart looks: size, palette, type, panels. Pure; matplotlib is imported when the first one is drawn.

Safe in any thread: nothing of matplotlib's global state is used.
"""

import math
import textwrap
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with every kind of colour vision, and in grey. https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
INK, GREY, PALE = "#222222", "#7F7F7F", "#DDDDDD"
WIDTH_PX, HEIGHT_PX, DPI = 1600, 1200, 100
TITLE_PT, PANEL_PT, TICK_PT = 30, 22, 19  # a phone shows the picture at a quarter of its size
LOG_FROM = 20.0
"""From this ratio of greatest to least on, a quantity is drawn on a logarithmic scale."""
BOUND_DASHES = (0, (2, 1.5))


def new_figure(title: str) -> "Figure":
    """An empty figure under `title`, which is cut to two lines."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(hspace=0.0, h_pad=0.2, w_pad=0.2)
    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, layout=layout, facecolor="white")
    lines = "\n".join(textwrap.wrap(title, width=52, max_lines=2, placeholder=" …"))
    figure.suptitle(lines, fontsize=TITLE_PT, fontweight="bold", color=INK, parse_math=False)
    return figure


def png(figure: "Figure") -> bytes:
    """The figure as a PNG of WIDTH_PX × HEIGHT_PX."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()


def finish(axes: "Axes", name: str) -> None:
    """Name a panel, set its type, and put the legend, where there is more than one thing to tell apart, beside it."""
    axes.set_title(name, loc="left", fontsize=PANEL_PT, color=INK)
    axes.tick_params(labelsize=TICK_PT, colors=INK, which="both")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.minorticks_off()
    axes.grid(axis="both", color=PALE, linewidth=1)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    names = axes.get_legend_handles_labels()[1]
    if len(names) > 1:
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 0.99),
            borderaxespad=0,
            ncols=len(names),
            fontsize=PANEL_PT,
            frameon=False,
            handlelength=1.2,
            columnspacing=1.2,
            handletextpad=0.5,
        )


def scale_latency(axes: "Axes", values_ms: Iterable[float]) -> None:
    """Limits for latencies, on a logarithmic scale where they lie far apart."""
    from matplotlib.ticker import LogLocator

    seen = [value for value in values_ms if value > 0]
    if seen and max(seen) / min(seen) >= LOG_FROM:
        axes.set_yscale("log", subs=[])
        few = max(seen) / min(seen) < 1_000
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 3) if few else (1,)))
        axes.set_ylim(min(seen) / 1.5, max(seen) * 1.7)
    else:
        axes.set_ylim(0, 1.15 * greatest(seen, least=1.0))


def curve(values: Iterable[float | None]) -> list[float]:
    """The values with a gap for None and for what is no number."""
    return [value if value is not None and math.isfinite(value) else math.nan for value in values]


def greatest(values: Iterable[float], *, least: float) -> float:
    """The greatest that is a number, or `least` where there is none but zero."""
    return max([value for value in values if not math.isnan(value)], default=least) or least


def marks(at: Sequence[float]) -> float:
    """The size of the marks of a curve, 0 where it has points enough to be seen as a line."""
    return 11 if len(at) <= 30 else 0
