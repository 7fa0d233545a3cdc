"""What is said of schedules: what there is, what was missed, what became no job, how a verdict changed. Pure."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from bot.blocks import Message, code, context, date, escape, message, paragraphs, person, section
from bot.cards import load_test
from bot.state import Result, Schedule
from bot.views.replies import plain, waiting
from workers.contract.jobs import Tested
from workers.contract.record import Record
from workers.contract.settings import Approvals

_DAY = "{date_short_pretty} {time}"
_SIGNS = load_test.VERDICTS | {"done": ":large_green_circle:"}
_BAD = ":red_circle:"
_MOST_IN_FULL = 15
"""More schedules than these do not surely fit into one message with all that there is to say of each."""


def listed(found: Sequence[tuple[Schedule, Sequence[float]]]) -> Message:
    """`/schedule list`, with the next firings; a line each where there are many."""
    if not found:
        return plain(
            "There is no schedule. Add one: " + code('/schedule add "0 2 * * 1-5" Europe/Berlin loadtest 1000rps 5m')
        )
    if len(found) > _MOST_IN_FULL:
        return message(paragraphs(_in_short(schedule, times) for schedule, times in found))
    return message([section(_schedule(schedule, times)) for schedule, times in found])


def added(schedule: Schedule, times: Sequence[float], approvals: Approvals | None) -> Message:
    """`/schedule add`, posted for all to see; `approvals` are what each firing waits for."""
    lines = [f"{person(schedule.by)} added a schedule.", _schedule(schedule, times)]
    if approvals is not None:
        lines.append(f"Each time it will {waiting(approvals)}")
    return plain("\n".join(lines))


def resumed(schedule: Schedule, times: Sequence[float]) -> Message:
    """`/schedule resume`."""
    return plain(f"Schedule {schedule.id} fires again.\n{_schedule(schedule, times)}")


def removed(schedule: Schedule) -> Message:
    """`/schedule remove`."""
    return plain(f"Schedule {schedule.id} is removed. It was: {code(schedule.command)}")


def missed(schedule: Schedule, due_s: Sequence[float]) -> Message:
    """Firings that nobody saw to in time."""
    when = date(due_s[0], _DAY)
    if len(due_s) > 1:
        when = f"{len(due_s):,} times from {when} to {date(due_s[-1], _DAY)}"
    return plain(
        f":warning: {_what(schedule)} was due {when} and was missed: no bot ran that could reach Slack and Redis."
    )


def not_fired(schedule: Schedule, why: Message) -> Message:
    """A firing that became no job, and `why`, as whoever typed the command would be told."""
    said = f":warning: {_what(schedule)} was due in <#{schedule.channel}> and started nothing."
    advice = f"It is tried again whenever it is due. To end that: {code(f'/schedule remove {schedule.id}')}"
    return message([section(said), *why.blocks, context(advice)])


def changed(record: Record, before: Result, now: Result, *, link: str) -> Message:
    """A job of a schedule that ended otherwise than the one before: the whole channel is to know, with why and where.

    `link` leads to the job's card.
    """
    title = escape(record.job.summary[0].upper() + record.job.summary[1:])
    what = f"<{link}|{title}>" if link else title
    schedule = escape(record.asked.scheduled_by or "")
    lines = [
        f"{_SIGNS.get(now.word, _BAD)} <!channel> *{now.word}*, after *{before.word}* in job #{before.job_id}: "
        f"{what} (schedule {schedule})"
    ]
    why = record.outcome.reasons[:1] if isinstance(record.outcome, Tested) else (record.reason,)
    lines += [escape(reason) for reason in why if reason]
    return plain("\n".join(lines))


def _what(schedule: Schedule) -> str:
    return f"Schedule {schedule.id} ({code(schedule.command)})"


def _schedule(schedule: Schedule, times: Sequence[float]) -> str:
    for_reader = ", ".join(date(at_s, _DAY) for at_s in times)
    lines = [_asked(schedule)]
    if schedule.next_due_s is None:
        lines.append(f"*paused*; {code(f'/schedule resume {schedule.id}')} starts it again")
    else:
        there = " · ".join(_there(schedule, times))
        lines += [f"next: {there} in {schedule.time_zone}", f"for you: {for_reader}"]
    if schedule.result:
        result = schedule.result
        lines.append(f"last: *{result.word}* in job #{result.job_id}, {date(result.at_s, _DAY)}")
    return "\n".join(lines)


def _in_short(schedule: Schedule, times: Sequence[float]) -> str:
    when = "*paused*" if schedule.next_due_s is None else f"next: {''.join(_there(schedule, times)[:1])}"
    return f"{_asked(schedule)}, {when}" + (f", last: *{schedule.result.word}*" if schedule.result else "")


def _asked(schedule: Schedule) -> str:
    return f"*{schedule.id}* {code(schedule.cron)} {schedule.time_zone} → {code(schedule.command)}"


def _there(schedule: Schedule, times: Sequence[float]) -> list[str]:
    """Times by the clocks of the schedule's zone."""
    zone = ZoneInfo(schedule.time_zone)
    # One that names its months may be due in another year.
    day = "%a %-d %b %H:%M" if schedule.cron.split()[3] == "*" else "%a %-d %b %Y %H:%M"
    return [format(datetime.fromtimestamp(at_s, zone), day) for at_s in times]
