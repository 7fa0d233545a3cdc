"""A load test in words: while it runs, and when it has ended. Pure."""

from bot.views.blocks import Block, escape, fields, section
from workers.contract.events import Measured
from workers.contract.outcomes import Tested

VERDICTS = {"PASS": ":large_green_circle:", "FAIL": ":red_circle:", "INVALID": ":large_orange_circle:"}


def live(measured: Measured) -> Block:
    """The newest second."""
    return fields(
        [
            f"*Rate*\n{measured.achieved_rps:,.0f} of {measured.asked_rps:,.0f} rps",
            f"*Latency*\np50 {_ms(measured.p50_ms)} · p95 {_ms(measured.p95_ms)}",
            f"*Failures*\n{measured.failures_per_s:,.0f}/s",
            f"*Second*\n{measured.second_s:.0f}",
        ]
    )


def blocks(tested: Tested) -> list[Block]:
    """The report: the verdict's reasons, then the numbers."""
    shown: list[Block] = []
    if tested.reasons:
        shown.append(section("\n".join(f"• {escape(reason)}" for reason in tested.reasons)))
    latency = " · ".join(f"{_percentile(key)} {_ms(value)}" for key, value in sorted(tested.latency_ms.items()))
    share = tested.failures / tested.requests if tested.requests else 0.0
    kinds = "".join(f"\n{count:,} × {escape(kind)}" for kind, count in list(tested.failures_by_kind.items())[:5])
    grown = f"{tested.replicas_before} → {tested.replicas_most}"
    began = f", first after {tested.scaled_after_s:.0f} s" if tested.scaled_after_s is not None else ", no change"
    shown.append(
        fields(
            [
                f"*Rate*\n{tested.achieved_rps:,.1f} of {tested.asked_rps:,.0f} rps",
                f"*Requests*\n{tested.requests:,}, {tested.failures:,} failed ({share:.2%}){kinds}",
                f"*Replicas*\n{grown}{began}",
            ]
        )
    )
    shown.append(section(f"*Latency*\n{latency or 'no answer'}"))
    return shown


def _percentile(percentile: float) -> str:
    return "max" if percentile == 100 else f"p{percentile:g}"


def _ms(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "–"
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:,.0f} ms"
