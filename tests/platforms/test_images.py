"""What every Images owes, tried on processes of this machine and on Docker: a real server, a real question, and an
answer that is looked at."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.platforms.onnx_models import SAMPLE, classifier, regressor
from tests.platforms.progress import RecordedProgress
from tests.waiting import wait_until
from workers.contract.settings import Model
from workers.errors import JobCancelled, PermanentError
from workers.platforms.embedded.images import EmbeddedImages
from workers.platforms.protocols.artifacts import Manifest
from workers.platforms.protocols.images import Images
from workers.platforms.serving.signature import Signature
from workers.platforms.smoke_test import SmokeTestFailed, predict_once

MODEL = Model(name="fruit", type="logistic_reg", label="fruit", query="SELECT 1", sample=(SAMPLE, SAMPLE))
REGRESSION = MODEL.model_copy(update={"type": "linear_reg"})


MANIFEST = Manifest(
    model="fruit", version=1, digest="sha256:1", format="onnx", size_bytes=1, metrics={}, query_sha256="",
    training="", trained_by="", job_id="job", created_at_s=0.0,
)  # fmt: skip


class Trials:
    """An adapter under test, and what its trials may leave: nothing."""

    def __init__(self, images: Images, remains: Callable[[], object]) -> None:
        self.images = images
        self.remains = remains
        self._versions = itertools.count(1)

    def predict_once(self, folder: Path, *, model: Model = MODEL, progress: RecordedProgress | None = None) -> str:
        """The fact about the model in `folder`, built where the adapter builds."""
        manifest = replace(MANIFEST, version=next(self._versions))
        image = self.images.build(model=model, manifest=manifest, folder=folder, progress=RecordedProgress())
        progress = progress or RecordedProgress()
        return self.images.smoke_test(model=model, folder=folder, image=image, progress=progress)


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """A real engine and registry, with our own serving image."""
    from tests.cloud.docker_peers import ENVIRON, PASSWORD, USERNAME, open_harbour
    from tests.cloud.serving_image import build_serving_image
    from workers.platforms.cloud.docker.images import DockerImages

    with open_harbour(tmp_path_factory.mktemp("registry")) as docker_environment:
        image = build_serving_image(docker_environment, tmp_path_factory.mktemp("image"))
        settings = docker_environment.settings.model_copy(update={"seatrial": image})
        adapter = DockerImages(settings=settings, environ=ENVIRON, username=USERNAME, password=PASSWORD)
        yield Trials(adapter, docker_environment.remains)


@pytest.fixture(params=["embedded", pytest.param("docker", marks=pytest.mark.docker)])
def trials(request: pytest.FixtureRequest) -> Iterator[Trials]:
    """The adapter under test; its trials leave nothing behind."""
    if request.param == "embedded":
        tried = Trials(EmbeddedImages(), serving_processes)
    else:
        tried = request.getfixturevalue("docker")
    yield tried
    wait_until(lambda: not tried.remains())


def serving_processes() -> list[psutil.Process]:
    """The endpoint processes that this test started."""
    return [child for child in psutil.Process().children() if "workers.platforms.serving" in child.cmdline()]


@contextmanager
def canned_endpoint(document: object) -> Iterator[str]:
    """The address of an HTTP server that gives one answer: no model can be made to give a wrong one at will."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_on_one_machine_nothing_is_built_or_published(tmp_path: Path) -> None:
    """There is no image."""
    images = EmbeddedImages()
    assert images.build(model=MODEL, manifest=MANIFEST, folder=tmp_path, progress=RecordedProgress()) is None
    assert images.publish(image=None, progress=RecordedProgress()) is None


def test_a_good_classifier_passes_with_a_fact(trials: Trials, tmp_path: Path) -> None:
    """The fact holds the label, its probability and the time; a boolean and a word are among what was asked."""
    fact = trials.predict_once(classifier(tmp_path))
    assert fact.startswith("apple 0.96 in ")
    assert fact.endswith(" ms")


