"""Arguments of a Web API call, from a form, a JSON body or a query string."""

import json
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

from bot.local_slack.refusal import SlackRefusal


class ApiArguments:
    """The arguments of one call."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def optional(self, name: str, default: str = "") -> str:
        """Return an argument as text, or `default`."""
        value = self.values.get(name)
        if value is None:
            return default
        return value if isinstance(value, str) else json.dumps(value)

    def required(self, name: str) -> str:
        """Return an argument as text. Raises invalid_arguments if it is missing or empty."""
        if value := self.optional(name):
            return value
        raise SlackRefusal("invalid_arguments", f"missing required field: {name}")

    def parsed(self, name: str, *, error: str = "invalid_arguments") -> Any:
        """Return a JSON argument, decoded if it was sent as text, or None if it is absent.

        Raises `error` if the text is not JSON.
        """
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value else None
        except ValueError:
            raise SlackRefusal(error) from None

    def as_logged(self) -> dict[str, Any]:
        """Return the arguments for the call log: decoded, without tokens."""
        return {name: _decoded(value) for name, value in self.values.items() if name != "token"}


def parse_arguments(*, body: bytes, content_type: str, query: str) -> ApiArguments:
    """Return the arguments of one call. Raises invalid_json, json_not_object or invalid_form_data, as Slack does."""
    values: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            sent = json.loads(body) if body else {}
            if not isinstance(sent, dict):
                raise SlackRefusal("json_not_object")
            values |= sent
        elif kind == "multipart/form-data":
            values |= {name: part.decode() for name, part in parse_multipart(body, content_type).items()}
        else:
            values |= dict(parse_qsl(body.decode(), keep_blank_values=True))
    except UnicodeDecodeError:
        raise SlackRefusal("invalid_form_data") from None
    except ValueError:
        raise SlackRefusal("invalid_json") from None
    return ApiArguments(values)


def parse_multipart(body: bytes, content_type: str) -> dict[str, bytes]:
    """Return the parts of a multipart/form-data body by name."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    parts: dict[str, bytes] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            parts[name] = content
    return parts


def _decoded(value: object) -> object:
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
