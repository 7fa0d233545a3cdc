"""Misspelled words. Pure. Parsers find the meant word with it, and corrections check a suggestion with it."""

import re
from collections.abc import Iterable

_SHORTEST = 3
"""Shorter words do not misspell others: "to" is not meant for "on"."""
_LONG = 8
"""Words of this length may have two mistakes, shorter ones one."""
_FAR = 3
"""A distance above that of any misspelling and of its rivals."""
_WORD = re.compile(r"[\w./-]+")
"""What people misspell. Other signs have a meaning: "staging?" is a question, and "!staging" is not staging."""


def closest(word: str, names: Iterable[str]) -> str | None:
    """Return the only name that `word` abbreviates, or else the one that it misspells; otherwise None.

    If another name needs only one correction more, the choice would be a guess: prod-us is neither prod-uk nor prod-eu,
    and prod-u may be both.
    """
    names, word = [*dict.fromkeys(names)], word.lower()[:60]
    needed = {name: 0 if _abbreviates(word, name) else _mistakes(word, name) for name in names}
    found = [name for name in names if needed[name] <= min(needed.values()) + 1]
    return found[0] if len(found) == 1 and misspells(word, found[0]) else None


def misspells(word: str, name: str) -> bool:
    """Return whether `word` is probably `name`: abbreviated, or with one wrong letter, or two in a long name.

    Digits must be the same: v1 does not misspell v2.
    """
    if _numbers(word) != _numbers(name) or not _WORD.fullmatch(word):
        return False
    return _abbreviates(word, name) or (
        len(word) >= _SHORTEST and len(name) >= _SHORTEST and _mistakes(word, name) <= (2 if len(name) >= _LONG else 1)
    )


def _abbreviates(word: str, name: str) -> bool:
    return len(word) > 1 and name.startswith(word)


def _numbers(text: str) -> str:
    return "".join(sign for sign in text if sign.isdigit())


def _mistakes(word: str, name: str) -> int:
    """Return the optimal string alignment distance: letters that differ, lack, are too many or change places.

    For lengths that differ more than any misspelling, the difference is enough.
    """
    if abs(len(word) - len(name)) > _FAR:
        return abs(len(word) - len(name))
    before: list[int] = []
    above = list(range(len(name) + 1))
    for row, sign in enumerate(word, 1):
        here = [row]
        for column, other in enumerate(name, 1):
            cost = min(above[column] + 1, here[-1] + 1, above[column - 1] + (sign != other))
            if row > 1 and column > 1 and sign == name[column - 2] and word[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            here.append(cost)
        before, above = above, here
    return above[-1]
