"""The chart of a load test: rate, latency, failures and replicas, stacked on one time axis. Pure."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workers.contract.formatting import show_ms, show_percentile
from workers.contract.load import Sample, Slo
from workers.reports import drawing
from workers.reports.drawing import BLUE, BOUND_DASHES, GREEN, GREY, INK, ORANGE, PANEL_PT, PURPLE, RED, TICK_PT
from workers.reports.timeline import ReplicaChanges, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 600  # more points cannot be distinguished on 1,600 pixels
MOST_ANNOTATIONS = 12


def draw_load_test(
    *,
    title: str,
    seconds: Sequence[Sample],
    replicas: ReplicaChanges = (),
    ramp_s: float = 0.0,
    slo: Slo | None = None,
    aborted_after_s: float | None = None,
) -> bytes:
    """Return a PNG of 1600 × 1200 pixels. None and NaN make a gap.

    Without `replicas` their panel is missing; a change of their number draws a thin line through all panels. The first
    `ramp_s` seconds are shaded, because they are not judged. A footer explains these marks.
    """
    samples = thinned(seconds, most=MOST_POINTS)
    at_s = [sample.at_s for sample in samples]
    end_s = max([*at_s, *(since_s for since_s, _ in replicas), 1.0])
    figure = drawing.new_figure(title)
    heights = [2.6, 3, 1.5, 1.5] if replicas else [2.6, 3, 1.5]
    panels: list[Axes] = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    _draw_rate(panels[0], at_s, samples)
    _draw_latency(panels[1], at_s, samples, slo or Slo())
    _draw_failures(panels[2], at_s, samples)
    changes = _changes(replicas)
    if replicas:
        _draw_replicas(panels[3], replicas, changes, end_s)
    changed_s = [since_s for since_s, _ in changes[1:]] if len(changes) <= MOST_ANNOTATIONS else []
    for panel in panels:
        _mark(panel, changed_s, min(ramp_s, end_s), aborted_after_s)
    _draw_time(panels[-1], end_s)
    notes = {
        "shaded: ramp, not judged": ramp_s,
        "thin lines: replicas changed": changed_s,
        "thick line: ended early": aborted_after_s is not None,
    }
    panels[-1].set_xlabel(" · ".join(note for note, holds in notes.items() if holds), fontsize=TICK_PT, color=INK)
    return drawing.png(figure)


def _draw_rate(axes: "Axes", at_s: list[float], seconds: Sequence[Sample]) -> None:
    asked, achieved = drawing.curve(s.asked_rps for s in seconds), drawing.curve(s.achieved_rps for s in seconds)
    drawing.draw_curve(axes, at_s, achieved, label="achieved", colour=BLUE, width=6)
    axes.plot(at_s, asked, color=INK, linewidth=2.5, linestyle=(0, (5, 3)), label="asked")
    axes.set_ylim(0, 1.2 * drawing.greatest([*asked, *achieved], least=1.0))
    drawing.finish(axes, "Requests per second")


def _draw_latency(axes: "Axes", at_s: list[float], seconds: Sequence[Sample], slo: Slo) -> None:
    curves = (
        ("p99", PURPLE, drawing.curve(s.p99_ms for s in seconds)),
        ("p95", ORANGE, drawing.curve(s.p95_ms for s in seconds)),
        ("p50", GREEN, drawing.curve(s.p50_ms for s in seconds)),
    )
    for name, colour, values in curves:
        if any(value >= 0 for value in values):
            drawing.draw_curve(axes, at_s, values, label=name, colour=colour, width=4)
    colours = {name: colour for name, colour, _ in curves}
    for percentile, bound_ms in slo.latency_ms:
        name = show_percentile(percentile)
        label = f"{name} < {show_ms(bound_ms)}"
        axes.axhline(bound_ms, color=colours.get(name, RED), linewidth=3, linestyle=BOUND_DASHES, label=label)
    values = [value for _, _, values in curves for value in values]
    if seconds and all(math.isnan(value) for value in values):
        _write(axes, "no request was answered")
    drawing.scale_latency(axes, [*values, *(bound_ms for _, bound_ms in slo.latency_ms)])
    drawing.finish(axes, "Latency (ms)")


def _draw_failures(axes: "Axes", at_s: list[float], seconds: Sequence[Sample]) -> None:
    failed = drawing.curve(s.failures_per_s for s in seconds)
    dropped = drawing.curve(min(s.dropped_per_s, s.failures_per_s) for s in seconds)
    axes.set_ylim(0, 1.25 * drawing.greatest(failed, least=1.0))
    if any(value > 0 for value in failed):
        times = [0.0, *at_s]
        layers = [("failed", RED, failed)]
        if any(value > 0 for value in dropped):
            layers.append(("dropped", INK, dropped))
        for label, colour, values in layers:
            axes.fill_between(times, [values[0], *values], step="pre", color=colour, linewidth=0, label=label)
    else:
        _write(axes, "none")
    drawing.finish(axes, "Failures per second")


def _write(axes: "Axes", words: str) -> None:
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", fontsize=PANEL_PT, color=INK)


def _draw_replicas(axes: "Axes", replicas: ReplicaChanges, changes: ReplicaChanges, end_s: float) -> None:
    from matplotlib.ticker import MaxNLocator

    times = [*(since_s for since_s, _ in replicas), end_s]
    counts = [count for _, count in replicas]
    axes.step(times, [*counts, counts[-1]], where="post", color=INK, linewidth=4)
    if len(changes) > MOST_ANNOTATIONS:
        changes = [changes[0], max(changes, key=lambda change: change[1]), changes[-1]]
    for since_s, count in changes:
        axes.annotate(
            f"{count}", (since_s, count), (6, 7), textcoords="offset points", size=PANEL_PT, weight="bold", color=INK
        )
    axes.set_ylim(0, 1.0 + 1.7 * max([1, *counts]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    drawing.finish(axes, "Replicas")


def _draw_time(axes: "Axes", end_s: float) -> None:
    axes.set_xlim(0, 1.01 * end_s)  # room for the last mark
    minutes = end_s > 180
    axes.xaxis.set_major_formatter(lambda at_s, _: f"{at_s / 60:g} min" if minutes else f"{at_s:g} s")
    if minutes:
        every = next((step for step in (1, 2, 5, 10, 15, 30, 60, 120) if end_s / 60 / step <= 10), 240)
        axes.set_xticks([60.0 * every * tick for tick in range(int(end_s / 60 / every) + 1)])


def _changes(replicas: ReplicaChanges) -> ReplicaChanges:
    return [change for at, change in enumerate(replicas) if at == 0 or change[1] != replicas[at - 1][1]]


def _mark(axes: "Axes", changed_s: Sequence[float], ramp_s: float, aborted_after_s: float | None) -> None:
    for at_s in changed_s:
        axes.axvline(at_s, color=GREY, linewidth=1.5, zorder=0.5)
    if ramp_s:
        axes.axvspan(0, ramp_s, color=GREY, alpha=0.18, linewidth=0, zorder=0)
    if aborted_after_s is not None:
        axes.axvline(aborted_after_s, color=RED, linewidth=4)
