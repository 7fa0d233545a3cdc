"""`/loadtest`: load on an endpoint or a target, at a rate that is asked for; capacity, comparison."""

import re

from bot.commands.arguments import end, is_number, take_job_id, take_place
from bot.commands.capacity import FIND, find
from bot.commands.command import (
    CancelJob,
    Command,
    CompareLoadTests,
    Form,
    LastLoadTest,
    Lookup,
    Request,
    ShowHelp,
    Submit,
    UsageError,
)
from bot.commands.line import Line, Word, joined
from bot.commands.load_place import take_where
from bot.commands.quantities import (
    GOOD_RATE,
    a_range_below,
    is_range,
    is_rate,
    is_time,
    must_be_short_enough,
    must_be_under_the_cap,
    read_range,
    read_rate,
    read_time_s,
    take_abort,
    take_slo,
)
from bot.commands.spelling import spell_duration
from workers.contract.formatting import show_duration
from workers.contract.jobs import LoadTest
from workers.contract.load import FEWEST_STEPS, MOST_STEPS, SHORTEST_S, USUAL_STEPS, Shape, ShapeKind
from workers.contract.units import quoted

_LOADTEST = Form(
    usage="/loadtest RATE|LOW..HIGH [steps [N]|spike] [poisson] [for TIME] [MODEL] [on ENV|TARGET] [ramp TIME] "
    "[slo p95<200ms,errors<1%] [abort errors>20% for 10s|never]",
    does="load at RATE, or rising from LOW to HIGH; live numbers and replicas; a report with a verdict",
)
_FORMS = {
    "find": FIND,
    "compare": Form(usage="/loadtest compare JOB JOB", does="two load tests, side by side"),
    "stop": Form(usage="/loadtest stop [JOB]", does="ends the load test that runs, or JOB"),
    "last": Form(usage="/loadtest last [ENV|TARGET]", does="the newest load test again"),
}
_KEYWORDS = (*_FORMS, "ramp", "slo", "for", "steps", "spike", "poisson", "abort")
_STEPS = ("steps", "step")


def _parse(text: str, lookup: Lookup) -> Request:
    line = Line("/loadtest", joined(text), _LOADTEST)
    if line.is_empty:
        return ShowHelp(verb=line.verb)
    match line.subcommand(_FORMS):
        case "find":
            return find(line, lookup)
        case "compare":
            return _compare(line, lookup)
        case "stop":
            job_id = take_job_id(line)
            end(line, lookup)
            return CancelJob(job_id=job_id)
        case "last":
            place = take_place(line, lookup)
            end(line, lookup, lookup.settings.targets)
            return LastLoadTest(environment=place)
    return _load_test(line, lookup)


def _compare(line: Line, lookup: Lookup) -> CompareLoadTests:
    first, second = take_job_id(line), take_job_id(line)
    end(line, lookup)
    if first is None or second is None or first == second:
        problem = "Say which two load tests, like /loadtest compare 41 42; /jobs lists them."
        raise UsageError(problem, usage=line.usage, nearest="/jobs")
    return CompareLoadTests(first=first, second=second)


def _load_test(line: Line, lookup: Lookup) -> Submit:
    dry_run = line.dry_run()
    abort, patience = take_abort(line, lookup)
    slo = take_slo(line, lookup)
    ramp = line.take_after(("ramp",), is_number)
    kind, steps = _take_kind(line)
    poisson = line.take(lambda text: text == "poisson", before=("arrivals",)) is not None
    where = take_where(line, lookup)
    rate = line.take(lambda text: is_rate(text) or is_range(text), after=("at", "for", "of", "from"))
    duration = line.take_after(("for",), is_number) or line.take(is_time)
    # A number without a unit: what it lacks is said when it is read.
    rate = rate or line.take(is_number, after=("at", "of"))
    duration = duration or line.take(lambda text: is_number(text) and not is_rate(text))
    end(line, lookup, (*_KEYWORDS, *lookup.settings.targets), lacking="" if rate else GOOD_RATE)
    if rate is None:
        raise line.mistake("Say at which rate, like 1000rps or 60/s.", instead=GOOD_RATE)
    shape = _shape(line, rate, kind, steps)
    duration_s = read_time_s(line, duration) if duration else lookup.settings.loadtest.duration_s
    ramp_s = read_time_s(line, ramp) if ramp else 0.0
    found = where.found(line, lookup)
    must_be_under_the_cap(line, found.place, shape.highest_rps, rate)
    job = LoadTest(
        model=found.model,
        environment=found.place.name,
        shape=shape,
        duration_s=duration_s,
        ramp_s=ramp_s,
        spacing="poisson" if poisson else "constant",
        slo=slo,
        abort=abort,
        owner=found.owner,
    )
    _must_last_right(line, lookup, job, duration=duration, ramp=ramp, patience=patience)
    return Submit(job=job, dry_run=dry_run)


