"""The Protocol of a cluster that runs endpoints, and its values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from workers.contract.replicas import Replicas
from workers.contract.settings import Environment, Model
from workers.platforms.protocols.artifacts import Manifest
from workers.platforms.protocols.progress import Progress


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

    def set_bounds(self, *, model: str, environment: Environment, replicas: Replicas) -> None:
        """Set fixed replicas or autoscaling bounds and return at once.

        Raises PermanentError if the model is not deployed there, TemporaryError if another job changes the endpoint.
        """

    def scale(self, *, model: str, environment: Environment, replicas: Replicas, progress: Progress) -> Endpoint:
        """Set the bounds as `set_bounds` does, then wait until the number of ready replicas lies within them.

        Raises PermanentError if the replicas do not become ready. The new bounds stay if the wait is interrupted.
        """

    def endpoint(self, *, model: str, environment: Environment) -> Endpoint | None:
        """What runs now, or None. Cheap: asked every second during a load test."""

    def remove(self, *, model: str, environment: Environment) -> None:
        """Stop serving; nothing is left. Removing what is not there does nothing."""
