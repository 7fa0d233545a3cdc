"""OPTIONS of BigQuery ML's CREATE MODEL that a model's settings may set, with their types and ranges. Pure.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-glm, …-create-boosted-tree and
…-create-random-forest list them by type of model.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from workers.contract.units import quoted

Value = bool | int | float | str | Mapping[str, float]
"""A mapping is CLASS_WEIGHTS: the label's value to its weight."""

LINEAR, LOGISTIC, BOOSTED, FOREST = "linear_reg", "logistic_reg", "boosted_tree", "random_forest"
_GLM, _TREES, _ALL = (LINEAR, LOGISTIC), (BOOSTED, FOREST), (LINEAR, LOGISTIC, BOOSTED, FOREST)
_CLASSIFIERS = (LOGISTIC, "boosted_tree_classifier", "random_forest_classifier")
SPLIT_METHODS = ("AUTO_SPLIT", "RANDOM", "CUSTOM", "SEQ", "NO_SPLIT")


@dataclass(frozen=True, slots=True)
class Option:
    """An option: the beginnings of the types of models that take it, and its values.

    `values` are the choices of a STRING; empty, with `kind` STRING, the value is a column. A number is from `least` to
    `greatest`, without `least` itself if `above` is set.
    """

    kind: str
    models: tuple[str, ...]
    values: tuple[str, ...] = ()
    least: float = 0.0
    greatest: float = math.inf
    above: bool = False


OPTIONS: Mapping[str, Option] = {
    "data_split_method": Option("STRING", _ALL, SPLIT_METHODS),
    "data_split_eval_fraction": Option("FLOAT64", _ALL, greatest=1.0),
    "data_split_col": Option("STRING", _ALL),
    "auto_class_weights": Option("BOOL", _CLASSIFIERS),
    "class_weights": Option("WEIGHTS", _CLASSIFIERS),
    "l1_reg": Option("FLOAT64", _ALL),
    "l2_reg": Option("FLOAT64", _ALL),
    "max_iterations": Option("INT64", (*_GLM, BOOSTED), least=1),
    "early_stop": Option("BOOL", _ALL),
    "min_rel_progress": Option("FLOAT64", _ALL),
    "learn_rate_strategy": Option("STRING", _GLM, ("LINE_SEARCH", "CONSTANT")),
    "learn_rate": Option("FLOAT64", (*_GLM, BOOSTED), above=True),
    "ls_init_learn_rate": Option("FLOAT64", _GLM, above=True),
    "optimize_strategy": Option("STRING", _GLM, ("AUTO_STRATEGY", "BATCH_GRADIENT_DESCENT", "NORMAL_EQUATION")),
    "calculate_p_values": Option("BOOL", _GLM),
    "fit_intercept": Option("BOOL", _GLM),
    "warm_start": Option("BOOL", _GLM),
    "category_encoding_method": Option(
        "STRING", _ALL, ("ONE_HOT_ENCODING", "DUMMY_ENCODING", "LABEL_ENCODING", "TARGET_ENCODING")
    ),
    "enable_global_explain": Option("BOOL", _ALL),
    "approx_global_feature_contrib": Option("BOOL", _TREES),
    "booster_type": Option("STRING", (BOOSTED,), ("GBTREE", "DART")),
    "dart_normalize_type": Option("STRING", (BOOSTED,), ("TREE", "FOREST")),
    "num_parallel_tree": Option("INT64", _TREES, least=1),
    "max_tree_depth": Option("INT64", _TREES, least=1),
    "tree_method": Option("STRING", _TREES, ("AUTO", "EXACT", "APPROX", "HIST")),
    "min_tree_child_weight": Option("INT64", _TREES),
    "colsample_bytree": Option("FLOAT64", _TREES, greatest=1.0, above=True),
    "colsample_bylevel": Option("FLOAT64", _TREES, greatest=1.0, above=True),
    "colsample_bynode": Option("FLOAT64", _TREES, greatest=1.0, above=True),
    "min_split_loss": Option("FLOAT64", _TREES),
    "subsample": Option("FLOAT64", _TREES, greatest=1.0, above=True),
    "instance_weight_col": Option("STRING", _TREES),
    "xgboost_version": Option("STRING", _TREES, ("0.9", "1.1")),
}
_OURS: Mapping[str, str] = {
    "model_type": "set type",
    "input_label_cols": "set label",
    "model_registry": "Seatrial keeps the versions itself",
    "vertex_ai_model_id": "Seatrial keeps the versions itself",
    "vertex_ai_model_version_aliases": "Seatrial keeps the versions itself",
}
_ENCODINGS: Mapping[str, tuple[str, ...]] = {
    LINEAR: ("ONE_HOT_ENCODING", "DUMMY_ENCODING"),
    LOGISTIC: ("ONE_HOT_ENCODING", "DUMMY_ENCODING"),
    BOOSTED: ("ONE_HOT_ENCODING", "LABEL_ENCODING", "TARGET_ENCODING"),
    FOREST: ("ONE_HOT_ENCODING", "LABEL_ENCODING", "TARGET_ENCODING"),
}


