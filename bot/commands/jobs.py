"""`/jobs`: list, show, cancel and retry jobs; and the buttons that every card has."""

from collections.abc import Mapping

from bot.cards.card import render
from bot.commands.arguments import Arguments, is_number
from bot.commands.command import ButtonHandler, Command, Desk, Form, Lookup, Message, Record, Request, SimpleRequest
from bot.views import replies

_LIST = Form(usage="/jobs [running|mine]", does="the newest jobs; running: those that have not ended; mine: yours")
_FORMS = {
    "show": Form(usage="/jobs show JOB", does="a job's card again"),
    "cancel": Form(usage="/jobs cancel JOB", does="stops a job and cleans up"),
    "retry": Form(usage="/jobs retry JOB", does="submits the same job again"),
}
_FILTERS = {"running": _LIST, "mine": _LIST}
_ACTIONS: Mapping[str, ButtonHandler] = {
    "show": lambda record, desk: render(record),
    "cancel": lambda record, desk: desk.cancel(record),
    "retry": lambda record, desk: replies.unreadable(record) if record.unreadable else desk.submit(record.job),
}


def _stop_ahead(record: Record, desk: Desk) -> Message | None:
    """Stop the load test that the job waits for."""
    ahead = desk.job(record.waits_for) if record.state == "waiting" and record.waits_for else None
    if ahead is None or not ahead.job.load:
        return replies.plain(f"Job #{record.id} no longer waits for a load test. Nothing was changed.")
    return desk.cancel(ahead)


def _parse(text: str, lookup: Lookup) -> Request:
    line = Arguments("/jobs", text, _LIST, lookup)
    match line.subcommand(_FORMS | _FILTERS):
        case "running":
            line.end()
            return SimpleRequest("/jobs running", _list_running)
        case "mine":
            line.end()
            return SimpleRequest("/jobs mine", _list_mine)
        case ("show" | "cancel" | "retry") as action:
            job_id = _job_id(line)
            return SimpleRequest(f"/jobs {action} {job_id}", lambda desk: _ACTIONS[action](desk.job(job_id), desk))
    # A number alone probably asks for that job's card.
    raise line.unknown_subcommand(_FORMS | _FILTERS, shown=lambda word: is_number(word.lstrip("#")))


def _job_id(line: Arguments) -> str:
    job_id = line.take_job_id()
    line.end()
    if job_id is None:
        raise line.not_possible("Say which job; /jobs lists them.")
    return job_id


def _list_all(desk: Desk) -> Message:
    return replies.jobs(list(desk.recent()), "There has been no job yet.")


def _list_running(desk: Desk) -> Message:
    return replies.jobs([record for record in desk.recent() if not record.final], "No job is running or queued.")


def _list_mine(desk: Desk) -> Message:
    mine = [record for record in desk.recent() if record.asked.by == desk.invocation.by.id]
    return replies.jobs(mine, "You have not submitted a job yet.")


COMMAND = Command(
    verb="/jobs",
    does="List, show, cancel and retry jobs.",
    forms=(_LIST, *_FORMS.values()),
    parse=_parse,
    alone=SimpleRequest("/jobs", _list_all),
    buttons={
        "approve": lambda record, desk: desk.decide(record, approve=True),
        "deny": lambda record, desk: desk.decide(record, approve=False),
        "cancel": _ACTIONS["cancel"],
        "retry": _ACTIONS["retry"],
        "stop_ahead": _stop_ahead,
    },
)
