"""Suggestions for commands that are not understood. Pure.

A suggestion never wants more than was typed: it has the typed words, each as it stands or with its spelling corrected.
Otherwise there is no suggestion, and the answer points to the manual.
"""

import re
from collections.abc import Callable, Collection

from bot.commands.cleaning import joined, with_ranges
from bot.commands.command import Request, UsageError
from bot.commands.help import ShowHelp
from bot.commands.line import FILLERS
from bot.commands.spelling import misspells

_MOST_MISTAKES = 12
_CONNECTIVES = frozenset(("to", "on", "for", "show"))
"""Words that a suggestion may add: they say what a typed word is, or ask to see it."""
_RESTRAINING = frozenset(
    ("all", "but", "dont", "except", "halt", "if", "kill", "no", "non", "not", "only", "or", "unless", "until")
)
"""Words that no name is meant by: "no" does not abbreviate north-eu."""
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def correct(error: UsageError, typed: str, parse: Callable[[str], Request], *, keywords: Collection[str]) -> UsageError:
    """Return `error` with a `nearest` command that is understood and wants what `typed` wants, or with "".

    `parse` reads a whole command, and raises UsageError for its first mistake. `keywords` are words of commands, which
    are spelled right: "stop" is not meant for a target "shop".
    """
    command = error.nearest
    for _ in range(_MOST_MISTAKES):
        if not command:
            break
        try:
            request = parse(command)
        except UsageError as other:
            command = other.nearest
            continue
        if isinstance(request, ShowHelp) or not wants_the_same(typed, command, keywords):
            break
        # Quotes matter around an expression of cron only.
        nearest = command if command.startswith("/schedule") else " ".join(command.replace('"', " ").split())
        return UsageError(error.problem, usage=error.usage, nearest=nearest)
    return UsageError(error.problem, usage=error.usage)


def wants_the_same(typed: str, suggestion: str, keywords: Collection[str]) -> bool:
    """Return whether `suggestion` has all typed words in their order, with corrected spelling, and no further wish.

    It may add the verb of a subcommand (`/train` → `/model train`) and words such as `to`.
    """
    left, fixed = _words(typed), _RESTRAINING.union(keywords)
    for position, word in enumerate(_words(suggestion)):
        if left and (left[0] == word or (left[0] not in fixed and _is_meant(left[0], word))):
            left.pop(0)
        elif position and word not in _CONNECTIVES:
            return False
    return not left


def _words(command: str) -> list[str]:
    text = with_ranges(joined(command)).lower().replace('"', " ").replace(",", " ").removeprefix("/")
    return [word for word in text.split() if word not in FILLERS]


def _is_meant(word: str, other: str) -> bool:
    """Return whether `other` is a correction of `word` that means the same."""
    word, other = word.removeprefix("/"), other.removeprefix("/")
    numbers = _NUMBER.findall(word)
    if not numbers:
        return word == other or misspells(word, other)
    number = word.lstrip("#")
    if other in (number, f"v{number}", f"{number}rps"):  # Its place allows no other unit.
        return True
    letters = _NUMBER.sub("", word), _NUMBER.sub("", other)
    return numbers == _NUMBER.findall(other) and len(numbers) == 1 and misspells(*letters)
