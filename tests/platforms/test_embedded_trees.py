"""Trees of the local warehouse: trained in XGBoost, exported as BigQuery ML does, and served as they were evaluated."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn import datasets

from tests.platforms.orders import orders_model
from tests.platforms.progress import RecordedProgress
from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.embedded.warehouse.features import Examples, Feature
from workers.platforms.embedded.warehouse.split import Split
from workers.platforms.embedded.warehouse.tables import StoredTable
from workers.platforms.embedded.warehouse.trees import TREES, outputs, train_trees
from workers.platforms.embedded.warehouse.warehouse import EmbeddedWarehouse
from workers.platforms.serving.servable import Servable


def train(warehouse: EmbeddedWarehouse, folder: Path, **settings: Any) -> tuple[Servable, RecordedProgress, Model]:
    model, progress = orders_model(**settings), RecordedProgress()
    warehouse.train(model=model, version=1, progress=progress)
    assert warehouse.export(model=model, version=1, to=str(folder), progress=progress) == "xgboost_booster"
    return Servable(folder), progress, model


def ask(servable: Servable, frame: pd.DataFrame) -> list[Any]:
    instances = json.loads(frame.to_json(orient="records", double_precision=15))
    return list(json.loads(servable.predict(json.dumps({"instances": instances}).encode()))["predictions"])


@pytest.mark.parametrize("type_", ["boosted_tree_classifier", "random_forest_classifier"])
@pytest.mark.parametrize("load", [datasets.load_iris, datasets.load_wine, datasets.load_breast_cancer])
def test_endpoint_gives_the_labels_of_xgboost(type_: str, load: Any, tmp_path: Path) -> None:
    """No label differs from those of the same parameters in XGBoost alone, and the accuracy is that of the endpoint."""
    bunch = load(as_frame=True)
    frame = bunch.data.set_axis([f"x{at}" for at in range(bunch.data.shape[1])], axis=1)
    labels = bunch.target_names[bunch.target].astype(str)
    frame.assign(label=labels).to_csv(tmp_path / "rows.csv", index=False)
    warehouse = EmbeddedWarehouse(home=tmp_path / "home", tables={"rows": StoredTable(path=tmp_path / "rows.csv")})
    servable, _, model = train(
        warehouse, tmp_path / "out", type=type_, label="label", query="SELECT * FROM `rows`", name="trees"
    )
    predictions = ask(servable, frame)
    predicted = np.array([one["predicted_label"][0] for one in predictions])
    accuracy = warehouse.evaluate(model=model, version=1, progress=RecordedProgress()).metrics["accuracy"]
    if len(frame) < 500:  # all rows are evaluated
        assert accuracy == pytest.approx((predicted == labels).mean())
    booster = xgboost.Booster(model_file=tmp_path / "out" / "model.bst")
    alone = booster.predict(xgboost.DMatrix(frame.to_numpy(np.float32)))
    assert (np.array(sorted(set(labels)))[alone.argmax(axis=1)] == predicted).all()
    assert accuracy > 0.9


@pytest.mark.parametrize("type_", ["boosted_tree_regressor", "random_forest_regressor"])
def test_regressor_is_served_as_it_was_evaluated(type_: str, tmp_path: Path) -> None:
    bunch = datasets.load_diabetes(as_frame=True)
    bunch.frame.to_csv(tmp_path / "rows.csv", index=False)
    warehouse = EmbeddedWarehouse(home=tmp_path / "home", tables={"rows": StoredTable(path=tmp_path / "rows.csv")})
    servable, progress, model = train(
        warehouse, tmp_path / "out", type=type_, label="target", query="SELECT * FROM `rows`", name="trees"
    )
    predicted = np.array([one[0] for one in ask(servable, bunch.data)])
    metrics = warehouse.evaluate(model=model, version=1, progress=RecordedProgress()).metrics
    assert metrics["mean_squared_error"] == pytest.approx(((predicted - bunch.target) ** 2).mean(), rel=1e-4)
    assert metrics["r2_score"] > 0.5
    assert any("loss" in fact for *_, fact in progress.reports)


def test_strings_booleans_and_missing_values_are_learned_and_served(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colour, flag, size = rng.choice(["red", "", "télé ☎"], 400), rng.random(400) < 0.5, rng.normal(size=400)
    label = np.where((colour == "red") ^ flag, "yes", "no")
    frame = pd.DataFrame({"colour": colour, "flag": flag, "size": size, "label": label})
    frame.loc[::7, "size"] = np.nan
    frame.to_parquet(tmp_path / "rows.parquet")
    warehouse = EmbeddedWarehouse(home=tmp_path / "home", tables={"rows": StoredTable(path=tmp_path / "rows.parquet")})
    servable, _, _ = train(
        warehouse, tmp_path / "out", type="boosted_tree_classifier", label="label", query="SELECT * FROM `rows`"
    )
    assert [(item.name, item.type) for item in servable.signature.inputs] == [
        ("colour", "STRING"),
        ("flag", "BOOL"),
        ("size", "DOUBLE"),
    ]
    asked = frame.drop(columns="label").assign(size=frame["size"].fillna(0.0))
    assert [one["predicted_label"][0] for one in ask(servable, asked)] == label.tolist()
    unseen = ask(servable, asked.head(1).assign(colour="never seen"))
    assert np.isfinite(unseen[0]["label_probs"]).all()


@pytest.mark.parametrize("type_", TREES)
def test_same_rows_give_the_same_files(type_: str) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=600), "y": rng.normal(size=600)})
    labels = (frame["x"] > 0).to_numpy() if type_.endswith("classifier") else frame["x"].to_numpy()
    features = (Feature(name="x", type="DOUBLE"), Feature(name="y", type="DOUBLE"))
    given = Examples(
        features=features, frame=frame, labels=labels.astype(str) if labels.dtype == bool else labels, unlabelled=0
    )
    rows = Split(train=np.arange(500), evaluate=np.arange(500, 600), note="")
    model = orders_model(type=type_)
    first, session, note = train_trees(model, given, rows, report=lambda *_: None)
    second, _, _ = train_trees(model, given, rows, report=lambda *_: None)
    assert first == second
    assert "trees" in note
    assert len(outputs(session, features, frame.head(3))[0]) == 3


def test_training_stops_when_the_evaluation_loss_stands_still() -> None:
    """EARLY_STOP: noise alone cannot be learned."""
    rng = np.random.default_rng(2)
    frame, labels = pd.DataFrame({"x": rng.normal(size=1000)}), rng.normal(size=1000)
    given = Examples(features=(Feature(name="x", type="DOUBLE"),), frame=frame, labels=labels, unlabelled=0)
    rows = Split(train=np.arange(800), evaluate=np.arange(800, 1000), note="")
    _, _, note = train_trees(orders_model(type="boosted_tree_regressor"), given, rows, report=lambda *_: None)
    assert int(note.split()[0]) < 20


def test_string_with_a_line_break_is_refused_with_its_column(tmp_path: Path) -> None:
    pd.DataFrame({"note": ["a\nb", "c", "d"], "label": ["x", "y", "x"]}).to_parquet(tmp_path / "rows.parquet")
    warehouse = EmbeddedWarehouse(home=tmp_path / "home", tables={"rows": StoredTable(path=tmp_path / "rows.parquet")})
    model = orders_model(type="boosted_tree_classifier", label="label", query="SELECT * FROM `rows`")
    with pytest.raises(PermanentError, match='"note" has a string with a line break') as caught:
        warehouse.train(model=model, version=1, progress=RecordedProgress())
    assert "REPLACE" in caught.value.advice


def noisy(rows: int = 600) -> Examples:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(size=rows), "y": rng.normal(size=rows)})
    labels = np.where(frame["x"] + rng.normal(size=rows) > 1, "yes", "no")
    features = (Feature(name="x", type="DOUBLE"), Feature(name="y", type="DOUBLE"))
    return Examples(features=features, frame=frame, labels=labels, unlabelled=0)


def test_options_are_xgboosts_parameters() -> None:
    """The version equals one that XGBoost trains with these parameters, and class weights as weights of the rows."""
    given, rows = noisy(), Split(train=np.arange(500), evaluate=np.arange(500, 600), note="")
    options = {
        "max_iterations": 5,
        "early_stop": False,
        "max_tree_depth": 3,
        "learn_rate": 0.1,
        "l1_reg": 0.5,
        "l2_reg": 2.0,
        "min_split_loss": 0.1,
        "min_tree_child_weight": 2,
        "colsample_bytree": 0.5,
        "class_weights": {"yes": 3.0, "no": 1.0},
    }
    model = orders_model(type="boosted_tree_classifier", options=options)
    _, session, note = train_trees(model, given, rows, report=lambda *_: None)
    assert "5 iterations" in note
    inputs = given.frame.to_numpy(np.float32)
    alone = xgboost.train(
        {
            "objective": "multi:softprob",
            "num_class": 2,
            "max_depth": 3,
            "learning_rate": 0.1,
            "alpha": 0.5,
            "lambda": 2.0,
            "gamma": 0.1,
            "min_child_weight": 2,
            "colsample_bytree": 0.5,
            "tree_method": "hist",
            "seed": 0,
        },
        xgboost.DMatrix(
            inputs[:500], given.labels[:500] == "yes", weight=np.where(given.labels[:500] == "yes", 3.0, 1.0)
        ),
        num_boost_round=5,
    )
    expected = alone.predict(xgboost.DMatrix(inputs[500:]))
    found = outputs(session, given.features, given.frame.iloc[500:])[1]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("type_", "options", "name"),
    [
        ("linear_reg", {"l2_reg": 1.0}, "l2_reg = 1.0"),
        ("logistic_reg", {"warm_start": True}, "warm_start = true"),
        ("boosted_tree_classifier", {"category_encoding_method": "TARGET_ENCODING"}, "TARGET_ENCODING"),
        ("boosted_tree_classifier", {"instance_weight_col": "w"}, "instance_weight_col"),
    ],
)
def test_option_without_a_counterpart_is_refused_before_the_query_runs(
    type_: str, options: dict[str, Any], name: str, tmp_path: Path
) -> None:
    warehouse = EmbeddedWarehouse(home=tmp_path, tables={})
    model = orders_model(type=type_, options=options, query="not even SQL")
    for action in (
        lambda: warehouse.check(model=model, live=None, progress=RecordedProgress()),
        lambda: warehouse.train(model=model, version=1, progress=RecordedProgress()),
    ):
        with pytest.raises(PermanentError, match=r"models\.orders\.options: ") as caught:
            action()
        assert name in str(caught.value)
