"""Runs of load on a counting target: by Seatrial's open loop, by plain Locust, and by wrk.

Target and generator have a core each, if there are two.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from bot.demo.processes import free_port
from tests.platforms.counting_target import INTERVALS, CountingTarget
from tests.platforms.progress import RecordedProgress
from tests.platforms.traffic_plans import plan
from workers.platforms.embedded.load import EmbeddedLoad
from workers.platforms.protocols import LoadResult, RunningLoad

CONNECTIONS = 20
_ANSWERED = re.compile(r"Requests/sec:\s+([0-9.]+)")
_USERS = Path(__file__).with_name("load_users.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run. `by_interval` has the target's counts by tenth of a second.

    `latency_ms` has the generator's percentiles, and `cpu_us` its CPU time per request.
    """

    by_interval: tuple[int, ...]
    latency_ms: Mapping[float, float]
    cpu_us: float
    result: LoadResult | None = None

    @property
    def count(self) -> int:
        """Return the number of requests."""
        return sum(self.by_interval)

    def seconds(self) -> list[int]:
        """Return the counts of whole seconds, without the first and the last tenth."""
        inner = self.by_interval[1:-1]
        return [sum(inner[at : at + INTERVALS]) for at in range(0, len(inner) - INTERVALS + 1, INTERVALS)]

    def worst(self, rate_rps: float) -> float:
        """Return the largest deviation of a second from the rate, as a share of the rate."""
        return max((abs(count / rate_rps - 1) for count in self.seconds()), default=1.0)


@contextmanager
def target() -> Iterator[CountingTarget]:
    """Start a target on its own core."""
    started = CountingTarget()
    try:
        pin(started.process.pid, core=0)
        started.counted()  # wait until it responds
        yield started
    finally:
        started.kill()


@contextmanager
def home() -> Iterator[Path]:
    """Create a temporary folder."""
    with TemporaryDirectory() as name:
        yield Path(name)


def pin(pid: int, *, core: int) -> None:
    """Pin a process to a core, if the system can."""
    process = psutil.Process(pid)
    if hasattr(process, "cpu_affinity"):
        cores = process.cpu_affinity()
        process.cpu_affinity([cores[core % len(cores)]])


def load_processes(kind: str, *, of: psutil.Process | None = None) -> list[psutil.Process]:
    """Return the child processes of a kind ("--master", "--worker") of this process, or of another."""
    return [each for each in (of or psutil.Process()).children(recursive=True) if kind in _words(each)]


def open_loop(
    rate_rps: float,
    duration_s: float,
    *,
    workers: int | None = None,
    during: Callable[[CountingTarget, RunningLoad], None] | None = None,
) -> Run:
    """Run Seatrial's open loop. `during` is called after the first second."""
    with target() as counting, home() as folder:
        requested = plan(counting, rate_rps=rate_rps, duration_s=duration_s)
        with EmbeddedLoad(home=folder, workers=workers).start(plan=requested, progress=RecordedProgress()) as load:
            processes = load_processes("--worker")
            for process in processes:
                pin(process.pid, core=1)
            samples = load.samples()
            next(samples)
            before_s = _cpu_s(processes)
            if during:
                during(counting, load)
            list(samples)
            used_s = _cpu_s(processes) - before_s
            result = load.result()
        counted = _counted(counting)
    # Without the first second, but until the last response: slightly too much.
    cpu_us = 1e6 * used_s / max(rate_rps * (duration_s - 1), 1)
    return Run(by_interval=counted, latency_ms=result.latency_ms, cpu_us=cpu_us, result=result)


