"""The words of a command: taken one by one in any order, and spelled again.

Every verb uses it. This module must not know the commands.
"""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from bot.commands.cleaning import clean
from bot.commands.command import Form, UsageError
from workers.contract.formatting import exact
from workers.contract.units import quoted

FILLERS = ("with", "and", "the", "please", "pls", "thanks", ",")
"""Words that people type and commands do not need."""
HELP = frozenset(("help", "?"))


def join_words(*words: str | None) -> str:
    """Join the words that are not empty to a command."""
    return " ".join(word for word in words if word)


def spell_rate(rps: float) -> str:
    """Return a rate as a command has it."""
    return f"{exact(rps)}rps"


def spell_duration(seconds: float) -> str:
    """Return a duration as a command has it."""
    if seconds != int(seconds):
        return f"{exact(seconds)}s"
    hours, rest = divmod(int(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return "".join(f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if count)


class Word(NamedTuple):
    """A word in lower case, and its position in the line."""

    text: str
    at: int

    @property
    def quoted(self) -> str:
        """The word in quotes, for messages."""
        return quoted(self.text)


class Line:
    """The words of one command. Parsers take them one after another; a word that is left was not understood.

    `usage` is the usage line of the form that is being parsed, as far as it is known.
    """

    def __init__(self, verb: str, text: str, form: Form) -> None:
        self.verb = verb
        self.usage = form.usage
        words = clean(text).replace('"', " ").split()
        self._words = [word for word in words if word.lower() not in FILLERS]
        self._left = list(range(len(self._words)))

    @property
    def is_empty(self) -> bool:
        """Return whether the command has no words."""
        return not self._words

    def subcommand(self, forms: Mapping[str, Form]) -> str | None:
        """Take the first word if it is one of `forms`. The usage line is that form's from then on."""
        name = self._text(0) if self._left[:1] == [0] else ""
        if name not in forms:
            return None
        self._left.pop(0)
        self.usage = forms[name].usage
        return name

    def take(
        self, fits: Callable[[str], bool], *, after: Collection[str] = (), before: Collection[str] = ()
    ) -> Word | None:
        """Take the first word that fits, with a preceding word of `after` and a following word of `before`."""
        return self._take(fits, after, before)

    def take_after(self, names: Collection[str], fits: Callable[[str], bool]) -> Word | None:
        """Take the first word that fits and directly follows one of `names`, with that name."""
        return self._take(fits, names, required=-1)

    def take_before(
        self, names: Collection[str], fits: Callable[[str], bool], *, after: Collection[str] = ()
    ) -> Word | None:
        """Take the first word that fits and directly precedes one of `names`, with that name and a word of `after`."""
        return self._take(fits, after, names, required=1)

    def take_behind(self, word: Word, names: Collection[str], fits: Callable[[str], bool]) -> Word | None:
        """Take one of `names` directly behind `word` and the word after it, if that fits. Return the latter."""
        between, at = word.at + 1, word.at + 2
        if not {between, at} <= set(self._left) or self._text(between) not in names or not fits(self._text(at)):
            return None
        self._left = [left for left in self._left if left not in (between, at)]
        return Word(self._text(at), at)

    def dry_run(self) -> bool:
        """Take `dry-run` or `dry run`. Return whether it was there."""
        spelled = self.take(lambda word: word in ("dry-run", "dryrun", "dry_run"))
        return bool(spelled or self.take_after(("dry",), lambda word: word == "run"))

    def has(self, name: str) -> bool:
        """Return whether `name` is among the words that are left."""
        return any(self._text(at) == name for at in self._left)

    def next_left(self) -> Word | None:
        """Return the first word that is left, without taking it."""
        return Word(self._text(self._left[0]), self._left[0]) if self._left else None

    def mistake(self, problem: str, *, at: int, instead: str) -> UsageError:
        """Return an error that suggests the same command with `instead` in place of word `at`; nothing if it is ""."""
        words = [self.verb, *self._words[:at], instead, *self._words[at + 1 :]]
        return UsageError(problem, usage=self.usage, nearest=" ".join(words) if instead else "")

    def _take(
        self, fits: Callable[[str], bool], after: Collection[str], before: Collection[str] = (), *, required: int = 0
    ) -> Word | None:
        """Take the first word that fits, with its neighbours. The one at the offset `required` must be there."""
        left = set(self._left)
        for at in self._left:
            if not fits(self._text(at)):
                continue
            neighbours = ((at - 1, after), (at + 1, before))
            taken = {at} | {near for near, names in neighbours if near in left and self._text(near) in names}
            if at + required in taken:
                self._left = [left for left in self._left if left not in taken]
                return Word(self._text(at), at)
        return None

    def _text(self, at: int) -> str:
        return self._words[at].lower()
