"""A load test in words: what was asked, how it goes, how it went. Pure."""

from typing import ClassVar, TypeVar

from bot.blocks import Block, Button, context, escape, fields, person, section
from bot.cards.kind import Card, OutcomeT, replica_history
from bot.cards.load_charts import charts
from bot.cards.number_format import change, latency, ms, replicas
from workers.contract.events import Measured
from workers.contract.formatting import show_count, show_duration, show_number, show_percentile, show_share
from workers.contract.jobs import EarlierRuns, FindCapacity, LoadTest, Tested
from workers.contract.load import MOST_PROBES
from workers.contract.record import Record, State

VERDICTS = {"PASS": ":large_green_circle:", "FAIL": ":red_circle:", "INVALID": ":large_orange_circle:"}
_KINDS = 5
_COMPARED = (50.0, 95.0, 99.0)
_SHOWS_LAST_SECOND: tuple[State, ...] = ("running", "failed", "cancelled", "lost")
"""States without a report."""

LoadJobT = TypeVar("LoadJobT", LoadTest, FindCapacity)


def amount(job: LoadTest | FindCapacity) -> str:
    """How much load that is, and where: what an approver has to know."""
    where = f"{job.model} on {job.environment}" if job.model else job.environment
    if isinstance(job, FindCapacity):
        return (
            f"up to {MOST_PROBES} rates of {show_duration(job.probe_s)} each against {where}, the highest "
            f"{show_number(job.highest_rps)} rps, {show_duration(job.load.duration_s)} at the most"
        )
    due = sum((stage.from_rps + stage.to_rps) / 2 * stage.length_s for stage in job.stages)
    requests = show_count(round(due), "request")
    ramp = f" and {show_duration(job.ramp_s)} of ramp" if job.ramp_s else ""
    highest = f"{'' if job.shape.kind == 'constant' else 'up to '}{show_number(job.load.rate_rps)} rps"
    return f"{highest} for {show_duration(job.duration_s)}{ramp} against {where}, {requests} in all"


def ownership(job: LoadTest | FindCapacity) -> str:
    """Whom a target belongs to, "" for an environment: `owner` is a user's id or a group's handle."""
    return f"{escape(job.environment)} belongs to {person(job.owner)}" if job.owner else ""


def live(measured: Measured, *, grown: str, over: bool = False) -> Block:
    """The newest second, which is the last where the job is `over`; `grown`: how the replicas have changed, or ""."""
    sample = measured.sample
    counted = f"{sample.failures:,} of {show_count(sample.requests, 'request')}"
    time = f"*Time*\n{_whole(sample.at_s)}, {_whole(measured.left_s)} left"
    if over:
        time = f"*Last seen*\n{_whole(sample.at_s)} after the start"
    dropped = f"\n{sample.dropped:,} of them dropped" if sample.dropped else ""
    shown = [
        time,
        f"*Rate*\n{show_number(sample.achieved_rps)} of {show_number(sample.asked_rps)} rps",
        f"*Latency*\np95 {ms(sample.p95_ms)} · p50 {ms(sample.p50_ms)}",
        f"*Failures*\n{show_number(sample.failures_per_s)}/s · {counted}{dropped}",
    ]
    if grown or measured.replicas:
        shown.append(f"*Replicas*\n{grown or measured.replicas}")
    return fields(shown)


def blocks(tested: Tested) -> list[Block]:
    """The report: the verdict's reasons, then the numbers, where any request was due."""
    shown: list[Block] = []
    if tested.reasons:
        shown.append(section("\n".join(f"• {escape(reason)}" for reason in tested.reasons)))
    if not tested.requests:
        return shown
    achieved = f"{tested.achieved_rps:,.1f}".removesuffix(".0")
    numbers = [f"*Rate*\n{achieved} of {show_number(tested.asked_rps)} rps", _requests(tested)]
    if tested.replicas_most:
        numbers.append(f"*Replicas*\n{replicas(tested.replicas_before, tested.replicas_most)}{_scaling(tested)}")
    if tested.aborted_after_s is not None:
        numbers.append(f"*Ended early*\nafter {show_duration(tested.aborted_after_s)}")
    shown.append(fields(numbers))
    shown.append(section(f"*Latency*\n{latency(tested.latency_ms) or 'no answer'}"))
    if tested.earlier:
        shown.append(section(_against(tested, tested.earlier)))
    if tested.send_lag_ms and tested.service_ms:
        shown.append(context(_where_time_went(tested)))
    return shown


