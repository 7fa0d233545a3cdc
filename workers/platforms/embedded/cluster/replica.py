"""One replica from the supervisor's view: a process of workers.platforms.serving, its output and its CPU time."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import psutil

from workers.platforms.embedded.cluster.endpoint_files import ReplicaStatus

State = Literal["starting", "ready", "draining"]

IMPORT_ROOT = Path(__file__).resolve().parents[4]
"""The folder that `workers` is imported from: the working folder of child processes, which import it, too."""
_LAST_LINES = 5
_MAX_LINE_CHARACTERS = 500

# Below the capacity of a pipe: writing a longer sample would block the supervisor.
_MAX_WARM_UP_BYTES = 60_000


class Replica:
    """A replica process. It exits when the process that made this object dies."""

    def __init__(
        self,
        *,
        folder: str,
        model: str,
        version: int,
        listener_fd: int,
        template: str = "",
        sample: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Start a process that accepts from the listening socket `listener_fd` once it has answered the sample."""
        self.template = template
        self.version = version
        self.state: State = "starting"
        self.accepting = False
        self.started_at_s = time.monotonic()
        self.draining_since_s = 0.0
        self.cpu_percent: float | None = None
        self.last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._cpu_mark: tuple[float, float] | None = None
        serving = [sys.executable, "-m", "workers.platforms.serving", "--folder", folder, "--model", model]
        self._process = subprocess.Popen(
            [*serving, "--version", str(version), "--fd", str(listener_fd), "--supervised"],
            cwd=IMPORT_ROOT,
            stdin=subprocess.PIPE,  # its end, at the death of this process, makes the replica exit
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[listener_fd],
            start_new_session=True,
        )
        self._measured = psutil.Process(self._process.pid)
        for pipe in self.pipes:
            os.set_blocking(pipe.fileno(), False)
        self._send_warm_up(sample)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Standard output, with the words "ready" and "draining", and standard error, which is for people."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        return self._process.stdout, self._process.stderr

    def read_output(self) -> list[str]:
        """Update the state from the output since the last call. Return the lines of standard error."""
        output, error = self.pipes
        for line in _lines(output):
            word = line.partition(" ")[0]
            if word == "ready":
                self.accepting = True
                if self.state == "starting":  # not if it is already draining
                    self.state = "ready"
            elif word == "draining":
                self.accepting = False
        lines = _lines(error)
        self.last_lines.extend(lines)
        return lines

    def drain(self) -> None:
        """Make the replica drain and exit."""
        self._process.terminate()
        self.state = "draining"
        self.draining_since_s = time.monotonic()

    def kill(self) -> None:
        self._process.kill()

    def ended(self) -> str | None:
        """Return the end of the process ("exit status 1", "SIGKILL"), or None while it lives."""
        code = self._process.poll()
        if code is None:
            return None
        self.accepting = False
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"

    def close(self) -> None:
        """Kill the process unless it has ended, and close its pipes."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        for pipe in (self._process.stdin, *self.pipes):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def measure_cpu(self, request_cores: float) -> None:
        """Set `cpu_percent`: CPU since the last call, in percent of the request.

        It is None until the second call after the replica became ready, to leave out its start, as the
        HorizontalPodAutoscaler leaves out a pod's initialisation.
        """
        try:
            times = self._measured.cpu_times() if self.state == "ready" else None
        except psutil.NoSuchProcess:
            times = None
        if times is None:
            self.cpu_percent = None
            return
        now_s, cpu_s = time.monotonic(), times.user + times.system
        if self._cpu_mark is not None:
            since_s, before_s = self._cpu_mark
            self.cpu_percent = 100 * (cpu_s - before_s) / (now_s - since_s) / request_cores
        self._cpu_mark = (now_s, cpu_s)

    def status(self) -> ReplicaStatus:
        cpu_percent = None if self.cpu_percent is None else round(self.cpu_percent, 1)
        return ReplicaStatus(pid=self.pid, version=self.version, state=self.state, cpu_percent=cpu_percent)

    def _send_warm_up(self, sample: Sequence[Mapping[str, Any]]) -> None:
        assert self._process.stdin is not None
        request = json.dumps({"instances": sample[:1]}).encode() if sample else b""
        if len(request) > _MAX_WARM_UP_BYTES:
            request = b""
        with contextlib.suppress(BrokenPipeError):  # the process has ended: see `ended`
            self._process.stdin.write(request + b"\n")
            self._process.stdin.flush()


def _lines(pipe: IO[bytes]) -> list[str]:
    # The replica writes whole lines: a line split in two is rare, and harmless in a log.
    data = pipe.read() or b""
    return [line[:_MAX_LINE_CHARACTERS] for line in data.decode(errors="replace").splitlines() if line.strip()]
