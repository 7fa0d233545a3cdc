"""The words of a typed command: freed of what a chat adds to them, and taken in whatever order they came."""

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from bot.commands.command import Form, UsageError

# Words that a sentence has and a command does not need.
FILLERS = ("with", "and", "the", "please")
HELP = frozenset(("help", "--help", "-h", "?"))

# Keyboards and chats put typographic signs in place of plain ones; a backtick is how code is quoted in a chat.
_PLAIN = str.maketrans(dict.fromkeys("“”„‟«»‘’‚‛'`", '"') | {"—": "--", "–": "-", "−": "-", "…": "..", "≤": "<="})
_UNIT = r"k?rps|k?qps|k?req/s|k?/s|k?/min|ms|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|%"
_NUMBER_AND_UNIT = re.compile(rf"(?<![^\s,<=>])([0-9.]+)\s+({_UNIT})(?=[\s,]|\.\.|$)", re.IGNORECASE)
_THOUSANDS = re.compile(r"([0-9]\s*k)\s+(?=(?:rps|qps|req/s|/s|/min)(?![^\s,]))", re.IGNORECASE)
_TIME_AND_TIME = re.compile(r"(?<=[0-9][dhm])\s+(?=[0-9.]+[hms](?![^\s,]))", re.IGNORECASE)


def clean(text: str) -> str:
    """`text` on one line, with Slack's escapes undone and every kind of quote as `"`."""
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    # Signs that cannot be seen (zero width, direction) are left out; other unprintable ones part words.
    seen = "".join(sign for sign in text if unicodedata.category(sign) != "Cf").translate(_PLAIN)
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in seen).split())
    return re.sub(r" ?\.\.+ ?", "..", line)


def joined(text: str) -> str:
    """`text` with each quantity as one word: "1k rps", "5 m", "1 h 30 m", "p95 < 200 ms", "200 rps .. 2k rps"."""
    text = re.sub(r" ?([<>]=?) ?", r"\1", clean(text))
    text = _NUMBER_AND_UNIT.sub(r"\1\2", _THOUSANDS.sub(r"\1", text))
    return _TIME_AND_TIME.sub("", text)


def closest(word: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `word` was probably meant to be, or None."""
    names, word = list(names), word.lower()[:60]
    begun = [name for name in names if name.startswith(word)]
    if len(word) > 1 and len(begun) == 1:
        return begun[0]
    if len(word) < 3:  # "to" is not "stop" misspelled
        return None
    found = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return found[0] if found else None


class Word(NamedTuple):
    """A word in lower case, and which one of its line it was."""

    text: str
    at: int


class Line:
    """One command's words, taken one after another by the reader of each part; what is left over was not understood.

    `usage` is the form that is being read, as far as that is known yet.
    """

    def __init__(self, verb: str, text: str, form: Form) -> None:
        self.verb = verb
        self.usage = form.usage
        words = (word.rstrip(",") or word for word in clean(text).replace('"', " ").split())
        self._typed = [word for word in words if word.lower() not in FILLERS]
        self._left = list(range(len(self._typed)))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was typed."""
        return not self._typed

    def subcommand(self, forms: Mapping[str, Form]) -> str | None:
        """The first word, taken, where it is one of `forms`, whose usage is the line's from then on."""
        name = self._text(0) if self._left[:1] == [0] else ""
        if name not in forms:
            return None
        self._left.pop(0)
        self.usage = forms[name].usage
        return name

    def take(
        self, fits: Callable[[str], bool], *, after: Iterable[str] = (), before: Iterable[str] = ()
    ) -> Word | None:
        """The first word that fits, taken with a word of `after` in front of it and one of `before` behind it."""
        at = next((at for at in self._left if fits(self._text(at))), None)
        if at is None:
            return None
        word = Word(self._text(at), at)
        neighbours = {at - 1: after, at + 1: before}
        taken = {at} | {near for near, names in neighbours.items() if near in self._left and self._text(near) in names}
        self._left = [left for left in self._left if left not in taken]
        return word

    def take_after(self, names: Iterable[str], fits: Callable[[str], bool]) -> Word | None:
        """The first word that fits directly behind one of `names`, taken with it."""
        return self._take_pair(-1, tuple(names), fits)

    def take_before(
        self, names: Iterable[str], fits: Callable[[str], bool], *, after: Iterable[str] = ()
    ) -> Word | None:
        """The first word that fits directly in front of one of `names`, taken with it, and with a word of `after`."""
        word = self._take_pair(1, tuple(names), fits)
        if word and word.at - 1 in self._left and self._text(word.at - 1) in after:
            self._left.remove(word.at - 1)
        return word

    def take_behind(self, word: Word, names: Iterable[str], fits: Callable[[str], bool]) -> Word | None:
        """What follows `word`, where it fits and one of `names` stands between; both taken."""
        between, at = word.at + 1, word.at + 2
        if not {between, at} <= set(self._left) or self._text(between) not in names or not fits(self._text(at)):
            return None
        self._left = [left for left in self._left if left not in (between, at)]
        return Word(self._text(at), at)

    def dry_run(self) -> bool:
        """Whether `dry-run`, `dry run` or `--dry-run` was typed; taken."""
        spelled = self.take(lambda word: word in ("dry-run", "--dry-run", "dryrun", "--dryrun"))
        return bool(spelled or self.take_after(("dry", "--dry"), lambda word: word == "run"))

    def has(self, name: str) -> bool:
        """Whether `name` is among the words that are left."""
        return any(self._text(at) == name for at in self._left)

    def next_left(self) -> Word | None:
        """The first word that nobody took."""
        return Word(self._text(self._left[0]), self._left[0]) if self._left else None

    def mistake(self, problem: str, *, at: int | None = None, instead: str = "") -> UsageError:
        """An error whose nearest command has `instead` in place of the word `at`, or at the end where `at` is None."""
        words = [*self._typed, instead] if at is None else [*self._typed[:at], instead, *self._typed[at + 1 :]]
        return UsageError(problem, usage=self.usage, nearest=" ".join([self.verb, *filter(None, words)]))

    def _take_pair(self, side: int, names: tuple[str, ...], fits: Callable[[str], bool]) -> Word | None:
        for at in self._left:
            if at + side in self._left and self._text(at + side) in names and fits(self._text(at)):
                self._left = [left for left in self._left if left not in (at + side, at)]
                return Word(self._text(at), at)
        return None

    def _text(self, at: int) -> str:
        return self._typed[at].lower()
