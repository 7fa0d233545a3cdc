"""The place of a load in a command: a model's endpoint on an environment, or a load target, which has no model."""

from dataclasses import dataclass

from bot.commands.arguments import (
    is_number,
    must_be_served,
    only_environment,
    only_model,
    only_place,
    take_model,
    take_place,
)
from bot.commands.command import Lookup
from bot.commands.corrections import range_below
from bot.commands.line import Line, Word, spell_rate
from bot.commands.loadtest.quantities import is_range, is_rate
from workers.contract.formatting import show_number
from workers.contract.settings import Environment, LoadTarget


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadPlace:
    """A place for load, and the model there; "" for a load target."""

    place: Environment | LoadTarget
    model: str

    @property
    def owner(self) -> str:
        """The owner of a load target; "" for an environment, which belongs to the team."""
        return self.place.owner if isinstance(self.place, LoadTarget) else ""

    def check_cap(self, line: Line, rate_rps: float, word: Word | None) -> None:
        """Raise UsageError if the rate in `word` exceeds the cap of a place that has no approvers."""
        cap_rps = self.place.max_load_rps
        if word is None or cap_rps is None or rate_rps <= cap_rps or self.place.approvals is not None:
            return
        key = f"{self.place.key}.max_load"
        problem = f"{word.quoted} is above the cap of {show_number(cap_rps)} rps that {key} sets."
        raise line.mistake(
            problem, at=word.at, instead=range_below(cap_rps) if is_range(word.text) else spell_rate(cap_rps)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaceNames:
    """The place and model named in a command, if any."""

    place: str | None
    model: str | None

    def resolve(self, line: Line, lookup: Lookup) -> LoadPlace:
        """Return the place, with defaults for missing names. Raises UsageError if it is ambiguous or not served."""
        # A named model implies an environment.
        name = self.place or (only_environment if self.model else only_place)(line, lookup)
        place = lookup.settings.place(name)
        if isinstance(place, LoadTarget):
            return LoadPlace(place=place, model="")
        model = self.model or only_model(line, lookup)
        must_be_served(line, lookup, model=model, environment=name)
        return LoadPlace(place=place, model=model)


def take_place_names(line: Line, lookup: Lookup) -> PlaceNames:
    """Take the names of a place and a model.

    Raises UsageError if `on` precedes an unknown name, or a number, with which addresses begin.
    """
    place = take_place(line, lookup)
    if stray := line.take_after(("on",), lambda text: is_number(text) and not is_rate(text)):
        problem = f"{stray.quoted} is no environment and no target; load goes only to places in seatrial.toml."
        raise line.mistake(problem, at=stray.at)
    # A model beside a load target stays in the line and is reported there.
    return PlaceNames(place=place, model=None if place in lookup.settings.targets else take_model(line, lookup))
