"""Contract suite of Images, run on processes of this machine and on Docker: a real server gets a real request."""

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
from workers.platforms.protocols import Images, Manifest
from workers.platforms.serving.signature import Signature
from workers.platforms.smoke_test import SmokeTestFailed, predict_once

MODEL = Model(name="fruit", type="logistic_reg", label="fruit", query="SELECT 1", sample=(SAMPLE, SAMPLE))
REGRESSION = MODEL.model_copy(update={"type": "linear_reg"})


MANIFEST = Manifest(
    model="fruit", version=1, digest="sha256:1", format="onnx", size_bytes=1, metrics={}, query_sha256="",
    training="", trained_by="", job_id="job", created_at_s=0.0,
)  # fmt: skip


class ImagesUnderTest:
    """An adapter, and a function that returns what its smoke tests left behind."""

    def __init__(self, images: Images, leftovers: Callable[[], object]) -> None:
        self.images = images
        self.leftovers = leftovers
        self._versions = itertools.count(1)

    def smoke_test(self, folder: Path, *, model: Model = MODEL, progress: RecordedProgress | None = None) -> str:
        """Build the next version from `folder` and test it."""
        manifest = replace(MANIFEST, version=next(self._versions))
        image = self.images.build(model=model, manifest=manifest, folder=folder, progress=RecordedProgress())
        progress = progress or RecordedProgress()
        return self.images.smoke_test(model=model, folder=folder, image=image, spread=None, progress=progress).fact


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImagesUnderTest]:
    """A real engine and registry, with our own serving image."""
    from tests.cloud.docker_peers import ENVIRON, PASSWORD, USERNAME, open_docker_environment
    from tests.cloud.serving_image import build_serving_image
    from workers.platforms.cloud.docker.images import DockerImages

    with open_docker_environment(tmp_path_factory.mktemp("registry")) as docker_environment:
        image = build_serving_image(docker_environment, tmp_path_factory.mktemp("image"))
        settings = docker_environment.settings.model_copy(update={"seatrial": image})
        adapter = DockerImages(settings=settings, environ=ENVIRON, username=USERNAME, password=PASSWORD)
        yield ImagesUnderTest(adapter, docker_environment.remains)


@pytest.fixture(params=["embedded", pytest.param("docker", marks=pytest.mark.docker)])
def under_test(request: pytest.FixtureRequest) -> Iterator[ImagesUnderTest]:
    if request.param == "embedded":
        images = ImagesUnderTest(EmbeddedImages(), serving_processes)
    else:
        images = request.getfixturevalue("docker")
    yield images
    wait_until(lambda: not images.leftovers())


def serving_processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "workers.platforms.serving" in child.cmdline()]


@contextmanager
def canned_endpoint(document: object) -> Iterator[str]:
    """Run an HTTP server that always answers with `document`, and yield its address: no model gives impossible
    predictions on request."""

    class CannedResponse(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), CannedResponse) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_embedded_images_neither_build_nor_publish(tmp_path: Path) -> None:
    images = EmbeddedImages()
    assert images.build(model=MODEL, manifest=MANIFEST, folder=tmp_path, progress=RecordedProgress()) is None
    assert images.publish(image=None, progress=RecordedProgress()) is None


def test_classifier_passes_with_label_probability_and_time(under_test: ImagesUnderTest, tmp_path: Path) -> None:
    """The sample has a number, a word and a boolean."""
    fact = under_test.smoke_test(classifier(tmp_path))
    assert fact.startswith("apple 0.96 in ")
    assert fact.endswith(" ms")


def test_regressor_passes_with_its_number(under_test: ImagesUnderTest, tmp_path: Path) -> None:
    assert under_test.smoke_test(regressor(tmp_path), model=REGRESSION).startswith("fruit 4 in ")


def test_regressor_that_returns_nan_fails(under_test: ImagesUnderTest, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="not one finite number"):
        under_test.smoke_test(regressor(tmp_path, factor=float("nan")), model=REGRESSION)


def test_sample_that_does_not_fit_the_model_fails_with_the_server_s_message(
    under_test: ImagesUnderTest, tmp_path: Path
) -> None:
    model = MODEL.model_copy(update={"sample": ({"size": 1.0},)})
    with pytest.raises(PermanentError, match=r"answered with 400: .*keys must be equal to: colour,ripe,size"):
        under_test.smoke_test(classifier(tmp_path), model=model)


def test_damaged_model_fails_with_the_server_s_log(under_test: ImagesUnderTest, tmp_path: Path) -> None:
    folder = classifier(tmp_path)
    (folder / "model.onnx").write_bytes(b"no model")
    with pytest.raises(PermanentError, match=r"cannot be served.*model\.onnx cannot be loaded"):
        under_test.smoke_test(folder)


def test_folder_without_a_model_fails_with_the_missing_file(under_test: ImagesUnderTest, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("to do")
    with pytest.raises(PermanentError, match=r"signature\.json cannot be read"):
        under_test.smoke_test(tmp_path)


def test_cancelled_smoke_test_stops_its_server(under_test: ImagesUnderTest, tmp_path: Path) -> None:
    progress = RecordedProgress()
    threading.Timer(0.05, progress.cancelled.set).start()
    with pytest.raises(JobCancelled):
        under_test.smoke_test(classifier(tmp_path), progress=progress)


@pytest.mark.parametrize(
    ("prediction", "reason"),
    [
        ({"predicted_fruit": ["fig"], "fruit_values": ["a", "b"], "fruit_probs": [0.5, 0.5]}, "not one of a, b"),
        ({"predicted_fruit": ["a"], "fruit_values": ["a", "b"], "fruit_probs": [0.5, 0.6]}, "add up to 1.1"),
        ({"predicted_fruit": ["a"], "fruit_values": ["a", "b"], "fruit_probs": [float("nan"), 0.6]}, "add up to nan"),
        ({"predicted_fruit": ["a"], "fruit_values": ["a"], "fruit_probs": [0.5, 0.5]}, "not one of a"),
        ({"predicted_fruit": []}, "not a classification"),
        ([1.0], "not a classification"),
        ({}, "not a classification"),
    ],
)
def test_impossible_classification_fails(prediction: Any, reason: str) -> None:
    signature = Signature(label="fruit", task="classification", inputs=(), classes=("a", "b"))
    with canned_endpoint({"predictions": [prediction]}) as address, pytest.raises(SmokeTestFailed, match=reason):
        predict_once(address, model="fruit", version=1, sample=[SAMPLE], signature=signature)


def test_missing_prediction_fails() -> None:
    signature = Signature(label="fruit", task="regression", inputs=())
    with (
        canned_endpoint({"predictions": [[1.0]]}) as address,
        pytest.raises(SmokeTestFailed, match="1 predictions for 2 instances"),
    ):
        predict_once(address, model="fruit", version=1, sample=[SAMPLE, SAMPLE], signature=signature)
