"""What a search for an endpoint's capacity found. Pure."""

from bot.blocks import Block, escape, header, section
from bot.cards.number_format import ms, table
from workers.contract.formatting import show_count, show_number, show_percentile, show_share
from workers.contract.jobs import CapacityFound, Probe
from workers.contract.load import Slo

_USUAL = 95.0
_MOST_COLUMNS = 2
"""Of percentiles and replicas; a phone breaks longer lines."""


def sign(found: CapacityFound) -> str:
    """The circle on its card."""
    return ":red_circle:" if found.rate_rps is None else ":large_green_circle:"


def headline(found: CapacityFound) -> str:
    """The rate that people want, in a few words."""
    return "no rate held" if found.rate_rps is None else f"{show_number(found.rate_rps)} rps"


def blocks(found: CapacityFound, slo: Slo) -> list[Block]:
    """The rate, per replica, what limits it, and every rate that was tried."""
    said = headline(found)
    shown = [header(f"{said[0].upper()}{said[1:]}{_on_replicas(found)}")]
    if found.limit:
        shown.append(section(escape(found.limit)))
    return [*shown, _probes(found, slo)] if found.probes else shown


def _on_replicas(found: CapacityFound) -> str:
    if found.per_replica_rps is None:
        return ""
    each = "" if found.replicas == 1 else f", {show_number(found.per_replica_rps)} rps a replica"
    return f" on {show_count(found.replicas, 'replica')}{each}"


def _probes(found: CapacityFound, slo: Slo) -> Block:
    """A line a rate, the lowest first: whether it held, what the objectives speak of, and the replicas it had."""
    counted = any(probe.replicas for probe in found.probes)
    judged = [bounded for bounded, _ in slo.latency_ms][: _MOST_COLUMNS - counted] or [_USUAL]
    tried = sorted(found.probes, key=lambda probe: probe.rate_rps)
    rates = [show_number(probe.rate_rps) for probe in tried]
    width = max(map(len, rates))
    rows = [["rps".rjust(width), "", *map(show_percentile, judged), "failed", *(["replicas"] if counted else [])]]
    for rate, probe in zip(rates, tried, strict=True):
        latencies = [ms(_latency_ms(probe, wanted)) for wanted in judged]
        count = [str(probe.replicas)] if counted else []
        rows.append([rate.rjust(width), probe.verdict, *latencies, show_share(probe.errors_percent, 100), *count])
    return table(rows)


def _latency_ms(probe: Probe, wanted: float) -> float | None:
    """The percentile, or the next one above that was kept."""
    kept = min((key for key in probe.latency_ms if key >= wanted), default=None)
    return None if kept is None else probe.latency_ms[kept]
