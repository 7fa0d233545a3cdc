"""Messages about schedules, for the member who manages one and for the schedule's channel. Pure."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from bot.blocks import Message, code, context, date, escape, message, paragraphs, person, section
from bot.cards.card import card_of, sign, title
from bot.state import Result, Schedule
from bot.views.replies import plain, waiting
from workers.contract.formatting import show_duration
from workers.contract.record import Record
from workers.contract.settings import Approvals

_DAY = "{date_short_pretty} {time}"
_MOST_IN_FULL = 15
"""Longer lists of schedules have one line each, to fit into one message."""

AUTHOR_UNKNOWN = "Slack no longer knows the user who created this schedule. Ask an active member to create it again."


def listed(found: Sequence[tuple[Schedule, Sequence[float]]]) -> Message:
    """Return the answer to `/schedule list`: each schedule with its next firings."""
    if not found:
        example = code('/schedule add "0 2 * * 1-5" Europe/Berlin loadtest 1000rps 5m')
        return plain(f"There is no schedule. Add one: {example}")
    if len(found) > _MOST_IN_FULL:
        return message(paragraphs(_in_short(schedule, times) for schedule, times in found))
    return message([section(_in_full(schedule, times)) for schedule, times in found])


def added(
    schedule: Schedule, times: Sequence[float], approvals: Approvals | None, overlap: tuple[float, float] | None = None
) -> Message:
    """Return the announcement of a new schedule. `approvals` are the ones that each of its jobs needs.

    `overlap`: the interval between firings and the duration of a job in seconds, if the interval is shorter.
    """
    lines = [f"{person(schedule.by)} added a schedule.", _in_full(schedule, times)]
    if approvals:
        lines.append(f"Each job will {waiting(approvals)}")
    if overlap:
        interval, duration = map(show_duration, overlap)
        lines.append(
            f":warning: The interval of {interval} is shorter than a job, which takes about {duration}. "
            "A firing is skipped while the previous job has not ended."
        )
    return plain("\n".join(lines))


def resumed(schedule: Schedule, times: Sequence[float]) -> Message:
    """Return the answer to `/schedule resume`."""
    return plain(f"Schedule {schedule.id} fires again.\n{_in_full(schedule, times)}")


def removed(schedule: Schedule) -> Message:
    """Return the answer to `/schedule remove`."""
    return plain(f"Schedule {schedule.id} is removed. Its command was: {code(schedule.command)}")


def missed(schedule: Schedule, due_s: Sequence[float]) -> Message:
    """Return the report of missed firings."""
    why = "no bot was running that could reach Slack and Redis"
    return plain(f":warning: {_name(schedule)} was due {_when(due_s, len(due_s))} and was missed: {why}.")


def stopped(schedule: Schedule, why: Message) -> Message:
    """Return the report that a schedule cannot run and is paused. `why` is the answer to its command."""
    what = f":warning: {_name(schedule)} was due in <#{schedule.channel}> and started no job."
    paused = f"{person(schedule.by)}, the schedule is paused now."
    resume, remove = code(f"/schedule resume {schedule.id}"), code(f"/schedule remove {schedule.id}")
    advice = (
        f"After the cause is repaired: {resume}. To delete the schedule, or to add it with another command: {remove}."
    )
    return message([section(what), *why.blocks, section(paused), context(advice)])


def skipped(schedule: Schedule, job_id: str, *, due_s: Sequence[float], count: int, runs: bool) -> Message:
    """Return the report of `count` firings that were skipped because job `job_id` of the schedule runs or waits.

    `due_s` has the time of the first and, if there are more, of the last one.
    """
    still = "still runs" if runs else "still waits"
    return plain(
        f"Schedule {schedule.id} was due {_when(due_s, count)}: skipped, the previous one (#{job_id}) {still}."
    )


def changed(record: Record, before: Result, now: Result, *, link: str) -> Message:
    """Return the notification that a schedule's job ended unlike the one before. `link` leads to the job's card."""
    name = escape(title(record.job))
    what = f"<{link}|{name}>" if link else name
    schedule = escape(record.asked.scheduled_by or "")
    reason = card_of(record.job).reason(record.outcome) if record.outcome else record.reason
    change = f"*{now.status}*, after *{before.status}* in job #{before.job_id}: {what} (schedule {schedule})"
    return plain(f"{sign(record)} <!channel> {change}\n{escape(reason)}".rstrip("\n"))


def _when(due_s: Sequence[float], count: int) -> str:
    """Return the times of `count` firings. `due_s` has at least the first and the last of them."""
    first = date(due_s[0], _DAY)
    return first if count == 1 else f"{count:,} times from {first} to {date(due_s[-1], _DAY)}"


def _name(schedule: Schedule) -> str:
    return f"Schedule {schedule.id} ({code(schedule.command)})"


def _in_full(schedule: Schedule, times: Sequence[float]) -> str:
    lines = [_definition(schedule)]
    if schedule.next_due_s is None:
        lines.append(f"*paused*; {code(f'/schedule resume {schedule.id}')} starts it again")
    else:
        in_zone = " · ".join(_in_zone(schedule, times))
        for_reader = ", ".join(date(at_s, _DAY) for at_s in times)
        lines += [f"next: {in_zone} in {schedule.time_zone}", f"for you: {for_reader}"]
    if result := schedule.result:
        lines.append(f"last: *{result.status}* in job #{result.job_id}, {date(result.at_s, _DAY)}")
    return "\n".join(lines)


def _in_short(schedule: Schedule, times: Sequence[float]) -> str:
    when = "*paused*" if schedule.next_due_s is None else f"next: {''.join(_in_zone(schedule, times)[:1])}"
    last = f", last: *{schedule.result.status}*" if schedule.result else ""
    return f"{_definition(schedule)}, {when}{last}"


def _definition(schedule: Schedule) -> str:
    return f"*{schedule.id}* {code(schedule.cron)} {schedule.time_zone} → {code(schedule.command)}"


def _in_zone(schedule: Schedule, times: Sequence[float]) -> list[str]:
    """Return the times by the clock of the schedule's zone."""
    zone = ZoneInfo(schedule.time_zone)
    # An expression that names months may next be due in another year.
    day = "%a %-d %b %H:%M" if schedule.cron.split()[3] == "*" else "%a %-d %b %Y %H:%M"
    return [format(datetime.fromtimestamp(at_s, zone), day) for at_s in times]
