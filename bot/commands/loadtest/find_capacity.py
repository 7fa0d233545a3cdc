"""`/loadtest find`: search the highest rate that an endpoint or a load target holds."""

from dataclasses import dataclass

from bot.commands.arguments import Arguments, is_number
from bot.commands.command import Form, SettingsFile, Submit
from bot.commands.line import Word, join_words, spell_duration, spell_rate
from bot.commands.loadtest import quantities
from bot.commands.loadtest.place import LoadPlace, find_place, take_place_names
from workers.contract.formatting import show_number
from workers.contract.jobs import FindCapacity
from workers.contract.units import LOWEST_RPS

FIND = Form(
    usage="/loadtest find [slo p95<200ms,errors<1%] [from RATE] [to RATE] [for TIME] [hold replicas] [MODEL] "
    "[on ENV|TARGET]",
    does="the highest rate that meets the objectives, in all and per replica; tries each rate for TIME",
)
PROBE_S, SHORTEST_PROBE_S, LONGEST_PROBE_S = 20.0, 5.0, 300.0
"""Seconds per rate. Default 20: enough for a p99 at 100 rps, and for an autoscaler to react."""
LOWEST_DEFAULT_RPS, HIGHEST_DEFAULT_RPS = 100.0, 10_000.0
"""Bounds of the search if neither the command nor a cap sets them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitSearch(Submit):
    """`/loadtest find …`."""

    job: FindCapacity

    def command(self, settings: SettingsFile, *, model: str) -> str:
        job = self.job
        rates = f"from {spell_rate(job.lowest_rps)} to {spell_rate(job.highest_rps)} for {spell_duration(job.probe_s)}"
        hold = "hold replicas" if job.hold_replicas else ""
        return join_words(
            "/loadtest find", rates, hold, model, f"on {job.environment}", quantities.spell_slo(job.slo, settings)
        )


def parse_find(line: Arguments) -> SubmitSearch:
    """Parse the words after `find`. Raises UsageError."""
    dry_run = line.dry_run()
    slo = quantities.take_slo(line)
    hold = line.take(lambda text: text in ("hold", "held"), before=("replicas",), after=("replicas",))
    names = take_place_names(line)
    both = line.take(quantities.is_range, after=("from",))
    lowest = both or line.take_after(("from",), is_number)
    highest = both or line.take_after(("to",), is_number)
    probe = line.take_after(("for",), is_number) or line.take(quantities.is_time)
    stray = line.next_left()
    if stray and quantities.is_rate(stray.text):
        problem = f"{stray.quoted} needs from or to, which say whether to search above it or below it."
        raise line.mistake(problem, at=stray.at, instead="" if highest else f"to {stray.text}")
    line.end(("from", "to", "for", "slo", "hold", "replicas", *line.settings.targets))
    found = find_place(line, *names)
    if hold and not found.model:
        problem = f"{found.place.name} is a load target; Seatrial cannot hold its replicas."
        raise line.not_possible(problem)
    lowest_rps, highest_rps = _rates(line, found, lowest, highest)
    probe_s = _read_probe_s(line, probe) if probe else _default_probe_s(line)
    job = FindCapacity(
        model=found.model,
        environment=found.place.name,
        lowest_rps=lowest_rps,
        highest_rps=highest_rps,
        probe_s=probe_s,
        hold_replicas=hold is not None,
        slo=slo,
        owner=found.owner,
    )
    quantities.must_be_short_enough(line, job.load.duration_s, probe)
    return SubmitSearch(job=job, dry_run=dry_run)


def _rates(line: Arguments, found: LoadPlace, lowest: Word | None, highest: Word | None) -> tuple[float, float]:
    """Return the lowest and the highest rate of the search. Raises UsageError."""
    if lowest and lowest is highest:
        lowest_rps, highest_rps = quantities.read_range(line, lowest)
    else:
        highest_rps = (
            quantities.read_rate(line, highest) if highest else found.place.max_load_rps or HIGHEST_DEFAULT_RPS
        )
        default_rps = max(min(LOWEST_DEFAULT_RPS, highest_rps / 10), LOWEST_RPS)
        lowest_rps = quantities.read_rate(line, lowest) if lowest else default_rps
    for word, rate_rps in ((lowest, lowest_rps), (highest, highest_rps)):
        found.check_cap(line, rate_rps, word)
    if lowest_rps < highest_rps:
        return lowest_rps, highest_rps
    rates = (
        f"The lower rate ({show_number(lowest_rps)} rps) must be below the upper one ({show_number(highest_rps)} rps)"
    )
    if lowest or highest:
        raise line.not_possible(f"{rates}.")
    raise line.not_possible(f"{rates}, but the cap {found.place.key}.max_load is too low.")


def _read_probe_s(line: Arguments, word: Word) -> float:
    probe_s = quantities.read_time_s(line, word, shortest_s=SHORTEST_PROBE_S)
    if probe_s > LONGEST_PROBE_S:
        longest = spell_duration(LONGEST_PROBE_S)
        raise line.not_possible(f"{word.quoted} is too long for one rate; write at most {longest}.")
    return probe_s


def _default_probe_s(line: Arguments) -> float:
    """Return the usual time per rate, or less if all rates together would exceed loadtest.longest."""
    probe_s = min(PROBE_S, FindCapacity.longest_probe_s(line.settings.loadtest.longest_s))
    if probe_s < SHORTEST_PROBE_S:
        raise line.not_possible("A search takes at least 1m, and loadtest.longest in seatrial.toml is shorter.")
    return probe_s
