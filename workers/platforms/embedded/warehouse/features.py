"""Features and labels from a query's result, checked and prepared for scikit-learn.

The preprocessing before the split is BigQuery ML's: rows without a label are dropped, a missing number becomes its
column's mean, a missing string a separate category. https://cloud.google.com/bigquery/docs/auto-preprocessing
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

from workers.contract.formatting import show_count
from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.embedded.errors import join_names, label_error, query_error
from workers.platforms.embedded.warehouse.sql import Column

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Labels = np.ndarray[tuple[int], np.dtype[np.str_ | np.float64]]

MAXIMUM_ROWS = 1_000_000
"""Limit for training on one machine, which is for trying out a model: more rows would take hours."""
MAXIMUM_CATEGORIES = 1_000
"""Limit for the different strings in a column. Each becomes an input of the model; a column with more is an id."""
MAXIMUM_CLASSES = 50
"""Limit for the different labels, as in BigQuery ML's logistic_reg. Boosted trees train a tree per label and iteration.
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-glm"""
MISSING = "_null_filler"
"""Category of missing strings, as in BigQuery ML's exports (see serving.tensors.NULL_STRING)."""

SPLIT_TYPES = {"CUSTOM": ("BOOL",), "SEQ": ("INT64", "FLOAT64", "NUMERIC", "TIMESTAMP")}
"""Types of DATA_SPLIT_COL by DATA_SPLIT_METHOD."""
_NUMBERS = ("INT64", "FLOAT64", "NUMERIC")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FEATURE_TYPES: dict[str, Literal["STRING", "BOOL"]] = {"STRING": "STRING", "BOOL": "BOOL"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Feature:
    """A column that the model learns from, and its type in a request."""

    name: str
    type: Literal["DOUBLE", "STRING", "BOOL"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Examples:
    """Training data, one row per example.

    * `frame`: one column per feature, without missing values. Numbers and booleans are float64; strings are objects.
    * `labels`: strings for a classifier, float64 for a regressor.
    * `unlabelled`: the number of rows that were dropped because they have no label.
    * `split_by`: the values of DATA_SPLIT_COL, with 1 for TRUE, or None.
    """

    features: tuple[Feature, ...]
    frame: "pd.DataFrame"
    labels: "Labels"
    unlabelled: int
    split_by: "np.ndarray[Any, Any] | None" = None


def is_classifier(model: Model) -> bool:
    return model.type == "logistic_reg" or model.type.endswith("_classifier")


def choose_features(model: Model, columns: Sequence[Column]) -> tuple[Feature, ...]:
    """Return a feature per column except the label. Raises PermanentError that names the column at fault."""
    names = [column.name for column in columns]
    _check_names(model, names)
    _check_label(model, columns)
    columns = _without_split_column(model, columns)
    if len(columns) == 1:
        problem = f'the label "{model.label}" is its only column, so there is nothing to learn from.'
        raise query_error(model, problem, "Also select the columns to predict the label from.")
    return tuple(_feature(model, column) for column in columns if column.name != model.label)


def _check_names(model: Model, names: list[str]) -> None:
    for number, name in enumerate(names, 1):
        if not name:
            raise query_error(model, f"column {number} has no name.", "Name each expression: … AS name.")
        if not _NAME.fullmatch(name):
            problem = f'the column "{name}" has a name that BigQuery does not accept.'
            raise query_error(model, problem, "Name it with letters, digits and underscores: … AS name.")
    repeated = [name for name, count in Counter(name.lower() for name in names).items() if count > 1]
    if repeated:
        problem = f'it has more than one column "{repeated[0]}" (case is ignored).'
        raise query_error(model, problem, "Rename or remove all but one.")
    if model.label not in names:
        by_lower = {name.lower(): name for name in names}
        near = get_close_matches(model.label.lower(), by_lower, n=1)
        advice = f'Did you mean "{by_lower[near[0]]}"?' if near else "Set label to one of the query's columns."
        problem = f'the query has no column "{model.label}"; it has {join_names(names)}.'
        raise label_error(model, problem, advice)
    taken = {f"predicted_{model.label}", f"{model.label}_probs", f"{model.label}_values"} & set(names)
    if taken:
        problem = f'the column "{min(taken)}" has the name of an output of the model.'
        raise query_error(model, problem, "Rename or remove this column.")


def _without_split_column(model: Model, columns: Sequence[Column]) -> Sequence[Column]:
    """Return the columns without DATA_SPLIT_COL, which is no feature."""
    name = model.options.get("data_split_col")
    if name is None:
        return columns
    method = model.options["data_split_method"]
    types = SPLIT_TYPES[method]
    found = {column.name: column.type for column in columns if column.name != model.label}
    if found.get(name) not in types:
        problem = f"{name} is {found[name]}" if name in found else f'the query has no other column "{name}"'
        raise PermanentError(
            f"models.{model.name}.options.data_split_col: {problem}; {method} splits by a column of the type"
            f" {' or '.join(types)}.",
            advice="Select such a column, or choose another data_split_method.",
        )
    return [column for column in columns if column.name != name]


def _check_label(model: Model, columns: Sequence[Column]) -> None:
    type_ = next(column.type for column in columns if column.name == model.label)
    if is_classifier(model):
        if type_ not in ("STRING", "BOOL", "INT64"):
            problem = f"{model.label} is {type_}; {model.type} predicts a STRING, an INT64 or a BOOL."
            raise label_error(model, problem, "Choose a model type that predicts numbers, or CAST the label.")
    elif type_ not in _NUMBERS:
        problem = f"{model.label} is {type_}; {model.type} predicts a number."
        raise label_error(model, problem, "Choose a model type that classifies, or CAST the label.")


def _feature(model: Model, column: Column) -> Feature:
    if type_ := "DOUBLE" if column.type in _NUMBERS else _FEATURE_TYPES.get(column.type):
        return Feature(name=column.name, type=type_)
    problem = f'the column "{column.name}" is {column.type}; a feature is a number, a STRING or a BOOL.'
    advice = f"Remove it, as in * EXCEPT({column.name}), or use a part of it, as in EXTRACT(DAYOFWEEK FROM …)."
    raise query_error(model, problem, advice)


def column_casts(model: Model, features: Sequence[Feature]) -> dict[str, str]:
    """Return the columns to fetch with their types: the features, the label, and DATA_SPLIT_COL."""
    casts: dict[str, str] = {item.name: "VARCHAR" if item.type == "STRING" else "DOUBLE" for item in features}
    casts[model.label] = "VARCHAR" if is_classifier(model) else "DOUBLE"
    if name := model.options.get("data_split_col"):
        casts[name] = "BOOLEAN" if model.options["data_split_method"] == "CUSTOM" else "DOUBLE"
    return casts


def prepare(model: Model, features: tuple[Feature, ...], rows: "pd.DataFrame") -> Examples:
    """Return examples from the fetched rows, with the types of `column_casts`.

    Raises PermanentError if there are too few rows or classes to learn from, or more than the limits above.
    """
    import numpy as np
    import pandas as pd

    if len(rows) > MAXIMUM_ROWS:
        problem = f"it returns more than {MAXIMUM_ROWS:,} rows, the limit for training on this machine."
        raise query_error(model, problem, "Take a sample (LIMIT, or WHERE RAND() < 0.1), or train in BigQuery.")
    labelled = rows[rows[model.label].notna()].reset_index(drop=True)
    if len(labelled) < 2:
        found = f"{show_count(len(labelled), 'row')} with a label and {len(rows) - len(labelled)} without"
        problem = f"it returns {found}; training needs at least 2 with a label."
        raise query_error(model, problem, "Check the query's conditions.")
    frame = pd.DataFrame({feature.name: _fill_missing(model, feature, labelled[feature.name]) for feature in features})
    labels = labelled[model.label].to_numpy(dtype=np.str_ if is_classifier(model) else np.float64)
    _check_values(model, labels)
    name = model.options.get("data_split_col")
    split_by = labelled[name].to_numpy(dtype=np.float64, na_value=np.nan) if name else None
    unlabelled = len(rows) - len(labelled)
    return Examples(features=features, frame=frame, labels=labels, unlabelled=unlabelled, split_by=split_by)


def feature_means(examples: Examples) -> dict[str, float]:
    """Return the means of the numeric features, without BOOLs."""
    numbers = [feature.name for feature in examples.features if feature.type == "DOUBLE"]
    return {name: float(examples.frame[name].mean()) for name in numbers}


def _fill_missing(model: Model, feature: Feature, column: "pd.Series") -> "pd.Series":
    import numpy as np

    if column.isna().all():
        problem = f'the column "{feature.name}" is NULL in every row, so nothing can be learned from it.'
        raise query_error(model, problem, "Remove it from the query.")
    if feature.type == "STRING":
        strings = column.astype(object).where(column.notna(), MISSING)
        if (different := strings.nunique()) > MAXIMUM_CATEGORIES:
            limit = f"the limit is {MAXIMUM_CATEGORIES:,}"
            problem = f'the column "{feature.name}" has {different:,} different strings; {limit}.'
            raise query_error(model, problem, "Remove it, or group its values into fewer categories.")
        return strings
    numbers = column.astype(np.float64)
    with np.errstate(over="ignore"):
        finite = np.isfinite(numbers.dropna().astype(np.float32))
    if not finite.all():
        problem = f'the column "{feature.name}" has numbers beyond ±3.4e38, the range of a 32-bit float.'
        raise query_error(model, problem, "Scale the column, or exclude these rows.")
    return numbers.fillna(numbers.mode().iloc[0] if feature.type == "BOOL" else numbers.mean())


def _check_values(model: Model, labels: "Labels") -> None:
    import numpy as np

    if not is_classifier(model):
        with np.errstate(over="ignore"):
            finite = np.isfinite(labels.astype(np.float32))
        if not finite.all():
            problem = f"{model.label} has numbers beyond ±3.4e38, the range of a 32-bit float."
            raise label_error(model, problem, "Scale the column, or exclude these rows.")
        return
    classes = np.unique(labels)
    if len(classes) < 2:
        problem = f'every row has the label "{classes[0]:.80}"; a classifier needs at least two different labels.'
        raise label_error(model, problem, "Check the query's conditions.")
    if len(classes) > MAXIMUM_CLASSES:
        problem = f"{model.label} has {len(classes):,} different values, above the limit of {MAXIMUM_CLASSES}."
        raise label_error(model, problem, "Group them into fewer classes, or predict a number.")
