"""Time from a command to its job on an idle worker: HTTP request sent → `Started` written by the worker."""

import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.stack import BenchmarkStack, stack
from benchmarks.table import Row, percentile, show
from workers.contract import events as e

COMMANDS = 30
WARM_UP = 3
GOAL_P50_MS = 60.0
_SETTINGS = """
[models.brief]
type = "linear_reg"
label = "price"  # the irises have none: the job ends as soon as it has begun
query = "SELECT * FROM `bigquery-public-data.ml_datasets.iris`"
sample = [{ sepal_length = 5.0 }]
"""


def run() -> None:
    """Measure and print a table."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "seatrial.toml"
        config.write_text(_SETTINGS)
        with stack(folder, config=config, slack="benchmarks.slack_process", worker=True) as seatrial:
            picked_up_ms = _measure(seatrial)[WARM_UP:]
    p50, p95 = percentile(picked_up_ms, 50), percentile(picked_up_ms, 95)
    show(
        f"pickup: a command, until its job runs on an idle worker; {COMMANDS} of them, one at a time",
        [
            Row(what="p50", measured=f"{p50:.0f} ms", goal=f"≤ {GOAL_P50_MS:g} ms", reached=p50 <= GOAL_P50_MS),
            Row(what="p95", measured=f"{p95:.0f} ms"),
        ],
    )


def _measure(seatrial: BenchmarkStack) -> list[float]:
    pickups_ms = []
    for _ in range(WARM_UP + COMMANDS):
        # An idle worker looks every 100 ms: not in step with it.
        time.sleep(random.uniform(1.0, 1.2))
        sent_at_s, record = seatrial.done("/model train brief")
        started = next(event for event in seatrial.queue.events(record.id) if isinstance(event, e.Started))
        pickups_ms.append((started.at_s - sent_at_s) * 1000)
    return pickups_ms
