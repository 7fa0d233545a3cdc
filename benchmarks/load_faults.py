"""End or recovery of the traffic after a part of the generator dies, or after a stop."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil

from benchmarks.load_generators import home, load_processes, target
from benchmarks.table import Row, show
from bot.demo.processes import python
from tests.cloud import kubernetes_driver
from tests.cloud.locust_cluster import LocustCluster
from tests.platforms.counting_target import INTERVALS, CountingTarget
from tests.platforms.progress import RecordedProgress
from tests.platforms.traffic_plans import plan
from workers.contract.load import Slo
from workers.platforms.cloud.load.generator import KubernetesLoad
from workers.platforms.embedded.load import EmbeddedLoad
from workers.platforms.protocols import LoadGenerator
from workers.reports.verdict import judge

RATE_RPS = 1_000
SETTLED_S = 3.0
NEARLY = 0.98
IMAGE = "seatrial-load:0.1.0"
GOAL_REBALANCED_S, GOAL_STOPPED_S, GOAL_DRIVERLESS_S, GOAL_MASTERLESS_S = 6.0, 1.0, 2.0, 8.0
Driver = AbstractContextManager[subprocess.Popen[bytes]]


def run() -> None:
    """Measure and print a table. The Kubernetes stand-in imitates the API server; its pods are processes here."""
    rebalanced_s, outcome = _worker_lost()
    rows = [
        _row("full rate after a worker's death", rebalanced_s, GOAL_REBALANCED_S, f"verdict {outcome}"),
        _row("traffic after a stop", _stopped_s(), GOAL_STOPPED_S),
        _row("traffic after a stop, Kubernetes stand-in", _stopped_on_kubernetes_s(), GOAL_STOPPED_S),
        _row("traffic after the driver's death", _killed_s(_kill_driver), GOAL_DRIVERLESS_S),
        _row("traffic after the driver's death, Kubernetes stand-in", _driverless_on_kubernetes_s(), GOAL_DRIVERLESS_S),
        _row("traffic after the master's death, without a driver", _killed_s(_kill_master), GOAL_MASTERLESS_S),
    ]
    show(f"faults: {RATE_RPS:,}/s, times by the target's count", rows)


def _row(what: str, took_s: float, goal_s: float, compared: str = "") -> Row:
    return Row(
        what=what, measured=f"{took_s:.1f} s", compared=compared, goal=f"≤ {goal_s:g} s", reached=took_s <= goal_s
    )


def _worker_lost() -> tuple[float, str]:
    """Kill one of two workers. Return the time until the other has the whole rate, and the verdict."""
    with target() as counting, home() as folder:
        requested = plan(counting, rate_rps=RATE_RPS, duration_s=SETTLED_S + 10)
        with EmbeddedLoad(home=folder, workers=2).start(plan=requested, progress=RecordedProgress()) as load:
            killed_s = 0.0
            for sample in load.samples():
                if sample.at_s == SETTLED_S:
                    load_processes("--worker")[0].kill()
                    killed_s = time.monotonic()
            outcome = judge(slo=Slo(), result=load.result()).outcome
        counted = {int(at): count for at, count in counting.counted()["by_interval"].items()}
    first = int(killed_s * INTERVALS) + 1
    full = NEARLY * RATE_RPS
    seconds = ((at, sum(counted.get(at + each, 0) for each in range(INTERVALS))) for at in range(first, first + 100))
    return next((at / INTERVALS - killed_s for at, count in seconds if count >= full), float("inf")), outcome


def _stopped_s() -> float:
    with target() as counting, home() as folder:
        return _after_stop_s(counting, EmbeddedLoad(home=folder))


def _stopped_on_kubernetes_s() -> float:
    with target() as counting, home() as folder, LocustCluster(folder) as cluster:
        return _after_stop_s(counting, KubernetesLoad(api=cluster.api(), image=IMAGE))


def _after_stop_s(counting: CountingTarget, generator: LoadGenerator) -> float:
    """Return how long requests arrive after `stop`."""
    requested = plan(counting, rate_rps=RATE_RPS, duration_s=60)
    with generator.start(plan=requested, progress=RecordedProgress()) as load:
        for sample in load.samples():
            if sample.at_s >= SETTLED_S:
                stopped_s = time.monotonic()
                load.stop()
        return _last_request_s(counting) - stopped_s


def _killed_s(kill: Callable[[psutil.Process], None]) -> float:
    with target() as counting, home() as folder:
        return _after_death_s(counting, _driver(counting, folder), kill)


def _driverless_on_kubernetes_s() -> float:
    with target() as counting, home() as folder, LocustCluster(folder) as cluster:
        driver = kubernetes_driver.driver(cluster.stand_in, url=counting.url, rate_rps=RATE_RPS, folder=folder)
        return _after_death_s(counting, driver, _kill_driver)


def _after_death_s(counting: CountingTarget, driver: Driver, kill: Callable[[psutil.Process], None]) -> float:
    """Return how long requests arrive after `kill(driver)`."""
    with driver as process:
        _await_traffic(counting)
        kill(psutil.Process(process.pid))
        killed_s = time.monotonic()
        return _last_request_s(counting) - killed_s


def _kill_driver(driver: psutil.Process) -> None:
    driver.kill()


def _kill_master(driver: psutil.Process) -> None:
    """Pause the driver, which would end the traffic at once, then kill the master."""
    driver.suspend()
    load_processes("--master", of=driver)[0].kill()


@contextmanager
def _driver(counting: CountingTarget, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    driver = subprocess.Popen(python("-m", "benchmarks.load_driver", counting.url, str(RATE_RPS), str(folder)))
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait()


def _await_traffic(counting: CountingTarget) -> None:
    deadline_s = time.monotonic() + 30
    while counting.count < SETTLED_S * RATE_RPS:
        if time.monotonic() > deadline_s:
            raise TimeoutError("The driver sent nothing.")
        time.sleep(0.05)


def _last_request_s(counting: CountingTarget) -> float:
    """Wait for the last request; return its time to a tenth of a second."""
    deadline_s, count = time.monotonic() + 30, -1
    while counting.count != count and time.monotonic() < deadline_s:
        count = counting.count
        time.sleep(1.0)
    return (max(map(int, counting.counted()["by_interval"])) + 1) / INTERVALS
