"""Cluster adapter of one machine: replicas as processes behind one port.

It writes the desired state and waits until the status matches, as kubectl does. The endpoint's supervisor
(workers.platforms.embedded.cluster.supervisor) does the rest, and outlives the worker.
"""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from workers.errors import JobError, PermanentError, Superseded, TemporaryError
from workers.platforms.embedded.cluster.desired_state import as_endpoint, desired_state, next_spec
from workers.platforms.embedded.cluster.endpoint_files import EndpointFiles, EndpointStatus, Spec
from workers.platforms.embedded.cluster.supervisor import SupervisorTiming, launch_supervisor
from workers.platforms.protocols import Endpoint, Environment, Progress, Release, Replicas
from workers.platforms.serving.booster import read_signature_of
from workers.platforms.serving.signature import UnusableModel
from workers.platforms.smoke_test import SmokeTestFailed, predict_once

POLL_S = 0.1
"""Interval between reads of the status while waiting."""
MAX_CRASHES = 2
"""Consecutive crashes that may be accidents. One more means that the release is broken."""
REMOVE_TIMEOUT_S = 30.0
"""Longer than replicas may take to drain (fleet.KILL_AFTER_S)."""
UNDO_TIMEOUT_S = 10.0
"""Time to wait until the earlier release serves alone. The supervisor continues in any case."""
_START_SLACK_S = 5.0


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
                _check_prediction(status, release)
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
            within = range(replicas.minimum, replicas.maximum + 1)
            status = endpoint.wait_until(spec, progress, lambda status: status.ready in within)
        return as_endpoint(environment.name, spec, status)

    def endpoint(self, *, model: str, environment: Environment) -> Endpoint | None:
        """Read two small files, and relaunch a dead supervisor; see Cluster.

        Raises TemporaryError if the disk fails, PermanentError if the spec is damaged.
        """
        endpoint = self._endpoint(model, environment.name)
        with _translated_errors():
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

    def _endpoint(self, model: str, environment: str) -> "_SupervisedEndpoint":
        return _SupervisedEndpoint(self._folder / environment / model, self._timing)


class _SupervisedEndpoint:
    """The endpoint in `folder`, which is named after its environment and model."""

    def __init__(self, folder: Path, timing: SupervisorTiming) -> None:
        self.files = EndpointFiles(folder)
        self._timing = timing

    @contextlib.contextmanager
    def change_lock(self) -> Iterator[None]:
        """Hold the endpoint's lock. Raises TemporaryError if another process holds it or the disk fails."""
        with _translated_errors():
            lock = self.files.acquire_change_lock()
            if lock is None:
                raise TemporaryError("The endpoint is being changed by another job.", retry_after_s=2.0)
            with lock:
                yield

    def launch_supervisor(self) -> None:
        launch_supervisor(self.files, self._timing)

    def write_bounds(self, replicas: Replicas) -> Spec:
        """Change the bounds. Raises PermanentError if the model is not deployed."""
        before = self.files.read_spec()
        if before is None or before.removed:
            model, environment = self.files.folder.name, self.files.folder.parent.name
            raise PermanentError(f"{model} is not deployed on {environment}.", advice="Deploy a version there first.")
        desired = replace(before.desired, minimum=replicas.minimum, maximum=replicas.maximum)
        if desired == before.desired:
            return before
        spec = replace(before, generation=before.generation + 1, desired=desired)
        self.files.write_spec(spec)
        return spec

    def wait_until(self, spec: Spec, progress: Progress, reached: Callable[[EndpointStatus], bool]) -> EndpointStatus:
        """Wait until `reached` is true for a status of this generation, and report every change.

        Raises PermanentError with the replicas' output if they crash repeatedly, or if there is no progress for longer
        than a replica may take to become ready.
        """
        version = f"v{spec.desired.version}"
        before = self.files.read_status()
        updated, ready = -1, before.ready if before else 0
        timeout_s = self._timing.ready_deadline_s + _START_SLACK_S
        deadline_s = time.monotonic() + timeout_s
        while True:
            self.launch_supervisor()
            status = self.files.read_status()
            if status is not None and status.observed_generation == spec.generation:
                if status.ready != ready:
                    progress.scaled(before=ready, after=status.ready, reason=_reason(status, version))
                    ready = status.ready
                if status.updated != updated:
                    updated = status.updated
                    deadline_s = time.monotonic() + timeout_s
                    ready_of = f"{updated} of {status.desired} replicas of {version} ready"
                    progress.report(updated, status.desired, fact=ready_of)
                if reached(status):
                    return status
                if status.crashes > MAX_CRASHES:
                    raise PermanentError(f"{version} does not become ready. {status.trouble}")
            if time.monotonic() > deadline_s:
                raise PermanentError(f"{version} did not become ready in time. {self._last_error(status)}")
            progress.wait(POLL_S)

    def undo(self, spec: Spec) -> None:
        """Return to the state before a failed rollout: the fallback, or no endpoint."""
        if spec.proven:
            return  # the rollout made no change
        if spec.fallback is None:
            self._delete(spec)
            return
        undone = Spec(generation=spec.generation + 1, desired=spec.fallback, proven=True)
        self.files.write_spec(undone)
        deadline_s = time.monotonic() + UNDO_TIMEOUT_S
        while time.monotonic() < deadline_s:
            self.launch_supervisor()
            status = self.files.read_status()
            if status and status.observed_generation == undone.generation and status.rolled_out:
                return
            time.sleep(POLL_S)

    def remove(self) -> None:
        """End every process and delete the files. Raises TemporaryError."""
        if not self.files.folder.exists():
            return
        with self.change_lock():
            spec = None
            with contextlib.suppress(PermanentError):  # a damaged spec ends its supervisor, too
                spec = self.files.read_spec()
            self._delete(spec)

    def _delete(self, spec: Spec | None) -> None:
        if spec and not spec.removed:
            try:
                self.files.write_spec(replace(spec, generation=spec.generation + 1, removed=True))
            except OSError:  # a full disk still allows a deletion, which ends the endpoint, too
                self.files.spec.unlink()
        deadline_s = time.monotonic() + REMOVE_TIMEOUT_S
        while self.files.folder.exists():
            if lock := self.files.acquire_supervisor_lock():
                with lock:
                    shutil.rmtree(self.files.folder, ignore_errors=True)
            elif time.monotonic() > deadline_s:
                raise TemporaryError(f"The replicas in {self.files.folder} did not end in {REMOVE_TIMEOUT_S:g} s.")
            else:
                time.sleep(POLL_S)

    def _last_error(self, status: EndpointStatus | None) -> str:
        if status and status.trouble:
            return status.trouble
        with contextlib.suppress(OSError):
            lines = self.files.supervisor_error.read_text(errors="replace").split("\n")
            return " ".join(line.strip() for line in lines[-3:] if line.strip())
        return ""


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    """Turn errors of the disk into TemporaryError."""
    try:
        yield
    except OSError as error:
        raise TemporaryError(f"The endpoint's files cannot be read or written: {error}.") from error


def _check_prediction(status: EndpointStatus, release: Release) -> None:
    """Send the model's sample to the shared address. Raises PermanentError if the prediction is wrong."""
    version, model = release.manifest.version, release.model
    try:
        signature = read_signature_of(release.folder)
        predict_once(status.address, model=model.name, version=version, sample=model.sample, signature=signature)
    except (SmokeTestFailed, UnusableModel) as error:
        raise PermanentError(f"v{version} is up but does not answer correctly. {error}") from error


def _reason(status: EndpointStatus, version: str) -> str:
    return status.events[-1].reason if status.events and status.updated == status.ready else f"{version} is rolled out"
