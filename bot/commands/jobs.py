"""`/jobs`: list, show, cancel and retry jobs; and the buttons that every card has."""

from dataclasses import dataclass
from typing import Literal

from bot.blocks import Message
from bot.cards.card import render
from bot.commands.arguments import end, is_number, take_job_id, unknown_subcommand
from bot.commands.command import Command, Desk, Form, Lookup, Request, UsageError
from bot.commands.line import Line
from bot.views import replies
from workers.contract.settings import SettingsFile

_LIST = Form(usage="/jobs [running|mine]", does="the newest jobs; running: those that have not ended; mine: yours")
_FORMS = {
    "show": Form(usage="/jobs show JOB", does="a job's card again"),
    "cancel": Form(usage="/jobs cancel JOB", does="stops a job and cleans up"),
    "retry": Form(usage="/jobs retry JOB", does="submits the same job again"),
}
_FILTERS = {"running": _LIST, "mine": _LIST}


@dataclass(frozen=True, kw_only=True, slots=True)
class ListJobs:
    """`/jobs [running|mine]`."""

    which: Literal["all", "running", "mine"]

    def answer(self, desk: Desk) -> Message:
        recent = desk.recent()
        match self.which:
            case "running":
                found, if_empty = [record for record in recent if not record.final], "No job is running or queued."
            case "mine":
                found = [record for record in recent if record.asked.by == desk.asker_id]
                if_empty = "You have not submitted a job yet."
            case "all":
                found, if_empty = list(recent), "There has been no job yet."
        return replies.jobs(found, if_empty)

    def spelled(self, settings: SettingsFile) -> str:
        return "/jobs" if self.which == "all" else f"/jobs {self.which}"


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRequest:
    """`/jobs show|cancel|retry JOB`."""

    action: Literal["show", "cancel", "retry"]
    job_id: str

    def answer(self, desk: Desk) -> Message | None:
        record = desk.job(job_id=self.job_id)
        match self.action:
            case "show":
                return render(record)
            case "cancel":
                return desk.cancel(record=record)
            case "retry":
                return desk.submit(job=record.job)

    def spelled(self, settings: SettingsFile) -> str:
        return f"/jobs {self.action} {self.job_id}"


def _parse(text: str, lookup: Lookup) -> Request:
    line = Line("/jobs", text, _LIST)
    match line.subcommand(_FORMS | _FILTERS):
        case ("running" | "mine") as which:
            end(line, lookup)
            return ListJobs(which=which)
        case ("show" | "cancel" | "retry") as action:
            return JobRequest(action=action, job_id=_job_id(line, lookup))
    # A number alone probably asks for that job's card.
    raise unknown_subcommand(line, _FORMS | _FILTERS, shown=lambda word: is_number(word.lstrip("#")))


def _job_id(line: Line, lookup: Lookup) -> str:
    job_id = take_job_id(line)
    end(line, lookup)
    if job_id is None:
        raise UsageError("Say which job; /jobs lists them.", usage=line.usage, nearest="/jobs")
    return job_id


COMMAND = Command(
    verb="/jobs",
    does="List, show, cancel and retry jobs.",
    forms=(_LIST, *_FORMS.values()),
    parse=_parse,
    alone=ListJobs(which="all"),
    buttons={
        "approve": lambda record, desk: desk.decide(record=record, approve=True),
        "deny": lambda record, desk: desk.decide(record=record, approve=False),
        "cancel": lambda record, desk: desk.cancel(record=record),
        "retry": lambda record, desk: desk.submit(job=record.job),
    },
)
