"""Expressions of a resolved query as DuckDB's SQL.

Nothing of the query's text gets into the SQL: names are the numbers of columns, and values are literals written anew.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from workers.platforms.embedded.googlesql.casts import VECTOR_CASTS, native_cast, type_with_parameters
from workers.platforms.embedded.googlesql.comparisons import COMPARISONS
from workers.platforms.embedded.googlesql.dates import NATIVE_DATES
from workers.platforms.embedded.googlesql.enums import is_part, part_text
from workers.platforms.embedded.googlesql.errors import Refused, missing
from workers.platforms.embedded.googlesql.formats import WITH_FORMAT, in_pieces, with_known_format
from workers.platforms.embedded.googlesql.functions import filled, functions
from workers.platforms.embedded.googlesql.nodes import (
    Node,
    column_name,
    concrete,
    enum_name,
    function_name,
    is_set,
    name_of,
    type_of,
)
from workers.platforms.embedded.googlesql.preprocessing import is_preprocessing, write
from workers.platforms.embedded.googlesql.python_functions import PYTHON_FUNCTIONS
from workers.platforms.embedded.googlesql.scalars import PythonScalar, Scalar, incoming
from workers.platforms.embedded.googlesql.types import in_duckdb, kind
from workers.platforms.embedded.googlesql.values import decode, in_googlesql, in_sql

if TYPE_CHECKING:
    from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto

LONGEST = 1_000_000
"""Characters of an expression in DuckDB's SQL. One of 200 lines has some 20,000."""
SAFE = 1
"""ResolvedFunctionCallBaseEnums.ErrorMode of the prefix SAFE."""


class Subqueries(Protocol):
    """Writes the subqueries inside expressions."""

    def subquery(self, node: Node) -> str: ...


