"""`/loadtest`: load an endpoint or a load target; find its capacity; compare, stop and show load tests."""

from bot.commands.arguments import end, take_job_id, take_place
from bot.commands.command import Command, Form, Lookup, Request, UsageError
from bot.commands.line import Line, joined
from bot.commands.loadtest.find_capacity import FIND, parse_find
from bot.commands.loadtest.load_test import LOAD_TEST, parse_load_test
from bot.commands.loadtest.questions import CompareLoadTests, LastLoadTest, StopLoadTest

_FORMS = {
    "find": FIND,
    "compare": Form(usage="/loadtest compare JOB JOB", does="two load tests, side by side"),
    "stop": Form(usage="/loadtest stop [JOB]", does="stops the running load test, or JOB"),
    "last": Form(usage="/loadtest last [ENV|TARGET]", does="the newest load test again"),
}


def _parse(text: str, lookup: Lookup) -> Request:
    line = Line("/loadtest", joined(text), LOAD_TEST)
    match line.subcommand(_FORMS):
        case "find":
            return parse_find(line, lookup)
        case "compare":
            return _compare(line, lookup)
        case "stop":
            job_id = take_job_id(line)
            end(line, lookup)
            return StopLoadTest(job_id=job_id)
        case "last":
            place = take_place(line, lookup)
            end(line, lookup, lookup.settings.targets)
            return LastLoadTest(place=place)
    return parse_load_test(line, lookup, subcommands=_FORMS)


def _compare(line: Line, lookup: Lookup) -> CompareLoadTests:
    first, second = take_job_id(line), take_job_id(line)
    end(line, lookup)
    if first is None or second is None or first == second:
        problem = "Say which two load tests, like /loadtest compare 41 42; /jobs lists them."
        raise UsageError(problem, usage=line.usage, nearest="/jobs")
    return CompareLoadTests(first=first, second=second)


COMMAND = Command(
    verb="/loadtest",
    does="Load an endpoint or a target, and find its limits.",
    forms=(LOAD_TEST, *_FORMS.values()),
    parse=_parse,
)
