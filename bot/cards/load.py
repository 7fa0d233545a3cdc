"""The parts that the cards of load tests and of capacity searches share. Pure."""

from typing import ClassVar, TypeVar

from bot.blocks import Block, Button, escape, fields, person
from bot.cards.kind import Card, OutcomeT, replica_history
from bot.cards.number_format import ms, whole_seconds
from workers.contract.events import Measured
from workers.contract.formatting import show_count, show_number
from workers.contract.jobs import FindCapacity, LoadTest
from workers.contract.record import Record

LoadJobT = TypeVar("LoadJobT", LoadTest, FindCapacity)


class LoadCard(Card[LoadJobT, OutcomeT]):
    """The card of a job that sends load: the owner of its target, and its newest second."""

    stop: ClassVar[str] = "Stop"

    def owner(self, job: LoadJobT) -> str:
        # `job.owner` is a member's id or a group's handle.
        return f"{escape(job.environment)} belongs to {person(job.owner)}" if job.owner else ""

    def live(self, record: Record) -> list[Block]:
        """See Card. The last second stays on the card of a job without a report."""
        if record.measured and record.state in ("running", "failed", "cancelled", "lost"):
            return [_second(record.measured, history=replica_history(record.scalings), final=record.final)]
        return super().live(record)

    def next_buttons(self, job_id: str, outcome: OutcomeT) -> list[Button]:
        return [Button(text="Run again", action="retry", value=job_id)]


def _second(measured: Measured, *, history: str, final: bool) -> Block:
    sample = measured.sample
    at = whole_seconds(sample.at_s)
    failures = f"{sample.failures:,} of {show_count(sample.requests, 'request')}"
    dropped = f"\n{sample.dropped:,} of them dropped" if sample.dropped else ""
    texts = [
        f"*Last seen*\n{at} after the start" if final else f"*Time*\n{at}, {whole_seconds(measured.left_s)} left",
        f"*Rate*\n{show_number(sample.achieved_rps)} of {show_number(sample.asked_rps)} rps",
        f"*Latency*\np95 {ms(sample.p95_ms)} · p50 {ms(sample.p50_ms)}",
        f"*Failures*\n{show_number(sample.failures_per_s)}/s · {failures}{dropped}",
    ]
    if history or measured.replicas:
        texts.append(f"*Replicas*\n{history or measured.replicas}")
    return fields(texts)
