"""What a dry run tells of a model's query, judged before anything is paid. Pure over the job that it answers."""

from dataclasses import dataclass
from typing import Any

from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.cloud.bigquery.costs import show_bytes, show_price
from workers.platforms.cloud.bigquery.sql import CLASSIFIERS

NUMERIC = frozenset({"INTEGER", "INT64", "FLOAT", "FLOAT64", "NUMERIC", "BIGNUMERIC"})
"""A regressor's label, by the API's names and SQL's: https://cloud.google.com/bigquery/docs/reference/rest/v2/tables."""

UNEXPORTED = frozenset({"ARRAY", "TIMESTAMP", "GEOGRAPHY"})
"""A model that learned from a column of these can be trained and never exported:
https://cloud.google.com/bigquery/docs/exporting-models#limitations"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What the training will read, and a line about it for people."""

    read_bytes: int
    fact: str


def check(model: Model, dry_run: Any) -> Estimate:
    """Judge the dry run of `model.query`. Raises PermanentError naming the field of the settings at fault.

    `dry_run` has the query job's statement_type, schema and total_bytes_processed:
    https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#jobstatistics2
    """
    if model.query.rstrip().endswith(";"):
        raise _mistake(model, "query", "it ends with a semicolon.", advice="Leave the semicolon out.")
    if dry_run.statement_type != "SELECT":
        what = f"it is to be one query that reads, and is {_words(dry_run.statement_type)}."
        raise _mistake(model, "query", what, advice="Write one SELECT.")
    fields = dry_run.schema or ()
    _check_columns(model, {one.name: "ARRAY" if one.mode == "REPEATED" else one.field_type for one in fields})
    read_bytes = int(dry_run.total_bytes_processed or 0)
    if read_bytes > model.max_bytes:
        what = f"its query would read {show_bytes(read_bytes)}, and the limit is {show_bytes(model.max_bytes)}."
        raise _mistake(
            model,
            "max_bytes",
            what,
            advice=f"Let the query read fewer columns or partitions, or raise models.{model.name}.max_bytes.",
        )
    return Estimate(read_bytes=read_bytes, fact=f"{show_bytes(read_bytes)} to read, {show_price(model, read_bytes)}")


def _check_columns(model: Model, types: dict[str, str]) -> None:
    """The label is there, of a type that can be learned, and not alone; nothing is judged without a schema."""
    if not types:
        return
    names = {name.casefold(): name for name in types}
    label = names.get(model.label.casefold())
    if label is None:
        what = f'the query gives no column "{model.label}"; it gives {", ".join(list(types)[:20])}.'
        raise _mistake(model, "label", what, advice="Name one of these, or let the query give it.")
    if len(types) == 1:
        what = f'it gives nothing to learn from: its only column is the label, "{label}".'
        raise _mistake(model, "query", what, advice="Let it give features too.")
    if model.type not in CLASSIFIERS and types[label] not in NUMERIC:
        what = f'"{label}" is {types[label]}, and a {model.type} learns numbers.'
        raise _mistake(model, "label", what, advice="Name a column of numbers, or choose a classifier's type.")
    for name, type_ in types.items():
        if name != label and type_ in UNEXPORTED:
            what = f'"{name}" is {type_}, and a model that learned from it could not be exported.'
            raise _mistake(model, "query", what, advice="Leave it out, or let the query make numbers or words of it.")


def _mistake(model: Model, field: str, what: str, *, advice: str) -> PermanentError:
    return PermanentError(f"models.{model.name}.{field}: {what}", advice=advice)


def _words(statement_type: str | None) -> str:
    return "several statements" if statement_type == "SCRIPT" else (statement_type or "nothing that BigQuery knows")
