"""A pasted CREATE MODEL statement as the settings of a model. Pure, and without a parser of SQL: the bot has none.

Only the statement's head is read, by GoogleSQL's lexical rules; the query is taken as it stands.
https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical and …/bigqueryml-syntax-create
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.contract.units import quoted

_TOKEN = re.compile(
    r"""
    (?P<blank>\s+|--[^\n]*|\#[^\n]*|/\*.*?\*/)
    | (?P<string>(?:[rR][bB]?|[bB][rR]?)?(?:'''(?:[^\\]|\\.)*?'''|\"""(?:[^\\]|\\.)*?\"""
        |'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"))
    | (?P<quoted>`[^`\n]*`)
    | (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>[-+()\[\],=.;])
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    end: int


def settings_of(statement: str) -> Mapping[str, Any]:
    """Return the keys type, label, query and options. The name of the model in the statement is not used.

    Raises ValueError with a sentence that says what was expected and at which line.
    """
    reader = _Reader(statement)
    reader.words("CREATE")
    if reader.takes("OR"):
        reader.words("REPLACE")
    reader.words("MODEL")
    if reader.takes("IF"):
        reader.words("NOT", "EXISTS")
    reader.name()
    if reader.takes("TRANSFORM"):
        raise ValueError("TRANSFORM is not available; put its expressions into the query")
    reader.words("OPTIONS")
    options = reader.options()
    reader.words("AS")
    model_type, labels = options.pop("MODEL_TYPE", None), options.pop("INPUT_LABEL_COLS", ["label"])
    if not isinstance(model_type, str):
        raise ValueError("OPTIONS must have MODEL_TYPE, a text")
    if not (isinstance(labels, list) and len(labels) == 1 and isinstance(labels[0], str)):
        raise ValueError("INPUT_LABEL_COLS must have one column, as in ['species']")
    query = reader.rest()
    if not query:
        raise ValueError("a query must follow AS")
    return {"type": model_type.lower(), "label": labels[0], "query": query, "options": options}


class _Reader:
    """Reads tokens, and skips blanks and comments."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def words(self, *expected: str) -> None:
        for word in expected:
            if not self.takes(word):
                raise self._expected(word)

    def takes(self, text: str) -> bool:
        """Take the next token if it is this word or sign."""
        token = self._next()
        if token is None or token.kind not in ("word", "sign") or token.text.upper() != text:
            return False
        self._at = token.end
        return True

    def name(self) -> None:
        """Take the model's name, such as `p.d.m` or my-project.d.m."""
        found = 0
        while (token := self._next()) and (token.kind in ("quoted", "number") or token.text in ".-" or not found % 2):
            if token.kind == "sign" and token.text not in ".-":
                break
            self._at, found = token.end, found + 1
        if not found:
            raise self._expected("the name of a model")

    def options(self) -> dict[str, Any]:
        self.words("(")
        found: dict[str, Any] = {}
        while not self.takes(")"):
            if found:
                self.words(",")
            name = self._take("word", "the name of an option").upper()
            if name in found:
                raise ValueError(f"{name} is given twice")
            self.words("=")
            found[name] = self._value(name)
        if "CLASS_WEIGHTS" in found:
            found["CLASS_WEIGHTS"] = _weights(found["CLASS_WEIGHTS"])
        return found

    def rest(self) -> str:
        return self._text[self._at :].strip().rstrip(";").rstrip()

    def _value(self, name: str) -> Any:
        token = self._next()
        if token is None:
            raise self._expected(f"the value of {name}")
        if token.kind == "string":
            self._at = token.end
            return _text(token.text)
        for word, value in (("TRUE", True), ("FALSE", False)):
            if self.takes(word):
                return value
        if self.takes("["):
            return self._list(name, "]")
        if self.takes("STRUCT") or token.text == "(":
            self.words("(")
            return tuple(self._list(name, ")"))
        sign = -1 if self.takes("-") else 1
        if (token := self._next()) is None or token.kind != "number":
            raise self._expected(f"a constant value of {name}")
        self._at = token.end
        number = float(token.text)
        return sign * (int(number) if number.is_integer() and token.text.isdigit() else number)

    def _list(self, name: str, end: str) -> list[Any]:
        found: list[Any] = []
        while not self.takes(end):
            if found:
                self.words(",")
            found.append(self._value(name))
            if self.takes("AS"):
                self._take("word", "the name of a field")
        return found

    def _take(self, kind: str, what: str) -> str:
        token = self._next()
        if token is None or token.kind != kind:
            raise self._expected(what)
        self._at = token.end
        return token.text

    def _next(self) -> _Token | None:
        while match := _TOKEN.match(self._text, self._at):
            if match.lastgroup != "blank":
                return _Token(match.lastgroup or "", match[0], match.end())
            self._at = match.end()
        return None

    def _expected(self, what: str) -> ValueError:
        self._next()  # skips blanks
        line = self._text.count("\n", 0, self._at) + 1
        found = self._text[self._at : self._at + 20].split("\n")[0]
        return ValueError(f"line {line} of the statement: expected {what}, found {quoted(found or 'its end')}")


def _text(literal: str) -> str:
    """Return the text of a string literal. Raises ValueError for bytes and for escapes that Python lacks."""
    prefix = literal[: len(literal) - len(literal.lstrip("rRbB"))].lower()
    if "b" in prefix:
        raise ValueError("an option must not be BYTES")
    try:
        return str(ast.literal_eval(literal))
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{quoted(literal)} has an unknown escape") from error


def _weights(value: Any) -> Mapping[str, float]:
    if isinstance(value, list) and all(isinstance(item, tuple) and len(item) == 2 for item in value):
        return {str(label): weight for label, weight in value}
    raise ValueError("CLASS_WEIGHTS must be like [STRUCT('yes', 2.0), STRUCT('no', 0.5)]")
