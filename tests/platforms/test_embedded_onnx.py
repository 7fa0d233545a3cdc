"""The exported graph says what scikit-learn learned, and has the names that its signature tells."""
# ruff: noqa: S608  queries are what these tests are about, and are made of parts.

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.platforms.orders import exported, model
from workers.platforms.embedded.warehouse.features import Examples, Feature, is_classifier
from workers.platforms.embedded.warehouse.onnx_export import run_onnx, to_onnx
from workers.platforms.embedded.warehouse.training import fit
from workers.platforms.embedded.warehouse.warehouse import EmbeddedWarehouse

TYPES = ["linear_reg", "logistic_reg", "boosted_tree_classifier", "boosted_tree_regressor"]

FEATURES = (
    Feature(name="seen_at_s", type="FLOAT"),
    Feature(name="label", type="FLOAT"),
    Feature(name="channel", type="STRING"),
    Feature(name="probabilities", type="BOOL"),
)
"""A large number with small differences; and columns that are called what the converter calls things of its own."""


def learned_rows() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    count = 300
    return pd.DataFrame(
        {
            "seen_at_s": (1.7e9 + rng.normal(size=count) * 3000).astype(np.float32).astype(float),
            "label": rng.normal(size=count).astype(np.float32).astype(float),
            "channel": rng.choice(["web", "shop", "télé ☎", ""], count).astype(object),
            "probabilities": rng.integers(0, 2, count).astype(float),
        }
    )


@pytest.fixture(scope="module", params=[*((type_, 3) for type_ in TYPES), ("logistic_reg", 2), (TYPES[2], 2)])
def learned(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A fitted scikit-learn pipeline, and a function that asks the ONNX graph made of it."""
    rows = learned_rows()
    score = rows["label"] + (rows["channel"] == "web") + rows["probabilities"] + (rows["seen_at_s"] - 1.7e9) / 3000
    type_, count = request.param
    trained = model(type=type_)
    classes = np.where(score > 2, "high", np.where((score > 0) & (count > 2), "mid", "low"))
    labels = classes if is_classifier(trained) else score.to_numpy()
    given_rows = Examples(features=FEATURES, frame=rows, labels=labels, unlabelled=0)
    fitted = fit(trained, given_rows, np.arange(len(rows)), tell=lambda *_: None)
    graph = to_onnx(fitted.pipeline, FEATURES, "status", classify=is_classifier(trained))
    return fitted.pipeline, lambda frame: run_onnx(graph, FEATURES, frame)


def assert_same(learned: tuple[Any, Any], frame: pd.DataFrame) -> None:
    """Equal to float32's precision; the label is that of the greatest probability."""
    pipeline, ask = learned
    answer = ask(frame)
    if not hasattr(pipeline, "classes_"):
        np.testing.assert_allclose(answer[0][:, 0], pipeline.predict(frame), rtol=1e-5, atol=1e-5)
        return
    probabilities = pipeline.predict_proba(frame)
    np.testing.assert_allclose(answer[1], probabilities, rtol=1e-4, atol=1e-6)
    sure = np.ptp(np.sort(probabilities, axis=1)[:, -2:], axis=1) > 1e-5
    assert (answer[0][sure] == pipeline.predict(frame)[sure]).all()


def test_the_graph_predicts_what_scikit_learn_does_on_every_row(learned: tuple[Any, Any]) -> None:
    """On all rows of the training."""
    assert_same(learned, learned_rows())


@settings(max_examples=60)
@given(
    seen=st.floats(1.69e9, 1.71e9, width=32),
    number=st.floats(-1e6, 1e6, width=32) | st.sampled_from(learned_rows()["label"].tolist()),
    channel=st.sampled_from(["web", "shop", "", "télé ☎"])
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    flag=st.booleans(),
)
def test_the_graph_predicts_what_scikit_learn_does_on_any_request(
    learned: tuple[Any, Any], seen: float, number: float, channel: str, flag: bool
) -> None:
    """On any number, boolean and string, whether the category was ever seen or not."""
    row = {"seen_at_s": [seen], "label": [number], "channel": [channel], "probabilities": [float(flag)]}
    assert_same(learned, pd.DataFrame(row).astype({"channel": object}))


@pytest.mark.parametrize("type_", TYPES)
def test_inputs_and_outputs_are_those_of_the_signature(type_: str, tmp_path: Path) -> None:
    """One [N, 1] input a column, typed; a classifier answers with labels and probabilities, a regressor with [N, 1]."""
    csv = tmp_path / "rows.csv"
    learned_rows().assign(probabilities=lambda rows: rows["probabilities"] > 0).to_csv(csv, index=False)
    warehouse = EmbeddedWarehouse(home=tmp_path / "home", tables={"rows": csv})
    target = "channel IS NULL" if "reg" not in type_ or type_ == "logistic_reg" else "label * 2"
    trained = model(type=type_, query=f"SELECT *, {target} AS status FROM `rows`")
    signature, graph = exported(warehouse, trained, tmp_path / "out")
    session = onnxruntime.InferenceSession(graph)
    types = {"FLOAT": "tensor(float)", "STRING": "tensor(string)", "BOOL": "tensor(bool)"}
    assert signature["inputs"] == [{"name": feature.name, "type": feature.type} for feature in FEATURES]
    assert [(given.name, given.type, given.shape[1:]) for given in session.get_inputs()] == [
        (feature.name, types[feature.type], [1]) for feature in FEATURES
    ]
    outputs = [(answer.name, answer.type) for answer in session.get_outputs()]
    feed = {
        "seen_at_s": np.full((3, 1), 1.7e9, np.float32),
        "label": np.zeros((3, 1), np.float32),
        "channel": np.full((3, 1), "never seen", object),
        "probabilities": np.array([[True], [False], [True]]),
    }
    answers = session.run(None, feed)
    if is_classifier(trained):
        assert (signature["task"], signature["classes"]) == ("classification", ["false", "true"])
        assert outputs == [("predicted_status", "tensor(string)"), ("status_probs", "tensor(float)")]
        assert [answer.shape for answer in answers] == [(3,), (3, 2)]
    else:
        assert signature["task"] == "regression" and "classes" not in signature
        assert outputs == [("predicted_status", "tensor(float)")]
        assert answers[0].shape == (3, 1)
