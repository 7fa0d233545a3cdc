"""The search for the highest rate that meets the SLO: the next rate to try, and the reason for the end. Pure."""

import math
from collections.abc import Sequence

from workers.contract.formatting import show_number
from workers.contract.jobs import Probe
from workers.contract.load import MOST_PROBES

NEAR = 1.05
"""Ratio between the lowest failed and the highest passed rate that ends a search: two runs of one test differ more."""


def next_rate(probes: Sequence[Probe], *, lowest_rps: float, highest_rps: float, replicas: int = 0) -> float | None:
    """Return the rate to try after `probes`, or None at the end. `replicas`: their number before the search.

    The rate doubles from the lowest until one fails or the highest passes. Then it is the geometric mean of the highest
    passed rate and the lowest failed rate above it. A rate that failed while replicas were added is tried again.
    """
    if not probes:
        return lowest_rps
    if probes[-1].verdict == "INVALID" or len(probes) >= MOST_PROBES:
        return None
    if probes[-1].verdict == "FAIL" and probes[-1].replicas > (probes[-2].replicas if len(probes) > 1 else replicas):
        return probes[-1].rate_rps
    held_rps, failed_rps = bounds(probes)
    if held_rps is None:
        return None
    if failed_rps is None:
        return None if held_rps >= highest_rps else min(2 * held_rps, highest_rps)
    if failed_rps <= NEAR * held_rps:
        return None
    return float(f"{math.sqrt(held_rps * failed_rps):.3g}")


def bounds(probes: Sequence[Probe]) -> tuple[float | None, float | None]:
    """Return the highest rate that passed and the lowest failed one above it, each None if missing.

    The later of two probes at the same rate counts.
    """
    latest = {probe.rate_rps: probe.verdict for probe in probes}
    held_rps = max((rate for rate, verdict in latest.items() if verdict == "PASS"), default=None)
    failed = (rate for rate, verdict in latest.items() if verdict == "FAIL" and rate > (held_rps or 0.0))
    return held_rps, min(failed, default=None)


def limit(probes: Sequence[Probe]) -> str:
    held_rps, failed_rps = bounds(probes)
    last = probes[-1]
    if last.verdict == "INVALID":
        return f"The search ended because the measurement at {show_number(last.rate_rps)} rps failed. {last.reason}"
    if failed_rps is None:
        return f"{show_number(held_rps or 0.0)} rps held, the highest rate requested."
    why = next(probe.reason for probe in reversed(probes) if probe.rate_rps == failed_rps)
    if held_rps is None:
        return f"{show_number(failed_rps)} rps, the lowest rate, did not hold. {why}"
    if failed_rps > NEAR * held_rps:
        between = f"between {show_number(held_rps)} and {show_number(failed_rps)} rps"
        return f"The limit lies {between}; the search ended after {len(probes)} rates. {why}"
    return f"{show_number(failed_rps)} rps did not hold. {why}"
