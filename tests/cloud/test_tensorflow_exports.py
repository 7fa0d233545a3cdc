"""The cloud path's smoke test, probe and load against what TensorFlow computes from exports like BigQuery ML's."""

import json
import math
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.platforms.orders import orders_model
from tests.platforms.test_load_arithmetic import http_responses
from workers.contract.settings import Model
from workers.platforms.probe import examine_version
from workers.platforms.protocols import Probe
from workers.platforms.smoke_test import SmokeTestFailed, asking, expected_signature

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("SEATRIAL_TENSORFLOW", ROOT / ".venv-tensorflow")) / "bin" / "python"

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(not PYTHON.exists(), reason=f"needs TensorFlow in {PYTHON.parents[1]}: see .ci/run"),
]

TIP = orders_model(name="tip", type="linear_reg", label="tip", sample=({"miles": 2.0, "zone": "A"},))
SPECIES = orders_model(name="species", label="species", sample=({"petal_length": 1.4}, {"petal_length": 6.0}))


def served(kind: str, folder: Path) -> Iterator[str]:
    """Yield the address of the peer."""
    command = [str(PYTHON), str(Path(__file__).with_name("tensorflow_peer.py")), kind, str(folder)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@pytest.fixture(scope="module")
def tip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served("tip", tmp_path_factory.mktemp("tip"))


@pytest.fixture(scope="module")
def species(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served("species", tmp_path_factory.mktemp("species"))


def smoke(model: Model, address: str, *, spread: float | None = None) -> Any:
    return examine_version(model, expected_signature(model), address, version=1, spread=spread)


def test_regression_passes_the_smoke_test_and_its_unseen_zone_is_found(tip: str) -> None:
    """The move is -1002, of a label with a standard deviation of 2. The word for NULL was seen in the training."""
    found = smoke(TIP, tip, spread=2.0)
    assert found.fact.startswith("tip 3 in ")
    assert found.probe == Probe(finding="an unseen zone moves predicted_tip by 500 standard deviations", passed=False)


def test_classifier_passes_although_its_classes_are_not_sorted(species: str) -> None:
    found = smoke(SPECIES, species)
    assert found.fact.startswith("setosa 1.00 in ")
    assert found.probe == Probe()


def test_predictions_are_those_of_tensorflow(tip: str, species: str) -> None:
    assert asking(tip, model="tip", version=1)([{"miles": 2.0, "zone": "B"}, {"miles": 0, "zone": "A"}]) == [
        [4.0],
        [2.0],
    ]
    (one,) = asking(species, model="species", version=1)([{"petal_length": 6.0}])
    assert one["species_values"] == ["virginica", "versicolor", "setosa"]
    assert one["predicted_species"] == ["virginica"]
    assert math.isclose(one["species_probs"][0], math.exp(4) / (math.exp(4) + math.exp(3) + math.exp(-14)))


@pytest.mark.parametrize(("kind", "words"), [("tip", "not one finite number"), ("species", "add up to nan")])
def test_number_that_is_missing_gives_nan_which_fails_the_smoke_test(
    kind: str, words: str, request: pytest.FixtureRequest
) -> None:
    """TensorFlow has no imputation. The settings refuse NaN in a sample, so this one is made without them."""
    model = {"tip": TIP, "species": SPECIES}[kind]
    sample = ({**model.sample[0], "miles" if kind == "tip" else "petal_length": math.nan},)
    with pytest.raises(SmokeTestFailed, match=words):
        smoke(model.model_copy(update={"sample": sample}), request.getfixturevalue(kind))


def test_sample_without_a_feature_fails_the_smoke_test(tip: str) -> None:
    with pytest.raises(SmokeTestFailed, match="400"):
        smoke(TIP.model_copy(update={"sample": ({"miles": 2.0},)}), tip)


def test_load_tells_a_prediction_from_nan(tip: str) -> None:
    """A load test sends the first sample instance, and judges every response as its first."""

    def post(instance: dict[str, Any]) -> Any:
        body = json.dumps({"instances": [instance]}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{tip}/v1/models/tip:predict", body)) as response:
            return http_responses.Response(response.status, response.read(), True)

    right = post(dict(TIP.sample[0]))
    check = http_responses.ResponseCheck(predicts=True, expected=right.body)
    assert check.failure(right) is None
    assert check.failure(post({"miles": 7.0, "zone": "B"})) is None
    assert check.failure(post({"miles": math.nan, "zone": "B"})) == http_responses.NOT_FINITE
