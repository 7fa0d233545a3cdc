"""BigQuery SQL, names, job ids and labels. Pure. Names are checked here: a `model_id` comes from `Place.model_id`.

Text typed in a chat never gets here: names and queries come from the settings, and versions are numbers.
"""
# ruff: noqa: S608  this SQL holds checked identifiers and the query in the settings, which BigQuery parses first.

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from workers.contract.settings import Model, SettingsError
from workers.contract.training_options import OPTIONS

# https://cloud.google.com/resource-manager/docs/creating-managing-projects ; older ones carry a domain, as in
# "example.com:project". Emulators take shorter names than Google does.
_PROJECT = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{1,28}[a-z0-9]")
# https://cloud.google.com/bigquery/docs/datasets#dataset-naming
_DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}")
# https://cloud.google.com/bigquery/docs/locations
_LOCATION = re.compile(r"[A-Za-z]{2}|[A-Za-z]+(?:-[A-Za-z0-9]+)+")
# https://cloud.google.com/bigquery/docs/schemas#column_names
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
_TABLE_PART = re.compile(r"[A-Za-z0-9_.:$-]{1,1024}")
_MODEL = re.compile(r"[a-z][a-z0-9-]{0,39}")

CLASSIFIERS = frozenset({"logistic_reg", "boosted_tree_classifier", "random_forest_classifier"})
TREES = frozenset(
    f"{trees}_{task}" for trees in ("boosted_tree", "random_forest") for task in ("classifier", "regressor")
)
"""Trained by Vertex AI, and exported as XGBoost boosters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The dataset of the models. Raises SettingsError with every invalid name."""

    project: str
    dataset: str
    location: str

    def __post_init__(self) -> None:
        rules = (
            (self.project, _PROJECT, "a project's id"),
            (self.dataset, _DATASET, "a dataset's name: letters, digits and _"),
            (self.location, _LOCATION, 'a location like "US" or "europe-west4"'),
        )
        mistakes = tuple(
            f"{found!r} is not {what}; write bigquery://PROJECT/DATASET/LOCATION."
            for found, pattern, what in rules
            if not pattern.fullmatch(found)
        )
        if mistakes:
            raise SettingsError(mistakes)

    @property
    def dataset_id(self) -> str:
        """Return the dataset's name in the API, "PROJECT.DATASET"."""
        return f"{self.project}.{self.dataset}"

    def model_id(self, model: Model, version: int) -> str:
        """Return the model's name in the API, "PROJECT.DATASET.MODEL_vN". Raises ValueError for an invalid name.

        BigQuery's names have _ instead of -, and different names of Seatrial stay different:
        https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create#model_name
        """
        if not _MODEL.fullmatch(model.name) or version < 1:
            raise ValueError(f"{model.name!r} v{version} cannot be the name of a model")
        return f"{self.dataset_id}.{model.name.replace('-', '_')}_v{version}"


def create_model(model_id: str, model: Model) -> str:
    """Return CREATE OR REPLACE MODEL, which a later attempt may repeat. It skips Vertex AI's Model Registry.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create
    """
    options = [f"model_type = '{model.type}'", f"input_label_cols = ['{_label(model)}']"]
    options += [f"{name} = {_literal(name, value)}" for name, value in model.options.items()]
    return f"CREATE OR REPLACE MODEL `{model_id}`\nOPTIONS({', '.join(options)})\nAS\n{model.query}"


def count_rows(model: Model) -> str:
    """Return a query for one row: `labelled`, the rows for training, and `unlabelled`, those that are left out."""
    label = f"`{_label(model)}`"
    # The query is on separate lines, because it may end in a comment.
    return f"SELECT COUNT({label}) AS labelled, COUNTIF({label} IS NULL) AS unlabelled\nFROM (\n{model.query}\n)"


def of_model(
    function: Literal["TRAINING_INFO", "EVALUATE", "CONFUSION_MATRIX", "FEATURE_IMPORTANCE", "FEATURE_INFO"],
    model_id: str,
) -> str:
    """Return a query for all rows of ML.FUNCTION over the model.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-train (…-evaluate, …-confusion,
    …-importance)
    """
    return f"SELECT * FROM ML.{function}(MODEL `{model_id}`)"


def evaluate_on(model_id: str, rows: str) -> str:
    """Return a query for ML.EVALUATE of the model on `rows`, which come from `table_rows` or `query_rows`.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-evaluate
    """
    return f"SELECT * FROM ML.EVALUATE(MODEL `{model_id}`, {rows})"


def table_rows(table: Mapping[str, str]) -> str:
    """Return the rows of a TableReference of the API. Raises ValueError if its names are not those of a table."""
    names = [table["projectId"], table["datasetId"], table["tableId"]]
    if not all(_TABLE_PART.fullmatch(name) for name in names):
        raise ValueError(f"{names} cannot be the name of a table")
    return f"TABLE `{'.'.join(names)}`"


def query_rows(model: Model) -> str:
    """Return the rows of the model's query."""
    return f"(\n{model.query}\n)"


def fingerprint(sql: str) -> str:
    """Return eight characters that identify a statement."""
    return sha256(sql.encode()).hexdigest()[:8]


def job_id(model: Model, version: int, *, doing: str, once: str) -> str:
    """Return a job's id, "seatrial-MODEL-vN-DOING-ONCE".

    Letters, digits, _ and -, at most 1,024: https://cloud.google.com/bigquery/docs/reference/rest/v2/JobReference
    """
    return f"seatrial-{model.name}-v{version}-{doing}-{once}"


def labels(model: Model, version: int, **more: str) -> Mapping[str, str]:
    """Return the labels that identify a job in the bill. Keys of `more` get - for _, and empty values are left out.

    Lower-case letters, digits, _ and -, at most 63: https://cloud.google.com/bigquery/docs/labels-intro#requirements
    """
    values = {"model": model.name, "version": str(version), **{key.replace("_", "-"): more[key] for key in more}}
    return {key: re.sub(r"[^a-z0-9_-]", "-", value.lower())[:63] for key, value in values.items() if value}


def _literal(name: str, value: object) -> str:
    """Return an option's value as a literal. Raises ValueError for what is none, or is not an option's name."""
    if name not in OPTIONS:
        raise ValueError(f"{name!r} cannot be the name of an option")
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Mapping):
        return f"[{', '.join(f'STRUCT({_quoted(label)}, {float(weight)!r})' for label, weight in value.items())}]"
    raise ValueError(f"{value!r} cannot be the value of {name}")


def _quoted(text: str) -> str:
    r"""Return a string literal, with an escape for each character but letters, digits, spaces, _, - and dots.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#escape_sequences
    """
    return "'" + re.sub(r"[^A-Za-z0-9 _.-]", lambda match: f"\\U{ord(match[0]):08x}", text) + "'"


def _label(model: Model) -> str:
    if not _COLUMN.fullmatch(model.label):
        raise ValueError(f"{model.label!r} cannot be the name of a column")
    return model.label
