"""A driver of a load test, in a process of its own, so that it can be killed.

python -m benchmarks.load_driver URL RPS FOLDER
"""

import sys
from pathlib import Path

from benchmarks.load_generators import Patient
from workers.contract.load import Stage
from workers.platforms.embedded.load.generator import EmbeddedLoad
from workers.platforms.protocols.load import TrafficPlan

LASTS_S = 60.0


def main(url: str, rate_rps: float, folder: str) -> None:
    """Load for a minute, as long as nobody interferes."""
    stages = (Stage(from_rps=rate_rps, to_rps=rate_rps, length_s=LASTS_S),)
    plan = TrafficPlan(url=url, body=b"{}", stages=stages, job_id="benchmark")
    with EmbeddedLoad(home=Path(folder)).start(plan=plan, progress=Patient()) as load:
        for _ in load.samples():
            pass


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
