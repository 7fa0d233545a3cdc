"""A job's card: the picture of its record, edited in place until the job has ended. Pure."""

from collections.abc import Sequence
from typing import assert_never

from bot.blocks import Block, Button, Message, actions, code, context, date, escape, message, person, section
from bot.cards import find_capacity, load_test
from workers.contract.events import Scaled
from workers.contract.formatting import show_count, show_duration
from workers.contract.jobs import (
    CapacityFound,
    Deploy,
    Deployed,
    FindCapacity,
    LoadTest,
    Outcome,
    Rescaled,
    Tested,
    Trained,
    TrainModel,
)
from workers.contract.record import Record, State, Step

_STATES: dict[State, tuple[str, str]] = {
    "reserved": (":white_circle:", "heard"),
    "awaiting_approval": (":large_yellow_circle:", "waits for approval"),
    "queued": (":white_circle:", "queued"),
    "waiting": (":white_circle:", "waits its turn"),
    "running": (":large_blue_circle:", "running"),
    "succeeded": (":large_green_circle:", "done"),
    "failed": (":red_circle:", "failed"),
    "cancelled": (":black_circle:", "cancelled"),
    "denied": (":black_circle:", "denied"),
    "expired": (":black_circle:", "expired"),
    "lost": (":red_circle:", "lost"),
}
_MARKS = {"running": "▸", "done": "✓", "skipped": "–", "failed": "✗"}
_BAR_CELLS = 20
_LOADED: tuple[State, ...] = ("running", "failed", "cancelled", "lost")
"""Where there is no report, the newest second is what is known."""
WORTH_TELLING_S = 0.01
"""What took less was done at once."""


def render(record: Record, *, ahead: Record | None = None) -> Message:
    """The card of `record`; `ahead` is the job that it waits for, if any."""
    sign, _ = _STATES[record.state]
    if isinstance(record.outcome, Tested):
        sign = load_test.VERDICTS[record.outcome.verdict]
    if isinstance(record.outcome, CapacityFound):
        sign = find_capacity.sign(record.outcome)
    title = record.job.summary[0].upper() + record.job.summary[1:]
    blocks = [section(f"{sign} *{escape(title)}* · {word(record)}")]
    blocks += _waiting_reason(record, ahead)
    blocks += _body(record)
    blocks.append(context(_footer(record)))
    if buttons := _buttons(record):
        blocks.append(actions(buttons))
    return message(blocks)


def word(record: Record) -> str:
    """How it stands with a job, or what it found, in a word or two."""
    match record.outcome:
        case Tested(verdict=verdict):
            return verdict
        case CapacityFound() as found:
            return find_capacity.headline(found)
        case _:
            return "stopping" if record.cancel_by and not record.final else _STATES[record.state][1]


def _waiting_reason(record: Record, ahead: Record | None) -> list[Block]:
    """Why it does not run, while it does not."""
    if record.state == "awaiting_approval" and record.approval:
        asked = record.approval
        missing = asked.count - len(record.approved_by)
        lines = [f"Needs {approvals_wanted(missing, asked.approvers, own=asked.own)}."]
        if isinstance(record.job, Deploy):
            lines.append(f"Exactly this will run: v{record.job.version}, content {code(record.job.digest[:19])}.")
        if isinstance(record.job, LoadTest | FindCapacity):
            lines.append(f"Exactly this will run: {escape(load_test.amount(record.job))}.")
        lines.append(f"The request stands until {date(asked.expires_at_s)}.")
        return [section("\n".join(lines))]
    if record.state == "waiting" and record.waits_for:
        what = f" ({escape(ahead.job.summary)})" if ahead else ""
        return [section(f"Waits for job #{record.waits_for}{what} to end.")]
    if record.state == "queued" and record.reason:
        return [section(f"Will be tried again: {escape(record.reason)}")]
    return []


def approvals_wanted(count: int, approvers: Sequence[str], *, own: bool) -> str:
    """How many have to agree, and who they are: members' ids and groups' handles; none: any member."""
    many = "one approval" if count == 1 else f"{count} approvals"
    whose = " or ".join(map(person, approvers)) or "any member"
    return f"{many} from {whose}" + ("" if own else ", not the asker's own")


def _body(record: Record) -> list[Block]:
    blocks: list[Block] = []
    if isinstance(record.outcome, Tested):
        blocks += load_test.blocks(record.outcome)
    if isinstance(record.outcome, CapacityFound) and isinstance(record.job, FindCapacity):
        blocks += find_capacity.blocks(record.outcome, record.job.slo)
    if record.steps:
        blocks.append(section("\n".join(_lines(record))))
    grown = _grown(record.scalings)
    if record.measured and record.state in _LOADED:
        blocks.append(load_test.live(record.measured, grown=grown, over=record.final))
    elif grown and record.state != "succeeded":
        blocks.append(section(f"Replicas {grown}"))
    if isinstance(record.outcome, Trained | Deployed | Rescaled):
        blocks.append(section(_sentence(record.outcome)))
    if record.state in ("failed", "lost"):
        advice = f"\n{escape(record.advice)}" if record.advice else ""
        blocks.append(section(f"*{escape(record.reason)}*{advice}"))
    return blocks