def plain_locust(
    user: str,
    *,
    users: int,
    per_user_rps: float,
    duration_s: float,
    during: Callable[[CountingTarget], None] | None = None,
) -> Run:
    """Run Locust with its own users of class `user`, one master and one worker. `during` is called after a second."""
    with target() as counting, home() as folder:
        with _plain_processes(folder, counting, user, users, per_user_rps, duration_s) as (master, worker):
            _await_traffic(counting)
            pin(worker.pid, core=1)
            time.sleep(1.0)
            before_s, count, begun_s = _cpu_s([worker]), counting.count, time.monotonic()
            if during:
                during(counting)
            time.sleep(max(duration_s - 2.5 - (time.monotonic() - begun_s), 0.1))
            used_s, requests = _cpu_s([worker]) - before_s, counting.count - count
            output, _ = master.communicate(timeout=60)
        counted = _counted(counting)
    return Run(by_interval=counted, latency_ms=_percentiles(output), cpu_us=1e6 * used_s / max(requests, 1))


@contextmanager
def _plain_processes(
    folder: Path, counting: CountingTarget, user: str, users: int, per_user_rps: float, duration_s: float
) -> Iterator[tuple[subprocess.Popen[bytes], psutil.Process]]:
    port = str(free_port())
    both = [sys.executable, "-m", "locust", "-f", str(_USERS), user, "--host", counting.address]
    lead = ["--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--expect-workers", "1"]
    lead += ["--headless", "--json", "-u", str(users), "-r", str(users), "-t", f"{duration_s:g}s"]
    environ = {**os.environ, "PER_USER_RPS": str(per_user_rps)}
    with (folder / "log").open("wb") as log:
        master = subprocess.Popen([*both, *lead], cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=log)
        join = ["--worker", "--master-host", "127.0.0.1", "--master-port", port]
        worker = subprocess.Popen([*both, *join], cwd=folder, env=environ, stdout=log, stderr=log)
    try:
        yield master, psutil.Process(worker.pid)
    finally:
        for process in (master, worker):
            process.kill()
            process.wait()


def wrk(duration_s: int) -> Run | None:
    """Run wrk at its highest rate over CONNECTIONS connections. Return None if it is not installed."""
    found = shutil.which("wrk")
    if not found:
        return None
    with target() as counting, home() as folder:
        script = folder / "predict.lua"
        script.write_text("wrk.method = 'POST'\nwrk.body = '{}'\nwrk.headers['Content-Type'] = 'application/json'\n")
        command = [found, "-t1", f"-c{CONNECTIONS}", f"-d{duration_s}s", "-s", str(script), counting.url]
        running = subprocess.Popen(command, stdout=subprocess.PIPE)
        pin(running.pid, core=1)
        _, status, usage = os.wait4(running.pid, 0)
        assert running.stdout
        running.returncode = os.waitstatus_to_exitcode(status)
        running.stdout.close()
        counted = _counted(counting)
    return Run(by_interval=counted, latency_ms={}, cpu_us=1e6 * (usage.ru_utime + usage.ru_stime) / sum(counted))


def _counted(counting: CountingTarget) -> tuple[int, ...]:
    """Return the target's counts by tenth of a second, without the request that checks the target."""
    found = {int(at): count for at, count in counting.counted()["by_interval"].items()}
    intervals = sorted(found)
    first = next((at for at, after in pairwise(intervals) if after == at + 1), intervals[0])
    return tuple(found.get(at, 0) for at in range(first, intervals[-1] + 1))


def _await_traffic(counting: CountingTarget) -> None:
    deadline_s = time.monotonic() + 30
    while not counting.count:
        if time.monotonic() > deadline_s:
            raise TimeoutError("Locust sent nothing.")
        time.sleep(0.02)


def _percentiles(output: bytes) -> dict[float, float]:
    """Return percentiles in milliseconds from Locust's JSON output, which counts response times."""
    entry = json.loads(output)[0]
    counts = {float(value_ms): count for value_ms, count in entry["response_times"].items()}
    ordered = sorted(counts)
    found = {}
    for percentile in (50.0, 95.0, 99.0, 99.9):
        rank = percentile / 100 * sum(counts.values())
        for value_ms in ordered:
            rank -= counts[value_ms]
            if rank <= 0:
                found[percentile] = value_ms
                break
    return found


def _cpu_s(processes: list[psutil.Process]) -> float:
    times = [each.cpu_times() for each in processes]
    return sum(each.user + each.system for each in times)


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