class Expressions:
    """Writes expressions and collects those that Google's implementation evaluates."""

    def __init__(self, subqueries: Subqueries) -> None:
        self._subqueries = subqueries
        self._scalars: dict[tuple[str, tuple[bytes, ...]], Scalar] = {}
        self._writers: dict[str, Callable[[Node], str]] = {
            "Literal": self._literal,
            "ColumnRef": lambda node: column_name(node.column),
            "FunctionCall": self._call,
            "Cast": self._cast,
            "MakeStruct": self._struct,
            "GetStructField": lambda node: f"({self.sql(node.expr)}).f{node.field_idx}",
            "SubqueryExpr": self._subqueries.subquery,
            "GetJsonField": self._json_field,
        }

    @property
    def scalars(self) -> list[Scalar]:
        return list(self._scalars.values())

    def sql(self, expression: Node) -> str:
        """Return the expression as DuckDB's SQL. Raises Refused for what this warehouse lacks."""
        node = concrete(expression)
        if name_of(node) not in self._writers:
            raise missing(f"The expression {name_of(node)}")
        text = self._writers[name_of(node)](node)
        if len(text) > LONGEST:  # counterparts that repeat an argument grow with each level
            raise Refused("an expression is nested too deeply.", advice="Compute its parts in a WITH query.")
        return text

    def evaluated(self, text: str, arguments: list[Node], type_: "TypeProto", *, vector: str = "") -> str:
        """Return a call of Google's implementation of `text`, in which {0}, {1}, … are the arguments.

        All arguments are passed to a `vector` function; otherwise, literals become part of the text.
        """
        parts: list[str] = []
        passed: list[Node] = []
        for argument in arguments:
            node = concrete(argument)
            if name_of(node) == "Literal" and not _is_null(node) and not vector:
                parts.append(_in_text(node))
            else:
                parts.append(incoming(len(passed), type_of(node)))
                passed.append(node)
        given = [(self.sql(node), type_of(node)) for node in passed]
        return self._evaluated(text.format(*parts), given, type_, vector=vector)

    def scalar(self, text: str, arguments: "list[tuple[str, TypeProto]]", type_: "TypeProto") -> str:
        """Return a call of Google's implementation of `text` for arguments in SQL, with their types."""
        parts = [incoming(at, argument_type) for at, (_, argument_type) in enumerate(arguments)]
        return self._evaluated(text.format(*parts), arguments, type_)

    def _evaluated(
        self,
        text: str,
        arguments: "list[tuple[str, TypeProto]]",
        type_: "TypeProto",
        *,
        in_python: bool = False,
        vector: str = "",
    ) -> str:
        key = (text, tuple(part.SerializeToString() for part in (*(part for _, part in arguments), type_)))
        if key not in self._scalars:
            types = tuple(_copy(part) for _, part in arguments)
            kind_of_scalar = PythonScalar if in_python else Scalar
            self._scalars[key] = kind_of_scalar(f"googlesql_{len(self._scalars)}", text, types, _copy(type_), vector)
        return f"{self._scalars[key].name}({', '.join(argument for argument, _ in arguments) or 'TRUE'})"

    def _literal(self, node: Node) -> str:
        type_ = type_of(node)
        return in_sql(decode(node.value.value, type_), type_)

    def _struct(self, node: Node) -> str:
        fields = [f"f{at} := {self.sql(field)}" for at, field in enumerate(node.field_list)]
        return f"struct_pack({', '.join(fields)})"

    def _json_field(self, node: Node) -> str:
        # A field's name is an identifier; its backquotes and backslashes are escaped.
        name = node.field_name.replace("\\", "\\\\").replace("`", "\\`").replace("{", "{{").replace("}", "}}")
        return self.evaluated(f"{{0}}.`{name}`", [node.expr], type_of(node))

    def _cast(self, node: Node) -> str:
        type_, given = type_of(node), type_of(node.expr)
        is_plain = not any(is_set(node, field) for field in ("format", "time_zone", "type_modifiers"))
        if is_plain:
            native = native_cast(kind(given), kind(type_), is_null=_is_null(concrete(node.expr)))
            if native:
                return native.format(self.sql(node.expr), in_duckdb(type_))
        arguments = [node.expr]
        text = f"CAST({{0}} AS {type_with_parameters(type_, node.type_modifiers)}"
        for field, keyword in (("format", "FORMAT"), ("time_zone", "AT TIME ZONE")):
            if is_set(node, field):
                text += f" {keyword} {{{len(arguments)}}}"
                arguments.append(getattr(node, field))
        vector = VECTOR_CASTS.get((kind(given), kind(type_)), "") if is_plain else ""
        prefix = "SAFE_" if node.return_null_on_error else ""
        return self.evaluated(f"{prefix}{text})", arguments, type_, vector=vector)

    def _call(self, node: Node) -> str:
        call = node.parent
        name = function_name(call)
        row = functions()["scalar"].get(name)
        if row is None:
            raise missing(f"The function {name.lstrip('$').upper()}")
        if call.generic_argument_list:
            raise missing(f"{name.upper()} with a function as an argument", "Use ARRAY(SELECT … FROM UNNEST(…)).")
        arguments = list(call.argument_list)
        kinds = [kind(type_of(argument)) for argument in arguments]
        is_safe = call.error_mode == SAFE
        if name in WITH_FORMAT:
            arguments = with_known_format(name, arguments)
        if name in PYTHON_FUNCTIONS:
            return self._python(name, arguments, type_of(node), is_safe=is_safe)
        if not is_safe and name in COMPARISONS:
            return COMPARISONS[name](self, arguments)
        if is_safe and row.signatures:
            raise missing(f"SAFE.{name.upper()}")
        if is_preprocessing(name):
            return write(self, name, arguments, "")
        native = row.counterpart(kinds)
        if kinds and kinds[-1] == "ENUM" and (date := NATIVE_DATES.get((name, part_text(arguments[-1]), kinds[0]))):
            native = date
        if native and (not is_safe or row.duckdb_only):
            return filled(native, [self._argument(argument) for argument in arguments])
        if row.duckdb_only:
            raise missing(f"{name.upper()} with arguments of the types {', '.join(kinds)}")
        text = row.googlesql(name, _argument_names(call.signature))
        if name in WITH_FORMAT and (pieces := in_pieces(name, arguments)):
            text = pieces
        vector = row.vector.get(", ".join(kinds), "")
        return self.evaluated(("SAFE." if is_safe else "") + text, arguments, type_of(node), vector=vector)

    def _python(self, name: str, arguments: list[Node], type_: "TypeProto", *, is_safe: bool) -> str:
        if is_safe:
            raise missing(f"SAFE.{name.upper()}")
        keywords = [part_text(argument).strip('"') for argument in arguments if is_part(argument)]
        given = [(self.sql(argument), type_of(argument)) for argument in arguments if not is_part(argument)]
        return self._evaluated(":".join([name, *keywords]), given, type_, in_python=True)

    def _argument(self, argument: Node) -> str:
        return part_text(argument).lower() if is_part(argument) else self.sql(argument)


def _argument_names(signature: Node) -> list[str]:
    """Return the name of each argument that must be given by name, and "" for the others."""
    names: list[str] = []
    for argument in signature.argument:
        is_named = enum_name(argument.options, "named_argument_kind") == "NAMED_ONLY"
        names += [argument.options.argument_name if is_named else ""] * argument.num_occurrences
    return names


def _in_text(node: Node) -> str:
    if is_part(node):
        return part_text(node)
    type_ = type_of(node)
    return in_googlesql(decode(node.value.value, type_), type_)


def _is_null(node: Node) -> bool:
    return name_of(node) == "Literal" and node.value.value.WhichOneof("value") is None


def _copy(type_: "TypeProto") -> "TypeProto":
    copy = type(type_)()
    copy.CopyFrom(type_)
    return copy
