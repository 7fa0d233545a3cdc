"""Scans of a resolved query as DuckDB's SQL: one SELECT per scan, with the columns c1, c2, … of the resolved query."""

from collections.abc import Callable
from dataclasses import dataclass

from workers.platforms.embedded.googlesql.aggregates import aggregate, analytic
from workers.platforms.embedded.googlesql.catalogue import Table
from workers.platforms.embedded.googlesql.errors import missing
from workers.platforms.embedded.googlesql.expressions import Expressions
from workers.platforms.embedded.googlesql.nodes import (
    Node,
    column_name,
    columns_of,
    concrete,
    enum_name,
    is_set,
    name_of,
    type_of,
)
from workers.platforms.embedded.googlesql.ordering import order_by, sort_keys
from workers.platforms.embedded.googlesql.types import TEXT, holds, in_duckdb
from workers.platforms.embedded.googlesql.values import identifier

# ruff: noqa: S608  this SQL holds numbered columns, quoted identifiers and literals written anew.


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A table of the query and the SELECT that reads its columns, in the table's order."""

    table: Table
    sql: str


class Scans:
    """Writes scans."""

    def __init__(self, sources: list[Source]) -> None:
        self._sources = sources
        self.expressions = Expressions(self)
        self._recursive: list[list[Node]] = []
        self._writers: dict[str, Callable[[Node], str]] = {
            "SingleRowScan": lambda _: "SELECT 1 AS one",
            "TableScan": self._table,
            "ProjectScan": self._project,
            "FilterScan": self._filter,
            "JoinScan": self._join,
            "ArrayScan": self._array,
            "AggregateScan": self._aggregate,
            "AnalyticScan": self._analytic,
            "OrderByScan": lambda node: self._ordered(node),
            "LimitOffsetScan": self._limit,
            "SetOperationScan": self._set_operation,
            "WithScan": self._with,
            "WithRefScan": self._with_ref,
            "SampleScan": self._sample,
            "RecursiveScan": self._recursion,
            "RecursiveRefScan": self._recursive_ref,
        }
        self._entries: dict[str, list[Node]] = {}

    def sql(self, scan: Node) -> str:
        """Return the SELECT of a scan. Raises Refused for what this warehouse lacks."""
        node = concrete(scan)
        if name_of(node) not in self._writers:
            raise missing(_words(name_of(node)))
        return self._writers[name_of(node)](node)

    def _from(self, scan: Node) -> str:
        return f"({self.sql(scan)}) AS t"

    def _table(self, node: Node) -> str:
        source = self._sources[node.table.serialization_id]
        if is_set(node, "for_system_time_expr"):
            raise missing("FOR SYSTEM_TIME AS OF")
        named = zip(node.column_index_list, columns_of(node), strict=True)
        columns = ", ".join(f"column{index} AS {column_name(column)}" for index, column in named)
        return f"SELECT {columns or '1 AS one'} FROM ({source.sql}) AS t"

    def _project(self, node: Node) -> str:
        computed = {item.column.column_id: self.expressions.sql(item.expr) for item in node.expr_list}
        select = f"SELECT {_select(node, computed)}"
        single = name_of(concrete(node.input_scan)) == "SingleRowScan"
        return select if single else f"{select} FROM {self._from(node.input_scan)}"

    def _filter(self, node: Node) -> str:
        condition = self.expressions.sql(node.filter_expr)
        return f"SELECT {_select(node)} FROM {self._from(node.input_scan)} WHERE {condition}"

    def _join(self, node: Node) -> str:
        kind = enum_name(node, "join_type")
        condition = self.expressions.sql(node.join_expr) if is_set(node, "join_expr") else "TRUE"
        lateral = "LATERAL " if node.is_lateral else ""
        left, right = self.sql(node.left_scan), self.sql(node.right_scan)
        return f"SELECT {_select(node)} FROM ({left}) AS l {kind} JOIN {lateral}({right}) AS r ON {condition}"

    def _array(self, node: Node) -> str:
        if len(node.array_expr_list) != 1:
            raise missing("UNNEST of several arrays")
        array = self.expressions.sql(node.array_expr_list[0])
        columns = f"unnest({array}) AS {column_name(node.element_column_list[0])}"
        if is_set(node, "array_offset_column"):
            offset = column_name(node.array_offset_column.column)
            columns += f", CAST(generate_subscripts({array}, 1) - 1 AS BIGINT) AS {offset}"
        elements = f"SELECT {columns}"
        condition = self.expressions.sql(node.join_expr) if is_set(node, "join_expr") else "TRUE"
        if not is_set(node, "input_scan"):
            return f"SELECT {_select(node)} FROM ({elements}) AS t WHERE {condition}"
        if not node.is_outer:
            rows = f"{self._from(node.input_scan)}, LATERAL ({elements}) AS u WHERE {condition}"
            return f"SELECT {_select(node)} FROM {rows}"
        matching = f"SELECT * FROM ({elements}) AS v WHERE {condition}"
        return f"SELECT {_select(node)} FROM {self._from(node.input_scan)} LEFT JOIN LATERAL ({matching}) AS u ON TRUE"

    def _aggregate(self, node: Node) -> str:
        node = node.parent
        keys = {item.column.column_id: self.expressions.sql(item.expr) for item in node.group_by_list}
        if any(holds(item.column.type, TEXT) for item in node.group_by_list):
            raise missing("GROUP BY a value of the type JSON or INTERVAL")
        computed = dict(keys)
        for item in node.aggregate_list:
            column = concrete(item)
            computed[column.column.column_id] = aggregate(self.expressions, column.expr)
        for call in node.grouping_call_list:
            computed[call.output_column.column_id] = (
                f"CAST(grouping({keys[call.group_by_column.column.column_id]}) AS BIGINT)"
            )
        groups = f" GROUP BY {_grouping_sets(node, keys) or ', '.join(keys.values())}" if keys else ""
        select = _select(node, computed)
        if not keys and select == "1 AS one":
            select = "count(*) AS one"
        return f"SELECT {select} FROM {self._from(node.input_scan)}{groups}"

    def _analytic(self, node: Node) -> str:
        computed = {}
        for group in node.function_group_list:
            for item in group.analytic_function_list:
                column = concrete(item)
                computed[column.column.column_id] = analytic(self.expressions, column.expr, group)
        return f"SELECT {_select(node, computed)} FROM {self._from(node.input_scan)}"

    def _ordered(self, node: Node, rest: str = "") -> str:
        keys = order_by(list(node.order_by_item_list))
        return f"SELECT {_select(node)} FROM {self._from(node.input_scan)}{keys}{rest}"

    def _limit(self, node: Node) -> str:
        rest = f" LIMIT {self.expressions.sql(node.limit)}" if is_set(node, "limit") else ""
        if is_set(node, "offset"):
            rest += f" OFFSET {self.expressions.sql(node.offset)}"
        below = concrete(node.input_scan)
        if name_of(below) == "OrderByScan":
            return self._ordered(below, rest)
        return f"SELECT {_select(node)} FROM {self._from(node.input_scan)}{rest}"

    def _set_operation(self, node: Node) -> str:
        operator = enum_name(node, "op_type").replace("_", " ").replace(" DISTINCT", "")
        columns = columns_of(node)
        return f" {operator} ".join(self._item(item, columns) for item in node.input_item_list)

    def _item(self, item: Node, columns: list[Node]) -> str:
        pairs = zip(item.output_column_list, columns, strict=True)
        select = ", ".join(f"{column_name(given)} AS {column_name(column)}" for given, column in pairs)
        return f"(SELECT {select} FROM {self._from(item.scan)})"

    def _with(self, node: Node) -> str:
        entries = []
        for entry in node.with_entry_list:
            self._entries[entry.with_query_name] = columns_of(entry.with_subquery)
            entries.append(f"{identifier(entry.with_query_name)} AS ({self._with_entry(entry)})")
        recursive = "RECURSIVE " if node.recursive else ""
        return f"WITH {recursive}{', '.join(entries)} {self.sql(node.query)}"

    def _with_entry(self, entry: Node) -> str:
        self._recursive.append([entry.with_query_name, *columns_of(entry.with_subquery)])
        try:
            return self.sql(entry.with_subquery)
        finally:
            self._recursive.pop()

    def _with_ref(self, node: Node) -> str:
        return self._named(node, node.with_query_name, self._entries[node.with_query_name])

    def _named(self, node: Node, name: str, given: list[Node]) -> str:
        # A reference has all columns of the entry, or those that are used, in the entry's order.
        pairs = zip(given, columns_of(node), strict=True)
        select = ", ".join(f"{column_name(column)} AS {column_name(new)}" for column, new in pairs)
        return f"SELECT {select or '1 AS one'} FROM {identifier(name)}"

    def _recursion(self, node: Node) -> str:
        operator = enum_name(node, "op_type").replace("_", " ").replace(" DISTINCT", "")
        columns = columns_of(node)
        terms = (node.non_recursive_term, node.recursive_term)
        return f" {operator} ".join(self._item(term, columns) for term in terms)

    def _recursive_ref(self, node: Node) -> str:
        name, *given = self._recursive[-1]
        return self._named(node, name, given)

    def _sample(self, node: Node) -> str:
        if enum_name(node, "unit") != "PERCENT" or is_set(node, "weight_column") or node.partition_by_list:
            raise missing("TABLESAMPLE of a number of rows", "Use TABLESAMPLE SYSTEM (10 PERCENT), or LIMIT.")
        share = self.expressions.sql(node.size)
        return f"SELECT {_select(node)} FROM {self._from(node.input_scan)} WHERE random() < {share} / 100.0"

    def subquery(self, node: Node) -> str:
        """Return a subquery inside an expression."""
        kind = enum_name(node, "subquery_type")
        if kind == "EXISTS":
            return f"EXISTS ({self.sql(node.subquery)})"
        if kind == "IN":
            return f"({self.expressions.sql(node.in_expr)} IN ({self.sql(node.subquery)}))"
        if kind == "SCALAR":
            return f"({self.sql(node.subquery)})"
        if kind == "ARRAY":
            return self._array_subquery(node)
        raise missing(f"A subquery after {kind}")

    def _array_subquery(self, node: Node) -> str:
        scan, keys = concrete(node.subquery), ""
        (column,) = columns_of(scan)
        if name_of(scan) == "OrderByScan":
            keys, scan = f" ORDER BY {sort_keys(list(scan.order_by_item_list))}", scan.input_scan
        found = f"SELECT list({column_name(column)}{keys}) FROM {self._from(scan)}"
        return f"coalesce(({found}), []::{in_duckdb(type_of(node))})"


