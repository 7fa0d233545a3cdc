"""The probe of a version: unusual texts, and batches, against endpoints that answer in a known way."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.platforms.orders import orders_model
from tests.platforms.progress import RecordedProgress
from workers.contract.settings import Model
from workers.platforms.embedded.images import EmbeddedImages
from workers.platforms.embedded.warehouse.tables import StoredTable
from workers.platforms.embedded.warehouse.warehouse import EmbeddedWarehouse
from workers.platforms.probe import UNSEEN, probe
from workers.platforms.protocols import Probe
from workers.platforms.serving.signature import Signature
from workers.platforms.smoke_test import SmokeTestFailed

REGRESSION = Signature(label="tip", task="regression", inputs=())
CLASSES = Signature(label="kind", task="classification", inputs=(), classes=("a", "b"))


def regressor(predict: Callable[[Mapping[str, Any]], float]) -> Callable[[Sequence[Mapping[str, Any]]], list[Any]]:
    return lambda instances: [[predict(instance)] for instance in instances]


def model(**sample: Any) -> Model:
    return orders_model(type="linear_reg", label="tip", sample=(sample,))


@pytest.mark.parametrize(
    ("moved", "finding", "passed"),
    [
        (14_198.0, "an unseen zone moves predicted_tip by 3,900 standard deviations", False),
        (3.64, "an unseen zone moves predicted_tip by 1.0 standard deviations", True),
        (0.0, "no unusual text moves the prediction", True),
    ],
)
def test_largest_move_is_in_units_of_the_labels_spread(moved: float, finding: str, passed: bool) -> None:
    ask = regressor(lambda instance: 2.0 + moved * (instance["zone"] == UNSEEN))
    found = probe(model(zone="A", miles=1.0), REGRESSION, ask, spread=3.64)
    assert found == Probe(finding=finding, passed=passed)


def test_worst_of_several_features_is_named() -> None:
    ask = regressor(lambda instance: 10.0 * (instance["zone"] == "") + 50.0 * (instance["pay"] == "_null_filler"))
    found = probe(model(zone="A", pay="card"), REGRESSION, ask, spread=1.0)
    assert found.finding == "a missing pay moves predicted_tip by 50 standard deviations"
    assert not found.passed


def test_model_without_texts_has_nothing_to_find() -> None:
    assert probe(model(miles=1.0), REGRESSION, regressor(lambda _: 1.0), spread=1.0) == Probe()


def test_answer_that_is_no_number_is_the_worst_move() -> None:
    def ask(instances: Sequence[Mapping[str, Any]]) -> list[Any]:
        if instances[0]["zone"] == UNSEEN:
            raise SmokeTestFailed("The endpoint answered with 500.")
        return [[1.0] for _ in instances]

    found = probe(model(zone="A"), REGRESSION, ask, spread=1.0)
    assert found == Probe(finding="an unseen zone gives no finite prediction", passed=False)


def test_classifier_moves_by_the_probability_of_the_baselines_class() -> None:
    def ask(instances: Sequence[Mapping[str, Any]]) -> list[Any]:
        share = [0.95 if instance["zone"] == "A" else 0.2 for instance in instances]
        return [
            {"predicted_kind": ["a" if one > 0.5 else "b"], "kind_values": ["a", "b"], "kind_probs": [one, 1 - one]}
            for one in share
        ]

    found = probe(model(zone="A"), CLASSES, ask, spread=None)
    assert found == Probe(finding="an unseen zone moves the probability of the predicted kind by 0.75", passed=True)


def test_prediction_that_depends_on_the_batch_is_refused() -> None:
    def ask(instances: Sequence[Mapping[str, Any]]) -> list[Any]:
        return [[float(len(instances))] for _ in instances]

    with pytest.raises(SmokeTestFailed, match="batch of 100"):
        probe(model(zone="A"), REGRESSION, ask, spread=1.0)


def test_class_that_is_not_the_most_probable_is_refused() -> None:
    answer = {"predicted_kind": ["a"], "kind_values": ["a", "b"], "kind_probs": [0.1, 0.9]}
    with pytest.raises(SmokeTestFailed, match="not the one with the greatest probability"):
        probe(model(zone="A"), CLASSES, lambda instances: [answer] * len(instances), spread=None)


def test_rare_category_of_a_linear_model_is_found_when_it_is_served(tmp_path: Path) -> None:
    """A zone that every row has gets a weight of its own, which an unseen zone lacks."""
    rows = pd.DataFrame({"zone": ["A", "B"] * 30, "miles": range(60)})
    rows.assign(tip=rows["miles"] * 0.1 + (rows["zone"] == "A") * 1000).to_csv(tmp_path / "rows.csv", index=False)
    warehouse = EmbeddedWarehouse(home=tmp_path / "home", tables={"rows": StoredTable(path=tmp_path / "rows.csv")})
    trained = orders_model(
        type="linear_reg", label="tip", query="SELECT * FROM `rows`", sample=({"zone": "A", "miles": 3.0},)
    )
    progress = RecordedProgress()
    warehouse.train(model=trained, version=1, progress=progress)
    warehouse.export(model=trained, version=1, to=str(tmp_path / "out"), progress=progress)

    def tested(model: Model) -> Probe:
        return (
            EmbeddedImages()
            .smoke_test(model=model, folder=tmp_path / "out", image=None, spread=1.0, progress=progress)
            .probe
        )

    found = tested(trained)
    assert "zone moves predicted_tip by" in found.finding
    assert not found.passed
    assert tested(trained.model_copy(update={"probe": "off"})) == Probe()
