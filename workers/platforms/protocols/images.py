"""The Protocol that builds, tests and publishes container images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from workers.contract.settings import Model
from workers.platforms.protocols.artifacts import Manifest
from workers.platforms.protocols.progress import Progress

Instance = Mapping[str, Any]
"""One row of features as TensorFlow Serving's REST API takes it: column name → string, number or boolean."""


class Images(Protocol):
    """The model's container image: built, tried, published; or none, where replicas read the model's folder."""

    def build(self, *, model: Model, manifest: Manifest, folder: Path, progress: Progress) -> str | None:
        """Build the image and return its reference, or None where none is needed on this machine."""

    def smoke_test(self, *, model: Model, folder: Path, image: str | None, progress: Progress) -> str:
        """Serve the version alone, send `model.sample`, check the answer's shape and values; return one fact.

        Raises PermanentError with the server's own log lines where it does not answer rightly.
        """

    def publish(self, *, image: str | None, progress: Progress) -> str | None:
        """Push the image; return its digest reference, or None where there is none."""
