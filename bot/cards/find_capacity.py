"""The card of a capacity search. Pure."""

from bot.blocks import Block, escape, header, section
from bot.cards.load import LoadCard
from bot.cards.number_format import ms, table
from workers.contract.formatting import show_count, show_duration, show_number, show_percentile, show_share
from workers.contract.jobs import CapacityFound, FindCapacity, Probe
from workers.contract.load import MOST_PROBES, Slo

_DEFAULT_PERCENTILE = 95.0
_MOST_COLUMNS = 2
"""Of percentiles and replicas. A phone breaks longer lines."""


class FindCapacityCard(LoadCard[FindCapacity, CapacityFound]):
    """The rate that the endpoint sustains, the limit, and a table of the rates that were tried."""

    def verdict(self, outcome: CapacityFound) -> tuple[str, str]:
        if outcome.rate_rps is None:
            return ":red_circle:", "no rate held"
        return ":large_green_circle:", f"{show_number(outcome.rate_rps)} rps"

    def approval_facts(self, job: FindCapacity) -> str:
        return (
            f"up to {MOST_PROBES} rates of {show_duration(job.probe_s)} each against {escape(job.place)}, the highest "
            f"{show_number(job.highest_rps)} rps, at most {show_duration(job.load.duration_s)}"
        )

    def report(self, job: FindCapacity, outcome: CapacityFound) -> list[Block]:
        _, rate = self.verdict(outcome)
        blocks = [header(f"{rate[0].upper()}{rate[1:]}{_on_replicas(outcome)}")]
        if outcome.limit:
            blocks.append(section(escape(outcome.limit)))
        if outcome.probes:
            blocks.append(_probes(outcome, job.slo))
        return blocks


def _on_replicas(found: CapacityFound) -> str:
    if found.per_replica_rps is None:
        return ""
    each = "" if found.replicas == 1 else f", {show_number(found.per_replica_rps)} rps per replica"
    return f" on {show_count(found.replicas, 'replica')}{each}"


def _probes(found: CapacityFound, slo: Slo) -> Block:
    """Return a table of the probes, lowest rate first: verdict, the SLO's percentiles, failures and replicas."""
    with_replicas = any(probe.replicas for probe in found.probes)
    percentiles = [percentile for percentile, _ in slo.latency_ms] or [_DEFAULT_PERCENTILE]
    percentiles = percentiles[: _MOST_COLUMNS - with_replicas]
    probes = sorted(found.probes, key=lambda probe: probe.rate_rps)
    rates = [show_number(probe.rate_rps) for probe in probes]
    width = max(map(len, rates))
    rows = [["rps".rjust(width), "", *map(show_percentile, percentiles), "failed", *["replicas"][: int(with_replicas)]]]
    for rate, probe in zip(rates, probes, strict=True):
        latencies = [ms(_latency_ms(probe, percentile)) for percentile in percentiles]
        count = [str(probe.replicas)] if with_replicas else []
        rows.append([rate.rjust(width), probe.verdict, *latencies, show_share(probe.errors_percent, 100), *count])
    return table(rows)


def _latency_ms(probe: Probe, percentile: float) -> float | None:
    """Return the latency at the percentile, or at the next higher one that was measured."""
    nearest = min((key for key in probe.latency_ms if key >= percentile), default=None)
    return None if nearest is None else probe.latency_ms[nearest]


CARD = FindCapacityCard()