def test_a_good_regressor_passes_with_a_fact(trials: Trials, tmp_path: Path) -> None:
    """The fact holds the number."""
    assert trials.predict_once(regressor(tmp_path), model=REGRESSION).startswith("fruit 4 in ")


def test_a_regressor_whose_answer_is_no_number_fails(trials: Trials, tmp_path: Path) -> None:
    """NaN is not an answer."""
    with pytest.raises(PermanentError, match="not one finite number"):
        trials.predict_once(regressor(tmp_path, factor=float("nan")), model=REGRESSION)


def test_a_sample_that_does_not_fit_the_model_fails_with_the_servers_words(trials: Trials, tmp_path: Path) -> None:
    """The error names what the model takes."""
    model = MODEL.model_copy(update={"sample": ({"size": 1.0},)})
    with pytest.raises(PermanentError, match=r"answered with 400: .*keys must be equal to: colour,ripe,size"):
        trials.predict_once(classifier(tmp_path), model=model)


def test_a_model_that_cannot_be_loaded_fails_with_the_servers_log(trials: Trials, tmp_path: Path) -> None:
    """The error holds the line that the process wrote."""
    folder = classifier(tmp_path)
    (folder / "model.onnx").write_bytes(b"no model")
    with pytest.raises(PermanentError, match=r"cannot be served.*model\.onnx cannot be loaded"):
        trials.predict_once(folder)


def test_files_that_are_no_model_fail(trials: Trials, tmp_path: Path) -> None:
    """The error names the file that is missing."""
    (tmp_path / "notes.txt").write_text("to do")
    with pytest.raises(PermanentError, match=r"signature\.json cannot be read"):
        trials.predict_once(tmp_path)


def test_a_cancelled_trial_is_given_up(trials: Trials, tmp_path: Path) -> None:
    """JobCancelled passes through, and the server that was starting is gone."""
    progress = RecordedProgress()
    threading.Timer(0.05, progress.cancelled.set).start()
    with pytest.raises(JobCancelled):
        trials.predict_once(classifier(tmp_path), progress=progress)


@pytest.mark.parametrize(
    ("prediction", "reason"),
    [
        ({"predicted_fruit": ["fig"], "fruit_values": ["a", "b"], "fruit_probs": [0.5, 0.5]}, "none of a, b"),
        ({"predicted_fruit": ["a"], "fruit_values": ["a", "b"], "fruit_probs": [0.5, 0.6]}, "add up to 1.1"),
        ({"predicted_fruit": ["a"], "fruit_values": ["a", "b"], "fruit_probs": [float("nan"), 0.6]}, "add up to nan"),
        ({"predicted_fruit": ["a"], "fruit_values": ["a"], "fruit_probs": [0.5, 0.5]}, "none of a"),
        ({"predicted_fruit": []}, "not one of a classification"),
        ([1.0], "not one of a classification"),
        ({}, "not one of a classification"),
    ],
)
def test_an_answer_that_no_classifier_can_have_given_fails(prediction: Any, reason: str) -> None:
    """Labels, values and probabilities must agree."""
    signature = Signature(label="fruit", task="classification", inputs=(), classes=("a", "b"))
    with canned_endpoint({"predictions": [prediction]}) as address, pytest.raises(SmokeTestFailed, match=reason):
        predict_once(address, model="fruit", version=1, sample=[SAMPLE], signature=signature)


def test_an_answer_with_too_few_predictions_fails() -> None:
    """Every instance must have been answered."""
    signature = Signature(label="fruit", task="regression", inputs=())
    with (
        canned_endpoint({"predictions": [[1.0]]}) as address,
        pytest.raises(SmokeTestFailed, match="2 instances were answered with 1 predictions"),
    ):
        predict_once(address, model="fruit", version=1, sample=[SAMPLE, SAMPLE], signature=signature)
