"""The folder of an endpoint: its desired state, its status, and the locks that decide who may write them.

    HOME/cluster/ENVIRONMENT/MODEL/spec.json         desired state, written by the cluster adapter under its lock
                                   status.json       status, written by the endpoint's supervisor
                                   supervisor.lock   held by the supervisor as long as it lives
                                   supervisor.log    its log and its replicas' output; at most two files of 1 MB
                                   supervisor.err    its standard error, for failures before the log exists
    HOME/cluster/ENVIRONMENT/MODEL.lock              held while the spec is changed

Files are replaced atomically: a reader sees the old or the new one. The locks are flock's, which the system releases
when the holder dies. Process ids are never trusted.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from workers.contract.replicas import Replicas
from workers.errors import PermanentError


@dataclass(frozen=True, kw_only=True, slots=True)
class DesiredState:
    """The version to run and its replicas. A replica is ready once it has answered the first instance of `sample`.

    `job_id`, `asked_by` and `since_s` (Unix seconds) record the deployment of the version.
    """

    model: str
    version: int
    digest: str
    folder: str
    minimum: int
    maximum: int
    cpu_request_cores: float
    cpu_target_percent: int
    sample: tuple[Mapping[str, Any], ...]
    job_id: str
    asked_by: str
    since_s: float

    @property
    def bounds(self) -> Replicas:
        return Replicas(minimum=self.minimum, maximum=self.maximum)

    @property
    def template(self) -> str:
        """The identity of the version's files. Replicas of another template are replaced, as in a Deployment."""
        return f"v{self.version} {self.digest} {self.folder}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """The desired state of an endpoint; `generation` grows with every change.

    * `proven`: the state was reached and the endpoint has answered.
    * `fallback`: the last proven state, restored if a rollout fails.
    * `removed`: the endpoint must end.
    """

    generation: int
    desired: DesiredState
    proven: bool = False
    fallback: DesiredState | None = None
    removed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaStatus:
    """One replica process. `state`: "starting", "ready" or "draining"."""

    pid: int
    version: int
    state: str
    cpu_percent: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ScalingEvent:
    """A change of the desired count from `before` to `after` at `at_s` (Unix seconds)."""

    at_s: float
    before: int
    after: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointStatus:
    """The endpoint as the supervisor `pid` last saw it.

    * `version`: the version that clients get.
    * `ready`: the replicas that serve it; during a rollout, the greater count of the two versions.
    * `updated`: the ready replicas of the desired version.
    * `rolled_out`: all desired replicas are ready, and no other replica accepts connections.
    * `crashes`: consecutive unexpected ends of replicas of the desired version.
    * `trouble`: a sentence about the last problem, or "".
    """

    pid: int
    address: str
    observed_generation: int
    version: int
    ready: int
    updated: int
    desired: int
    rolled_out: bool
    cpu_percent: float | None
    crashes: int
    trouble: str
    replicas: tuple[ReplicaStatus, ...] = ()
    events: tuple[ScalingEvent, ...] = ()


class EndpointFiles:
    """The folder of one endpoint. No file stays open between calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = folder / "spec.json"
        self.status = folder / "status.json"
        self.supervisor_log = folder / "supervisor.log"
        self.supervisor_error = folder / "supervisor.err"

    def read_spec(self) -> Spec | None:
        """Return the spec, or None if there is no endpoint. Raises PermanentError if the spec is damaged."""
        try:
            document = json.loads(self.spec.read_bytes())
            fallback = document["fallback"] and DesiredState(**document["fallback"])
            return Spec(**{**document, "desired": DesiredState(**document["desired"]), "fallback": fallback})
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise PermanentError(
                f"{self.spec} is damaged: the desired state is unknown.",
                advice="Stop all endpoints of this machine with seatrial down, and deploy again.",
            ) from error

    def write_spec(self, spec: Spec) -> None:
        """Replace the spec. Creates the folder if necessary."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _replace(self.spec, asdict(spec))

    def read_status(self) -> EndpointStatus | None:
        """Return the last status, or None if it is missing or damaged. Its supervisor may be dead."""
        try:
            document = json.loads(self.status.read_bytes())
            replicas = tuple(ReplicaStatus(**item) for item in document["replicas"])
            events = tuple(ScalingEvent(**item) for item in document["events"])
            return EndpointStatus(**{**document, "replicas": replicas, "events": events})
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write_status(self, status: EndpointStatus) -> None:
        _replace(self.status, asdict(status))

    def acquire_change_lock(self) -> IO[bytes] | None:
        """Return the lock for changes of the spec, or None if another process holds it."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        return _acquire_lock(self.folder.with_suffix(".lock"))

    def acquire_supervisor_lock(self) -> IO[bytes] | None:
        """Return the supervisor's lock, or None if a supervisor lives or the folder does not exist."""
        try:
            return _acquire_lock(self.folder / "supervisor.lock")
        except FileNotFoundError:
            return None


def _acquire_lock(path: Path) -> IO[bytes] | None:
    """Return the file with an exclusive flock, or None if another process holds it. Does not wait.

    The lock ends when this process and every child that inherited the descriptor have closed the file.
    """
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "rb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _replace(path: Path, document: Mapping[str, Any]) -> None:
    new = path.with_suffix(".new")
    with new.open("w") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
