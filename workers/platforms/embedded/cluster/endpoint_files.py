"""An endpoint's folder: what is wanted (`spec.json`), what is (`status.json`), and who may write which.

    HOME/cluster/ENVIRONMENT/MODEL/spec.json         written by the cluster adapter, under `changing()`
                                   status.json       written by the endpoint's supervisor
                                   supervisor.lock   held by the supervisor for as long as it lives
                                   supervisor.log    its own and its replicas' words; two files of 1 MB at most
                                   supervisor.err    what kept it from starting
    HOME/cluster/ENVIRONMENT/MODEL.lock              held by whoever changes the spec

Files are replaced whole, so that a reader sees the old or the new one. Locks are flock's: the system lets go of them
when their holder dies, and no process id is ever trusted.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from workers.contract.replicas import Replicas
from workers.errors import PermanentError


@dataclass(frozen=True, kw_only=True, slots=True)
class Desired:
    """What is to run. `sample` are instances, the first of which a replica must answer before it counts as ready.

    `job_id`, `asked_by` and `since_s` (Unix seconds) say how the version came there.
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
        """The bounds of the replica count."""
        return Replicas(minimum=self.minimum, maximum=self.maximum)

    @property
    def template(self) -> str:
        """What a replica is made from: replicas of another template are replaced, as a Deployment's pods are."""
        return f"v{self.version} {self.digest} {self.folder}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """The wanted state; `generation` grows with every change.

    `proven`: it has been ready and has answered. `fallback` is what was proven before, for the way back.
    `removed`: everything is to end.
    """

    generation: int
    desired: Desired
    proven: bool = False
    fallback: Desired | None = None
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
    """The wanted count went from `before` to `after` at `at_s` (Unix seconds)."""

    at_s: float
    before: int
    after: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointStatus:
    """What is, as the supervisor `pid` last saw it.

    `version` is what clients get, `ready` how many replicas serve it (during a rolling update the greater count of
    the two versions), `updated` how many of the wanted version are ready. `rolled_out`: all wanted replicas are
    ready and no other accepts connections. `crashes` counts replicas of the wanted version that ended by themselves, in
    a row. `trouble` says in words what is wrong, or is "".
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
    """The folder of one endpoint. Nothing in it is kept open between calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def supervisor_log(self) -> Path:
        """The supervisor's and its replicas' words."""
        return self.folder / "supervisor.log"

    @property
    def supervisor_error(self) -> Path:
        """What the supervisor said before it could write its log."""
        return self.folder / "supervisor.err"

    def read_spec(self) -> Spec | None:
        """The wanted state, or None where nothing was ever wanted or all of it is gone. Raises PermanentError where it
        is damaged."""
        path = self.folder / "spec.json"
        try:
            document = json.loads(path.read_bytes())
            fallback = document["fallback"]
            return Spec(
                **{
                    **document,
                    "desired": Desired(**document["desired"]),
                    "fallback": Desired(**fallback) if fallback else None,
                }
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise PermanentError(
                f"{path} is damaged: nobody knows what is to run.",
                advice="Stop what this machine serves with seatrial down, and deploy again.",
            ) from error

    def write_spec(self, spec: Spec) -> None:
        """Replace the wanted state. The folder is made if need be."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _replace(self.folder / "spec.json", asdict(spec))

    def delete_spec(self) -> None:
        """Have everything end, as a removed spec does, without a word about it."""
        (self.folder / "spec.json").unlink()

    def read_status(self) -> EndpointStatus | None:
        """What the supervisor last wrote, which may be a dead one's words; None where it wrote nothing that can be
        read."""
        try:
            document = json.loads((self.folder / "status.json").read_bytes())
            replicas = tuple(ReplicaStatus(**item) for item in document["replicas"])
            events = tuple(ScalingEvent(**item) for item in document["events"])
            return EndpointStatus(**{**document, "replicas": replicas, "events": events})
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write_status(self, status: EndpointStatus) -> None:
        """Replace the status."""
        _replace(self.folder / "status.json", asdict(status))

    def delete(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def changing(self) -> "Lock | None":
        """The right to change the spec, or None where another has it."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        return Lock.take(self.folder.with_suffix(".lock"))

    def supervising(self) -> "Lock | None":
        """The right to be, or to start, the supervisor; None where one lives, or where the folder is gone."""
        try:
            return Lock.take(self.folder / "supervisor.lock")
        except FileNotFoundError:
            return None


class Lock:
    """A held flock. It is let go with `release` by this process, or lives on in a child that inherited `fd`."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    def take(cls, path: Path) -> Self | None:
        """Take the lock on `path` without waiting; None where another holds it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return cls(fd)

    def release(self) -> None:
        """Close this process's hold on it."""
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _replace(path: Path, document: Mapping[str, Any]) -> None:
    new = path.with_suffix(".new")
    with new.open("w") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
