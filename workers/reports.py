"""What a load test's numbers mean: the verdict in words, the numbers as a picture. Pure: values in, values out."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

from workers.contract.jobs import Slo
from workers.platforms.protocols import LoadResult, LoadSample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_OF_ASKED = 0.95
"""Share of the asked rate below which a test says nothing about the asked rate."""
REFUSING = 0.05
"""Share of failed requests from which a missing rate is the target's doing: as much as may be missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """PASS: every objective held. FAIL: one was missed. INVALID: the generator did not do what was asked.

    `reasons` are whole sentences, the weightiest first; never empty.
    """

    outcome: Literal["PASS", "FAIL", "INVALID"]
    reasons: tuple[str, ...]


def verdict(*, asked_rps: float, slo: Slo, result: LoadResult) -> Verdict:
    """Judge a finished load test.

    A rate that was not reached makes it INVALID, unless the target was failing requests: that is the target's FAIL.
    """
    refusing = result.failures > 0 and result.failures >= REFUSING * result.requests
    short = _shortfall(asked_rps, result)
    missed, held = _objectives(slo, result)
    if refusing and not missed and (short or slo.errors_percent is None):
        missed.append(f"The target failed {_errors(result)}.")
    if result.generator_trouble or (short and not refusing):
        return Verdict(outcome="INVALID", reasons=tuple(filter(None, (result.generator_trouble, short, *missed))))
    if missed:
        return Verdict(outcome="FAIL", reasons=tuple(filter(None, (*missed, short))))
    return Verdict(outcome="PASS", reasons=tuple(held) or ("The asked rate was reached; no objective was set.",))


def _shortfall(asked_rps: float, result: LoadResult) -> str:
    """A sentence where too little of the asked rate was sent, else "". One request never decides."""
    asked = asked_rps * result.duration_s
    if asked - result.achieved_rps * result.duration_s <= max(1.0, (1 - LEAST_OF_ASKED) * asked) and result.requests:
        return ""
    share = f"{100 * result.achieved_rps / asked_rps:.0f} %"
    return (
        f"Only {_number(result.achieved_rps)} of {_number(asked_rps)} requests a second ({share}) could be sent: "
        "the answers came too late for the load generator's connections, or its machine was too busy."
    )


def _objectives(slo: Slo, result: LoadResult) -> tuple[list[str], list[str]]:
    """Sentences for the objectives that were missed, and for those that held."""
    missed, held = [], []
    if slo.errors_percent is not None:
        percent = 100 * result.failures / max(result.requests, 1)
        if result.failures and percent >= slo.errors_percent:
            above = f"{_number(percent - slo.errors_percent)} points above the objective of {slo.errors_percent:g} %"
            missed.append(f"{_errors(result)} failed, {above}.")
        else:
            held.append(f"{_number(percent)} % of the requests failed (objective: below {slo.errors_percent:g} %).")
    for percentile, bound_ms in slo.latency_ms:
        # A percentile that was not kept is judged by the next one above: never too kindly.
        at = min((kept for kept in result.latency_ms if kept >= percentile), default=None)
        if at is None:
            missed.append(
                f"No request was answered, so there is no p{percentile:g} (objective: below {_ms(bound_ms)})."
            )
            continue
        found_ms = result.latency_ms[at]
        if found_ms >= bound_ms:
            above = f"{_ms(found_ms - bound_ms)} above the objective of {_ms(bound_ms)}"
            missed.append(f"{_name(percentile, at)} was {_ms(found_ms)}, {above}.")
        else:
            held.append(f"{_name(percentile, at)} was {_ms(found_ms)} (objective: below {_ms(bound_ms)}).")
    return missed, held


def _name(asked: float, kept: float) -> str:
    return f"p{asked:g}" if asked == kept else f"p{asked:g} (judged by p{kept:g})"


def _errors(result: LoadResult) -> str:
    """ "2.3 % of the requests (HTTP 503 × 690, connection refused × 12)"."""
    percent = 100 * result.failures / max(result.requests, 1)
    kinds = sorted(result.failures_by_kind.items(), key=lambda kind: -kind[1])
    most = ", ".join(f"{words} × {count:,}" for words, count in kinds[:3])
    return f"{_number(percent)} % of the requests" + (f" ({most})" if most else "")


def _ms(value_ms: float) -> str:
    return f"{_number(value_ms)} ms" if value_ms < 10_000 else f"{_number(value_ms / 1000)} s"


def _number(value: float) -> str:
    """Three significant digits below a hundred, whole numbers above."""
    return f"{value:.3g}" if abs(value) < 99.95 else f"{value:,.0f}"


# ------------------------------------------------------------------------------------------------ the picture

# Okabe and Ito's palette: told apart with every kind of colour vision, and in grey. https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, RED, GREY, INK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#7F7F7F", "#222222"
WIDTH_PX, HEIGHT_PX, DPI = 1600, 1200, 100
TITLE_PT, PANEL_PT, TICK_PT = 30, 22, 19  # a phone shows the picture at a quarter of its size
MOST_ANNOTATIONS = 12
LOG_FROM = 20.0
"""From this ratio of greatest to least on, latency is drawn on a logarithmic scale."""


def chart(*, title: str, samples: Sequence[LoadSample], replicas: Sequence[tuple[float, int]]) -> bytes:
    """A PNG of 1600 × 1200 pixels: rate, latency, failures and replicas, one above the other on one time axis.

    `replicas` are (seconds since the start, number from then on), in order. None and what is no number make a gap.
    Safe in any thread: it uses none of matplotlib's global state.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(hspace=0.0, h_pad=0.2, w_pad=0.2)
    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, layout=layout, facecolor="white")
    figure.suptitle(_wrapped(title), fontsize=TITLE_PT, fontweight="bold", color=INK, parse_math=False)
    rate, latency, failures, scale = figure.subplots(4, 1, sharex=True, height_ratios=[3, 3, 1.4, 1.4])
    at_s = [sample.at_s for sample in samples]
    _draw_rate(rate, at_s, samples)
    _draw_latency(latency, at_s, samples)
    _draw_failures(failures, at_s, samples)
    end_s = max([*at_s, *(when_s for when_s, _ in replicas), 1.0])
    _draw_replicas(scale, replicas, end_s)
    _draw_time(scale, end_s)
    return _png(figure)


