"""Text of a command as people and chats write it, made plain: signs, marks, dashes, links, numbers and units. Pure.

Parsers and corrections clean a text with it before they split it into words. It must not know a command.
"""

import re
import unicodedata

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