def _grown(scalings: Sequence[Scaled]) -> str:
    """How the replicas have changed so far, and why they did last; "" where they have not."""
    if not scalings:
        return ""
    counts = [scalings[0].before, *(scaling.after for scaling in scalings)]
    reason = f" ({escape(scalings[-1].reason)})" if scalings[-1].reason else ""
    return f"*{' → '.join(map(str, counts[-8:]))}*{reason}"


def _lines(record: Record) -> list[str]:
    """A line a step; those still to come follow while the job runs."""
    lines = [_line(step) for step in record.steps]
    if record.progress and record.steps[-1].state == "running":
        lines[-1] += _progress(record)
    if record.state == "running":
        begun = {step.name for step in record.steps}
        lines += [f"○ {name}" for name in record.job.steps if name not in begun]
    return lines


def _line(step: Step) -> str:
    seconds = step.seconds or 0.0
    took = f" {show_duration(seconds)}" if seconds >= WORTH_TELLING_S else ""
    note = f" · {escape(step.note)}" if step.note else ""
    return f"{_MARKS[step.state]} *{step.name}*{took}{note}"


def _progress(record: Record) -> str:
    progress = record.progress
    if progress is None:
        return ""
    fact = f" · {escape(progress.fact)}" if progress.fact else ""
    if not progress.total:
        return f" {progress.done:g}{fact}"
    share = min(max(progress.done / progress.total, 0.0), 1.0)
    full = round(share * _BAR_CELLS)
    return f"{fact}\n`{'█' * full}{'░' * (_BAR_CELLS - full)}` {share:.0%}"


def _sentence(outcome: Trained | Deployed | Rescaled) -> str:
    match outcome:
        case Trained():
            numbers = " · ".join(f"{name} {value:.3f}" for name, value in outcome.metrics.items())
            return f"*v{outcome.version}* is in the registry.\n{escape(numbers)}"
        case Deployed():
            before = f", in place of v{outcome.previous}" if outcome.previous not in (None, outcome.version) else ""
            count = show_count(outcome.ready, "replica")
            return f"*v{outcome.version} is live* on {count} (bounds {outcome.replicas}){before}.\n{outcome.address}"
        case Rescaled():
            return f"Now *{outcome.after}* ready (bounds {outcome.replicas}); before, {outcome.before}."
        case _:
            assert_never(outcome)


def _footer(record: Record) -> str:
    parts = [f"#{record.id}", f"asked by {person(record.asked.by)} {date(record.asked.at_s)}"]
    if record.asked.scheduled_by:
        parts[-1] += f" through schedule {escape(record.asked.scheduled_by)}"
    if isinstance(record.job, LoadTest | FindCapacity) and (ownership := load_test.ownership(record.job)):
        parts.append(ownership)
    if record.approved_by:
        parts.append("approved by " + ", ".join(map(person, record.approved_by)))
    if record.ended_by:
        parts.append(f"{record.state} by {person(record.ended_by)}")
    elif record.cancel_by:
        parts.append(f"{person(record.cancel_by)} asked to stop it")
    if record.took_over:
        parts.append(f"its worker died, another took it up (attempt {record.attempt})")
    elif record.attempt > 1:
        parts.append(f"attempt {record.attempt}")
    if record.started_at_s and record.ended_at_s:
        parts.append(f"took {show_duration(record.ended_at_s - record.started_at_s)}")
    return " · ".join(parts)


def _buttons(record: Record) -> list[Button]:
    """What makes sense in this state, and nothing else."""
    match record.state:
        case "awaiting_approval":
            return [
                Button(text="Approve", action="approve", value=record.id, style="primary"),
                Button(text="Deny", action="deny", value=record.id, style="danger"),
                Button(text="Cancel", action="cancel", value=record.id),
            ]
        case "queued" | "waiting" | "running":
            if record.cancel_by:
                return []
            word = "Stop" if isinstance(record.job, LoadTest | FindCapacity) else "Cancel"
            return [Button(text=word, action="cancel", value=record.id, style="danger")]
        case "succeeded":
            return _next_steps(record, record.outcome)
        case "failed" | "cancelled" | "denied" | "expired" | "lost":
            return [Button(text="Retry", action="retry", value=record.id)]
        case _:
            return []


def _next_steps(record: Record, outcome: Outcome | None) -> list[Button]:
    match outcome:
        case Trained() if isinstance(record.job, TrainModel):
            return [Button(text=f"Deploy v{outcome.version}", action="deploy", value=record.id, style="primary")]
        case Deployed() if outcome.previous not in (None, outcome.version):
            sure = f"v{outcome.previous} will take the place of what runs there."
            text = f"Roll back to v{outcome.previous}"
            return [Button(text=text, action="roll_back", value=record.id, confirm=sure)]
        case Tested() | CapacityFound():
            return [Button(text="Run again", action="retry", value=record.id)]
        case _:
            return []
