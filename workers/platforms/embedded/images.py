"""No images on one machine: replicas read the model's folder. What is left to do is the trial."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.embedded.cluster.replica import IMPORT_ROOT
from workers.platforms.protocols.artifacts import Manifest
from workers.platforms.protocols.progress import Progress
from workers.platforms.serving.signature import UnusableModel, read_signature
from workers.platforms.smoke_test import SmokeTestFailed, predict_once

READY_WITHIN_S = 30.0
"""How long the process may take to load the model. It takes half a second; the rest is for a busy machine."""

_POLL_S = 0.05
_ENDS_WITHIN_S = 5.0
_LOG_BYTES_SHOWN = 2000


class EmbeddedImages:
    """Protocol Images where there is none."""

    def build(self, *, model: Model, manifest: Manifest, folder: Path, progress: Progress) -> str | None:
        """None: no image is needed on this machine."""
        return None

    def smoke_test(self, *, model: Model, folder: Path, image: str | None, progress: Progress) -> str:
        """Serve the version alone on a loopback port and try it; see Images."""
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
        """None: nothing is published."""
        return None


@contextlib.contextmanager
def _serving(model: str, folder: Path, log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "workers.platforms.serving"),
            *("--folder", str(folder.resolve())),
            *("--model", model),
            *("--version", "1"),
            "--supervised",  # it ends with this process, however that ends
        ],
        cwd=IMPORT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
    )
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"\n")  # no warm-up: the trial is to see the first answer
            process.stdin.flush()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


def _wait_until_ready(process: subprocess.Popen[bytes], progress: Progress) -> str:
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    gives_up_at_s = time.monotonic() + READY_WITHIN_S
    while True:
        word, _, address = (process.stdout.readline() or b"").decode().strip().partition(" ")
        if word == "ready":
            return address
        if process.poll() is not None:
            raise SmokeTestFailed("The model cannot be served.")
        if time.monotonic() > gives_up_at_s:
            raise SmokeTestFailed(f"The model was not ready within {READY_WITHIN_S:g} s.")
        progress.wait(_POLL_S)


def _log_lines(log: IO[bytes]) -> str:
    end = log.seek(0, os.SEEK_END)
    log.seek(max(0, end - _LOG_BYTES_SHOWN))
    lines = log.read().decode(errors="replace").split("\n")
    return "".join(f" {line.strip()}" for line in lines if line.strip())
