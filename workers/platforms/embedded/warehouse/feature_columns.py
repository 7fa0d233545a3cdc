"""The columns that BigQuery ML learns from: its automatic changes of a query's columns, as a query around the query.

A DATE, DATETIME or TIME becomes its text, a category; the fields of a STRUCT become columns STRUCT_FIELD.
https://cloud.google.com/bigquery/docs/auto-preprocessing
"""

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from workers.platforms.embedded.googlesql.types import kind

if TYPE_CHECKING:
    from workers.platforms.embedded.googlesql.database import Query

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_AS_TEXT = {"DATE", "DATETIME", "TIME"}


def feature_columns(sql: str, query: "Query", *, kept: Collection[str]) -> str:
    """Return the query with BigQuery ML's columns, or `sql` itself if it has them.

    The columns `kept` are no features. A query with columns that lack a name or share one is returned as it is: it
    cannot be trained on.
    """
    names = [column.name for column in query.columns]
    if len({name.lower() for name in names}) < len(names) or not all(_NAME.fullmatch(name) for name in names):
        return sql
    features = [column for column in query.columns if column.name not in kept]
    texts = [column.name for column in features if kind(column.type) in _AS_TEXT]
    structs = {
        column.name: [field.field_name for field in column.type.struct_type.field]
        for column in features
        if kind(column.type) == "STRUCT" and all(_NAME.fullmatch(f.field_name) for f in column.type.struct_type.field)
    }
    if not texts and not structs:
        return sql
    select = "*"
    if structs:
        select += f" EXCEPT({', '.join(f'`{name}`' for name in structs)})"
    if texts:
        select += f" REPLACE({', '.join(f'CAST(`{name}` AS STRING) AS `{name}`' for name in texts)})"
    spread = [f"`{name}`.`{field}` AS `{name}_{field}`" for name, fields in structs.items() for field in fields]
    # The query is on separate lines, because it may end in a comment.
    return f"SELECT {', '.join([select, *spread])}\nFROM (\n{sql.rstrip().rstrip(';')}\n)"
