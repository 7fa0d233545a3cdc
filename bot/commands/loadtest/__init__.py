"""`/loadtest`: load an endpoint or a load target; find its capacity; compare, stop and show load tests."""

from bot.cards.card import render
from bot.commands.arguments import Arguments
from bot.commands.cleaning import joined, with_ranges
from bot.commands.command import Command, Desk, Form, Lookup, Message, Request, SimpleRequest
from bot.commands.line import join_words
from bot.commands.loadtest.find_capacity import FIND, parse_find
from bot.commands.loadtest.load_test import LOAD_TEST, parse_load_test
from bot.views import replies
from workers.contract.jobs import Tested

_FORMS = {
    "find": FIND,
    "compare": Form(usage="/loadtest compare JOB JOB", does="two load tests, side by side"),
    "stop": Form(usage="/loadtest stop [JOB]", does="stops the running load test, or JOB"),
    "last": Form(usage="/loadtest last [ENV|TARGET]", does="the newest load test again"),
}


def _parse(text: str, lookup: Lookup) -> Request:
    text = joined(text)
    # Numbers of jobs are no ranges.
    text = text if text.lower().startswith(("compare", "stop")) else with_ranges(text)
    line = Arguments("/loadtest", text, LOAD_TEST, lookup)
    match line.subcommand(_FORMS):
        case "find":
            return parse_find(line)
        case "compare":
            first, second = line.take_job_id(), line.take_job_id()
            line.end()
            if first is None or second is None or first == second:
                problem = "Say which two load tests, like /loadtest compare 41 42; /jobs lists them."
                raise line.not_possible(problem)
            return SimpleRequest(f"/loadtest compare {first} {second}", lambda desk: _compare(desk, first, second))
        case "stop":
            job_id = line.take_job_id()
            line.end()
            return SimpleRequest(join_words("/loadtest stop", job_id), lambda desk: _stop(desk, job_id))
        case "last":
            place = line.take_place()
            line.end(line.settings.targets)
            return SimpleRequest(join_words("/loadtest last", place), lambda desk: _show_last(desk, place))
    return parse_load_test(line, subcommands=_FORMS)


def _compare(desk: Desk, *job_ids: str) -> Message:
    reports = []
    for record in map(desk.job, job_ids):
        if record.job.kind != "load_test":
            return replies.refused(f"Job #{record.id} is not a load test ({record.job.summary}).")
        if not record.final:
            return replies.refused(f"Load test #{record.id} has not ended yet. Compare it when it has.")
        if not isinstance(record.outcome, Tested):
            return replies.refused(f"Load test #{record.id} has no report; it ended as {record.state}.")
        reports.append((record, record.outcome))
    (first, before), (second, after) = reports
    return replies.load_comparison(first, second, before, after)


def _stop(desk: Desk, job_id: str | None) -> Message | None:
    """Stop a load test; without an id the only one that runs."""
    if job_id:
        return desk.cancel(desk.job(job_id))
    running = [record for record in desk.recent() if record.job.load and not record.final]
    if len(running) == 1:
        return desk.cancel(running[0])
    commands = " or ".join(f"/loadtest stop {record.id}" for record in running)
    return replies.refused(f"Which load test? Type {commands}." if running else "No load test is running.")


def _show_last(desk: Desk, place: str | None) -> Message:
    ended = (record for record in desk.recent() if record.job.load and record.final)
    last = next((record for record in ended if place in (None, record.job.environment)), None)
    return render(last) if last else replies.plain("There has been no load test yet.")


COMMAND = Command(
    verb="/loadtest",
    does="Load an endpoint or a target, and find its limits.",
    forms=(LOAD_TEST, *_FORMS.values()),
    parse=_parse,
)
