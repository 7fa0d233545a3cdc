"""One replica as its supervisor sees it: a process of workers.platforms.serving, what it says, and its CPU time."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import IO, Literal

import psutil

from workers.platforms.embedded.cluster.endpoint_files import Desired, ReplicaStatus

State = Literal["starting", "ready", "draining"]

IMPORT_ROOT = Path(__file__).resolve().parents[4]
"""The folder that `workers` is imported from: child processes run there, so that they find it too."""

_LAST_LINES = 5
_LONGEST_LINE = 500

# What a pipe takes at once, and some less: a longer sample would make the supervisor wait for its replica.
_LONGEST_WARM_UP_BYTES = 60_000


class Replica:
    """A replica process. It lives no longer than the process that made this object, however that one ends."""

    def __init__(self, desired: Desired, *, listener_fd: int) -> None:
        """Start one that accepts from the listening socket `listener_fd` once it has answered the sample."""
        self.template = desired.template
        self.version = desired.version
        self.state: State = "starting"
        self.accepting = False
        self.started_at_s = time.monotonic()
        self.draining_since_s = 0.0
        self.cpu_percent: float | None = None
        self.last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._cpu_mark: tuple[float, float] | None = None
        # Its standard input is a pipe that ends when this process does: the replica leaves then.
        self._process = subprocess.Popen(
            _command(desired, listener_fd),
            cwd=IMPORT_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[listener_fd],
            start_new_session=True,
        )
        self._measured = psutil.Process(self._process.pid)
        for pipe in self.pipes:
            os.set_blocking(pipe.fileno(), False)
        self._say_warm_up(desired)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Its standard output (the words "ready" and "draining") and standard error (for people)."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        return self._process.stdout, self._process.stderr

    def hear(self) -> list[str]:
        """Take in what it has said since the last call; return its lines for people."""
        output, error = self.pipes
        for line in _lines(output):
            word = line.partition(" ")[0]
            if word == "ready":
                self.accepting = True
                if self.state == "starting":  # and not told to leave meanwhile
                    self.state = "ready"
            elif word == "draining":
                self.accepting = False
        lines = _lines(error)
        self.last_lines.extend(lines)
        return lines

    def drain(self) -> None:
        """Tell it to accept no more, finish and leave."""
        self._process.terminate()
        self.state = "draining"
        self.draining_since_s = time.monotonic()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def ended(self) -> str | None:
        """Why the process ended ("exit status 1", "SIGKILL"), or None while it lives."""
        code = self._process.poll()
        if code is None:
            return None
        self.accepting = False
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"

    def close(self) -> None:
        """Close the pipes of an ended replica."""
        assert self._process.stdin is not None
        for pipe in (self._process.stdin, *self.pipes):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def measure_cpu(self, request_cores: float) -> None:
        """Set `cpu_percent`: CPU since the last call, in percent of the request; None at the first call when ready.

        What the start cost is left out that way, as the HorizontalPodAutoscaler leaves out a pod's initialisation.
        """
        if self.state != "ready":
            self.cpu_percent = None
            return
        try:
            times = self._measured.cpu_times()
        except psutil.NoSuchProcess:
            self.cpu_percent = None
            return
        now_s, cpu_s = time.monotonic(), times.user + times.system
        if self._cpu_mark is not None:
            since_s, before_s = self._cpu_mark
            self.cpu_percent = 100 * (cpu_s - before_s) / (now_s - since_s) / request_cores
        self._cpu_mark = (now_s, cpu_s)

    def status(self) -> ReplicaStatus:
        """How it stands."""
        cpu_percent = None if self.cpu_percent is None else round(self.cpu_percent, 1)
        return ReplicaStatus(pid=self.pid, version=self.version, state=self.state, cpu_percent=cpu_percent)

    def _say_warm_up(self, desired: Desired) -> None:
        assert self._process.stdin is not None
        request = json.dumps({"instances": desired.sample[:1]}).encode()
        if len(request) > _LONGEST_WARM_UP_BYTES:
            request = b""
        with contextlib.suppress(BrokenPipeError):  # it has ended already: `ended` tells why
            self._process.stdin.write(request + b"\n")
            self._process.stdin.flush()


def _command(desired: Desired, listener_fd: int) -> list[str]:
    return [
        *(sys.executable, "-m", "workers.platforms.serving"),
        *("--folder", desired.folder),
        *("--model", desired.model),
        *("--version", str(desired.version)),
        *("--fd", str(listener_fd)),
        "--supervised",
    ]


def _lines(pipe: IO[bytes]) -> list[str]:
    # The replica writes whole lines, so that a line in two pieces is a rare blemish in a log.
    data = pipe.read() or b""
    return [line[:_LONGEST_LINE] for line in data.decode(errors="replace").splitlines() if line.strip()]