def read_options(given: Mapping[str, Value], *, model_type: str) -> Mapping[str, Value]:
    """Return the options with lower-case names, and choices in capitals.

    Raises ValueError with a sentence for each mistake, separated by "; ".
    """
    found: dict[str, Value] = {}
    mistakes = []
    for key, value in given.items():
        name = key.lower()
        try:
            if name in found:
                raise ValueError(f"{name} is given twice")
            found[name] = _read(name, value, model_type)
        except ValueError as error:
            mistakes.append(str(error))
    mistakes += _contradictions(found)
    if mistakes:
        raise ValueError("; ".join(mistakes))
    return found


def _read(name: str, value: Value, model_type: str) -> Value:
    if name in _OURS:
        raise ValueError(f"{name} is not an option here: {_OURS[name]}")
    option = OPTIONS.get(name)
    if option is None:
        near = get_close_matches(name, OPTIONS, n=1, cutoff=0.7)
        raise ValueError(f"there is no option {quoted(name)}" + (f"; did you mean {near[0]}?" if near else ""))
    if not model_type.startswith(option.models):
        raise ValueError(f"a {model_type} model has no option {name}")
    match option.kind:
        case "BOOL" if isinstance(value, bool):
            return value
        case "INT64" | "FLOAT64" if isinstance(value, int | float) and not isinstance(value, bool):
            return _number(name, option, value)
        case "STRING" if isinstance(value, str):
            return _text(name, option, value, model_type)
        case "WEIGHTS" if isinstance(value, Mapping):
            return _weights(value)
    expected = {"BOOL": "true or false", "INT64": "a whole number", "FLOAT64": "a number", "STRING": "a text"}
    raise ValueError(f"{name} must be {expected.get(option.kind, 'a table of labels with their weights')}")


def _number(name: str, option: Option, value: float) -> Value:
    if option.kind == "INT64" and not float(value).is_integer():
        raise ValueError(f"{name} must be a whole number")
    is_low = value <= option.least if option.above else value < option.least
    if is_low or value > option.greatest or not math.isfinite(value):
        low = f"above {option.least:g}" if option.above else f"at least {option.least:g}"
        high = "" if math.isinf(option.greatest) else f" and at most {option.greatest:g}"
        raise ValueError(f"{name} must be {low}{high}")
    return int(value) if option.kind == "INT64" else float(value)


def _text(name: str, option: Option, value: str, model_type: str) -> str:
    if not option.values:
        if not (value.isidentifier() and value.isascii()):
            raise ValueError(f"{name} must be the name of a column")
        return value
    values = option.values
    if name == "category_encoding_method":
        values = next(names for kind, names in _ENCODINGS.items() if model_type.startswith(kind))
    if value.upper() not in values:
        raise ValueError(f"{name} must be one of {', '.join(values)}")
    return value.upper()


def _weights(given: Mapping[str, float]) -> Mapping[str, float]:
    for label, weight in given.items():
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not is_number or not math.isfinite(weight) or weight < 0:
            raise ValueError(f"class_weights: the weight of {quoted(label)} must be a number, at least 0")
    if not given:
        raise ValueError("class_weights must have a weight for each label")
    return {label: float(weight) for label, weight in given.items()}


def _contradictions(options: Mapping[str, Value]) -> list[str]:
    mistakes = []
    method = options.get("data_split_method", "AUTO_SPLIT")
    if method in ("CUSTOM", "SEQ") and "data_split_col" not in options:
        mistakes.append(f"data_split_method {method} needs data_split_col")
    if method not in ("CUSTOM", "SEQ") and "data_split_col" in options:
        mistakes.append("data_split_col needs data_split_method CUSTOM or SEQ")
    if method not in ("RANDOM", "SEQ") and "data_split_eval_fraction" in options:
        mistakes.append("data_split_eval_fraction needs data_split_method RANDOM or SEQ")
    if options.get("auto_class_weights") and "class_weights" in options:
        mistakes.append("auto_class_weights and class_weights exclude each other")
    return mistakes
