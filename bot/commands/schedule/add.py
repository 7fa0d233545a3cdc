"""The request and the parser of `/schedule add`: a cron expression, a time zone and a command that submits a job."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from zoneinfo import available_timezones

from bot.commands import cron
from bot.commands.command import Command, Desk, Form, Lookup, Message, SettingsFile, Submit, UsageError
from bot.commands.line import join_words
from bot.commands.spelling import closest
from bot.views import schedules as views
from workers.contract.units import quoted

ADD = Form(
    usage='/schedule add "CRON" [TIMEZONE] COMMAND…',
    does="runs any command that starts a job at set times; shows the next three; its cards come here",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AddSchedule:
    """`/schedule add "CRON" [TIMEZONE] COMMAND…`. `cron` has five fields, as `cron.for_apscheduler` takes them."""

    cron: str
    time_zone: str
    submit: Submit

    def answer(self, desk: Desk) -> Message | None:
        """Store the schedule and announce it."""
        desk.check(self.submit.job)
        approvals = self.submit.job.approvals_needed(desk.settings)
        command = self.command(desk.settings)
        added = desk.add_schedule(cron=self.cron, time_zone=self.time_zone, command=command)
        overlap = desk.overlap(added, self.submit.job)
        return desk.announce(added, views.added(added, desk.next_times(added), approvals, overlap))

    def command(self, settings: SettingsFile) -> str:
        """Return the scheduled command. It names its model, so that its meaning lasts if the settings get another."""
        return self.submit.command(settings, model=self.submit.job.model)

    def spelled(self, settings: SettingsFile) -> str:
        zone = "" if self.time_zone == "UTC" else self.time_zone
        return _spell(self.cron, zone, self.command(settings).removeprefix("/"))


class AddParser:
    """Parses the text after `/schedule add`. `job_commands` can be scheduled."""

    def __init__(self, job_commands: Sequence[Command]) -> None:
        self._commands = {command.verb.removeprefix("/"): command for command in job_commands}

    def parse(self, text: str, lookup: Lookup) -> AddSchedule:
        """Parse the cron expression, quoted or not, then the time zone, then the command. Raises UsageError."""
        if match := re.fullmatch(r' ?"([^"]*)" ?(.*)', text):
            fields, words = match[1], match[2].replace('"', " ").split()
        else:
            words = text.replace('"', " ").split()
            length = next((at for at, word in enumerate(words) if not cron.looks_like_field(word)), len(words))
            if not length and words[:1] and not self._is_verb(words[0]):
                length = 1  # The first word should be a field: report it as a wrong one.
            fields, words = " ".join(words[:length]), words[length:]
        zone, words = self._split_zone(fields, words)  # "" if none is typed
        try:
            expression = cron.read_cron(fields)
        except cron.CronError as error:
            raise _mistake(str(error) if fields else "Say when: five fields of cron, in quotes.") from error
        submit = self._submit(expression, zone, words, lookup)
        return AddSchedule(cron=expression, time_zone=zone or "UTC", submit=submit)

    def _split_zone(self, fields: str, words: list[str]) -> tuple[str, list[str]]:
        """Split the time zone off the beginning or the end of `words`. Return it, or "", and the other words."""
        words = words[1:] if words[:1] in (["in"], ["at"]) else words
        if not words:
            return "", words
        zones = _zones()
        if self._is_verb(words[0]):
            # At the end a zone needs a slash: Japan may be the name of a model.
            last = zones.get(words[-1].lower()) if "/" in words[-1] else None
            return (last, words[: -2 if words[-2] == "in" else -1]) if last else ("", words)
        if found := zones.get(words[0].lower()):
            return found, words[1:]
        if re.match(r"(utc|gmt)[+-]", words[0], re.IGNORECASE):
            raise _mistake(f"{quoted(words[0])} is not a time zone; write a place, like Europe/Berlin.")
        zone = zones.get(closest(words[0], zones) or "")
        if zone and ("/" in words[0].strip("/") or not closest(words[0].removeprefix("/"), self._commands)):
            raise _mistake(f"There is no time zone {quoted(words[0])}.", fields, zone, " ".join(words[1:]))
        return "", words

    def _submit(self, expression: str, zone: str, words: list[str], lookup: Lookup) -> Submit:
        """Parse the command. Raises UsageError."""
        if not words:
            raise _mistake("Say what to run: a command that starts a job, like loadtest 1000rps for 5m.")
        command = self._commands.get(words[0].lower().removeprefix("/"))
        if command is None:
            similar = closest(words[0].lower().removeprefix("/"), self._commands)
            problem = f"{quoted(words[0])} is neither a time zone nor a command that starts a job."
            raise _mistake(problem, expression, zone, " ".join([similar, *words[1:]]) if similar else "")
        try:
            request = command.parse(" ".join(words[1:]), lookup) if words[1:] else command.alone
        except UsageError as error:
            raise _mistake(error.problem, expression, zone, error.nearest.removeprefix("/")) from error
        if not isinstance(request, Submit):
            raise _mistake(f"{quoted(' '.join(words))} does not start a job.")
        if request.dry_run:
            raise _mistake("A dry run starts nothing; schedule the command itself.")
        return request

    def _is_verb(self, word: str) -> bool:
        return word.lower().removeprefix("/") in self._commands


@cache
def _zones() -> dict[str, str]:
    """Return the time zones of this machine's tz database, and UTC, by their names in lower case.

    Leave out two that are no place: this machine's own zone, and the one of machines that were never set up.
    """
    return {name.lower(): name for name in available_timezones() - {"localtime", "Factory"} | {"UTC"}}


def _spell(expression: str, zone: str, command: str) -> str:
    return join_words(f'/schedule add "{expression}"', zone, command)


def _mistake(problem: str, expression: str = "", zone: str = "", command: str = "") -> UsageError:
    """Return an error that suggests a schedule of `command`, or nothing without both an expression and a command."""
    nearest = _spell(expression, zone, command) if expression and command else ""
    return UsageError(problem, usage=ADD.usage, nearest=nearest)
