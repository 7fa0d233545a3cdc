"""The cluster of one machine: replicas as processes behind one port, kept by a supervisor of their own.

This adapter only writes down what is wanted and waits for it to be so, as kubectl does; the supervisor
(workers.platforms.embedded.cluster.supervisor) does the rest, and goes on when the worker has gone.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from workers.contract.replicas import Replicas
from workers.contract.settings import Environment
from workers.errors import JobError, PermanentError, Superseded, TemporaryError
from workers.platforms.embedded.cluster.desired_state import as_endpoint, next_spec, wanted
from workers.platforms.embedded.cluster.endpoint_files import EndpointFiles, EndpointStatus, Spec
from workers.platforms.embedded.cluster.supervisor import SupervisorTiming
from workers.platforms.embedded.cluster.supervisor_launcher import launch_supervisor
from workers.platforms.protocols.cluster import Endpoint, Release
from workers.platforms.protocols.progress import Progress
from workers.platforms.serving.signature import UnusableModel, read_signature
from workers.platforms.smoke_test import SmokeTestFailed, predict_once

POLL_S = 0.1
"""How often the status is read while something is waited for."""

CRASHES_ALLOWED = 2
"""A replica may fail to start twice, by mischance; the third time it is the release."""

REMOVED_WITHIN_S = 30.0
"""Longer than replicas may take to drain (fleet.KILL_AFTER_S)."""

UNDONE_WITHIN_S = 10.0
"""How long is waited for the release before to be alone again; the supervisor goes on with it in any case."""

_START_SLACK_S = 5.0


class EmbeddedCluster:
    """Protocol Cluster on this machine; everything it keeps is under `home`/cluster."""

    def __init__(self, *, home: Path, timing: SupervisorTiming | None = None) -> None:
        """Any number of these may share a `home`, in any number of processes. `timing` is for supervisors started
        from here."""
        self._folder = home.resolve() / "cluster"
        self._timing = timing or SupervisorTiming()

    def roll_out(self, *, release: Release, progress: Progress) -> Endpoint:
        """Bring the release up; see Cluster.

        TemporaryError where another roll-out of this endpoint is still under way. A Superseded attempt undoes nothing:
        the endpoint belongs to the attempt after it.
        """
        files = self._files(release.model.name, release.environment.name)
        with _changing(files):
            spec = next_spec(files.read_spec(), wanted(release))
            files.write_spec(spec)
            try:
                status = self._wait_until(files, spec, progress, lambda status: status.rolled_out)
                progress.check()
                _try_shared_address(status, release)
            except Superseded:
                raise
            except JobError:
                self._undo(files, spec)
                raise
            files.write_spec(replace(spec, proven=True, fallback=None))
        return as_endpoint(release.environment.name, spec, status)

    def set_bounds(self, *, model: str, environment: Environment, replicas: Replicas) -> None:
        """Write the bounds for the supervisor and return; see Cluster."""
        files = self._files(model, environment.name)
        with _changing(files):
            _write_bounds(files, model, environment.name, replicas)
            launch_supervisor(files, self._timing)

    def scale(self, *, model: str, environment: Environment, replicas: Replicas, progress: Progress) -> Endpoint:
        """Set the bounds and wait; see Cluster."""
        files = self._files(model, environment.name)
        with _changing(files):
            spec = _write_bounds(files, model, environment.name, replicas)
            status = self._wait_until(
                files, spec, progress, lambda status: replicas.minimum <= status.ready <= replicas.maximum
            )
        return as_endpoint(environment.name, spec, status)

    def endpoint(self, *, model: str, environment: Environment) -> Endpoint | None:
        """What runs now; see Cluster. Two small files are read; a supervisor that was killed is started again.

        TemporaryError where the disk fails, PermanentError where what is wanted there is damaged.
        """
        files = self._files(model, environment.name)
        with _on_disk():
            spec = files.read_spec()
            if spec is None or spec.removed:
                return None
            launch_supervisor(files, self._timing)
            return as_endpoint(environment.name, spec, files.read_status())

    def remove(self, *, model: str, environment: Environment) -> None:
        """Stop serving and wait until every process has ended; see Cluster.

        TemporaryError where the endpoint is being changed, or does not end in time.
        """
        self._remove(self._files(model, environment.name))

    def remove_all(self) -> None:
        """Remove every endpoint under `home`, also those whose environment the settings no longer name.

        TemporaryError, once the others are removed, that names those that are being changed or do not end.
        """
        left = []
        for spec in sorted(self._folder.glob("*/*/spec.json")):
            try:
                self._remove(EndpointFiles(spec.parent))
            except TemporaryError as error:
                left.append(f"{spec.parent.name} on {spec.parent.parent.name} is left: {error}")
        if left:
            raise TemporaryError(" ".join(left))

    def _files(self, model: str, environment: str) -> EndpointFiles:
        return EndpointFiles(self._folder / environment / model)

    def _remove(self, files: EndpointFiles) -> None:
        if not files.folder.exists():
            return
        with _changing(files):
            with contextlib.suppress(PermanentError):  # a supervisor ends at a damaged one, too
                spec = files.read_spec()
                if spec is not None and not spec.removed:
                    _write_removed(files, spec)
            self._delete_when_unsupervised(files)

    def _delete_when_unsupervised(self, files: EndpointFiles) -> None:
        gives_up_at_s = time.monotonic() + REMOVED_WITHIN_S
        while files.folder.exists():
            if lock := files.supervising():
                with lock:
                    files.delete()
            elif time.monotonic() > gives_up_at_s:
                raise TemporaryError(f"The replicas in {files.folder} do not end.")
            else:
                time.sleep(POLL_S)

    def _undo(self, files: EndpointFiles, spec: Spec) -> None:
        if spec.proven:
            return  # nothing was changed
        if spec.fallback is None:
            _write_removed(files, spec)
            self._delete_when_unsupervised(files)
        else:
            undone = Spec(generation=spec.generation + 1, desired=spec.fallback, proven=True)
            files.write_spec(undone)
            self._wait_quietly(files, undone)

    def _wait_quietly(self, files: EndpointFiles, spec: Spec) -> None:
        gives_up_at_s = time.monotonic() + UNDONE_WITHIN_S
        while time.monotonic() < gives_up_at_s:
            launch_supervisor(files, self._timing)
            status = files.read_status()
            if status and status.observed_generation == spec.generation and status.rolled_out:
                return
            time.sleep(POLL_S)

    def _wait_until(
        self, files: EndpointFiles, spec: Spec, progress: Progress, reached: Callable[[EndpointStatus], bool]
    ) -> EndpointStatus:
        """Wait for a status of this generation that `reached` holds of, telling of every change on the way.

        Raises PermanentError, with the replicas' own words, when they crash in a row or nothing moves for longer
        than a replica may take to become ready.
        """
        version = f"v{spec.desired.version}"
        before = files.read_status()
        updated, ready = -1, before.ready if before else 0
        patience_s = self._timing.ready_deadline_s + _START_SLACK_S
        gives_up_at_s = time.monotonic() + patience_s
        while True:
            launch_supervisor(files, self._timing)
            status = files.read_status()
            if status is not None and status.observed_generation == spec.generation:
                if status.ready != ready:
                    progress.scaled(before=ready, after=status.ready, reason=_reason(status, version))
                    ready = status.ready
                if status.updated != updated:
                    updated = status.updated
                    gives_up_at_s = time.monotonic() + patience_s
                    ready_of = f"{updated} of {status.desired} replicas of {version} ready"
                    progress.report(updated, status.desired, fact=ready_of)
                if reached(status):
                    return status
                if status.crashes > CRASHES_ALLOWED:
                    raise PermanentError(f"{version} does not become ready. {status.trouble}")
            if time.monotonic() > gives_up_at_s:
                raise PermanentError(f"{version} did not become ready in time. {_last_words(files, status)}")
            progress.wait(POLL_S)


@contextlib.contextmanager
def _changing(files: EndpointFiles) -> Iterator[None]:
    """The right to change the endpoint. Raises TemporaryError where another has it, and where the disk fails."""
    with _on_disk():
        lock = files.changing()
        if lock is None:
            raise TemporaryError("The endpoint is being changed by another job.", retry_after_s=2.0)
        with lock:
            yield


@contextlib.contextmanager
def _on_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TemporaryError(f"The endpoint's state cannot be kept: {error}.") from error


def _write_bounds(files: EndpointFiles, model: str, environment: str, replicas: Replicas) -> Spec:
    before = files.read_spec()
    if before is None or before.removed:
        raise PermanentError(f"{model} is not deployed on {environment}.", advice="Deploy a version there first.")
    desired = replace(before.desired, minimum=replicas.minimum, maximum=replicas.maximum)
    if desired == before.desired:
        return before
    spec = replace(before, generation=before.generation + 1, desired=desired)
    files.write_spec(spec)
    return spec


def _write_removed(files: EndpointFiles, spec: Spec) -> None:
    try:
        files.write_spec(replace(spec, generation=spec.generation + 1, removed=True))
    except OSError:  # on a full disk there is still room for less
        files.delete_spec()


def _try_shared_address(status: EndpointStatus, release: Release) -> None:
    version = release.manifest.version
    try:
        predict_once(
            status.address,
            model=release.model.name,
            version=version,
            sample=release.model.sample,
            signature=read_signature(release.folder),
        )
    except (SmokeTestFailed, UnusableModel) as error:
        raise PermanentError(f"v{version} is up but does not answer rightly. {error}") from error


def _reason(status: EndpointStatus, version: str) -> str:
    return status.events[-1].reason if status.events and status.updated == status.ready else f"{version} is rolled out"


def _last_words(files: EndpointFiles, status: EndpointStatus | None) -> str:
    if status and status.trouble:
        return status.trouble
    with contextlib.suppress(OSError):
        lines = files.supervisor_error.read_text(errors="replace").split("\n")
        return " ".join(line.strip() for line in lines[-3:] if line.strip())
    return ""
