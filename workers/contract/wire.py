"""JSON encoding of the values in Redis. Decoding is strict, because Redis is not trusted."""

from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from workers.contract import catalogue, events, jobs

Value = TypeVar("Value")


class WireError(Exception):
    """Bytes that are not a value of the expected type."""


@dataclass(frozen=True)
class Codec(Generic[Value]):
    """Encoder and decoder of one type."""

    name: str
    adapter: TypeAdapter[Value]

    def encode(self, value: Value) -> bytes:
        return self.adapter.dump_json(value)

    def encode_without_time(self, value: Value) -> bytes:
        """Return the value as JSON without its `at_s`, which a script of the queue adds."""
        return self.adapter.dump_json(value, exclude={"at_s"})

    def decode(self, data: bytes | str) -> Value:
        """Return the value in `data`. Raises WireError, which names the fields but not their contents."""
        try:
            return self.adapter.validate_json(data, strict=True)
        except ValidationError as error:
            mistakes = "; ".join(".".join(map(str, detail["loc"])) + ": " + detail["msg"] for detail in error.errors())
            raise WireError(f"not a {self.name}: {mistakes}") from error


JOB: Codec[jobs.Job] = Codec("job", TypeAdapter(jobs.AnyJob))
ASKED: Codec[jobs.Asked] = Codec("request", TypeAdapter(jobs.Asked))
EVENT: Codec[events.Event] = Codec("event", TypeAdapter(Annotated[events.Event, Field(discriminator="kind")]))
VERSION: Codec[catalogue.Version] = Codec("version", TypeAdapter(catalogue.Version))
SERVED: Codec[catalogue.Served] = Codec("endpoint", TypeAdapter(catalogue.Served))
