"""Values to JSON and back. What does not decode strictly is refused: what lies in Redis is not trusted."""

from typing import Annotated, Generic, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from workers.contract import catalogue, events, jobs

Value = TypeVar("Value")


class WireError(Exception):
    """Bytes that are no value of the type that was wanted."""


class Codec(Generic[Value]):
    """JSON of one type."""

    def __init__(self, name: str, adapter: TypeAdapter[Value]) -> None:
        self._name = name
        self._adapter = adapter

    def encode(self, value: Value) -> bytes:
        """`value` as JSON."""
        return self._adapter.dump_json(value)

    def decode(self, data: bytes | str) -> Value:
        """The value in `data`. Raises WireError, which names the field but not what it holds."""
        try:
            return self._adapter.validate_json(data, strict=True)
        except ValidationError as error:
            where = "; ".join(".".join(map(str, detail["loc"])) + ": " + detail["msg"] for detail in error.errors())
            raise WireError(f"not a {self._name}: {where}") from error


JOB: Codec[jobs.Job] = Codec("job", TypeAdapter(jobs.AnyJob))
ASKED: Codec[jobs.Asked] = Codec("request", TypeAdapter(jobs.Asked))
EVENT: Codec[events.Event] = Codec("event", TypeAdapter(Annotated[events.Event, Field(discriminator="kind")]))
VERSION: Codec[catalogue.Version] = Codec("version", TypeAdapter(catalogue.Version))
SERVED: Codec[catalogue.Served] = Codec("endpoint", TypeAdapter(catalogue.Served))
