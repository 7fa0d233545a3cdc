"""Expressions that Google's implementation evaluates, as functions of DuckDB over batches of rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any
from weakref import finalize

from workers.platforms.embedded.googlesql.errors import missing
from workers.platforms.embedded.googlesql.library import Library, library
from workers.platforms.embedded.googlesql.python_functions import PYTHON_FUNCTIONS
from workers.platforms.embedded.googlesql.types import TEXT, array_of, holds, in_duckdb, kind, simple, struct_of
from workers.platforms.embedded.googlesql.values import decode, encode
from workers.platforms.embedded.googlesql.vectors import VECTORS

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection as Connection
    from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto

REMEMBERED = 100_000
"""Answers kept per expression: the values of a column often repeat, and an evaluation takes about 30 µs."""


@dataclass(slots=True, weakref_slot=True, eq=False)
class Scalar:
    """An expression `text` in GoogleSQL over the parameters r.p0, r.p1, …, and its type.

    `vector` names a function of VECTORS that computes the same for ordinary numbers.
    """

    name: str
    text: str
    parameters: "tuple[TypeProto, ...]"
    type: "TypeProto"
    vector: str = ""
    _prepared: tuple[Library, int] | None = None
    _answers: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    @property
    def prepared_query_id(self) -> int | None:
        """Return the number of the prepared expression in the library, or None before its first use."""
        return self._prepared[1] if self._prepared else None

    def register(self, connection: "Connection") -> None:
        """Create the function `name` in DuckDB. Its errors contain the message of Refused."""
        # A function without parameters gets one, since DuckDB takes the number of rows from the arguments.
        types = [in_duckdb(type_) for type_ in self.parameters] or ["BOOLEAN"]

        def evaluate(*columns: "pa.ChunkedArray") -> "pa.Array":
            return self._evaluate(columns)

        # DuckDB reads the number of parameters from the signature.
        parameters = [Parameter(f"p{at}", Parameter.POSITIONAL_ONLY) for at in range(len(types))]
        evaluate.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        create: Any = connection.create_function  # its stubs lack the literals of these options
        create(self.name, evaluate, types, in_duckdb(self.type), type="arrow", null_handling="special")

    def _evaluate(self, columns: "Sequence[pa.ChunkedArray]") -> "pa.Array":
        import pyarrow as pa

        if self.vector and (computed := self._compute(columns)) is not None:
            return computed
        rows = list(zip(*(column.to_pylist() for column in columns), strict=True))
        keys = [_key(row) for row in rows]
        missing_rows = {key: row for key, row in zip(keys, rows, strict=True) if key not in self._answers}
        if len(self._answers) + len(missing_rows) > REMEMBERED:
            self._answers.clear()
            missing_rows = dict(zip(keys, rows, strict=True))
        self._answers.update(zip(missing_rows, self._ask(list(missing_rows.values())), strict=True))
        return pa.array([self._answers[key] for key in keys], type=_arrow(self.type))

    def _compute(self, columns: "Sequence[pa.ChunkedArray]") -> "pa.Array | None":
        """Return the results of the vector function for rows without NULL, or None if it has no answer."""
        import numpy as np
        import pyarrow as pa

        is_known = np.logical_and.reduce([column.is_valid().to_numpy(zero_copy_only=False) for column in columns])
        arrays = [column.to_numpy(zero_copy_only=False)[is_known] for column in columns]
        with np.errstate(all="ignore"):
            found = VECTORS[self.vector](*arrays)
        if found is None:
            return None
        values = np.full(len(is_known), None if found.dtype == object else 0, dtype=found.dtype)
        values[is_known] = found
        return pa.array(values, type=_arrow(self.type), mask=~is_known)

    def _ask(self, rows: list[tuple[Any, ...]]) -> Iterator[Any]:
        from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service

        if not rows:
            return iter(())
        parameters = self.parameters or (simple("BOOL"),)
        used, number = self._prepare(parameters)
        request = service.EvaluateQueryRequest(prepared_query_id=number)
        array = request.params.add(name="rows").value.array_value
        for row in rows:
            struct = array.element.add().struct_value
            for value, type_ in zip(row, parameters, strict=True):
                encode(value, _wire(type_), struct.field.add())
        answer = used.call("EvaluateQuery", request, service.EvaluateQueryResponse)
        wire = _wire(self.type)
        return (_plain(decode(row.cell[0], wire)) for row in answer.content.table_data.row)

    def _prepare(self, parameters: "tuple[TypeProto, ...]") -> tuple[Library, int]:
        from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service

        from workers.platforms.embedded.googlesql.catalogue import builtin_functions, options

        if self._prepared is None or self._prepared[0] is not library():
            text = _outgoing(self.text, self.type)
            row_type = struct_of([(f"p{at}", _wire(type_)) for at, type_ in enumerate(parameters)])
            settings = options()
            settings.query_parameters.add(name="rows").type.CopyFrom(array_of(row_type))
            request = service.PrepareQueryRequest(
                sql=f"SELECT {text} FROM UNNEST(@rows) AS r WITH OFFSET AS o ORDER BY o",  # noqa: S608  see Expressions
                options=settings,
                **builtin_functions(),
            )
            prepared = library().call("PrepareQuery", request, service.PrepareQueryResponse).prepared
            self._prepared = library(), prepared.prepared_query_id
            finalize(self, library().discard, prepared.prepared_query_id)
        return self._prepared


class PythonScalar(Scalar):
    """A function of PYTHON_FUNCTIONS; its text is the name and the keywords, separated by colons."""

    def _ask(self, rows: list[tuple[Any, ...]]) -> Iterator[Any]:
        name, *keywords = self.text.split(":")
        function = PYTHON_FUNCTIONS[name]
        return (None if None in row else function(*row, *keywords) for row in rows)


def incoming(at: int, type_: "TypeProto") -> str:
    """Return the GoogleSQL text of parameter `at`."""
    name = kind(type_)
    if name == "JSON":
        return f"PARSE_JSON(r.p{at}, wide_number_mode=>'round')"
    if name == "INTERVAL":
        return f"CAST(r.p{at} AS INTERVAL)"
    if holds(type_, TEXT | {"GEOGRAPHY"}):
        raise missing(f"An argument that holds {' or '.join(sorted(TEXT))} inside an ARRAY or a STRUCT")
    return f"r.p{at}"


def _outgoing(text: str, type_: "TypeProto") -> str:
    name = kind(type_)
    if name == "JSON":
        return f"TO_JSON_STRING({text})"
    if name == "INTERVAL":
        return f"CAST({text} AS STRING)"
    if name == "ARRAY" and kind(type_.array_type.element_type) == "JSON":
        return f"ARRAY(SELECT TO_JSON_STRING(e) FROM UNNEST({text}) AS e WITH OFFSET AS at ORDER BY at)"  # noqa: S608
    return text


def _wire(type_: "TypeProto") -> "TypeProto":
    """Return the type of a value on its way: text for JSON and INTERVAL."""
    if kind(type_) in TEXT:
        return simple("STRING")
    if kind(type_) == "ARRAY" and kind(type_.array_type.element_type) in TEXT:
        return array_of(simple("STRING"))
    return type_


def _key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a key that is equal for equal rows only: 1, 1.0 and TRUE never meet in a column, 0.0 and -0.0 do."""
    return tuple(repr(value) if isinstance(value, float | list | dict) else value for value in row)


def _plain(value: Any) -> Any:
    """Return structs as mappings, which is the form of Arrow."""
    if isinstance(value, tuple):
        return {f"f{at}": _plain(part) for at, part in enumerate(value)}
    return [_plain(element) for element in value] if isinstance(value, list) else value


def _arrow(type_: "TypeProto") -> "pa.DataType":
    import pyarrow as pa

    name = kind(type_)
    if name == "ARRAY":
        return pa.list_(_arrow(type_.array_type.element_type))
    if name == "STRUCT":
        return pa.struct([(f"f{at}", _arrow(part.field_type)) for at, part in enumerate(type_.struct_type.field)])
    return {
        "BOOL": pa.bool_(),
        "INT64": pa.int64(),
        "DOUBLE": pa.float64(),
        "NUMERIC": pa.decimal128(38, 9),
        "BYTES": pa.binary(),
        "DATE": pa.date32(),
        "DATETIME": pa.timestamp("us"),
        "TIME": pa.time64("us"),
        "TIMESTAMP": pa.timestamp("us", "UTC"),
    }.get(name, pa.string())
