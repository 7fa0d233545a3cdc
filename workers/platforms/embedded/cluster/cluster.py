"""Cluster adapter of one machine: replicas as processes behind one port.

It writes the desired state and waits until the status matches, as kubectl does. The endpoint's supervisor
(workers.platforms.embedded.cluster.supervisor) does the rest, and outlives the worker.
"""

from dataclasses import replace
from pathlib import Path

from workers.contract.replicas import Replicas
from workers.contract.settings import Environment
from workers.errors import JobError, Superseded, TemporaryError
from workers.platforms.embedded.cluster.desired_state import as_endpoint, desired_state, next_spec
from workers.platforms.embedded.cluster.supervised_endpoint import SupervisedEndpoint
from workers.platforms.embedded.cluster.supervisor import SupervisorTiming
from workers.platforms.protocols.cluster import Endpoint, Release
from workers.platforms.protocols.progress import Progress


class EmbeddedCluster:
    """Implements Cluster with processes; its state is stored under `home`/cluster."""

    def __init__(self, *, home: Path, timing: SupervisorTiming | None = None) -> None:
        """Any number of processes may share a `home`. `timing` applies to supervisors launched by this object."""
        self._folder = home.resolve() / "cluster"
        self._timing = timing or SupervisorTiming()

    def roll_out(self, *, release: Release, progress: Progress) -> Endpoint:
        """Roll the release out; see Cluster.

        Raises TemporaryError if another job changes this endpoint. A Superseded attempt is not undone: the endpoint
        belongs to the next attempt.
        """
        endpoint = self._endpoint(release.model.name, release.environment.name)
        with endpoint.change_lock():
            spec = next_spec(endpoint.files.read_spec(), desired_state(release))
            endpoint.files.write_spec(spec)
            try:
                status = endpoint.wait_until(spec, progress, lambda status: status.rolled_out)
                progress.check()
                endpoint.check_prediction(status, release)
            except Superseded:
                raise
            except JobError:
                endpoint.undo(spec)
                raise
            endpoint.files.write_spec(replace(spec, proven=True, fallback=None))
        return as_endpoint(release.environment.name, spec, status)

    def set_bounds(self, *, model: str, environment: Environment, replicas: Replicas) -> None:
        endpoint = self._endpoint(model, environment.name)
        with endpoint.change_lock():
            endpoint.write_bounds(replicas)
            endpoint.launch_supervisor()

    def scale(self, *, model: str, environment: Environment, replicas: Replicas, progress: Progress) -> Endpoint:
        endpoint = self._endpoint(model, environment.name)
        with endpoint.change_lock():
            spec = endpoint.write_bounds(replicas)
            status = endpoint.wait_until(
                spec, progress, lambda status: replicas.minimum <= status.ready <= replicas.maximum
            )
        return as_endpoint(environment.name, spec, status)

    def endpoint(self, *, model: str, environment: Environment) -> Endpoint | None:
        """Read two small files, and relaunch a dead supervisor; see Cluster.

        Raises TemporaryError if the disk fails, PermanentError if the spec is damaged.
        """
        endpoint = self._endpoint(model, environment.name)
        with endpoint.translated_errors():
            spec = endpoint.files.read_spec()
            if spec is None or spec.removed:
                return None
            endpoint.launch_supervisor()
            return as_endpoint(environment.name, spec, endpoint.files.read_status())

    def remove(self, *, model: str, environment: Environment) -> None:
        """Stop serving and wait until every process has ended; see Cluster.

        Raises TemporaryError if another job changes the endpoint, or its replicas do not end in time.
        """
        self._endpoint(model, environment.name).remove()

    def remove_all(self) -> None:
        """Remove every endpoint under `home`, including those of environments that the settings no longer name.

        Raises TemporaryError at the end if some are being changed or do not end.
        """
        failures = []
        for spec in sorted(self._folder.glob("*/*/spec.json")):
            model, environment = spec.parent.name, spec.parent.parent.name
            try:
                self._endpoint(model, environment).remove()
            except TemporaryError as error:
                failures.append(f"{model} on {environment} was not removed: {error}")
        if failures:
            raise TemporaryError(" ".join(failures))

    def _endpoint(self, model: str, environment: str) -> SupervisedEndpoint:
        return SupervisedEndpoint(self._folder / environment / model, self._timing)
