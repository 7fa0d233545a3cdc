"""`/loadtest find`: the highest rate that an endpoint or a target still holds."""

from bot.commands.arguments import end, is_number, no_way
from bot.commands.command import Form, Lookup, Submit
from bot.commands.line import Line, Word
from bot.commands.load_place import take_where
from bot.commands.quantities import (
    is_range,
    is_rate,
    is_time,
    must_be_short_enough,
    must_be_under_the_cap,
    read_range,
    read_rate,
    read_time_s,
    take_slo,
)
from bot.commands.spelling import spell_duration, spell_rate
from workers.contract.formatting import show_number
from workers.contract.jobs import FindCapacity
from workers.contract.load import MOST_PROBES
from workers.contract.settings import Environment, LoadTarget
from workers.contract.units import LOWEST_RPS, quoted

FIND = Form(
    usage="/loadtest find [slo p95<200ms,errors<1%] [from RATE] [to RATE] [for TIME] [hold replicas] [MODEL] "
    "[on ENV|TARGET]",
    does="the highest rate that still holds the objectives, and per replica; TIME for each rate that is tried",
)
PROBE_S, SHORTEST_PROBE_S, LONGEST_PROBE_S = 20.0, 5.0, 300.0
"""For how long one rate is tried: by default long enough for a p99 at 100 rps, and for an autoscaler to begin."""
LOWEST, HIGHEST = 100.0, 10_000.0
"""Between which rates is searched, in requests a second, where neither the command nor a cap says."""


def find(line: Line, lookup: Lookup) -> Submit:
    """The search that the rest of the line asks for. Raises UsageError."""
    dry_run = line.dry_run()
    slo = take_slo(line, lookup)
    held = line.take(lambda text: text in ("hold", "held"), before=("replicas",), after=("replicas",))
    where = take_where(line, lookup)
    both = line.take(is_range)
    lowest = both or line.take_after(("from",), is_number)
    highest = both or line.take_after(("to",), is_number)
    probe = line.take_after(("for",), is_number) or line.take(is_time)
    stray = line.next_left()
    if stray and is_rate(stray.text):
        problem = f"{quoted(stray.text)} alone does not say whether to search from it or up to it."
        raise line.mistake(problem, at=stray.at, instead="" if highest else f"to {stray.text}")
    end(line, lookup, ("from", "to", "for", "slo", "hold", "replicas", *lookup.settings.targets))
    found = where.found(line, lookup)
    if held and isinstance(found.place, LoadTarget):
        problem = f"{found.place.name} is a target: Seatrial knows nothing of its replicas, and cannot hold them."
        raise line.mistake(problem, at=held.at)
    lowest_rps, highest_rps = _rates(line, found.place, lowest, highest)
    probe_s = _read_probe_s(line, probe) if probe else _probe_s(line, lookup)
    job = FindCapacity(
        model=found.model,
        environment=found.place.name,
        lowest_rps=lowest_rps,
        highest_rps=highest_rps,
        probe_s=probe_s,
        hold_replicas=held is not None,
        slo=slo,
        owner=found.owner,
    )
    fitting = max(lookup.settings.loadtest.longest_s / MOST_PROBES, SHORTEST_PROBE_S)
    must_be_short_enough(line, lookup, job.load.duration_s, probe, instead=spell_duration(fitting))
    return Submit(job=job, dry_run=dry_run)


def _rates(
    line: Line, place: Environment | LoadTarget, lowest: Word | None, highest: Word | None
) -> tuple[float, float]:
    """Between which rates to search, from the lowest to the highest. Raises UsageError."""
    if lowest and lowest is highest:
        lowest_rps, highest_rps = read_range(line, lowest)
    else:
        highest_rps = read_rate(line, highest) if highest else place.max_load_rps or HIGHEST
        lowest_rps = read_rate(line, lowest) if lowest else max(min(LOWEST, highest_rps / 10), LOWEST_RPS)
    for word, rate_rps in ((lowest, lowest_rps), (highest, highest_rps)):
        must_be_under_the_cap(line, place, rate_rps, word)
    if lowest_rps < highest_rps:
        return lowest_rps, highest_rps
    nothing = f"from {show_number(lowest_rps)} to {show_number(highest_rps)} rps there is nothing to search."
    if word := lowest or highest:
        instead = spell_rate(highest_rps / 10) if lowest else spell_rate(HIGHEST)
        raise line.mistake(f"{quoted(word.text)} is no use: {nothing}", at=word.at, instead=instead)
    raise no_way(f"The cap {place.key}.max_load is too low: {nothing}", line)


def _read_probe_s(line: Line, word: Word) -> float:
    probe_s = read_time_s(line, word, shortest_s=SHORTEST_PROBE_S)
    if probe_s > LONGEST_PROBE_S:
        instead = spell_duration(LONGEST_PROBE_S)
        raise line.mistake(
            f"{quoted(word.text)} is too long for one rate; write at most {instead}.", at=word.at, instead=instead
        )
    return probe_s


def _probe_s(line: Line, lookup: Lookup) -> float:
    """For how long each rate is tried where nothing is said: as long as all of them together may take."""
    probe_s = min(PROBE_S, lookup.settings.loadtest.longest_s / MOST_PROBES)
    if probe_s < SHORTEST_PROBE_S:
        raise no_way("loadtest.longest in seatrial.toml leaves no time for a search, which takes at least 1m.", line)
    return probe_s
