"""Smoke tests without images: on one machine, replicas read the model's folder."""

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.embedded.cluster.replica import IMPORT_ROOT, serving_command
from workers.platforms.protocols.artifacts import Manifest
from workers.platforms.protocols.progress import Progress
from workers.platforms.serving.signature import UnusableModel, read_signature
from workers.platforms.smoke_test import SmokeTestFailed, predict_once

READY_TIMEOUT_S = 30.0
"""Time that the process may take to load the model: half a second, and a margin for a busy machine."""

_POLL_S = 0.05
_EXIT_TIMEOUT_S = 5.0
_MAX_LOG_BYTES = 2000


class EmbeddedImages:
    """Implements Images without building any."""

    def build(self, *, model: Model, manifest: Manifest, folder: Path, progress: Progress) -> str | None:
        return None

    def smoke_test(self, *, model: Model, folder: Path, image: str | None, progress: Progress) -> str:
        """Serve the version on a loopback port and test it; see Images."""
        try:
            signature = read_signature(folder)
        except UnusableModel as error:
            raise PermanentError(str(error)) from error
        with tempfile.TemporaryFile() as log, _serving(model.name, folder, log) as process:
            try:
                address = _wait_until_ready(process, progress)
                return predict_once(address, model=model.name, version=1, sample=model.sample, signature=signature)
            except SmokeTestFailed as error:
                raise PermanentError(f"{error}{_log_lines(log)}") from error

    def publish(self, *, image: str | None, progress: Progress) -> str | None:
        return None


@contextlib.contextmanager
def _serving(model: str, folder: Path, log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    command = serving_command(folder=str(folder.resolve()), model=model, version=1)
    process = subprocess.Popen(
        [*command, "--supervised"],  # exits when this process dies
        cwd=IMPORT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
    )
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"\n")  # no warm-up: the smoke test makes the first request
            process.stdin.flush()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


def _wait_until_ready(process: subprocess.Popen[bytes], progress: Progress) -> str:
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while True:
        word, _, address = (process.stdout.readline() or b"").decode().strip().partition(" ")
        if word == "ready":
            return address
        if process.poll() is not None:
            raise SmokeTestFailed("The model cannot be served.")
        if time.monotonic() > deadline_s:
            raise SmokeTestFailed(f"The model was not ready within {READY_TIMEOUT_S:g} s.")
        progress.wait(_POLL_S)


def _log_lines(log: IO[bytes]) -> str:
    end = log.seek(0, os.SEEK_END)
    log.seek(max(0, end - _MAX_LOG_BYTES))
    lines = log.read().decode(errors="replace").split("\n")
    return "".join(f" {line.strip()}" for line in lines if line.strip())