def _take_kind(line: Line) -> tuple[ShapeKind, Word | None]:
    """How the rate is to go between two, and the number of steps where it is told."""
    count = line.take_after(_STEPS, _is_count) or line.take_before(_STEPS, _is_count, after=("in",))
    if count or line.take(lambda text: text in _STEPS, after=("in",)):
        return "steps", count
    return ("spike" if line.take(lambda text: text == "spike") else "ramp"), None


def _is_count(word: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", word) is not None


def _shape(line: Line, rate: Word, kind: ShapeKind, steps: Word | None) -> Shape:
    """The shape that is told. Raises UsageError."""
    count = _step_count(line, steps) if steps else USUAL_STEPS
    if is_range(rate.text):
        lowest_rps, highest_rps = read_range(line, rate)
        return Shape(kind=kind, lowest_rps=lowest_rps, highest_rps=highest_rps, step_count=count)
    rate_rps = read_rate(line, rate)
    if kind != "ramp":
        instead = a_range_below(rate_rps)
        what = "Steps go" if kind == "steps" else "A spike goes"
        raise line.mistake(
            f"{what} from a lower rate to a higher, and {quoted(rate.text)} is one; write two, like {instead}.",
            at=rate.at,
            instead=instead,
        )
    return Shape(lowest_rps=rate_rps, highest_rps=rate_rps)


def _step_count(line: Line, word: Word) -> int:
    if word.text.isdigit() and FEWEST_STEPS <= int(word.text[:9]) <= MOST_STEPS:
        return int(word.text)
    nearest = min(max(round(float(word.text[:9])), FEWEST_STEPS), MOST_STEPS)
    problem = f"{quoted(word.text)} is out of range; there are {FEWEST_STEPS} to {MOST_STEPS} steps, like steps 5."
    raise line.mistake(problem, at=word.at, instead=str(nearest))


def _must_last_right(
    line: Line, lookup: Lookup, job: LoadTest, *, duration: Word | None, ramp: Word | None, patience: Word | None
) -> None:
    """Raise UsageError where the test is too short for its shape or to be ended early, or longer than any may be."""
    steps = job.shape.step_count
    # A spike is the middle fifth of its time.
    what, parts = {"steps": (f"{steps} steps", steps), "spike": ("a spike", 5)}.get(job.shape.kind, ("a load test", 1))
    if job.duration_s < parts * SHORTEST_S:
        least, at = spell_duration(parts * SHORTEST_S), duration.at if duration else None
        problem = f"{show_duration(job.duration_s)} is too short for {what}: numbers are taken every second."
        raise line.mistake(problem, at=at, instead=least if duration else f"for {least}")
    # The time of the whole test, probably: there are two, and the first belongs to what ends it.
    if patience and not duration and job.abort and job.abort.for_s > job.load.duration_s:
        problem = f"{quoted(patience.text)} of failures cannot end a test of {show_duration(job.load.duration_s)}."
        raise line.mistake(problem, at=patience.at, instead=f"10s for {patience.text}")
    blamed, other_s = (ramp, job.duration_s) if ramp and job.ramp_s > job.duration_s else (duration, job.ramp_s)
    left_s = max(lookup.settings.loadtest.longest_s - other_s, SHORTEST_S)
    instead = spell_duration(left_s) if blamed else f"for {spell_duration(left_s)}"
    must_be_short_enough(line, lookup, job.load.duration_s, blamed, instead=instead)


COMMAND = Command(
    verb="/loadtest",
    does="Put load on an endpoint, and learn whether it holds.",
    forms=(_LOADTEST, *_FORMS.values()),
    parse=_parse,
)
