"""Answers: taken out of a connection's bytes, and judged."""

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httptools

NO_PREDICTIONS = "an answer without predictions"
OTHER_PREDICTIONS = "predictions of another shape"
MOST_KNOWN = 64  # a model's answers to one request differ by replica and version, not by the thousand


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `reusable`: the connection can take another request."""

    status: int
    body: bytes
    reusable: bool


class AnswerReader:
    """Takes answers out of one connection's bytes. Until it is closed it holds itself."""

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        # What every client takes: bare line feeds, a length beside chunks, odd bytes in values.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_chunked_length=True, lenient_optional_cr_before_lf=True
        )
        self._complete: list[Answer] = []
        self._forget()

    def feed(self, data: bytes) -> list[Answer]:
        """The answers that `data` completes. Raises httptools.HttpParserError where it is not HTTP."""
        with suppress(httptools.HttpParserUpgrade):  # after a 101, which is an answer: to a question nobody asked
            self._parser.feed_data(data)
        complete, self._complete = self._complete, []
        return complete

    def end(self) -> Answer | None:
        """The answer that the connection's end completes: one that told no length. None where it cuts one off.

        https://www.rfc-editor.org/rfc/rfc9112#section-6.3
        """
        if not self._in_body or self._delimited:
            return None
        return Answer(self._parser.get_status_code(), b"".join(self._body), False)

    @property
    def begun(self) -> bool:
        """Whether a part of an answer has come."""
        return self._begun

    def close(self) -> None:
        """Let go of the parser, which holds this object."""
        self._parser = None

    def _forget(self) -> None:
        self._body: list[bytes] = []
        self._begun = self._in_body = self._delimited = False

    # ------------------------------------------------------------------------------------------ the parser's calls

    def on_message_begin(self) -> None:
        self._begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._delimited = True

    def on_headers_complete(self) -> None:
        self._in_body = True

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 or status == 101:  # before the answer there may be others, such as 103 Early Hints
            # Whether the connection can be reused is known to the parser only now.
            reusable = self._parser.should_keep_alive() and status != 101
            self._complete.append(Answer(status, b"".join(self._body), reusable))
        self._forget()


class Judge:
    """Tells right answers from wrong ones by one that is known to be right.

    Equal bytes are right; otherwise as many predictions, with the same keys. `predicts` False: any 2xx is right.
    Where none is known (b""), the first one with predictions is.
    """

    def __init__(self, *, predicts: bool, right: bytes = b"") -> None:
        self._predicts = predicts
        self._shape = _shape(right)
        self._known = {right}

    def failure(self, answer: Answer) -> str | None:
        """What is wrong with the answer, in the same few words for the same cause; None where it is right."""
        if not 200 <= answer.status < 300:
            return f"HTTP {answer.status}"
        if not self._predicts or answer.body in self._known:
            return None
        shape = _shape(answer.body)
        if shape is None:
            return NO_PREDICTIONS
        if self._shape is None:
            self._shape = shape
        if shape != self._shape:
            return OTHER_PREDICTIONS
        if len(self._known) < MOST_KNOWN:
            self._known.add(answer.body)
        return None


def _shape(body: bytes) -> tuple[object, ...] | None:
    """What must be alike in two answers to the same request; None where the body has no predictions."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    predictions = answer.get("predictions") if isinstance(answer, dict) else None
    if not isinstance(predictions, list):
        return None
    return tuple(_kind(prediction) for prediction in predictions)


def _kind(prediction: Any) -> object:
    match prediction:
        case dict():
            return frozenset(prediction)
        case list():
            return len(prediction)
        case _:
            return type(prediction)
