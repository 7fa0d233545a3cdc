"""JSON encoding of the values in Redis. Decoding is strict, because Redis is not trusted.

A field that this release does not know is ignored, as newer releases only add facts, except in a job: a part of its
wish would be lost.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from workers.contract import catalogue, events, jobs

logger = logging.getLogger(__name__)
Value = TypeVar("Value")


class WireError(Exception):
    """Bytes that are not a value of the expected type."""


@dataclass(frozen=True)
class Codec(Generic[Value]):
    """Encoder and decoder of one type. `closed`: a field that is not known is an error."""

    name: str
    adapter: TypeAdapter[Value]
    closed: bool = False

    def encode(self, value: Value) -> bytes:
        return self.adapter.dump_json(value)

    def encode_without_time(self, value: Value) -> bytes:
        """Return the value as JSON without its `at_s`, which a script of the queue adds."""
        return self.adapter.dump_json(value, exclude={"at_s"})

    def decode(self, data: bytes | str) -> Value:
        """Return the value in `data`. Raises WireError, which names the fields but not their contents."""
        try:
            value = self.adapter.validate_json(data, strict=True)
        except ValidationError as error:
            mistakes = "; ".join(".".join(map(str, detail["loc"])) + ": " + detail["msg"] for detail in error.errors())
            raise WireError(f"not a {self.name}: {mistakes}") from error
        if self.closed and (unknown := _paths(json.loads(data)) - _paths(json.loads(self.encode(value)))):
            raise WireError(f"not a {self.name}: unknown {', '.join(sorted(unknown))}")
        return value

    def decode_readable(self, items: Iterable[bytes]) -> list[Value]:
        """Return the values that can be decoded. The others are logged: they must not hide these."""
        values = []
        for data in items:
            try:
                values.append(self.decode(data))
            except WireError as error:
                _warn_once(str(error))
        return values


@lru_cache
def _warn_once(reason: str) -> None:
    """Log a value that is ignored. Values are read again and again."""
    logger.warning("a value in Redis is ignored, perhaps of another release: %s", reason)


def _paths(value: Any, path: str = "") -> set[str]:
    """Return the paths of all fields in a JSON value."""
    if isinstance(value, dict):
        inner = ((f"{path}.{name}" if path else name, field) for name, field in value.items())
        return {found for name, field in inner for found in {name} | _paths(field, name)}
    return {found for item in value for found in _paths(item, path)} if isinstance(value, list) else set()


JOB: Codec[jobs.Job] = Codec("job", TypeAdapter(jobs.AnyJob), closed=True)
ASKED: Codec[jobs.Asked] = Codec("request", TypeAdapter(jobs.Asked))
EVENT: Codec[events.Event] = Codec("event", TypeAdapter(Annotated[events.Event, Field(discriminator="kind")]))
VERSION: Codec[catalogue.Version] = Codec("version", TypeAdapter(catalogue.Version))
SERVED: Codec[catalogue.Served] = Codec("endpoint", TypeAdapter(catalogue.Served))
