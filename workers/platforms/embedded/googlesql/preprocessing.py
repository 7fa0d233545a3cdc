"""BigQuery ML's functions for preprocessing, and approximate aggregates, as DuckDB's SQL.

https://cloud.google.com/bigquery/docs/manual-preprocessing
Quantiles are values of the data: with n values, the quantile p is the value at the position ceil(p · n), as in the
examples of the reference.
"""

from collections.abc import Callable
from itertools import combinations, combinations_with_replacement
from typing import TYPE_CHECKING, Any

from workers.platforms.embedded.googlesql.errors import Refused, missing
from workers.platforms.embedded.googlesql.nodes import Node, concrete, name_of, type_of
from workers.platforms.embedded.googlesql.types import kind, simple, struct_of
from workers.platforms.embedded.googlesql.values import decode

if TYPE_CHECKING:
    from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto

    from workers.platforms.embedded.googlesql.expressions import Expressions

MAXIMUM_BUCKETS = 10_000
MAXIMUM_FEATURES = 10
"""Limit of features in a cross or an expansion, as in BigQuery ML."""
TOP_K = 32_000
FREQUENCY_THRESHOLD = 5
"""Defaults of the encoders."""


def write(expressions: "Expressions", name: str, arguments: list[Node], over: str, *, distinct: str = "") -> str:
    """Return a call of one of these functions; `over` is its OVER clause, and `distinct` "DISTINCT " or ""."""
    if name == "approx_quantiles":
        return _approx_quantiles(expressions, arguments, over, distinct)
    return _WRITERS[name](expressions, arguments, over)


def is_preprocessing(name: str) -> bool:
    return name in _WRITERS


def _constant(name: str, arguments: list[Node], at: int, default: Any) -> Any:
    """Return the value of argument `at`, which must be a literal."""
    if at >= len(arguments):
        return default
    node = concrete(arguments[at])
    elements = [node]
    if name_of(node) == "FunctionCall" and node.parent.function.name.endswith("$make_array"):
        elements = [concrete(element) for element in node.parent.argument_list]
    if any(name_of(element) != "Literal" for element in elements):
        raise Refused(f"argument {at + 1} of {name} must be a constant.")
    values = [decode(element.value.value, type_of(element)) for element in elements]
    return values if elements != [node] else values[0]


def _buckets(name: str, arguments: list[Node], at: int) -> int:
    count = _constant(name, arguments, at, 0)
    if count is None or not 1 <= count <= MAXIMUM_BUCKETS:
        raise Refused(f"argument {at + 1} of {name} must be from 1 to {MAXIMUM_BUCKETS:,}.")
    return int(count)


def _check_format(name: str, arguments: list[Node], at: int) -> None:
    if _constant(name, arguments, at, "bucket_names") != "bucket_names":
        raise missing(f"The output format of {name} other than 'bucket_names'")


def _bin(value: str, points: str) -> str:
    count = f"len(list_filter({points}, lambda point: point <= {value}))"
    return f"(CASE WHEN {value} IS NOT NULL THEN 'bin_' || (1 + {count}) END)"


def _bucketize(expressions: "Expressions", arguments: list[Node], over: str) -> str:
    _check_format("ML.BUCKETIZE", arguments, 3)
    points = expressions.sql(arguments[1])
    if _constant("ML.BUCKETIZE", arguments, 2, False):
        points = f"list_slice({points}, 2, len({points}) - 1)"
    return _bin(expressions.sql(arguments[0]), points)


def _quantile_bucketize(expressions: "Expressions", arguments: list[Node], over: str) -> str:
    count = _buckets("ML.QUANTILE_BUCKETIZE", arguments, 1)
    _check_format("ML.QUANTILE_BUCKETIZE", arguments, 2)
    value = expressions.sql(arguments[0])
    return _bin(value, _quantiles(value, [at / count for at in range(1, count)], over) if count > 1 else "[]")


def _quantiles(value: str, shares: list[float], over: str, distinct: str = "") -> str:
    return f"quantile_disc({distinct}{value}, [{', '.join(f'{share!r}' for share in shares)}]){over}"


