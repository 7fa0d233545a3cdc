"""What becomes of the traffic when a part of the generator dies, or when it is told to stop."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.load_generators import Patient, home, load_processes, target
from benchmarks.table import Line, show
from bot.demo.processes import python
from tests.platforms.attacks import attack
from tests.platforms.counting_target import INTERVALS, Target
from workers.contract.load import Slo
from workers.platforms.embedded.load import EmbeddedLoad
from workers.reports.verdict import judge

RATE_RPS = 1_000
SETTLED_S = 3.0
NEARLY = 0.98
GOAL_REBALANCED_S, GOAL_STOPPED_S, GOAL_MASTERLESS_S = 6.0, 2.0, 8.0


def run() -> None:
    """Measure and print."""
    rebalanced_s, outcome = _worker_lost()
    lines = [
        _line("full rate after a worker's death", rebalanced_s, GOAL_REBALANCED_S, f"verdict {outcome}"),
        _line("traffic after a stop", _stopped_s(), GOAL_STOPPED_S),
        _line("traffic after the driver's death", _without(_kill_driver), GOAL_STOPPED_S),
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
        ordered = attack(asked, rate_rps=RATE_RPS, duration_s=SETTLED_S + 10)
        with EmbeddedLoad(home=folder, workers=2).start(attack=ordered, progress=Patient()) as load:
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
    """How long requests still come after `stop`."""
    with target() as asked, home() as folder:
        ordered = attack(asked, rate_rps=RATE_RPS, duration_s=60)
        with EmbeddedLoad(home=folder).start(attack=ordered, progress=Patient()) as load:
            for sample in load.samples():
                if sample.at_s >= SETTLED_S:
                    stopped_s = time.monotonic()
                    load.stop()
            time.sleep(GOAL_STOPPED_S)
            return _last_s(asked) - stopped_s


def _without(kill: Callable[[psutil.Process], None]) -> float:
    """How long requests still come after `kill`, which is given the driver."""
    with target() as asked, home() as folder, _driver(asked, folder) as driver:
        kill(driver)
        killed_s, count = time.monotonic(), -1
        while asked.count != count and time.monotonic() - killed_s < 30:
            count = asked.count
            time.sleep(1.0)
        return _last_s(asked) - killed_s


def _kill_driver(driver: psutil.Process) -> None:
    driver.kill()


def _kill_master(driver: psutil.Process) -> None:
    """The driver would end everything at once: it stands still, as one that is cut off does."""
    driver.suspend()
    load_processes("--master", of=driver)[0].kill()


@contextmanager
def _driver(asked: Target, folder: Path) -> Iterator[psutil.Process]:
    driver = subprocess.Popen(python("-m", "benchmarks.load_driver", asked.url, str(RATE_RPS), str(folder)))
    try:
        deadline_s = time.monotonic() + 30
        while asked.count < SETTLED_S * RATE_RPS:
            if time.monotonic() > deadline_s:
                raise TimeoutError("The driver sent nothing.")
            time.sleep(0.05)
        yield psutil.Process(driver.pid)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()


def _last_s(asked: Target) -> float:
    """When the last request came, to a tenth of a second."""
    return (max(map(int, asked.counted()["by_interval"])) + 1) / INTERVALS
