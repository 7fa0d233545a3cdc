"""Load generator on this machine: runs a Locust master and workers as child processes for one test."""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen
from time import monotonic

from workers.errors import PermanentError
from workers.platforms.destination import find_destination, origin
from workers.platforms.embedded.background import run_in_background
from workers.platforms.protocols import Progress, RunningLoad, TrafficPlan
from workers.platforms.swarm import POLL_S, MasterClient, Swarm
from workers.platforms.traffic_plan import LOCUST_DIR, REQUEST_TIMEOUT_S, find_locustfile, plan_json, workers_for

START_S = 30.0  # Time limit for Locust to start. It takes 1 to 2 s, and more than ten times as long on a busy machine.
START_TRIES = 3  # attempts with new ports, if another process takes a port between choosing and binding it
LOG_LINES = 5
LOOPBACK = "127.0.0.1"
_PREFIX = "load-"


class EmbeddedLoad:
    """LoadGenerator that runs Locust on this machine.

    `home` has a test's files while it runs. `locust_dir` has the Locust file; `timeout_s` is the time limit of a
    request. By default there are as many `workers` as the rate needs, but not more than cores.
    """

    def __init__(
        self,
        *,
        home: Path,
        locust_dir: Path = LOCUST_DIR,
        timeout_s: float = REQUEST_TIMEOUT_S,
        workers: int | None = None,
    ) -> None:
        self._workers = workers
        self._timeout_s = timeout_s
        self._home = home.absolute()
        self._locust_dir = locust_dir.absolute()

    def sweep(self, *, ended: Callable[[str], bool | None]) -> int:
        """Remove the files of tests of ended jobs; see LoadGenerator. Their processes ended with their worker."""
        folders = {folder: folder.name.removeprefix(_PREFIX) for folder in self._home.glob(f"{_PREFIX}*-*")}
        left = [folder for folder, name in folders.items() if ended(name.rpartition("-")[0])]
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        return len(left)

    @contextmanager
    def start(self, *, plan: TrafficPlan, progress: Progress) -> Iterator[RunningLoad]:
        """See LoadGenerator. Also raises PermanentError if Locust does not start."""
        locustfiles = ",".join(str(file) for file in (find_locustfile(self._locust_dir), *_user_locustfile(plan)))
        addresses, answer = run_in_background(
            lambda _: find_destination(plan, timeout_s=self._timeout_s), progress=progress
        )
        workers = self._workers or min(workers_for(plan), _cores())
        with _folder(self._home, plan.job_id) as folder:
            file = folder / "plan.json"
            text = plan_json(plan, workers=workers, timeout_s=self._timeout_s, addresses=addresses, answer=answer)
            file.write_text(text, encoding="utf-8")
            options = ["-f", locustfiles, "--plan", str(file), "--host", origin(plan.url)]
            with locust_processes(folder=folder, options=options, workers=workers, progress=progress) as processes:
                processes.start()
                progress.log(f"Locust: {workers} worker process{'es' * (workers > 1)}.")
                yield Swarm(
                    master=processes.master,
                    whole_s=plan.whole_s,
                    timeout_s=self._timeout_s,
                    progress=progress,
                    watch=processes.watch,
                )


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
                name = "The load test's master" if process is self._processes[0] else "A load worker"
                how = f"{self._when} (exit status {process.returncode})"
                raise PermanentError(f"{name} ended {how}:\n{self._last_lines()}")

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

    def _last_lines(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-LOG_LINES:])


@contextmanager
def locust_processes(
    *, folder: Path, options: Sequence[str], workers: int, progress: Progress
) -> Iterator[LocustProcesses]:
    """Start a master and `workers` workers with the same `options`; kill them when the context is left.

    Raises PermanentError if Locust does not start.
    """
    log = folder / "locust.log"
    for left in reversed(range(START_TRIES)):
        web_port, join_port = _free_ports()
        with _spawned(log, options, workers, web_port, join_port) as processes:
            started = LocustProcesses(processes=processes, master=MasterClient(host=LOOPBACK, port=web_port), log=log)
            try:
                started.await_workers(workers=workers, progress=progress)
            except PermanentError:
                if left and "already in use" in log.read_text(errors="replace").lower():
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
    log: Path, options: Sequence[str], workers: int, web_port: int, join_port: int
) -> Iterator[list[Popen[bytes]]]:
    """Start the processes, which share the log, and yield them.

    They run in the log's folder, where no folder named locust hides the package. Their stdin is a pipe from this
    process: it closes if this process is killed, and they end.
    """
    both = [sys.executable, "-m", "locust", *options, "--end-with-stdin"]
    bind = ["--master-bind-host", LOOPBACK, "--master-bind-port", str(join_port)]
    serve = ["--web-host", LOOPBACK, "--web-port", str(web_port)]
    join = ["--worker", "--master-host", LOOPBACK, "--master-port", str(join_port)]
    commands = [[*both, "--master", *bind, *serve], *[[*both, *join]] * workers]
    processes: list[Popen[bytes]] = []
    try:
        with log.open("wb") as output:
            for command in commands:
                processes.append(Popen(command, cwd=log.parent, stdin=PIPE, stdout=output, stderr=STDOUT))
        yield processes
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
            if process.stdin:
                process.stdin.close()


def _user_locustfile(plan: TrafficPlan) -> tuple[Path, ...]:
    """Return the user's Locust file. Raise PermanentError if it is missing or has a comma, Locust's separator."""
    if plan.locustfile is None:
        return ()
    if not plan.locustfile.is_file() or "," in str(plan.locustfile):
        raise PermanentError(
            f"The Locust file {plan.locustfile} cannot be read.",
            advice="Correct the path, without a comma, under [loadtest] locustfile in the settings.",
        )
    return (plan.locustfile.absolute(),)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _folder(home: Path, job_id: str) -> Iterator[Path]:
    home.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{job_id}-", dir=home))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