def _robust_scaler(expressions: "Expressions", arguments: list[Node], over: str) -> str:
    low, high = _constant("ML.ROBUST_SCALER", arguments, 1, [25, 75])
    if not 0 < low < high < 100:
        raise Refused("argument 2 of ML.ROBUST_SCALER must be two increasing numbers between 0 and 100.")
    scaled = value = expressions.sql(arguments[0])
    if _constant("ML.ROBUST_SCALER", arguments, 2, True):
        scaled = f"({value} - quantile_disc({value}, 0.5){over})"
    if _constant("ML.ROBUST_SCALER", arguments, 3, True):
        quantiles = [f"quantile_disc({value}, {share / 100!r}){over}" for share in (high, low)]
        scaled = f"({scaled} / nullif({quantiles[0]} - {quantiles[1]}, 0))"
    return scaled


def _imputer(expressions: "Expressions", arguments: list[Node], over: str) -> str:
    value = expressions.sql(arguments[0])
    strategies = {"most_frequent": f"mode({value}){over}"}
    if kind(type_of(arguments[0])) != "STRING":
        strategies |= {"mean": f"avg({value}){over}", "median": f"quantile_disc({value}, 0.5){over}"}
    strategy = _constant("ML.IMPUTER", arguments, 1, "mean")
    if strategy not in strategies:
        raise Refused(f"argument 2 of ML.IMPUTER must be one of {', '.join(strategies)}.")
    return f"coalesce({value}, {strategies[strategy]})"


def _label(value: str, over: str, top: int, threshold: int) -> str:
    """Return the position of the value among the frequent ones in alphabetical order, from 1; 0 for the others."""
    entries = f"list_filter(map_entries(histogram({value}){over}), lambda entry: entry.value >= {threshold:d})"
    counted = f"list_transform({entries}, lambda entry: struct_pack(n := entry.value, k := entry.key))"
    frequent = f"list_transform(list_slice(list_reverse_sort({counted}), 1, {top:d}), lambda entry: entry.k)"
    return f"CAST(coalesce(list_position(list_sort({frequent}), {value}), 0) AS BIGINT)"


def _label_encoder(expressions: "Expressions", arguments: list[Node], over: str) -> str:
    top = _constant("ML.LABEL_ENCODER", arguments, 1, TOP_K)
    threshold = _constant("ML.LABEL_ENCODER", arguments, 2, FREQUENCY_THRESHOLD)
    return _label(expressions.sql(arguments[0]), over, top, threshold)


def _one_hot_encoder(expressions: "Expressions", arguments: list[Node], over: str) -> str:
    if _constant("ML.ONE_HOT_ENCODER", arguments, 1, "none") != "none":
        raise missing("ML.ONE_HOT_ENCODER that drops a category")
    top = _constant("ML.ONE_HOT_ENCODER", arguments, 2, TOP_K)
    threshold = _constant("ML.ONE_HOT_ENCODER", arguments, 3, FREQUENCY_THRESHOLD)
    return f"[struct_pack(f0 := {_label(expressions.sql(arguments[0]), over, top, threshold)}, f1 := 1.0::DOUBLE)]"


def _norm(array: str, power: str) -> str:
    sizes = f"list_transform({array}, lambda element: abs(element))"
    powers = f"list_sum(list_transform({sizes}, lambda size: pow(size, {power})))"
    return f"(CASE WHEN isinf({power}) THEN list_max({sizes}) ELSE pow({powers}, 1 / {power}) END)"


def _lp_norm(expressions: "Expressions", arguments: list[Node], over: str) -> str:
    return _norm(expressions.sql(arguments[0]), expressions.sql(arguments[1]))


def _normalizer(expressions: "Expressions", arguments: list[Node], over: str) -> str:
    array = expressions.sql(arguments[0])
    power = expressions.sql(arguments[1]) if len(arguments) > 1 else "2.0::DOUBLE"
    return f"list_transform({array}, lambda element: element / {_norm(array, power)})"


def _ngrams(expressions: "Expressions", arguments: list[Node], over: str) -> str:
    sizes = _constant("ML.NGRAMS", arguments, 1, [])
    if not 1 <= len(sizes) <= 2 or not 1 <= sizes[0] <= sizes[-1] <= 10:
        raise Refused("argument 2 of ML.NGRAMS must be one size, or two increasing ones, from 1 to 10.")
    array = expressions.sql(arguments[0])
    separator = expressions.sql(arguments[2]) if len(arguments) > 2 else "' '"
    ends = f"range({sizes[0]:d}, least({sizes[-1]:d}, len({array}) - start + 1) + 1)"
    words = f"array_to_string(list_slice({array}, start, start + size - 1), {separator})"
    inner = f"list_transform({ends}, lambda size: {words})"
    return f"flatten(list_transform(range(1, len({array}) + 1), lambda start: {inner}))"


