"""One endpoint from the worker's view: changes of its spec, and waiting for its supervisor to carry them out."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from workers.contract.replicas import Replicas
from workers.errors import PermanentError, TemporaryError
from workers.platforms.embedded.cluster.endpoint_files import EndpointFiles, EndpointStatus, Spec
from workers.platforms.embedded.cluster.supervisor import SupervisorTiming, launch_supervisor
from workers.platforms.protocols.cluster import Release
from workers.platforms.protocols.progress import Progress
from workers.platforms.serving.signature import UnusableModel, read_signature
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


class SupervisedEndpoint:
    """The endpoint in `folder`, which is named after its environment and model."""

    def __init__(self, folder: Path, timing: SupervisorTiming) -> None:
        self.files = EndpointFiles(folder)
        self._timing = timing

    @contextlib.contextmanager
    def change_lock(self) -> Iterator[None]:
        """Hold the endpoint's lock. Raises TemporaryError if another process holds it or the disk fails."""
        with self.translated_errors():
            lock = self.files.acquire_change_lock()
            if lock is None:
                raise TemporaryError("The endpoint is being changed by another job.", retry_after_s=2.0)
            with lock:
                yield

    @contextlib.contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Turn errors of the disk into TemporaryError."""
        try:
            yield
        except OSError as error:
            raise TemporaryError(f"The endpoint's files cannot be read or written: {error}.") from error

    def launch_supervisor(self) -> None:
        """Start the supervisor unless one lives."""
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

    def check_prediction(self, status: EndpointStatus, release: Release) -> None:
        """Send the model's sample to the shared address. Raises PermanentError if the prediction is wrong."""
        version, model = release.manifest.version, release.model
        try:
            signature = read_signature(release.folder)
            predict_once(status.address, model=model.name, version=version, sample=model.sample, signature=signature)
        except (SmokeTestFailed, UnusableModel) as error:
            raise PermanentError(f"v{version} is up but does not answer correctly. {error}") from error

    def undo(self, spec: Spec) -> None:
        """Return to the state before a failed rollout: the fallback, or no endpoint."""
        if spec.proven:
            return  # the rollout made no change
        if spec.fallback is None:
            self._write_removed(spec)
            self._delete_when_unsupervised()
        else:
            undone = Spec(generation=spec.generation + 1, desired=spec.fallback, proven=True)
            self.files.write_spec(undone)
            self._wait_for_undo(undone)

    def remove(self) -> None:
        """End every process and delete the files. Raises TemporaryError."""
        if not self.files.folder.exists():
            return
        with self.change_lock():
            with contextlib.suppress(PermanentError):  # a damaged spec ends its supervisor, too
                spec = self.files.read_spec()
                if spec is not None and not spec.removed:
                    self._write_removed(spec)
            self._delete_when_unsupervised()

    def _write_removed(self, spec: Spec) -> None:
        try:
            self.files.write_spec(replace(spec, generation=spec.generation + 1, removed=True))
        except OSError:  # a full disk still allows a deletion
            self.files.delete_spec()

    def _delete_when_unsupervised(self) -> None:
        deadline_s = time.monotonic() + REMOVE_TIMEOUT_S
        while self.files.folder.exists():
            if lock := self.files.acquire_supervisor_lock():
                with lock:
                    self.files.delete()
            elif time.monotonic() > deadline_s:
                raise TemporaryError(f"The replicas in {self.files.folder} did not end in {REMOVE_TIMEOUT_S:g} s.")
            else:
                time.sleep(POLL_S)

    def _wait_for_undo(self, spec: Spec) -> None:
        deadline_s = time.monotonic() + UNDO_TIMEOUT_S
        while time.monotonic() < deadline_s:
            self.launch_supervisor()
            status = self.files.read_status()
            if status and status.observed_generation == spec.generation and status.rolled_out:
                return
            time.sleep(POLL_S)

    def _last_error(self, status: EndpointStatus | None) -> str:
        if status and status.trouble:
            return status.trouble
        with contextlib.suppress(OSError):
            lines = self.files.supervisor_error.read_text(errors="replace").split("\n")
            return " ".join(line.strip() for line in lines[-3:] if line.strip())
        return ""


def _reason(status: EndpointStatus, version: str) -> str:
    return status.events[-1].reason if status.events and status.updated == status.ready else f"{version} is rolled out"
