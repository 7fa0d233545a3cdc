"""The words of a command: cleaned of a chat's formatting, taken one by one in any order, and spelled again.

Every verb uses it. This module must not know the commands.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from bot.commands.command import Form, UsageError
from workers.contract.formatting import exact
from workers.contract.units import quoted

FILLERS = ("with", "and", "the", "please", "pls", "thanks", ",")
"""Words that people type and commands do not need."""
HELP = frozenset(("help", "?"))

# Keyboards and chats replace plain characters by typographic ones. A backtick quotes code in a chat.
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_PLAIN = str.maketrans(
    _FULL_WIDTH
    | {ord(quote): '"' for quote in "“”„‟«»‹›‘’‚‛ʼ´′″「」'`＂＇"}
    | {ord("…"): "..", ord("≤"): "<=", ord("≥"): ">="}
)
_DASHES_OUTSIDE_PD = "\u2043\u207b\u208b\u2212"
"""Hyphen bullet, superscript, subscript and mathematical minus. All other dashes have the category Pd."""
_APOSTROPHE = re.compile(r"(?<=[0-9])['’‘ʼ´](?=[0-9]{3}(?![0-9]))|(?<=[a-z])['’](?=[a-z])")
"""An apostrophe in a number or in a word such as don't, and no quote."""
_HELP_FLAG = re.compile(r'(?<![^\s"])-+(?:help|h)(?![\w-])', re.IGNORECASE)
_FLAG = re.compile(r'(?<![^\s"])-+ ?(?=[a-z])', re.IGNORECASE)
_KEY = re.compile(r'(?<![^\s"])([a-z-]+)[=:](?=[\w"])', re.IGNORECASE)
# A pair of marks around words, as for bold text. A mark alone has a meaning: "*5" is a misspelled field of cron.
_MARKED = re.compile(r'(?<![^\s"(])([*_~])(?=[\w#@*_~])(.{0,200}?[\w%"*_~.!?;,:)])\1(?![\w*/])')
_MOST_NESTED = 3
_OPENING_MARKS = re.compile(r'(?<![^\s"*_~])\(+(?=[\w#@*_~])')
_CLOSING_MARKS = re.compile(
    r'(?<=[\w%"*_~])(?:[!;:)]|,(?!(?:(?<=[\s"][0-9],)|(?<=[\s"][0-9]{2},)) [0-9*])|(?<!\.)\.(?!\.))+(?=[\s"*_~]|$)'
)
"""Marks at the end of a sentence. "1.." stays, and the comma in "0, 30", which may be the first field of cron."""
# Slack makes links of addresses. People see and typed the words in them.
_LINK = re.compile(r"<(?:(?:https?:|mailto:)[^<>|\s]*\||(?=https?:))([^<>|]*)>")