def _requests(tested: Tested) -> str:
    share = show_share(tested.failures, tested.requests)
    lines = [f"*Requests*\n{tested.requests:,}, {tested.failures:,} failed ({share})"]
    by_count = sorted(tested.failures_by_kind.items(), key=lambda kind: -kind[1])
    lines += [f"{count:,} × {escape(kind)}" for kind, count in by_count[:_KINDS]]
    if others := sum(count for _, count in by_count[_KINDS:]):
        lines.append(f"{others:,} × other kinds")
    return "\n".join(lines)


def _scaling(tested: Tested) -> str:
    if tested.scaled_after_s is None:
        return ", no change"
    most = " at the most" if tested.replicas_most == tested.replicas_before else ""
    settled = tested.settled_after_s
    until = f", settled after {_whole(settled)}" if settled is not None and settled > tested.scaled_after_s else ""
    return f"{most}\nchanged after {_whole(tested.scaled_after_s)}{until}"


def _whole(seconds: float) -> str:
    return show_duration(round(seconds))


def _against(tested: Tested, earlier: EarlierRuns) -> str:
    """The change against the median of earlier runs."""
    runs = "one earlier run" if earlier.runs == 1 else f"the median of {earlier.runs} earlier runs"
    parts = [
        f"{show_percentile(key)} {change(before_ms, tested.latency_ms[key])} ({ms(before_ms)})"
        for key in _COMPARED
        if (before_ms := earlier.latency_ms.get(key)) is not None and key in tested.latency_ms
    ]
    parts.append(f"failed {show_share(tested.failures, tested.requests)} ({show_share(earlier.errors_percent, 100)})")
    turned = f" · the last one was {earlier.verdict}" if earlier.verdict != tested.verdict else ""
    return f"*Against {runs}*\n{' · '.join(parts)}{turned}"


def _where_time_went(tested: Tested) -> str:
    # A slow generator is told from a slow target by these two.
    lag, service = tested.send_lag_ms.get(99.0), tested.service_ms.get(99.0)
    return f"Latency counts from when a request was due. At p99, requests left {ms(lag)} late and took {ms(service)}."


class LoadCard(Card[LoadJobT, OutcomeT]):
    """The card of a job that sends load: its amount, its owner, and its newest second."""

    stop: ClassVar[str] = "Stop"

    def approval_facts(self, job: LoadJobT) -> str:
        """See Card."""
        return escape(amount(job))

    def owner(self, job: LoadJobT) -> str:
        """See Card."""
        return ownership(job)

    def live(self, record: Record) -> list[Block]:
        """See Card."""
        if record.measured and record.state in _SHOWS_LAST_SECOND:
            return [live(record.measured, grown=replica_history(record.scalings), over=record.final)]
        return super().live(record)

    def next_buttons(self, job_id: str, outcome: OutcomeT) -> list[Button]:
        """See Card."""
        return [Button(text="Run again", action="retry", value=job_id)]


class LoadTestCard(LoadCard[LoadTest, Tested]):
    """The verdict with its reasons and numbers, and Slack's own charts in the thread."""

    def verdict(self, outcome: Tested) -> tuple[str, str]:
        """See Card."""
        return VERDICTS[outcome.verdict], outcome.verdict

    def report(self, job: LoadTest, outcome: Tested) -> list[Block]:
        """See Card."""
        return blocks(outcome)

    def result(self, outcome: Tested) -> str:
        """See Card."""
        return outcome.verdict

    def reason(self, outcome: Tested) -> str:
        """See Card."""
        return next(iter(outcome.reasons), "")

    def charts(self, outcome: Tested) -> list[Block]:
        """See Card."""
        return charts(outcome)


CARD = LoadTestCard()
