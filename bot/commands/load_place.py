"""Where a load goes: a model's endpoint on an environment, or a target, which has no model."""

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
from bot.commands.line import Line
from bot.commands.quantities import is_rate
from workers.contract.settings import Environment, LoadTarget
from workers.contract.units import quoted


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A place that can be loaded, and the model there; "" on a target."""

    place: Environment | LoadTarget
    model: str

    @property
    def owner(self) -> str:
        """Whom to ask about a target; "" for an environment, which is the team's own."""
        return self.place.owner if isinstance(self.place, LoadTarget) else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    """The names in a line, as far as there are any."""

    place: str | None
    model: str | None

    def found(self, line: Line, lookup: Lookup) -> Found:
        """What is meant, with what need not be named. Raises UsageError where that is nothing, or not served."""
        # Whoever names a model means an environment.
        name = self.place or (only_environment if self.model else only_place)(line, lookup)
        place = lookup.settings.place(name)
        if isinstance(place, LoadTarget):
            return Found(place=place, model="")
        model = self.model or only_model(line, lookup)
        must_be_served(line, lookup, model=model, environment=name)
        return Found(place=place, model=model)


def take_where(line: Line, lookup: Lookup) -> Where:
    """Take the place and the model that are named. Raises UsageError where `on` is followed by an unknown name, or by
    a number, as an address begins."""
    place = take_place(line, lookup)
    if stray := line.take_after(("on",), lambda text: is_number(text) and not is_rate(text)):
        problem = f"{quoted(stray.text)} is no environment and no target; load goes only to what seatrial.toml names."
        raise line.mistake(problem, at=stray.at)
    # Beside a target a model stays in the line, and is not understood there.
    return Where(place=place, model=None if place in lookup.settings.targets else take_model(line, lookup))
