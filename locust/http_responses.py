"""HTTP responses: parsed from a connection's bytes (`ResponseReader`) and checked (`ResponseCheck`)."""

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httptools

NO_PREDICTIONS = "a response without predictions"
OTHER_PREDICTIONS = "predictions of a different shape"
NOT_FINITE = "a prediction that is NaN or infinite"
MAX_ACCEPTED = 64  # responses to one request differ by replica and version, not by the thousand


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response. `reusable`: the connection can take another request."""

    status: int
    body: bytes
    reusable: bool


class ResponseReader:
    """Parser of one connection's responses. It refers to itself until `close`."""

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        # Every client accepts these: bare line feeds, a length beside chunks, odd bytes in values.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_chunked_length=True, lenient_optional_cr_before_lf=True
        )
        self._complete: list[Response] = []
        self._reset()

    def feed(self, data: bytes) -> list[Response]:
        """Return the responses that `data` completes. Raise httptools.HttpParserError if it is not HTTP."""
        with suppress(httptools.HttpParserUpgrade):  # raised after an unrequested 101, which is a response
            self._parser.feed_data(data)
        complete, self._complete = self._complete, []
        return complete

    def end(self) -> Response | None:
        """Return the response that the end of the connection completes, or None if it cuts one off.

        Only a response without a length ends this way: https://www.rfc-editor.org/rfc/rfc9112#section-6.3
        """
        if not self._in_body or self._delimited:
            return None
        return Response(self._parser.get_status_code(), b"".join(self._body), False)

    def close(self) -> None:
        self._parser = None

    def _reset(self) -> None:
        self._body: list[bytes] = []
        self.begun = self._in_body = self._delimited = False  # begun: part of a response has arrived

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        self.begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._delimited = True

    def on_headers_complete(self) -> None:
        self._in_body = True

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 or status == 101:  # other interim responses, such as 103 Early Hints, are skipped
            # Only now does the parser know if the connection can be reused.
            reusable = self._parser.should_keep_alive() and status != 101
            self._complete.append(Response(status, b"".join(self._body), reusable))
        self._reset()


class ResponseCheck:
    """Comparison of responses with `expected`, the body of a correct one.

    A response is correct if its bytes are equal, or if it has as many predictions with the same keys, all finite.
    If `expected` is b"", the first response with predictions is the reference.
    If `predicts` is False, any 2xx is correct.
    """

    def __init__(self, *, predicts: bool, expected: bytes = b"") -> None:
        self._predicts = predicts
        self._shape = _shape(expected)
        self._accepted = {expected}

    def failure(self, response: Response) -> str | None:
        """Return why the response is wrong, always in the same words for the same cause, or None if it is correct."""
        if not 200 <= response.status < 300:
            return f"HTTP {response.status}"
        if not self._predicts or response.body in self._accepted:
            return None
        try:
            shape = _shape(response.body)
        except _NotFiniteError:
            return NOT_FINITE
        if shape is None:
            return NO_PREDICTIONS
        if self._shape is None:
            self._shape = shape
        if shape != self._shape:
            return OTHER_PREDICTIONS
        if len(self._accepted) < MAX_ACCEPTED:
            self._accepted.add(response.body)
        return None


class _NotFiniteError(Exception):
    """JSON has NaN or an infinity, as TensorFlow Serving writes them."""


def _refuse_constant(token: str) -> None:
    raise _NotFiniteError(token)


def _shape(body: bytes) -> tuple[object, ...] | None:
    """Return the predictions' number and keys, or None without predictions. Raises _NotFiniteError."""
    try:
        fields = json.loads(body, parse_constant=_refuse_constant)
    except ValueError:
        return None
    predictions = fields.get("predictions") if isinstance(fields, dict) else None
    if not isinstance(predictions, list):
        return None
    return tuple(_kind(prediction) for prediction in predictions)


def _kind(prediction: Any) -> object:
    if isinstance(prediction, dict):
        return frozenset(prediction)
    return len(prediction) if isinstance(prediction, list) else type(prediction)
