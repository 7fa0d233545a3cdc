"""The Protocol that builds, tests and publishes container images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from workers.contract.settings import Model
from workers.platforms.protocols.artifacts import Manifest
from workers.platforms.protocols.progress import Progress

Instance = Mapping[str, Any]
"""One row of features in TensorFlow Serving's REST API: column name → string, number or boolean."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """What the robustness probe found: one clause for people, or "", and whether it is within the limit."""

    finding: str = ""
    passed: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """A version that answered: one fact about the first prediction, and the probe."""

    fact: str
    probe: Probe


class Images(Protocol):
    """Container images of model versions. There are no images if the replicas read the model's folder."""

    def build(self, *, model: Model, manifest: Manifest, folder: Path, progress: Progress) -> str | None:
        """Build the image from the version's files in `folder`. Return its reference, or None without images."""

    def smoke_test(
        self, *, model: Model, folder: Path, image: str | None, spread: float | None, progress: Progress
    ) -> Tested:
        """Serve the version alone, send `model.sample`, check the predictions, and probe it unless that is off.

        `spread` is the standard deviation of a regressor's label, or None. Raises PermanentError with the server's log
        lines if a prediction is missing or impossible.
        """

    def publish(self, *, image: str | None, progress: Progress) -> str | None:
        """Push the image. Return its digest reference, or None without images. Pushing again changes nothing."""
