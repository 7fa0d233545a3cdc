"""The exported graph predicts what the fitted pipeline does, with the inputs and outputs of its signature."""
# ruff: noqa: S608  the tests assemble queries

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from tests.platforms.orders import orders_model, train_and_export
from workers.platforms.embedded.warehouse.features import Examples, Feature, is_classifier
from workers.platforms.embedded.warehouse.linear import fit
from workers.platforms.embedded.warehouse.onnx_export import run_onnx, to_onnx
from workers.platforms.embedded.warehouse.tables import StoredTable
from workers.platforms.embedded.warehouse.warehouse import EmbeddedWarehouse

TYPES = ["linear_reg", "logistic_reg"]

FEATURES = (
    Feature(name="seen_at_s", type="DOUBLE"),
    Feature(name="label", type="DOUBLE"),
    Feature(name="channel", type="STRING"),
    Feature(name="probabilities", type="BOOL"),
)
"""A large number with small differences, and columns with names that the converter uses internally."""


def learned_rows() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    count = 300
    return pd.DataFrame(
        {
            "seen_at_s": (1.7e9 + rng.normal(size=count) * 3000),
            "label": rng.normal(size=count),
            "channel": rng.choice(["web", "shop", "télé ☎", ""], count).astype(object),
            "probabilities": rng.integers(0, 2, count).astype(float),
        }
    )


@pytest.fixture(scope="module", params=[*((type_, 3) for type_ in TYPES), ("logistic_reg", 2)])
def learned(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A fitted pipeline, and a function that runs its ONNX graph."""
    rows = learned_rows()
    score = rows["label"] + (rows["channel"] == "web") + rows["probabilities"] + (rows["seen_at_s"] - 1.7e9) / 3000
    type_, count = request.param
    model = orders_model(type=type_)
    classes = np.where(score > 2, "high", np.where((score > 0) & (count > 2), "mid", "low"))
    labels = classes if is_classifier(model) else score.to_numpy()
    given_rows = Examples(features=FEATURES, frame=rows, labels=labels, unlabelled=0)
    pipeline, _ = fit(model, given_rows, np.arange(len(rows)), report=lambda *_: None)
    graph = to_onnx(pipeline, FEATURES, "status", classify=is_classifier(model))
    return pipeline, lambda frame: run_onnx(graph, FEATURES, frame)


def assert_same(learned: tuple[Any, Any], frame: pd.DataFrame) -> None:
    """Assert equality to nearly float64's precision. Ignore labels with two equal probabilities."""
    pipeline, run = learned
    outputs = run(frame)
    if not hasattr(pipeline, "classes_"):
        np.testing.assert_allclose(outputs[0][:, 0], pipeline.predict(frame), rtol=1e-9, atol=1e-9)
        return
    probabilities = pipeline.predict_proba(frame)
    np.testing.assert_allclose(outputs[1], probabilities, rtol=1e-7, atol=1e-9)
    sure = np.ptp(np.sort(probabilities, axis=1)[:, -2:], axis=1) > 1e-8
    assert (outputs[0][sure] == pipeline.predict(frame)[sure]).all()


def test_graph_predicts_like_the_pipeline_on_its_training_rows(learned: tuple[Any, Any]) -> None:
    assert_same(learned, learned_rows())


@settings(max_examples=60)
@given(
    seen=st.floats(1.69e9, 1.71e9),
    number=st.floats(-1e6, 1e6) | st.sampled_from(learned_rows()["label"].tolist()),
    channel=st.sampled_from(["web", "shop", "", "télé ☎"])
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    flag=st.booleans(),
)
def test_graph_predicts_like_the_pipeline_on_any_request(
    learned: tuple[Any, Any], seen: float, number: float, channel: str, flag: bool
) -> None:
    """Any number, boolean and string, including unseen categories."""
    row = {"seen_at_s": [seen], "label": [number], "channel": [channel], "probabilities": [float(flag)]}
    assert_same(learned, pd.DataFrame(row).astype({"channel": object}))


@pytest.mark.parametrize("type_", TYPES)
def test_graph_has_the_inputs_and_outputs_of_its_signature(type_: str, tmp_path: Path) -> None:
    csv = tmp_path / "rows.csv"
    learned_rows().assign(probabilities=lambda rows: rows["probabilities"] > 0).to_csv(csv, index=False)
    warehouse = EmbeddedWarehouse(home=tmp_path / "home", tables={"rows": StoredTable(path=csv)})
    target = "channel IS NULL" if type_ == "logistic_reg" else "label * 2"
    model = orders_model(type=type_, query=f"SELECT *, {target} AS status FROM `rows`")
    signature, graph = train_and_export(warehouse, model, tmp_path / "out")
    session = onnxruntime.InferenceSession(graph)
    types = {"DOUBLE": "tensor(double)", "STRING": "tensor(string)", "BOOL": "tensor(bool)"}
    assert [(item["name"], item["type"]) for item in signature["inputs"]] == [
        (item.name, item.type) for item in FEATURES
    ]
    assert [(given.name, given.type, given.shape[1:]) for given in session.get_inputs()] == [
        (feature.name, types[feature.type], [1]) for feature in FEATURES
    ]
    outputs = [(answer.name, answer.type) for answer in session.get_outputs()]
    feed = {
        "seen_at_s": np.full((3, 1), 1.7e9),
        "label": np.zeros((3, 1)),
        "channel": np.full((3, 1), "never seen", object),
        "probabilities": np.array([[True], [False], [True]]),
    }
    answers = session.run(None, feed)
    if is_classifier(model):
        assert (signature["task"], signature["classes"]) == ("classification", ["false", "true"])
        assert outputs == [("predicted_status", "tensor(string)"), ("status_probs", "tensor(double)")]
        assert [answer.shape for answer in answers] == [(3,), (3, 2)]
    else:
        assert signature["task"] == "regression" and "classes" not in signature
        assert outputs == [("predicted_status", "tensor(double)")]
        assert answers[0].shape == (3, 1)
