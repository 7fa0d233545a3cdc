"""The meaning of CREATE MODEL's options in the training on this machine.

What would give another model than in BigQuery is refused. Options of the optimizer alone have no effect: linear models
are solved to the optimum.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.embedded.errors import label_error

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_XGBOOST: Mapping[str, str] = {
    "booster_type": "booster",
    "dart_normalize_type": "normalize_type",
    "num_parallel_tree": "num_parallel_tree",
    "max_tree_depth": "max_depth",
    "tree_method": "tree_method",
    "min_tree_child_weight": "min_child_weight",
    "colsample_bytree": "colsample_bytree",
    "colsample_bylevel": "colsample_bylevel",
    "colsample_bynode": "colsample_bynode",
    "min_split_loss": "gamma",
    "subsample": "subsample",
    "l1_reg": "alpha",
    "l2_reg": "lambda",
    "learn_rate": "learning_rate",
}
"""Options of trees to XGBoost's parameters."""
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "l1_reg": (0.0,),
    "l2_reg": (0.0,),
    "calculate_p_values": (False,),
    "warm_start": (False,),
    "category_encoding_method": ("ONE_HOT_ENCODING",),
}
"""The only values of these options that linear models take here."""


def check_options(model: Model) -> None:
    """Raise PermanentError for an option that the training on this machine lacks."""
    for name, value in model.options.items():
        if model.type.endswith("_reg"):
            is_lacking = value not in _NEUTRAL.get(name, (value,))
        else:
            encoding = name == "category_encoding_method" and value != "LABEL_ENCODING"
            is_lacking = encoding or name in ("instance_weight_col", "xgboost_version")
        if is_lacking:
            shown = str(value).lower() if isinstance(value, bool) else value
            raise PermanentError(
                f"models.{model.name}.options: {name} = {shown} is not available in the training on this machine.",
                advice="Leave it out to try the model here, or train in BigQuery.",
            )


def xgboost_parameters(model: Model) -> dict[str, Any]:
    """Return XGBoost's parameters for the options that are set."""
    given = {_XGBOOST[name]: value for name, value in model.options.items() if name in _XGBOOST}
    return {name: value.lower() if isinstance(value, str) else value for name, value in given.items()}


def row_weights(model: Model, labels: "Array") -> "Array | None":
    """Return a weight for each label, or None if the model's options weigh no classes.

    AUTO_CLASS_WEIGHTS weighs a class by rows / (classes × its rows), so that all classes weigh the same.
    Raises PermanentError if CLASS_WEIGHTS lacks a label.
    """
    import numpy as np

    names, at, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if model.options.get("auto_class_weights"):
        weights: Array = len(labels) / (len(names) * counts)
        return weights[at]
    given: Mapping[str, float] | None = model.options.get("class_weights")
    if given is None:
        return None
    if lacking := sorted({str(name) for name in names} - set(given)):
        problem = f'options.class_weights has no weight for the label "{lacking[0]:.80}".'
        raise label_error(model, problem, "Give a weight for each label.")
    return np.array([given[str(name)] for name in names])[at]
