"""Locust master and workers as child processes, which end with their parent."""

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen
from time import monotonic

from workers.errors import PermanentError
from workers.platforms.protocols.progress import Progress
from workers.platforms.swarm import POLL_S, MasterClient

START_S = 30.0
"""Time limit for Locust to start. It takes 1 to 2 s, and more than ten times as long on a busy machine."""
START_TRIES = 3
"""Attempts with new ports, if another process takes a port between choosing and binding it."""
LOG_LINES = 5
LOOPBACK = "127.0.0.1"


class LocustProcesses:
    """Running load processes, the master first. `master` is the client that drives them."""

    def __init__(self, *, processes: Sequence[Popen[bytes]], master: MasterClient, log: Path) -> None:
        self.master = master
        self._processes = processes
        self._log = log
        self._when = "before it was ready"

    def watch(self) -> None:
        """Raise PermanentError, with the last lines of the log, if a process has ended.

        During the test, only the master counts: if a worker ends, the others take over its share, and the result
        reports it.
        """
        for process in self._processes:
            if process.poll() is not None:
                how = f"{self._when} (exit status {process.returncode})"
                raise PermanentError(f"{self._name(process)} ended {how}:\n{self._last_lines()}")

    def await_workers(self, *, workers: int, progress: Progress) -> None:
        """Wait until all workers have joined. Raise PermanentError if they do not within START_S."""
        gives_up_at = monotonic() + START_S
        while monotonic() < gives_up_at:
            progress.wait(POLL_S / 2)
            self.watch()
            with suppress(OSError, HTTPException, ValueError):
                if self.master.status().workers == workers:
                    return
        raise PermanentError(f"Locust was not ready after {START_S:g} s:\n{self._last_lines()}")

    def start(self) -> None:
        """Begin the traffic. Raise PermanentError if Locust refuses."""
        try:
            self.master.start()
        except (OSError, HTTPException, ValueError) as error:
            raise PermanentError(f"The load test could not be started: {error}.\n{self._last_lines()}") from error
        self._when = "during the test"
        self._processes = self._processes[:1]

    def port_was_taken(self) -> bool:
        """Return True if the log reports that a port was in use."""
        return "already in use" in self._log.read_text(errors="replace").lower()

    def _name(self, process: Popen[bytes]) -> str:
        return "The load test's master" if process is self._processes[0] else "A load worker"

    def _last_lines(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-LOG_LINES:])


@contextmanager
def locust_processes(
    *, folder: Path, options: Sequence[str], workers: int, progress: Progress
) -> Iterator[LocustProcesses]:
    """Start a master and `workers` workers with the same `options`; kill them when the context is left.

    Raises PermanentError if Locust does not start.
    """
    for left in reversed(range(START_TRIES)):
        web_port, join_port = _free_ports()
        with _spawned(folder, options, workers, web_port, join_port) as (processes, log):
            started = LocustProcesses(processes=processes, master=MasterClient(host=LOOPBACK, port=web_port), log=log)
            try:
                started.await_workers(workers=workers, progress=progress)
            except PermanentError:
                if left and started.port_was_taken():
                    continue
                raise
            yield started
            return


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind((LOOPBACK, 0))
        other.bind((LOOPBACK, 0))
        return one.getsockname()[1], other.getsockname()[1]


@contextmanager
def _spawned(
    folder: Path, options: Sequence[str], workers: int, web_port: int, join_port: int
) -> Iterator[tuple[list[Popen[bytes]], Path]]:
    """Start the processes; yield them and their shared log.

    They run in `folder`, where no folder named locust hides the package. Their stdin is a pipe from this process: it
    closes if this process is killed, and they end.
    """
    both = [sys.executable, "-m", "locust", *options, "--end-with-stdin"]
    bind = ["--master-bind-host", LOOPBACK, "--master-bind-port", str(join_port)]
    serve = ["--web-host", LOOPBACK, "--web-port", str(web_port)]
    join = ["--worker", "--master-host", LOOPBACK, "--master-port", str(join_port)]
    commands = [[*both, "--master", *bind, *serve], *[[*both, *join]] * workers]
    path = folder / "locust.log"
    processes: list[Popen[bytes]] = []
    try:
        with path.open("wb") as log:
            for command in commands:
                processes.append(Popen(command, cwd=folder, stdin=PIPE, stdout=log, stderr=STDOUT))
        yield processes, path
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
            if process.stdin:
                process.stdin.close()
