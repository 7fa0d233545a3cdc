"""Tests of a sample's check against the features of the query."""

from collections.abc import Mapping
from typing import Any

import pytest

from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.jobs.checks import check_sample
from workers.platforms.protocols import JsonType

FEATURES: Mapping[str, JsonType] = {"amount": "number", "channel": "string", "new": "boolean", "code": "any"}
GOOD: dict[str, Any] = {"amount": 5, "channel": "web", "new": True, "code": "x"}


def orders(*sample: dict[str, Any]) -> Model:
    return Model(name="orders", type="logistic_reg", label="status", query="SELECT 1", sample=sample)


def test_sample_with_the_features_of_the_query_is_accepted() -> None:
    check_sample(orders(GOOD, GOOD | {"amount": 5.5, "code": False}), FEATURES)


@pytest.mark.parametrize(
    ("instance", "problem", "advice"),
    [
        (
            GOOD | {"amuont": 1},
            "the query has no feature “amuont”.",
            "The query's features are amount, channel, new, code.",
        ),
        ({"Amount": 5, "channel": "web"}, "the query has no feature “Amount”.", "Did you mean amount?"),
        (GOOD | {"Status": "kept"}, "it has the label Status.", "Leave the label out"),
        ({"amount": 5, "code": 1}, "it lacks channel, new.", "Give a value"),
        (GOOD | {"amount": "5"}, "amount is a string; the column takes a number.", "Write amount as a number"),
        (GOOD | {"amount": True}, "amount is a boolean; the column takes a number.", ""),
        (GOOD | {"channel": 3}, "channel is a number; the column takes a string.", ""),
        (GOOD | {"new": 1}, "new is a number; the column takes a boolean.", ""),
    ],
)
def test_instance_that_no_version_could_predict_is_refused(instance: dict[str, Any], problem: str, advice: str) -> None:
    with pytest.raises(PermanentError) as caught:
        check_sample(orders(GOOD, instance), FEATURES)
    assert str(caught.value) == f"models.orders.sample: instance 2: {problem}"
    assert caught.value.advice.startswith(advice) and caught.value.advice
