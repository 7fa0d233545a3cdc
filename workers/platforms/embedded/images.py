"""Smoke tests without images: on one machine, replicas read the model's folder."""

import contextlib
import time
from pathlib import Path

from workers.errors import PermanentError
from workers.platforms.embedded.cluster.replica import Replica
from workers.platforms.probe import examine_version
from workers.platforms.protocols import Manifest, Model, Progress, Tested
from workers.platforms.serving.acceptor import address_of, listen
from workers.platforms.serving.booster import read_signature_of
from workers.platforms.serving.signature import UnusableModel
from workers.platforms.smoke_test import SmokeTestFailed

READY_TIMEOUT_S = 30.0
"""Time that the process may take to load the model: half a second, and a margin for a busy machine."""
_POLL_S = 0.05


class EmbeddedImages:
    """Implements Images without building any."""

    def build(self, *, model: Model, manifest: Manifest, folder: Path, progress: Progress) -> str | None:
        return None

    def smoke_test(
        self, *, model: Model, folder: Path, image: str | None, spread: float | None, progress: Progress
    ) -> Tested:
        """Serve the version on a loopback port, without a warm-up: the smoke test makes the first request."""
        try:
            signature = read_signature_of(folder)
        except UnusableModel as error:
            raise PermanentError(str(error)) from error
        with contextlib.closing(listen(0)) as listener:
            replica = Replica(folder=str(folder.resolve()), model=model.name, version=1, listener_fd=listener.fileno())
            with contextlib.closing(replica):
                try:
                    _wait_until_ready(replica, progress)
                    address = address_of(listener)
                    return examine_version(model, signature, address, version=1, spread=spread)
                except SmokeTestFailed as error:
                    replica.read_output()
                    raise PermanentError(" ".join([str(error), *replica.last_lines])) from error

    def publish(self, *, image: str | None, progress: Progress) -> str | None:
        return None


def _wait_until_ready(replica: Replica, progress: Progress) -> None:
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while replica.state != "ready":
        if replica.ended():
            raise SmokeTestFailed("The model cannot be served.")
        if time.monotonic() > deadline_s:
            raise SmokeTestFailed(f"The model was not ready within {READY_TIMEOUT_S:g} s.")
        progress.wait(_POLL_S)
        replica.read_output()
