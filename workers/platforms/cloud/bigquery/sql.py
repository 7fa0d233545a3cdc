"""What is said to BigQuery: names, SQL, job ids and labels. Pure; every name is checked and quoted here.

Nothing typed in a chat comes here: names and queries are the settings', versions are numbers.
"""
# ruff: noqa: S608  the SQL made here holds checked identifiers and the settings' own query, which BigQuery parses first.

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from workers.contract.settings import Model, SettingsError

# https://cloud.google.com/resource-manager/docs/creating-managing-projects ; older ones carry a domain, as in
# "example.com:project". Emulators take shorter names than Google does.
_PROJECT = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{1,28}[a-z0-9]")
# https://cloud.google.com/bigquery/docs/datasets#dataset-naming
_DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}")
# https://cloud.google.com/bigquery/docs/locations
_LOCATION = re.compile(r"[A-Za-z]{2}|[A-Za-z]+(?:-[A-Za-z0-9]+)+")
# https://cloud.google.com/bigquery/docs/schemas#column_names
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
_MODEL = re.compile(r"[a-z][a-z0-9-]{0,39}")

CLASSIFIERS = frozenset({"logistic_reg", "boosted_tree_classifier"})
BOOSTED_TREES = frozenset({"boosted_tree_classifier", "boosted_tree_regressor"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where models are kept. Raises SettingsError, with every mistake, for names that BigQuery does not take."""

    project: str
    dataset: str
    location: str

    def __post_init__(self) -> None:
        wanted = (
            (self.project, _PROJECT, "a project's id"),
            (self.dataset, _DATASET, "a dataset's name: letters, digits and _"),
            (self.location, _LOCATION, 'a location like "US" or "europe-west4"'),
        )
        mistakes = tuple(
            f"{found!r} is not {what}; write bigquery://PROJECT/DATASET/LOCATION."
            for found, pattern, what in wanted
            if not pattern.fullmatch(found)
        )
        if mistakes:
            raise SettingsError(mistakes)

    @property
    def dataset_id(self) -> str:
        """The dataset as the API names it: "PROJECT.DATASET"."""
        return f"{self.project}.{self.dataset}"

    def model_id(self, model: Model, version: int) -> str:
        """The version's model as the API names it: "PROJECT.DATASET.MODEL_vN".

        BigQuery's names have _ where Seatrial's have -, and no two of Seatrial's meet in one:
        https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create#model_name
        """
        if not _MODEL.fullmatch(model.name) or version < 1:
            raise ValueError(f"{model.name!r} v{version} cannot be the name of a model")
        return f"{self.dataset_id}.{model.name.replace('-', '_')}_v{version}"


def create_model(model_id: str, model: Model) -> str:
    """CREATE OR REPLACE MODEL, so that an attempt may repeat what another left; outside Vertex AI's Model Registry.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create
    """
    options = f"model_type = '{_word(model.type)}', input_label_cols = ['{_column(model.label)}']"
    return f"CREATE OR REPLACE MODEL {_quoted(model_id)}\nOPTIONS({options})\nAS\n{model.query}"


def count_rows(model: Model) -> str:
    """One row: `labelled`, the rows that training learns from, and `unlabelled`, those that it leaves out."""
    label = f"`{_column(model.label)}`"
    # On lines of their own: the query may end in a comment.
    return f"SELECT COUNT({label}) AS labelled, COUNTIF({label} IS NULL) AS unlabelled\nFROM (\n{model.query}\n)"


Function = Literal["TRAINING_INFO", "EVALUATE", "CONFUSION_MATRIX", "FEATURE_IMPORTANCE"]


def of_model(function: Function, model_id: str) -> str:
    """All rows of ML.FUNCTION over the model.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-train (…-evaluate, …-confusion,
    …-importance)
    """
    return f"SELECT * FROM ML.{function}(MODEL {_quoted(model_id)})"


def fingerprint(sql: str) -> str:
    """Eight signs that tell one request from another."""
    return sha256(sql.encode()).hexdigest()[:8]


def job_id(model: Model, version: int, *, doing: str, once: str) -> str:
    """A job's id: "seatrial-MODEL-vN-DOING-ONCE".

    Letters, digits, _ and -, at most 1,024: https://cloud.google.com/bigquery/docs/reference/rest/v2/JobReference
    """
    return f"seatrial-{model.name}-v{version}-{doing}-{once}"


def labels(model: Model, version: int, **more: str) -> Mapping[str, str]:
    """The labels by which a job is found in the bill; `more` with _ for - in its keys, empty ones left out.

    Lower-case letters, digits, _ and -, at most 63: https://cloud.google.com/bigquery/docs/labels-intro#requirements
    """
    said = {"model": model.name, "version": str(version), **{key.replace("_", "-"): more[key] for key in more}}
    return {key: re.sub(r"[^a-z0-9_-]", "-", value.lower())[:63] for key, value in said.items() if value}


def _quoted(model_id: str) -> str:
    if "`" in model_id or "\\" in model_id or "\n" in model_id:
        raise ValueError(f"{model_id!r} cannot be quoted")
    return f"`{model_id}`"


def _column(name: str) -> str:
    if not _COLUMN.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a column")
    return name


def _word(name: str) -> str:
    if not re.fullmatch(r"[a-z_]+", name):
        raise ValueError(f"{name!r} cannot be a type of model")
    return name