_RATE_UNIT = r"k?rps|k?qps|k?req/s|k?/s|k?/min"
_UNIT = rf"{_RATE_UNIT}|ms|[smhd]|%"
_PER = re.compile(r"(?<=[0-9k]) ?(?:requests?|reqs?)? ?(?:/ ?|\bper )(?:(s|sec|second)|m|min|minute)\b", re.IGNORECASE)
_LONG_UNIT = re.compile(r"(?<=[0-9]) ?(days?|hrs?|hours?|mins?|minutes?|secs?|seconds?)\b", re.IGNORECASE)
_LINKING = re.compile(r"\b(abort(?= if | when )|ramp(?= up | of | over )) \w+ ", re.IGNORECASE)
_NUMBER_AND_UNIT = re.compile(rf"(?<![^\s,<=>-])([0-9.]+)\s+({_UNIT})(?=[\s,]|\.\.|$)", re.IGNORECASE)
_THOUSANDS = re.compile(r"([0-9]\s*k)\s+(?=(?:rps|qps|req/s|/s|/min)(?![^\s,]))", re.IGNORECASE)
_TIME_AND_TIME = re.compile(
    r"(?:(?<=[0-9]d)\s+(?=[0-9.]+[hms])|(?<=[0-9]h)\s+(?=[0-9.]+[ms])|(?<=[0-9]m)\s+(?=[0-9.]+s))(?=\S+(?:[\s,]|$))",
    re.IGNORECASE,
)
_NOT_OF_NAME = r"(?<![a-z_]-)"
"""Before a number: it is not the end of a name such as eu-1."""
_GROUPED_BY_COMMA = re.compile(
    rf"(?<![\w.,<>=]){_NOT_OF_NAME}[1-9][0-9]{{0,2}}(?:,[0-9]{{3}})+(?![0-9,])", re.IGNORECASE
)
_GROUPED_BY_SPACE = re.compile(
    # Of "200 500rps" the first number may be another one: the lower rate, or a time without its unit.
    rf"(?<![\w.,<>=]){_NOT_OF_NAME}(?<!steps )(?<!step )(?<!for )"
    r"(?:[1-9][0-9]?(?: [0-9]{3})+|[1-9][0-9]{2}(?: [0-9]{3})* 000)"
    rf"(?= ?(?:{_RATE_UNIT})(?!\w)| ?\.\.| to [0-9]|-)",
    re.IGNORECASE,
)
_BOUND = re.compile(
    r"\b(p[0-9][0-9.]*|errors?) (?:is |are )?(?:(under|below|less than|at most)|(?:over|above|more than)) ",
    re.IGNORECASE,
)
_BOUND_OF_RANGE = rf"(?<![\w.>]){_NOT_OF_NAME}([0-9][0-9.]*k?(?:{_RATE_UNIT})?)"
_BETWEEN = re.compile(rf"between {_BOUND_OF_RANGE} and (?=[0-9])", re.IGNORECASE)
_FROM_TO = re.compile(rf"{_BOUND_OF_RANGE}(?: (?:up )?to | - |-)(?=[0-9])", re.IGNORECASE)


def clean(text: str) -> str:
    """Return `text` on one line, with Slack's escapes and marks undone and every kind of quote as `"`.

    Every kind of dash is a hyphen. A word with dashes before it (`--dry-run`) is the word.
    """
    text = _LINK.sub(r"\1", text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    text = _APOSTROPHE.sub("", text)
    # Invisible characters (zero width, direction) are dropped. Other unprintable ones separate words.
    visible = "".join(_plain(sign) for sign in text if unicodedata.category(sign) != "Cf")
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in visible).split())
    line = re.sub(r" ?\.\.+(?: (?=[0-9]))?", "..", line)
    line = _KEY.sub(r"\1 ", _FLAG.sub("", _HELP_FLAG.sub("help", line)))
    for _ in range(_MOST_NESTED):  # like *_v1_*
        outer, line = line, _MARKED.sub(r"\2", _CLOSING_MARKS.sub("", _OPENING_MARKS.sub("", line)))
        if line == outer:
            break
    return line


def joined(text: str) -> str:
    """Return `text` with each quantity as one word, like "1k rps", "1 h 30 m", "p95 < 200 ms", "1 000 rps"."""
    text = _PER.sub(lambda rate: "/s" if rate[1] else "/min", clean(text))
    text = _LONG_UNIT.sub(lambda unit: unit[1][0], _LINKING.sub(r"\1 ", text))
    text = re.sub(r"\berror rate\b", "errors", text, flags=re.IGNORECASE)
    text = _BOUND.sub(lambda bound: bound[1] + ("<" if bound[2] else ">"), text)
    text = re.sub(r" ?([<>]=?) ?(?=[0-9.])", r"\1", text)
    for grouped in (_GROUPED_BY_COMMA, _GROUPED_BY_SPACE):
        text = grouped.sub(lambda number: re.sub("[ ,]", "", number[0]), text)
    text = _NUMBER_AND_UNIT.sub(r"\1\2", _THOUSANDS.sub(r"\1", text))
    return _TIME_AND_TIME.sub("", text)


def with_ranges(text: str) -> str:
    """Return `text` with each "200 to 2000rps", "200-2000rps" or "between 1 and 4" as a range with two dots."""
    return _FROM_TO.sub(r"\1..", _BETWEEN.sub(r"\1..", text))


def _plain(sign: str) -> str:
    dash = sign in _DASHES_OUTSIDE_PD or unicodedata.category(sign) == "Pd"
    return "-" if dash else sign.translate(_PLAIN)


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
