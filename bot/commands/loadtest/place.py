"""The place of a load in a command: a model's endpoint on an environment, or a load target, which has no model."""

from dataclasses import dataclass

from bot.commands.arguments import Arguments, is_number
from bot.commands.line import Word
from bot.commands.loadtest.quantities import is_rate
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

    def check_cap(self, line: Arguments, rate_rps: float, word: Word | None) -> None:
        """Raise UsageError if the rate in `word` exceeds the cap of a place that has no approvers."""
        cap_rps = self.place.max_load_rps
        if word is None or cap_rps is None or rate_rps <= cap_rps or self.place.approvals is not None:
            return
        cap = f"the cap of {show_number(cap_rps)} rps that {self.place.key}.max_load sets"
        raise line.not_possible(f"{word.quoted} is above {cap}.")


def take_place_names(line: Arguments) -> tuple[str | None, str | None]:
    """Take the names of a place and a model, for `find_place`.

    Raises UsageError if `on` precedes an unknown name, or a number, with which addresses begin.
    """
    place = line.take_place()
    if stray := line.take_after(("on",), lambda text: is_number(text) and not is_rate(text)):
        problem = f"{stray.quoted} is no environment and no target; load goes only to places in seatrial.toml."
        raise line.not_possible(problem)
    # A model beside a load target stays in the line and is reported there.
    return place, None if place in line.settings.targets else line.take_model()


def find_place(line: Arguments, name: str | None, model: str | None) -> LoadPlace:
    """Return the place, with defaults for missing names. Raises UsageError if it is ambiguous or not served."""
    # A named model implies an environment.
    name = name or (line.only_environment() if model else line.only_place())
    place = line.settings.place(name)
    if isinstance(place, LoadTarget):
        return LoadPlace(place=place, model="")
    model = model or line.only_model()
    line.must_be_served(model, name)
    return LoadPlace(place=place, model=model)