def _select(node: Node, computed: dict[int, str] | None = None) -> str:
    """Return the select list: the columns of the scan, computed or taken over."""
    computed = computed or {}
    columns = {column_name(column): computed.get(column.column_id) for column in columns_of(node)}
    return ", ".join(f"{text} AS {name}" if text else name for name, text in columns.items()) or "1 AS one"


def _grouping_sets(node: Node, keys: dict[int, str]) -> str:
    """Return GROUPING SETS (…), or "" if the query groups once."""
    sets = []
    for item in node.grouping_set_list:
        grouping = concrete(item)
        words = {"GroupingSet": "", "Rollup": "ROLLUP ", "Cube": "CUBE "}
        if name_of(grouping) not in words:
            raise missing("GROUPING SETS inside GROUPING SETS")
        columns = grouping.group_by_column_list if name_of(grouping) == "GroupingSet" else _multi_columns(grouping)
        sets.append(words[name_of(grouping)] + f"({', '.join(keys[column.column.column_id] for column in columns)})")
    return f"GROUPING SETS ({', '.join(sets)})" if sets else ""


def _multi_columns(grouping: Node) -> list[Node]:
    lists = grouping.rollup_column_list if name_of(grouping) == "Rollup" else grouping.cube_column_list
    if any(len(item.column_list) != 1 for item in lists):
        raise missing("ROLLUP or CUBE of several columns at once")
    return [item.column_list[0] for item in lists]


def _words(name: str) -> str:
    return {"TVFScan": "A table function", "PivotScan": "PIVOT", "UnpivotScan": "UNPIVOT"}.get(name, f"A {name}")
