"""Traffic plans for a counting target, and checks of the processes and requests of a load test."""

import time
from pathlib import Path
from typing import Any

import psutil

from tests.platforms.counting_target import INTERVALS, CountingTarget
from workers.contract.load import Stage
from workers.platforms.protocols import TrafficPlan

BODY = b'{"instances": [{"sepal_length": 5.0}]}'


def plan(
    target: CountingTarget, *, rate_rps: float = 100, duration_s: float = 30, ramp_s: float = 0, **more: Any
) -> TrafficPlan:
    """Return a plan with a constant rate after a ramp."""
    stages = [Stage(from_rps=0.0, to_rps=rate_rps, length_s=ramp_s)] if ramp_s else []
    stages.append(Stage(from_rps=rate_rps, to_rps=rate_rps, length_s=duration_s))
    return TrafficPlan(url=target.url, body=BODY, stages=tuple(stages), ramp_s=ramp_s, job_id="job-1", **more)


def load_processes(home: Path) -> list[psutil.Process]:
    """Return the running Locust processes with `home` in their command lines."""
    found = []
    for process in psutil.process_iter():
        try:
            if "locust" in (line := process.cmdline()) and any(str(home) in word for word in line):
                found.append(process)
        except psutil.Error:
            continue
    return found


def load_workers(home: Path) -> list[psutil.Process]:
    """Return the load workers among them."""
    return [each for each in load_processes(home) if "--worker" in each.cmdline()]


def last_request_s(target: CountingTarget) -> float:
    """Return the time of the target's last prediction request, of `time.monotonic()`, to a tenth of a second."""
    return max(map(int, target.counted()["by_interval"])) / INTERVALS


def is_quiet(target: CountingTarget) -> bool:
    """Return True if the target gets no request within half a second, the time of fifty requests in these tests."""
    before = target.count
    time.sleep(0.5)
    return target.count == before
