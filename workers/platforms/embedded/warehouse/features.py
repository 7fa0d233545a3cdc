"""Which columns of a query's result are learned from, and the rows as scikit-learn takes them.

Preprocessing that happens before the split is BigQuery ML's own: rows without a label are left out, a missing number
becomes its column's mean, a missing string a category of its own.
https://cloud.google.com/bigquery/docs/auto-preprocessing
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from workers.contract.formatting import show_count
from workers.contract.settings import Model
from workers.platforms.embedded.errors import listed, mistake
from workers.platforms.embedded.warehouse.sql import Column

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MAXIMUM_ROWS = 1_000_000
"""More are refused: a training on one machine is for trying a model out, and would last hours."""
MAXIMUM_CATEGORIES = 1_000
"""Different strings in one column: each becomes an input of the model, and above this it is an id, not a category."""
MAXIMUM_CLASSES = 50
"""Different labels, as BigQuery ML's logistic_reg has it; boosted trees cost a tree for each in every iteration.
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-glm"""
MISSING = r"\N"
"""The category that a missing string is: the null marker of CSV files."""

# An untyped NULL is an INT64, as in BigQuery.
_INTEGERS = re.compile(r'U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|"NULL"')
_NUMBERS = re.compile(rf"{_INTEGERS.pattern}|FLOAT|DOUBLE|DECIMAL\(.*\)|BIGNUM")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Feature:
    """A column that is learned from, and its type in a request."""

    name: str
    type: Literal["FLOAT", "STRING", "BOOL"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Examples:
    """What is learned from: one row each. `frame` has the features' names, numbers and booleans as float64 that
    float32 holds exactly (what a request can say), strings as objects, nothing missing; `labels` are strings for a
    classifier and float64 for a regressor. `unlabelled` rows were left out.
    """

    features: tuple[Feature, ...]
    frame: "pd.DataFrame"
    labels: "np.ndarray[tuple[int], np.dtype[np.str_ | np.float64]]"
    unlabelled: int


def is_classifier(model: Model) -> bool:
    """Whether the model predicts one of some labels, not a number."""
    return model.type in ("logistic_reg", "boosted_tree_classifier")


def choose_features(model: Model, columns: Sequence[Column]) -> tuple[Feature, ...]:
    """Every column but the label, checked before anything runs. Raises PermanentError naming the column at fault."""
    names = [column.name for column in columns]
    _check_names(model, names)
    _check_label(model, columns)
    if len(columns) == 1:
        what = f'the label "{model.label}" is its only column, so there is nothing to learn from.'
        raise mistake(model, "query", what, advice="Select the columns that the label is to be predicted from, too.")
    return tuple(_feature(model, column) for column in columns if column.name != model.label)


def _check_names(model: Model, names: list[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            what = f'the column "{name}" has no name that BigQuery would take.'
            raise mistake(model, "query", what, advice="Give it one of letters, digits and underscores: … AS name.")
    repeated = [name for name, count in Counter(name.lower() for name in names).items() if count > 1]
    if repeated:
        what = f'it has more than one column "{repeated[0]}" (names do not differ by case alone).'
        raise mistake(model, "query", what, advice="Rename or leave out all but one.")
    if model.label not in names:
        by_lower = {name.lower(): name for name in names}
        near = get_close_matches(model.label.lower(), by_lower, n=1)
        advice = f'Did you mean "{by_lower[near[0]]}"?' if near else "Name one of the query's columns as label."
        what = f'the query has no column "{model.label}"; it has {listed(names)}.'
        raise mistake(model, "label", what, advice=advice)
    taken = {f"predicted_{model.label}", f"{model.label}_probs", f"{model.label}_values"} & set(names)
    if taken:
        what = f'the column "{min(taken)}" has the name of one of the model\'s outputs.'
        raise mistake(model, "query", what, advice="Rename or leave out this column.")


def _check_label(model: Model, columns: Sequence[Column]) -> None:
    type_ = next(column.type for column in columns if column.name == model.label)
    if is_classifier(model):
        if type_ not in ("VARCHAR", "BOOLEAN") and not _INTEGERS.fullmatch(type_):
            what = f"{model.label} is {_bigquery(type_)}; {model.type} predicts a STRING, an INT64 or a BOOL."
            raise mistake(model, "label", what, advice="Use a type of model that predicts numbers, or CAST the label.")
    elif not _NUMBERS.fullmatch(type_):
        what = f"{model.label} is {_bigquery(type_)}; {model.type} predicts a number."
        raise mistake(model, "label", what, advice="Use a type of model that classifies, or CAST the label.")


def _feature(model: Model, column: Column) -> Feature:
    if _NUMBERS.fullmatch(column.type):
        return Feature(name=column.name, type="FLOAT")
    if column.type == "VARCHAR":
        return Feature(name=column.name, type="STRING")
    if column.type == "BOOLEAN":
        return Feature(name=column.name, type="BOOL")
    what = f'the column "{column.name}" is {_bigquery(column.type)}; a feature is a number, a STRING or a BOOL.'
    advice = f"Leave it out, as in * EXCEPT({column.name}), or take a part of it, as in EXTRACT(DAYOFWEEK FROM …)."
    raise mistake(model, "query", what, advice=advice)


def _bigquery(type_: str) -> str:
    """BigQuery's name for a type of DuckDB's."""
    from sqlglot import ParseError, exp

    try:
        return exp.DataType.build(type_, dialect="duckdb").sql(dialect="bigquery")
    except ParseError:
        return type_


def casts(model: Model, features: Sequence[Feature]) -> list[tuple[str, Literal["DOUBLE", "VARCHAR"]]]:
    """The columns to fetch and as what: the features, then the label."""
    wanted: list[tuple[str, Literal["DOUBLE", "VARCHAR"]]] = [
        (feature.name, "VARCHAR" if feature.type == "STRING" else "DOUBLE") for feature in features
    ]
    return [*wanted, (model.label, "VARCHAR" if is_classifier(model) else "DOUBLE")]


def prepare(
    model: Model,
    features: tuple[Feature, ...],
    rows: "pd.DataFrame",
) -> Examples:
    """Make examples of the fetched rows, whose columns are cast as `casts` says.

    Raises PermanentError where there is too little to learn from, or more than this machine should.
    """
    import numpy as np
    import pandas as pd

    if len(rows) > MAXIMUM_ROWS:
        what = f"it gives more than {MAXIMUM_ROWS:,} rows, the most that this machine trains from."
        advice = "Take a sample (LIMIT, or WHERE RAND() < 0.1), or train in BigQuery."
        raise mistake(model, "query", what, advice=advice)
    labelled = rows[rows[model.label].notna()].reset_index(drop=True)
    if len(labelled) < 2:
        without = len(rows) - len(labelled)
        found = f"{show_count(len(labelled), 'row')} with a label and {without} without"
        what = f"it gives {found}; a training takes at least 2 with one."
        raise mistake(model, "query", what, advice="Check the query's conditions.")
    frame = pd.DataFrame({feature.name: _filled(model, feature, labelled[feature.name]) for feature in features})
    labels = labelled[model.label].to_numpy(dtype=np.str_ if is_classifier(model) else np.float64)
    _check_values(model, labels)
    return Examples(features=features, frame=frame, labels=labels, unlabelled=len(rows) - len(labelled))


def _filled(model: Model, feature: Feature, column: "pd.Series") -> "pd.Series":
    """One feature's values with nothing missing."""
    import numpy as np

    if column.isna().all():
        what = f'the column "{feature.name}" is NULL in every row, so nothing can be learned from it.'
        raise mistake(model, "query", what, advice="Leave it out of the query.")
    if feature.type == "STRING":
        strings = column.astype(object).where(column.notna(), MISSING)
        if (different := strings.nunique()) > MAXIMUM_CATEGORIES:
            what = f'the column "{feature.name}" has {different:,} different strings, above {MAXIMUM_CATEGORIES:,}.'
            raise mistake(model, "query", what, advice="Leave it out, or group its values into fewer categories.")
        return strings
    with np.errstate(over="ignore"):
        numbers = column.astype(np.float32).astype(np.float64)
    if np.isinf(numbers).any():
        what = f'the column "{feature.name}" holds infinite numbers, or some beyond the ±3.4e38 of a 32-bit float.'
        raise mistake(model, "query", what, advice="Scale the column, or leave these rows out.")
    return numbers.fillna(numbers.mode().iloc[0] if feature.type == "BOOL" else np.float32(numbers.mean()))


def _check_values(model: Model, labels: "np.ndarray[tuple[int], np.dtype[np.str_ | np.float64]]") -> None:
    import numpy as np

    if not is_classifier(model):
        with np.errstate(over="ignore"):
            finite = np.isfinite(labels.astype(np.float32))
        if not finite.all():
            what = f"{model.label} holds infinite numbers, or some beyond the ±3.4e38 of a 32-bit float."
            raise mistake(model, "label", what, advice="Scale the column, or leave these rows out.")
        return
    classes = np.unique(labels)
    if len(classes) < 2:
        what = f'every row has the label "{classes[0]:.80}"; a classifier needs at least two different ones.'
        raise mistake(model, "label", what, advice="Check the query's conditions.")
    if len(classes) > MAXIMUM_CLASSES:
        what = f"{model.label} has {len(classes):,} different values; a classifier takes {MAXIMUM_CLASSES} at the most."
        raise mistake(model, "label", what, advice="Group them into fewer classes, or predict a number instead.")
