"""Options of CREATE MODEL in the settings: their names, types and ranges."""

from collections.abc import Mapping
from typing import Any

import pytest

from workers.contract.training_options import OPTIONS, read_options


@pytest.mark.parametrize(
    ("model_type", "given", "read"),
    [
        ("linear_reg", {"L2_REG": 1, "Optimize_Strategy": "normal_equation"}, None),
        ("logistic_reg", {"auto_class_weights": True, "data_split_method": "no_split"}, None),
        ("logistic_reg", {"class_weights": {"yes": 2, "no": 0.5}}, {"class_weights": {"yes": 2.0, "no": 0.5}}),
        ("boosted_tree_regressor", {"max_tree_depth": 8.0, "booster_type": "dart"}, None),
        ("random_forest_classifier", {"num_parallel_tree": 10, "subsample": 1}, None),
        ("linear_reg", {"data_split_method": "SEQ", "data_split_col": "day", "data_split_eval_fraction": 0.1}, None),
    ],
)
def test_options_are_read_with_lower_case_names_and_choices_in_capitals(
    model_type: str, given: Mapping[str, Any], read: Mapping[str, Any] | None
) -> None:
    expected = read or {
        name.lower(): value.upper() if isinstance(value, str) and OPTIONS[name.lower()].values else value
        for name, value in given.items()
    }
    assert read_options(given, model_type=model_type) == expected


@pytest.mark.parametrize(
    ("model_type", "given", "words"),
    [
        ("linear_reg", {"l3_reg": 1}, ["no option “l3_reg”", "did you mean"]),
        ("linear_reg", {"max_tree_depth": 3}, ["a linear_reg model has no option max_tree_depth"]),
        ("boosted_tree_regressor", {"auto_class_weights": True}, ["boosted_tree_regressor model has no option"]),
        ("linear_reg", {"model_type": "linear_reg"}, ["set type"]),
        ("linear_reg", {"input_label_cols": ["x"]}, ["set label"]),
        ("linear_reg", {"l2_reg": -1}, ["l2_reg must be at least 0"]),
        ("linear_reg", {"l2_reg": True}, ["l2_reg must be a number"]),
        ("linear_reg", {"l2_reg": float("nan")}, ["l2_reg must be"]),
        ("linear_reg", {"max_iterations": 1.5}, ["whole number"]),
        ("linear_reg", {"early_stop": "yes"}, ["true or false"]),
        ("boosted_tree_regressor", {"subsample": 0}, ["above 0 and at most 1"]),
        ("linear_reg", {"category_encoding_method": "LABEL_ENCODING"}, ["ONE_HOT_ENCODING, DUMMY_ENCODING"]),
        ("linear_reg", {"data_split_method": "CUSTOM"}, ["needs data_split_col"]),
        ("linear_reg", {"data_split_col": "day"}, ["needs data_split_method CUSTOM or SEQ"]),
        ("linear_reg", {"data_split_eval_fraction": 0.1}, ["RANDOM or SEQ"]),
        ("linear_reg", {"data_split_method": "SEQ", "data_split_col": "a`b"}, ["name of a column"]),
        ("logistic_reg", {"class_weights": {"a": -1}}, ["weight of “a”"]),
        ("logistic_reg", {"class_weights": {}}, ["a weight for each label"]),
        ("logistic_reg", {"class_weights": {"a": 1}, "auto_class_weights": True}, ["exclude each other"]),
        ("linear_reg", {"l1_reg": -1, "foo": 1, "L1_REG": 2}, ["l1_reg must be", "“foo”"]),
        ("linear_reg", {"l1_reg": 1, "L1_REG": 2}, ["given twice"]),
    ],
)
def test_mistakes_in_options_are_named_all_at_once(model_type: str, given: Mapping[str, Any], words: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        read_options(given, model_type=model_type)
    assert [word for word in words if word not in str(caught.value)] == []
