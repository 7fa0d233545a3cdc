"""Checks of a model's query by the result of its dry run, before any cost arises. Pure."""

from dataclasses import dataclass
from typing import Any

from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.cloud.bigquery.costs import show_bytes, show_price
from workers.platforms.cloud.bigquery.sql import CLASSIFIERS

NUMERIC = frozenset({"INTEGER", "INT64", "FLOAT", "FLOAT64", "NUMERIC", "BIGNUMERIC"})
"""Types of a regressor's label in the API and in SQL: https://cloud.google.com/bigquery/docs/reference/rest/v2/tables."""

UNEXPORTED = frozenset({"ARRAY", "TIMESTAMP", "GEOGRAPHY"})
"""Types of columns with which a model can be trained but not exported:
https://cloud.google.com/bigquery/docs/exporting-models#limitations"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """The bytes that the training will read, and a line about them for people."""

    read_bytes: int
    fact: str


def check(model: Model, dry_run: Any) -> Estimate:
    """Check the dry run of `model.query`. Raises PermanentError that names the settings field at fault.

    `dry_run` has the query job's statement_type, schema and total_bytes_processed:
    https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#jobstatistics2
    """
    if model.query.rstrip().endswith(";"):
        raise _mistake(model, "query", "it ends with a semicolon.", advice="Leave the semicolon out.")
    if dry_run.statement_type != "SELECT":
        what = f"it must be a single SELECT statement, found {_words(dry_run.statement_type)}."
        raise _mistake(model, "query", what, advice="Write one SELECT.")
    fields = dry_run.schema or ()
    _check_columns(model, {one.name: "ARRAY" if one.mode == "REPEATED" else one.field_type for one in fields})
    read_bytes = int(dry_run.total_bytes_processed or 0)
    if read_bytes > model.max_bytes:
        what = f"the query would read {show_bytes(read_bytes)}, above the limit of {show_bytes(model.max_bytes)}."
        raise _mistake(
            model,
            "max_bytes",
            what,
            advice=f"Read fewer columns or partitions, or raise models.{model.name}.max_bytes.",
        )
    return Estimate(read_bytes=read_bytes, fact=f"{show_bytes(read_bytes)} to read, {show_price(model, read_bytes)}")


def _check_columns(model: Model, types: dict[str, str]) -> None:
    """Check that the label exists, has a type for training, and is not the only column. Needs a schema."""
    if not types:
        return
    names = {name.casefold(): name for name in types}
    label = names.get(model.label.casefold())
    if label is None:
        what = f'the query returns no column "{model.label}", but {", ".join(list(types)[:20])}.'
        raise _mistake(model, "label", what, advice="Name one of these, or add the column to the query.")
    if len(types) == 1:
        what = f'its only column is the label, "{label}".'
        raise _mistake(model, "query", what, advice="Add columns with features to the query.")
    if model.type not in CLASSIFIERS and types[label] not in NUMERIC:
        what = f'"{label}" is {types[label]}, but a {model.type} needs a numeric label.'
        raise _mistake(model, "label", what, advice="Name a numeric column, or choose the type of a classifier.")
    for name, type_ in types.items():
        if name != label and type_ in UNEXPORTED:
            what = f'"{name}" is {type_}, and BigQuery cannot export a model that was trained with it.'
            raise _mistake(model, "query", what, advice="Leave it out, or convert it to numbers or text in the query.")


def _mistake(model: Model, field: str, what: str, *, advice: str) -> PermanentError:
    return PermanentError(f"models.{model.name}.{field}: {what}", advice=advice)


def _words(statement_type: str | None) -> str:
    return "several statements" if statement_type == "SCRIPT" else (statement_type or "an unknown statement")
