"""Checks of a model's query by the result of its dry run, and estimates of the training's cost. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.cloud.bigquery.sql import CLASSIFIERS, TREES
from workers.platforms.protocols import JsonType

NUMERIC = frozenset({"INTEGER", "INT64", "FLOAT", "FLOAT64", "NUMERIC", "BIGNUMERIC"})
"""Types of a regressor's label in the API and in SQL: https://cloud.google.com/bigquery/docs/reference/rest/v2/tables."""

UNEXPORTED = frozenset({"ARRAY", "TIMESTAMP", "GEOGRAPHY"})
"""Types of columns with which a model can be trained but not exported:
https://cloud.google.com/bigquery/docs/exporting-models#limitations"""

LINEAR_USD_PER_TIB = 312.50
BOOSTED_TREE_USD_PER_TIB = 6.25
"""US dollars for each TiB that CREATE MODEL reads: an estimate of the order of magnitude.

From https://cloud.google.com/bigquery/pricing#bigquery-ml-pricing, on-demand, US, autumn 2026. Prices change and differ
by location and edition. Google bills at least 10 MB for each table. The free tier excludes CREATE MODEL. Boosted trees
also cost Vertex AI's training, which a dry run does not report.
"""


def check(model: Model, dry_run: Any) -> str:
    """Check the dry run of `model.query`, and return its bytes and price ("4.3 GB to read, about $1.22").

    Raises PermanentError that names the settings field at fault. `dry_run` has the query job's statement_type, schema
    and total_bytes_processed: https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#jobstatistics2
    """
    if model.query.rstrip().endswith(";"):
        raise _mistake(model, "query", "it ends with a semicolon.", advice="Leave the semicolon out.")
    if (found := dry_run.statement_type or "an unknown statement") != "SELECT":
        found = "several statements" if found == "SCRIPT" else found
        what = f"it must be a single SELECT statement, found {found}."
        raise _mistake(model, "query", what, advice="Write one SELECT.")
    fields = dry_run.schema or ()
    _check_columns(model, {one.name: "ARRAY" if one.mode == "REPEATED" else one.field_type for one in fields})
    read_bytes = int(dry_run.total_bytes_processed or 0)
    if read_bytes > model.max_bytes:
        what = f"the query would read {show_bytes(read_bytes)}, above the limit of {show_bytes(model.max_bytes)}."
        advice = f"Read fewer columns or partitions, or raise models.{model.name}.max_bytes."
        raise _mistake(model, "max_bytes", what, advice=advice)
    return f"{show_bytes(read_bytes)} to read, {show_price(model, read_bytes)}"


def request_types(model: Model, dry_run: Any) -> Mapping[str, JsonType]:
    """Return the features that an exported model takes, with their types in a request.

    Numbers are DT_DOUBLE in an export, BOOL is DT_BOOL, and all other types are DT_STRING. The fields of a STRUCT are
    features of their own, STRUCT_FIELD: https://cloud.google.com/bigquery/docs/auto-preprocessing#struct-expansion
    """
    found = {name: _json_type(model, type_) for field in dry_run.schema or () for name, type_ in _expanded(field)}
    return {name: type_ for name, type_ in found.items() if name.casefold() != model.label.casefold()}


def show_share(model: Model, dry_run: Any) -> str:
    """Return the share of `max_bytes` that the query reads: "1.2 % of max_bytes", "under 0.1 % of max_bytes"."""
    percent = 100 * int(dry_run.total_bytes_processed or 0) / model.max_bytes
    return ("under 0.1" if percent < 0.1 else f"{percent:.1f}") + " % of max_bytes"


def show_price(model: Model, read_bytes: int) -> str:
    """Return the price for people: "about $0.31", "under $0.01", "under $0.01 plus Vertex AI's training"."""
    boosted = model.type in TREES
    usd = (BOOSTED_TREE_USD_PER_TIB if boosted else LINEAR_USD_PER_TIB) * read_bytes / 2**40
    return ("under $0.01" if usd < 0.01 else f"about ${usd:,.2f}") + (" plus Vertex AI's training" if boosted else "")


def show_bytes(count: float) -> str:
    """Return bytes for people, in powers of 1,000 as in the settings: "812 B", "4.3 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def _check_columns(model: Model, types: dict[str, str]) -> None:
    """Check that the label exists, has a type for training, and is not the only column. Needs a schema."""
    if not types:
        return
    label = next((name for name in types if name.casefold() == model.label.casefold()), None)
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


def _expanded(field: Any) -> Iterator[tuple[str, str]]:
    if field.field_type in ("RECORD", "STRUCT"):
        yield from ((f"{field.name}_{part.name}", part.field_type) for part in field.fields)
    else:
        yield field.name, field.field_type


def _json_type(model: Model, type_: str) -> JsonType:
    if type_ in NUMERIC:
        return "number"
    if type_ not in ("BOOLEAN", "BOOL"):
        return "string"
    # Boosted trees may be exported with a vocabulary of a BOOL column's words: no such export has been seen yet.
    return "any" if model.type in TREES else "boolean"


def _mistake(model: Model, field: str, what: str, *, advice: str) -> PermanentError:
    return PermanentError(f"models.{model.name}.{field}: {what}", advice=advice)
