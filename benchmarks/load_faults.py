"""What becomes of the traffic when a part of the generator dies, or when it is told to stop."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil

from benchmarks.load_generators import Patient, home, load_processes, target
from benchmarks.table import Line, show
from bot.demo.processes import python
from tests.cloud import kubernetes_driver
from tests.cloud.locust_cluster import LocustCluster
from tests.platforms.counting_target import INTERVALS, CountingTarget
from tests.platforms.traffic_plans import plan
from workers.contract.load import Slo
from workers.platforms.cloud.load.generator import KubernetesLoad
from workers.platforms.embedded.load.generator import EmbeddedLoad
from workers.platforms.protocols.load import LoadGenerator
from workers.reports.verdict import judge

RATE_RPS = 1_000
SETTLED_S = 3.0
NEARLY = 0.98
IMAGE = "seatrial-load:0.1.0"
GOAL_REBALANCED_S, GOAL_STOPPED_S, GOAL_DRIVERLESS_S, GOAL_MASTERLESS_S = 6.0, 1.0, 2.0, 8.0
Driver = AbstractContextManager[subprocess.Popen[bytes]]


def run() -> None:
    """Measure and print. The Kubernetes stand-in has an API server of our own, and pods that are processes here."""
    rebalanced_s, outcome = _worker_lost()
    lines = [
        _line("full rate after a worker's death", rebalanced_s, GOAL_REBALANCED_S, f"verdict {outcome}"),
        _line("traffic after a stop", _stopped_s(), GOAL_STOPPED_S),
        _line("traffic after a stop, Kubernetes stand-in", _stopped_there_s(), GOAL_STOPPED_S),
        _line("traffic after the driver's death", _without(_kill_driver), GOAL_DRIVERLESS_S),
        _line("traffic after the driver's death, Kubernetes stand-in", _driverless_there_s(), GOAL_DRIVERLESS_S),
        _line("traffic after the master's death, nobody driving", _without(_kill_master), GOAL_MASTERLESS_S),
    ]
    show(f"faults: {RATE_RPS:,}/s, times by the target's count", lines)


def _line(what: str, took_s: float, goal_s: float, compared: str = "") -> Line:
    return Line(
        what=what, measured=f"{took_s:.1f} s", compared=compared, goal=f"≤ {goal_s:g} s", reached=took_s <= goal_s
    )


def _worker_lost() -> tuple[float, str]:
    """One of two workers is killed: until the other sends everything, and what the test is worth."""
    with target() as asked, home() as folder:
        ordered = plan(asked, rate_rps=RATE_RPS, duration_s=SETTLED_S + 10)
        with EmbeddedLoad(home=folder, workers=2).start(plan=ordered, progress=Patient()) as load:
            killed_s = 0.0
            for sample in load.samples():
                if sample.at_s == SETTLED_S:
                    load_processes("--worker")[0].kill()
                    killed_s = time.monotonic()
            outcome = judge(slo=Slo(), result=load.result()).outcome
        counted = {int(at): count for at, count in asked.counted()["by_interval"].items()}
    first = int(killed_s * INTERVALS) + 1
    full = NEARLY * RATE_RPS
    seconds = ((at, sum(counted.get(at + each, 0) for each in range(INTERVALS))) for at in range(first, first + 100))
    return next((at / INTERVALS - killed_s for at, count in seconds if count >= full), float("inf")), outcome


def _stopped_s() -> float:
    with target() as asked, home() as folder:
        return _after_stop_s(asked, EmbeddedLoad(home=folder))


def _stopped_there_s() -> float:
    with target() as asked, home() as folder, LocustCluster(folder) as cluster:
        return _after_stop_s(asked, KubernetesLoad(api=cluster.api(), image=IMAGE))


def _after_stop_s(asked: CountingTarget, generator: LoadGenerator) -> float:
    """How long requests still come after `stop`."""
    ordered = plan(asked, rate_rps=RATE_RPS, duration_s=60)
    with generator.start(plan=ordered, progress=Patient()) as load:
        for sample in load.samples():
            if sample.at_s >= SETTLED_S:
                stopped_s = time.monotonic()
                load.stop()
        return _last_s(asked) - stopped_s


def _without(kill: Callable[[psutil.Process], None]) -> float:
    with target() as asked, home() as folder:
        return _after_death_s(asked, _driver(asked, folder), kill)


def _driverless_there_s() -> float:
    with target() as asked, home() as folder, LocustCluster(folder) as cluster:
        driver = kubernetes_driver.driver(cluster.stand_in, url=asked.url, rate_rps=RATE_RPS, folder=folder)
        return _after_death_s(asked, driver, _kill_driver)


def _after_death_s(asked: CountingTarget, driver: Driver, kill: Callable[[psutil.Process], None]) -> float:
    """How long requests still come after `kill`, which is given the driver."""
    with driver as process:
        _await_traffic(asked)
        kill(psutil.Process(process.pid))
        killed_s = time.monotonic()
        return _last_s(asked) - killed_s


def _kill_driver(driver: psutil.Process) -> None:
    driver.kill()


def _kill_master(driver: psutil.Process) -> None:
    """The driver would end everything at once: it stands still, as one that is cut off does."""
    driver.suspend()
    load_processes("--master", of=driver)[0].kill()


@contextmanager
def _driver(asked: CountingTarget, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    driver = subprocess.Popen(python("-m", "benchmarks.load_driver", asked.url, str(RATE_RPS), str(folder)))
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait()


def _await_traffic(asked: CountingTarget) -> None:
    deadline_s = time.monotonic() + 30
    while asked.count < SETTLED_S * RATE_RPS:
        if time.monotonic() > deadline_s:
            raise TimeoutError("The driver sent nothing.")
        time.sleep(0.05)


def _last_s(asked: CountingTarget) -> float:
    """When the last request came, to a tenth of a second; waits for it."""
    deadline_s, count = time.monotonic() + 30, -1
    while asked.count != count and time.monotonic() < deadline_s:
        count = asked.count
        time.sleep(1.0)
    return (max(map(int, asked.counted()["by_interval"])) + 1) / INTERVALS
