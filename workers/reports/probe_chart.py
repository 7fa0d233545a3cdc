"""The chart of a capacity search: latency and failures by rate. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workers.contract.formatting import digits, show_ms, show_number, show_percentile
from workers.contract.jobs import Probe
from workers.contract.load import Slo
from workers.reports import drawing
from workers.reports.drawing import BOUND_DASHES, GREEN, GREY, INK, LOG_FROM, ORANGE, RED, TICK_PT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = {"PASS": ("held", "o", GREEN), "FAIL": ("missed", "X", RED), "INVALID": ("not judged", "D", ORANGE)}
"""Verdicts differ by shape, not only by colour."""
MARK_SIZE = 22
MOST_RATES = 7
P95 = 95.0


def draw_search(*, title: str, probes: Sequence[Probe], slo: Slo, found_rps: float | None) -> bytes:
    """Return a PNG of 1600 × 1200 pixels: the objective's percentile (p95 by default) and the failures, by rate."""
    figure = drawing.new_figure(title)
    latency, failures = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1.4])
    percentile, bound_ms = next(iter(slo.latency_ms), (P95, None))
    ordered = sorted(probes, key=lambda probe: probe.rate_rps)
    rates = [probe.rate_rps for probe in ordered]
    values_ms = drawing.curve(_at(probe, percentile) for probe in ordered)
    _draw(latency, ordered, values_ms)
    if bound_ms is not None:
        label = f"{show_percentile(percentile)} < {show_ms(bound_ms)}"
        latency.axhline(bound_ms, color=RED, linewidth=3, linestyle=BOUND_DASHES, label=label)
    drawing.scale_latency(latency, [*values_ms, *([bound_ms] if bound_ms else [])])
    errors = [probe.errors_percent for probe in ordered]
    _draw(failures, ordered, errors)
    if slo.errors_percent is not None:
        failures.axhline(slo.errors_percent, color=RED, linewidth=3, linestyle=BOUND_DASHES, zorder=1)
    highest = 1.25 * drawing.greatest([*errors, 1.25 * (slo.errors_percent or 0.0)], least=1.0)
    failures.set_ylim(-0.15 * highest, highest)  # marks at zero must not cover the rates
    for panel in (latency, failures):
        if found_rps is not None:
            panel.axvline(found_rps, color=INK, linewidth=3, zorder=1, label=f"{show_number(found_rps)} rps")
    drawing.finish(latency, f"{show_percentile(percentile)} (ms)")
    below = "" if slo.errors_percent is None else f", objective: below {digits(slo.errors_percent)} %"
    drawing.finish(failures, f"Failures (%){below}")
    if legend := failures.get_legend():
        legend.remove()
    _draw_rates(failures, rates)
    return drawing.png(figure)


def _at(probe: Probe, percentile: float) -> float | None:
    """Return the percentile, or the next higher one that the probe has."""
    nearest = min((each for each in probe.latency_ms if each >= percentile), default=None)
    return None if nearest is None else probe.latency_ms[nearest]


def _draw(axes: "Axes", probes: Sequence[Probe], values: Sequence[float]) -> None:
    rates = [probe.rate_rps for probe in probes]
    axes.plot(rates, values, color=GREY, linewidth=2, zorder=1)
    for verdict, (label, marker, colour) in MARKS.items():
        chosen = [
            (rate, value) for rate, value, probe in zip(rates, values, probes, strict=True) if probe.verdict == verdict
        ]
        if chosen:
            at, height = zip(*chosen, strict=True)
            axes.plot(
                at,
                height,
                marker,
                color=colour,
                markersize=MARK_SIZE,
                markeredgecolor="white",
                label=label,
                clip_on=False,
            )


def _draw_rates(axes: "Axes", rates: Sequence[float]) -> None:
    name = "requests per second"
    if rates and max(rates) / min(rates) >= LOG_FROM:
        axes.set_xscale("log", subs=[])
        name += ", log scale"
        least, highest = min(rates) / 1.2, max(rates) * 1.2
        axes.set_xlim(least, highest)
        axes.set_xticks(drawing.log_ticks(least, highest, most=MOST_RATES))
    else:
        axes.set_xlim(0, 1.08 * drawing.greatest(rates, least=1.0))
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda rate, _: show_number(rate))
    axes.set_xlabel(name, fontsize=TICK_PT, color=INK)
