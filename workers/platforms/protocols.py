"""What a job may ask of the outside world, one small Protocol for each foreign thing, and the values they trade.

Every adapter raises `PermanentError` or `TemporaryError` (workers.errors) with the SDK's own error as its
cause, and nothing else. Calls that last take a `Progress`, through which they report and are stopped.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from workers.contract.jobs import Replicas
from workers.contract.load import Spacing, Stage
from workers.contract.settings import Environment, Model, SettingsFile

Instance = Mapping[str, Any]
"""One row of features as TensorFlow Serving's REST API takes it: column name → string, number or boolean."""


class Progress(Protocol):
    """How long work tells where it is, and learns that it must stop."""

    @property
    def job_id(self) -> str:
        """The job's id, for labels on what is made for it."""

    def report(self, done: float, total: float | None = None, *, fact: str = "") -> None:
        """Tell that `done` of `total` (same unit; None = unknown) is reached, with one short fact.

        Raises Interrupted (Cancelled, Superseded, HandedBack) when the job is to stop.
        """

    def log(self, line: str) -> None:
        """Add a line to the job's detail. Never a secret."""

    def scaled(self, *, before: int, after: int, reason: str) -> None:
        """Tell that the number of ready replicas went from `before` to `after`, and why."""

    def wait(self, seconds: float) -> None:
        """Sleep, unless the job is to stop: then raise Interrupted at once."""

    def check(self) -> None:
        """Raise Interrupted when the job is to stop; otherwise nothing. Call before what cannot be undone."""

    def identify(self, kind: str, identity: str) -> None:
        """Write down the identity of work that goes on outside (a BigQuery job), for the next attempt."""

    def identified(self, kind: str) -> str | None:
        """The identity an earlier attempt (or this one) wrote down under `kind`."""


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
class Attack:
    """A load test's traffic: requests to `url` at the rate of `stages`, one after the other.

    The first `ramp_s` seconds are not judged. `body` is JSON to POST; b"" means GET. `predicts`: the answer must be
    predictions, as the answer to the first request was; otherwise any 2xx will do. `private`: the address may be a
    private one. `locustfile`: a user's own, whose user classes send the requests, one user for each request a second;
    it keeps the rate as it sees fit, and its latencies are as Locust measures them.
    """

    url: str
    body: bytes
    stages: tuple[Stage, ...]
    ramp_s: float = 0.0
    spacing: Spacing = "constant"
    predicts: bool = True
    private: bool = True
    locustfile: Path | None = None
    job_id: str

    @property
    def rate_rps(self) -> float:
        """The highest rate."""
        return max(max(stage.from_rps, stage.to_rps) for stage in self.stages)

    @property
    def whole_s(self) -> float:
        """How long the traffic lasts, the ramp included."""
        return sum(stage.length_s for stage in self.stages)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadSample:
    """One second of a load test that ended `at_s` seconds after its start; latencies in milliseconds (None: none yet).

    Rates are per second. `achieved_rps` counts what was sent; `ended_per_s` answers and failures, `failures_per_s`
    among them what failed, `dropped_per_s` among those what was due and could not be sent. While the test runs, the
    latencies are of the last three seconds. `send_lag_ms` is the 99th percentile of how late requests left.
    """

    at_s: float
    asked_rps: float
    achieved_rps: float
    failures_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None = None
    ended_per_s: float = 0.0
    dropped_per_s: float = 0.0
    send_lag_ms: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadResult:
    """A finished load test, over what is judged: everything after the ramp.

    `requests` counts what was due and sent or dropped, `failures` among them what failed, by kind in
    `failures_by_kind` (an error's words → its count), with `dropped`. `asked_rps` and `achieved_rps` are means over
    `duration_s`. `latency_ms` counts from when a request was due, `service_ms` from when it left; `send_lag_ms` is the
    difference that the generator made; each maps percentiles (50, 90, 95, 99, 99.9, 100) to milliseconds. Requests are
    filed by when they were due: so are `seconds`, the whole test second by second, its ramp included.
    `generator_trouble` says in words why the generator did not do what was asked, or is "". `report_html` is the
    generator's own report or b"".
    """

    requests: int
    failures: int
    duration_s: float
    asked_rps: float
    achieved_rps: float
    latency_ms: Mapping[float, float]
    service_ms: Mapping[float, float] = field(default_factory=dict)
    send_lag_ms: Mapping[float, float] = field(default_factory=dict)
    failures_by_kind: Mapping[str, int] = field(default_factory=dict)
    dropped: int = 0
    seconds: Sequence[LoadSample] = ()
    generator_trouble: str = ""
    report_html: bytes = b""


class RunningLoad(Protocol):
    """A load test under way."""

    def samples(self) -> Iterator[LoadSample]:
        """One sample a second, of what ended in it, until the test's time is over or `stop` was called."""

    def stop(self) -> None:
        """End the traffic now; `result` then tells of what was due until then. A second call does nothing."""

    def result(self) -> LoadResult:
        """The totals, when every request has had its end; call after `samples` is exhausted, or after `stop`."""


class LoadGenerator(Protocol):
    """What sends the load: Locust on this machine, or on Kubernetes."""

    def start(self, *, attack: Attack, progress: Progress) -> AbstractContextManager[RunningLoad]:
        """Begin; leaving the context ends all traffic within 2 s and removes every process, whatever happened.

        One request is sent first. Raises PermanentError where the target may not be loaded (see `private`; metadata
        servers never may), and TargetDown where it does not answer as it should: no load is sent then. Nothing connects
        to other addresses than those that were found here; redirects are failures.
        """

    def sweep(self, *, ended: Callable[[str], bool]) -> int:
        """Remove what tests of workers that died have left; how many. `ended(job_id)` tells which jobs are over."""


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