def _feature_cross(expressions: "Expressions", arguments: list[Node], over: str) -> str:
    struct = expressions.sql(arguments[0])
    fields = [
        " || '_' || ".join(f"({struct}).f{at}" for at in group)
        for group in _crosses(type_of(arguments[0]), _constant("ML.FEATURE_CROSS", arguments, 1, 2))
    ]
    return _struct(fields)


def _polynomial_expand(expressions: "Expressions", arguments: list[Node], over: str) -> str:
    struct = expressions.sql(arguments[0])
    groups = _powers(type_of(arguments[0]), _constant("ML.POLYNOMIAL_EXPAND", arguments, 1, 2))
    return _struct([" * ".join(f"CAST(({struct}).f{at} AS DOUBLE)" for at in group) for group in groups])


def _struct(fields: list[str]) -> str:
    return f"struct_pack({', '.join(f'f{at} := {field}' for at, field in enumerate(fields))})"


def _crosses(type_: "TypeProto", degree: int) -> list[tuple[int, ...]]:
    """Return the groups of fields of 2 to `degree` different fields, in alphabetical order of their numbers."""
    if not 2 <= degree <= 4:
        raise Refused("argument 2 of ML.FEATURE_CROSS must be from 2 to 4.")
    fields = range(len(type_.struct_type.field))
    return sorted(group for size in range(2, degree + 1) for group in combinations(fields, size))


def _powers(type_: "TypeProto", degree: int) -> list[tuple[int, ...]]:
    if not 1 <= degree <= 4:
        raise Refused("argument 2 of ML.POLYNOMIAL_EXPAND must be from 1 to 4.")
    fields = range(len(type_.struct_type.field))
    return sorted(group for size in range(1, degree + 1) for group in combinations_with_replacement(fields, size))


def shape(name: str, arguments: list[Node]) -> "TypeProto":
    """Return the type of the struct that ML.FEATURE_CROSS or ML.POLYNOMIAL_EXPAND returns."""
    type_ = type_of(arguments[0])
    names = [field.field_name for field in type_.struct_type.field] if kind(type_) == "STRUCT" else []
    if not names or not all(names) or len(set(names)) < len(names) or len(names) > MAXIMUM_FEATURES:
        raise Refused(f"{name.upper()} takes a STRUCT of at most {MAXIMUM_FEATURES} fields with different names.")
    degree = _constant(name.upper(), arguments, 1, 2)
    groups, kind_ = (
        (_crosses(type_, degree), "STRING") if name == "ml.feature_cross" else (_powers(type_, degree), "DOUBLE")
    )
    return struct_of([("_".join(names[at] for at in group), simple(kind_)) for group in groups])


SHAPED = ("ml.feature_cross", "ml.polynomial_expand")
"""Functions whose result has fields that are named after those of the argument."""


def _approx_quantiles(expressions: "Expressions", arguments: list[Node], over: str, distinct: str = "") -> str:
    count = _buckets("APPROX_QUANTILES", arguments, 1)
    return _quantiles(expressions.sql(arguments[0]), [at / count for at in range(count + 1)], over, distinct)


def _approx_top_count(expressions: "Expressions", arguments: list[Node], over: str) -> str:
    count = _buckets("APPROX_TOP_COUNT", arguments, 1)
    entries = f"map_entries(histogram(struct_pack(v := {expressions.sql(arguments[0])})){over})"
    counted = f"list_transform({entries}, lambda entry: struct_pack(n := entry.value, v := entry.key.v))"
    top = f"list_slice(list_reverse_sort({counted}), 1, {count})"
    return f"list_transform({top}, lambda entry: struct_pack(f0 := entry.v, f1 := CAST(entry.n AS BIGINT)))"


_WRITERS: "dict[str, Callable[[Expressions, list[Node], str], str]]" = {
    "ml.bucketize": _bucketize,
    "ml.quantile_bucketize": _quantile_bucketize,
    "ml.robust_scaler": _robust_scaler,
    "ml.imputer": _imputer,
    "ml.label_encoder": _label_encoder,
    "ml.one_hot_encoder": _one_hot_encoder,
    "ml.lp_norm": _lp_norm,
    "ml.normalizer": _normalizer,
    "ml.ngrams": _ngrams,
    "ml.feature_cross": _feature_cross,
    "ml.polynomial_expand": _polynomial_expand,
    "approx_quantiles": _approx_quantiles,
    "approx_top_count": _approx_top_count,
}