def _draw_rate(axes: "Axes", at_s: list[float], samples: Sequence[LoadSample]) -> None:
    asked, achieved = _curve(s.asked_rps for s in samples), _curve(s.achieved_rps for s in samples)
    axes.plot(at_s, achieved, color=BLUE, linewidth=6, label="achieved", **_dots(at_s))
    axes.plot(at_s, asked, color=INK, linewidth=2.5, linestyle=(0, (5, 3)), label="asked")
    axes.set_ylim(0, 1.15 * _greatest([*asked, *achieved], least=1.0))
    _finish(axes, "Requests per second")


def _draw_latency(axes: "Axes", at_s: list[float], samples: Sequence[LoadSample]) -> None:
    from matplotlib.ticker import LogLocator

    p50, p95 = _curve(s.p50_ms for s in samples), _curve(s.p95_ms for s in samples)
    axes.plot(at_s, p95, color=ORANGE, linewidth=4, label="p95", **_dots(at_s))
    axes.plot(at_s, p50, color=GREEN, linewidth=4, label="p50", **_dots(at_s))
    seen = [value for value in (*p50, *p95) if value > 0]
    if seen and max(seen) / min(seen) >= LOG_FROM:
        axes.set_yscale("log", subs=[])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.set_ylim(min(seen) / 1.5, max(seen) * 1.5)
    else:
        axes.set_ylim(0, 1.15 * _greatest(seen, least=1.0))
    _finish(axes, "Latency (ms)")


def _draw_failures(axes: "Axes", at_s: list[float], samples: Sequence[LoadSample]) -> None:
    failed = _curve(s.failures_per_s for s in samples)
    axes.set_ylim(0, 1.25 * _greatest(failed, least=1.0))
    if any(value > 0 for value in failed):
        axes.fill_between([0.0, *at_s], [failed[0], *failed], step="pre", color=RED, alpha=0.85, linewidth=0)
    else:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", fontsize=PANEL_PT, color=GREY)
    _finish(axes, "Failures per second")


def _draw_replicas(axes: "Axes", replicas: Sequence[tuple[float, int]], end_s: float) -> None:
    from matplotlib.ticker import MaxNLocator

    times = [*(when_s for when_s, _ in replicas), end_s]
    counts = [count for _, count in replicas]
    if counts:
        axes.step(times, [*counts, counts[-1]], where="post", color=INK, linewidth=4)
    changes = [step for at, step in enumerate(replicas) if at == 0 or step[1] != replicas[at - 1][1]]
    if len(changes) > MOST_ANNOTATIONS:
        changes = [changes[0], max(changes, key=lambda change: change[1]), changes[-1]]
    for when_s, count in changes:
        axes.annotate(
            f"{count}",
            (when_s, count),
            xytext=(6, 7),
            textcoords="offset points",
            fontsize=PANEL_PT,
            fontweight="bold",
            color=INK,
        )
    axes.set_ylim(0, 1.0 + 1.35 * max([1, *counts]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    _finish(axes, "Replicas")


def _draw_time(axes: "Axes", end_s: float) -> None:
    axes.set_xlim(0, 1.01 * end_s)  # room for the last mark
    minutes = end_s > 180
    axes.xaxis.set_major_formatter(lambda at_s, _: f"{at_s / 60:g} min" if minutes else f"{at_s:g} s")
    if minutes:
        every = next((step for step in (1, 2, 5, 10, 15, 30, 60, 120) if end_s / 60 / step <= 10), 240)
        axes.set_xticks([60.0 * every * tick for tick in range(int(end_s / 60 / every) + 1)])


def _finish(axes: "Axes", name: str) -> None:
    axes.set_title(name, loc="left", fontsize=PANEL_PT, color=INK)
    axes.tick_params(labelsize=TICK_PT, colors=INK, which="both")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.minorticks_off()
    axes.grid(axis="both", color="#DDDDDD", linewidth=1)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if len(axes.get_legend_handles_labels()[1]) > 1:
        above = (1.0, 0.99)
        axes.legend(loc="lower right", bbox_to_anchor=above, borderaxespad=0, ncols=2, fontsize=PANEL_PT, frameon=False)


def _curve(values: Iterable[float | None]) -> list[float]:
    return [value if value is not None and math.isfinite(value) else math.nan for value in values]


def _greatest(values: Iterable[float], *, least: float) -> float:
    return max([value for value in values if not math.isnan(value)], default=least) or least


def _dots(at_s: list[float]) -> dict[str, Any]:
    """Marks at the samples where they are few: a single sample makes no line."""
    return {"marker": "o", "markersize": 11} if len(at_s) <= 30 else {}


def _wrapped(title: str) -> str:
    return "\n".join(textwrap.wrap(title, width=52, max_lines=2, placeholder=" …"))


def _png(figure: "Figure") -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()
