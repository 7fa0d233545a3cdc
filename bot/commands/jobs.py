"""`/jobs`: what runs and what ran; cancel and retry."""

from bot.commands.arguments import end, is_number, take_job_id
from bot.commands.command import (
    CancelJob,
    Command,
    Form,
    ListJobs,
    Lookup,
    Request,
    RetryJob,
    ShowJob,
    UsageError,
)
from bot.commands.line import Line, closest
from workers.contract.units import quoted

_LIST = Form(usage="/jobs [running|mine]", does="the newest jobs; those that have not ended; those you asked for")
_FORMS = {
    "show": Form(usage="/jobs show JOB", does="a job's card again"),
    "cancel": Form(usage="/jobs cancel JOB", does="stops a job, and cleans up behind it"),
    "retry": Form(usage="/jobs retry JOB", does="asks for the same job again"),
}
_FILTERS = {"running": _LIST, "mine": _LIST}


def _parse(text: str, lookup: Lookup) -> Request:
    line = Line("/jobs", text, _LIST)
    word = line.next_left()
    if word is None:
        return ListJobs(which="all")
    match line.subcommand(_FORMS | _FILTERS):
        case "running":
            end(line, lookup)
            return ListJobs(which="running")
        case "mine":
            end(line, lookup)
            return ListJobs(which="mine")
        case "show":
            return ShowJob(job_id=_job_id(line, lookup))
        case "cancel":
            return CancelJob(job_id=_job_id(line, lookup))
        case "retry":
            return RetryJob(job_id=_job_id(line, lookup))
    # A number alone is most likely wanted to be shown.
    instead = f"show {word.text}" if is_number(word.text.lstrip("#")) else closest(word.text, _FORMS | _FILTERS) or ""
    raise line.mistake(
        f"{quoted(word.text)} is nothing that /jobs does; it can show, cancel and retry a job.",
        at=word.at,
        instead=instead,
    )


def _job_id(line: Line, lookup: Lookup) -> str:
    job_id = take_job_id(line)
    end(line, lookup)
    if job_id is None:
        raise UsageError("Say which job; /jobs lists them.", usage=line.usage, nearest="/jobs")
    return job_id


COMMAND = Command(
    verb="/jobs",
    does="See what runs and what ran; cancel and retry.",
    forms=(_LIST, *_FORMS.values()),
    parse=_parse,
)
