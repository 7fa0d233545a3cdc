"""The Protocol Cluster, which runs endpoints, and its values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from workers.contract.replicas import Replicas
from workers.contract.settings import Environment, Model
from workers.platforms.protocols.artifacts import Manifest
from workers.platforms.protocols.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """A version of a model with all that is needed to run it on an environment. Deployed at `at_s` (Unix seconds)."""

    model: Model
    environment: Environment
    manifest: Manifest
    folder: Path
    replicas: Replicas
    job_id: str
    asked_by: str
    at_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """The present state of a served model.

    `address` is the base URL ("http://127.0.0.1:40123") of `/v1/models/MODEL:predict`. `ready` and `desired` count
    replicas. `cpu_percent` is the replicas' mean CPU in percent of their request, or None if unknown. The job `job_id`
    deployed the version at `since_s` (Unix seconds). `trouble` describes a problem, or is "".
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
    """A cluster that runs endpoints: Kubernetes, or processes on this machine."""

    def roll_out(self, *, release: Release, progress: Progress) -> Endpoint:
        """Replace the running release without a failed request; return when the new one is ready and has answered once.

        Otherwise undoes the rollout and raises PermanentError with the replicas' own messages. Undoes it on Interrupted
        too. A second call for the same release has no effect.
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
        """Return the endpoint, or None if the model is not deployed. Cheap: load tests call it every second."""

    def remove(self, *, model: str, environment: Environment) -> None:
        """Stop serving and delete all of the endpoint. Has no effect if the model is not deployed."""
