"""`/loadtest RATE …`: run a load test, at a constant rate or with a shape."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from bot.commands.arguments import Arguments, is_number
from bot.commands.command import Form, SettingsFile, Submit
from bot.commands.line import Word, join_words, spell_duration, spell_rate
from bot.commands.loadtest import quantities
from bot.commands.loadtest.place import find_place, take_place_names
from workers.contract.formatting import exact, show_duration
from workers.contract.jobs import LoadTest
from workers.contract.load import FEWEST_STEPS, MOST_STEPS, SHORTEST_S, USUAL_STEPS, Shape, ShapeKind

LOAD_TEST = Form(
    usage="/loadtest RATE|LOW..HIGH [steps [N]|spike] [poisson] [for TIME] [MODEL] [on ENV|TARGET] [ramp TIME] "
    "[slo p95<200ms,errors<1%] [abort errors>20% for 10s|never]",
    does="load at RATE, or rising from LOW to HIGH; live numbers and replicas; a report with a verdict",
)
_KEYWORDS = ("ramp", "slo", "for", "steps", "spike", "poisson", "abort")
_STEPS = ("steps", "step")
_SPIKE_PARTS = 5
"""A spike is the middle fifth of a test."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitLoadTest(Submit):
    """`/loadtest RATE|LOW..HIGH …`."""

    job: LoadTest

    def command(self, settings: SettingsFile, *, model: str) -> str:
        job = self.job
        poisson = "poisson" if job.spacing == "poisson" else ""
        duration = f"for {spell_duration(job.duration_s)}"
        ramp = f"ramp {spell_duration(job.ramp_s)}" if job.ramp_s else ""
        abort = "" if job.abort == settings.loadtest.abort else f"abort {job.abort or 'never'}"
        words = (_spell_shape(job.shape), poisson, duration, model, f"on {job.environment}", ramp)
        return join_words("/loadtest", *words, quantities.spell_slo(job.slo, settings), abort)


def parse_load_test(line: Arguments, *, subcommands: Iterable[str]) -> SubmitLoadTest:
    """Parse the words of a load test. `subcommands` are other words that may have been meant. Raises UsageError."""
    dry_run = line.dry_run()
    abort, abort_time = quantities.take_abort(line)
    slo = quantities.take_slo(line)
    ramp = line.take_after(("ramp",), is_number)
    kind, steps = _take_kind(line)
    poisson = line.take(lambda text: text == "poisson", before=("arrivals",)) is not None
    names = take_place_names(line)
    rate = line.take(quantities.is_range, after=("at", "for", "of", "from")) or line.take(
        quantities.is_rate, after=("at", "for", "of")
    )
    duration = line.take_after(("for",), is_number) or line.take(quantities.is_time)
    # Take a number without unit, too: the error about its unit is better than "not understood".
    rate = rate or line.take(is_number, after=("at", "of"))
    duration = duration or line.take(lambda text: is_number(text) and not quantities.is_rate(text))
    line.end((*subcommands, *_KEYWORDS, *line.settings.targets))
    if rate is None:
        raise line.not_possible("Say at which rate, like 1000rps or 60/s.")
    shape = _shape(line, rate, kind, steps)
    duration_s = quantities.read_time_s(line, duration) if duration else line.settings.loadtest.duration_s
    ramp_s = quantities.read_time_s(line, ramp) if ramp else 0.0
    found = find_place(line, *names)
    found.check_cap(line, shape.highest_rps, rate)
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
    _check_duration(line, job, duration=duration, ramp=ramp, abort_time=abort_time)
    return SubmitLoadTest(job=job, dry_run=dry_run)


def _take_kind(line: Arguments) -> tuple[ShapeKind, Word | None]:
    """Take the kind of a shape, and its number of steps, if any."""
    count = line.take_after(_STEPS, _is_count) or line.take_before(_STEPS, _is_count, after=("in",))
    if count or line.take(lambda text: text in _STEPS, after=("in",)):
        return "steps", count
    return ("spike" if line.take(lambda text: text == "spike") else "ramp"), None


def _is_count(word: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", word) is not None


def _shape(line: Arguments, rate: Word, kind: ShapeKind, steps: Word | None) -> Shape:
    """Read a shape. Raises UsageError."""
    count = _step_count(line, steps) if steps else USUAL_STEPS
    if quantities.is_range(rate.text):
        lowest_rps, highest_rps = quantities.read_range(line, rate)
        return Shape(kind=kind, lowest_rps=lowest_rps, highest_rps=highest_rps, step_count=count)
    rate_rps = quantities.read_rate(line, rate)
    if kind == "ramp":
        return Shape(lowest_rps=rate_rps, highest_rps=rate_rps)
    subject = "Steps go" if kind == "steps" else "A spike goes"
    example = f"{exact(rate_rps / 10)}..{spell_rate(rate_rps)}"
    raise line.not_possible(
        f"{subject} from a lower rate to a higher one, and {rate.quoted} is one rate; write it like {example}."
    )


def _step_count(line: Arguments, word: Word) -> int:
    if word.text.isdigit() and FEWEST_STEPS <= int(word.text[:9]) <= MOST_STEPS:
        return int(word.text)
    problem = f"{word.quoted} is out of range; write {FEWEST_STEPS} to {MOST_STEPS} steps, like steps 5."
    raise line.not_possible(problem)


def _check_duration(
    line: Arguments, job: LoadTest, *, duration: Word | None, ramp: Word | None, abort_time: Word | None
) -> None:
    """Raise UsageError if the test is too short for its shape or its abort condition, or longer than allowed."""
    steps = job.shape.step_count
    kinds = {"steps": (f"{steps} steps", steps), "spike": ("a spike", _SPIKE_PARTS)}
    what, parts = kinds.get(job.shape.kind, ("a load test", 1))
    if job.duration_s < parts * SHORTEST_S:
        least = spell_duration(parts * SHORTEST_S)
        problem = f"{show_duration(job.duration_s)} is too short for {what}, which is sampled once a second"
        raise line.not_possible(f"{problem}; write at least {least}.")
    # If only one time is given, behind the abort condition, it is probably the duration of the test.
    whole_s = job.load.duration_s
    if abort_time and not duration and job.abort and job.abort.for_s > whole_s:
        problem = f"{abort_time.quoted} of failures cannot abort a test of {show_duration(whole_s)}."
        raise line.not_possible(problem)
    wrong = ramp if ramp and job.ramp_s > job.duration_s else duration
    quantities.must_be_short_enough(line, whole_s, wrong)


def _spell_shape(shape: Shape) -> str:
    if shape.kind == "constant":
        return spell_rate(shape.highest_rps)
    kinds = {"ramp": "", "steps": f"steps {shape.step_count}", "spike": "spike"}
    return join_words(f"{exact(shape.lowest_rps)}..{spell_rate(shape.highest_rps)}", kinds[shape.kind])
