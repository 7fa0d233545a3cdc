"""What a job may ask of the outside world, one small Protocol for each foreign thing, and the values they trade.

Every adapter raises `PermanentError` or `TemporaryError` (workers.errors) with the SDK's own error as its
cause, and nothing else. Calls that last take a `Progress`, through which they report and are stopped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from workers.contract.jobs import Replicas
from workers.contract.settings import Environment, Model, SettingsFile
from workers.platforms.load_protocol import LoadGenerator
from workers.platforms.progress import Progress

Instance = Mapping[str, Any]
"""One row of features as TensorFlow Serving's REST API takes it: column name → string, number or boolean."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """A finished training. `rows` were read; `note` is one fact for people ("412 trees, final loss 0.08")."""

    identity: str
    rows: int
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Metrics by the names of BigQuery's ML.EVALUATE, and how they were come by ("on 30 rows held out")."""

    metrics: Mapping[str, float]
    note: str


class Warehouse(Protocol):
    """Where SQL runs and models are trained: BigQuery ML, or this machine."""

    def train(self, *, model: Model, version: int, progress: Progress) -> Training:
        """Train `version` of `model` from its query. Reports iterations or stages.

        A second call for the same version after a crash goes on with, or repeats, the same training.
        Raises PermanentError, naming the field of the settings at fault, for a query that does not parse,
        an unknown table, a missing label, a type that cannot be learned from.
        """

    def evaluate(self, *, model: Model, version: int, progress: Progress) -> Evaluation:
        """The trained version's metrics."""

    def export(self, *, model: Model, version: int, to: str, progress: Progress) -> str:
        """Write the trained version to the address `to` (from Artifacts.staging); return the format's name:
        "onnx", "saved_model" or "xgboost_booster". What an earlier export wrote at `to` is replaced."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A version's entry in the registry, kept beside its files as `manifest.json`; written once, last.

    `digest` is "sha256:…" over the files; `query_sha256` over the SQL; `trained_by` is the chat's name for the
    asker; `created_at_s` Unix seconds; `image` the pushed image's digest reference or "".
    """

    model: str
    version: int
    digest: str
    format: str
    size_bytes: int
    metrics: Mapping[str, float]
    query_sha256: str
    training: str
    trained_by: str
    job_id: str
    created_at_s: float
    image: str = ""


class Artifacts(Protocol):
    """The registry of versions: `…/MODEL/N/` with a manifest; a folder, or a Cloud Storage bucket."""

    def claim(self, *, model: str, job_id: str) -> int:
        """The next version number of `model` (1, 2, …), claimed for `job_id`: never reused, never raced.

        A second call for the same job returns the same number.
        """

    def staging(self, *, model: str, version: int) -> str:
        """The address at which the warehouse may write the claimed version's files, empty at this call."""

    def describe(self, *, model: str, version: int) -> tuple[str, int]:
        """Digest ("sha256:…" over names and contents) and size in bytes of the files at the staging address."""

    def publish(self, *, manifest: Manifest) -> None:
        """Make the staged files version `manifest.version`, the manifest last. Repeating it changes nothing."""

    def versions(self, *, model: str) -> Sequence[Manifest]:
        """All published versions of `model`, oldest first; unfinished claims are left out."""

    def manifest(self, *, model: str, version: int) -> Manifest:
        """One published version. Raises PermanentError when there is none."""

    def keep_report(self, *, place: str, job_id: str, report: Mapping[str, Any]) -> None:
        """Keep a load test's numbers (JSON) beside the versions, under `place` (an environment's or target's name and
        the model's: "staging/iris"). Repeating it for the same job replaces them."""

    def reports(self, *, place: str, newest: int) -> Sequence[Mapping[str, Any]]:
        """The `newest` load tests' numbers that were kept under `place`, newest first; unreadable ones are left out."""

    def folder(self, *, model: str, version: int) -> Path:
        """The version's files on this machine, downloaded if need be. Read only.

        A version that is staged and not yet published has a folder too; a published one's digest is verified, and
        PermanentError raised where the files have been changed.
        """


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """What to run: a version of a model on an environment."""

    model: Model
    environment: Environment
    manifest: Manifest
    folder: Path
    replicas: Replicas
    job_id: str
    asked_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """A served model as it stands.

    `address` is the base URL ("http://127.0.0.1:40123"), to which `/v1/models/MODEL:predict` is added.
    `ready` and `desired` count replicas; `cpu_percent` is the replicas' mean CPU in percent of their request,
    None where unknown; `since_s` (Unix seconds) and `job_id` tell when and by which job the version came there.
    """

    model: str
    environment: str
    version: int
    address: str
    ready: int
    desired: int
    replicas: Replicas
    cpu_percent: float | None = None
    trouble: str = ""
    since_s: float = 0.0
    job_id: str = ""


class Cluster(Protocol):
    """Where endpoints run: Kubernetes, or processes on this machine."""

    def roll_out(self, *, release: Release, progress: Progress) -> Endpoint:
        """Bring the release up, without a failed request, and wait until it is ready (and has answered once).

        Undoes itself, then raises PermanentError with the replicas' own words, where it does not become ready;
        on Interrupted likewise. Repeating it for the same release changes nothing.
        """

    def scale(self, *, model: str, environment: Environment, replicas: Replicas, progress: Progress) -> Endpoint:
        """Set fixed replicas or autoscaling bounds and wait until the count lies within them."""

    def endpoint(self, *, model: str, environment: Environment) -> Endpoint | None:
        """What runs now, or None. Cheap: asked every second during a load test."""

    def remove(self, *, model: str, environment: Environment) -> None:
        """Stop serving; nothing is left. Removing what is not there does nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Platforms:
    """Everything foreign that a job may use, as the settings' addresses picked it.

    `clusters` are by the environment's name; `loads` by that or a target's: an environment is loaded from where it
    runs, a target from the worker.
    """

    settings: SettingsFile
    warehouse: Warehouse
    artifacts: Artifacts
    images: Images
    clusters: Mapping[str, Cluster]
    loads: Mapping[str, LoadGenerator]
