"""Driver of a load test, in a separate process that a benchmark can kill.

python -m benchmarks.load_driver URL RPS FOLDER
"""

import sys
from pathlib import Path

from tests.platforms.progress import RecordedProgress
from workers.contract.load import Stage
from workers.platforms.embedded.load import EmbeddedLoad
from workers.platforms.protocols import TrafficPlan

DURATION_S = 60.0


def main(url: str, rate_rps: float, folder: str) -> None:
    """Run a load test of one minute."""
    stages = (Stage(from_rps=rate_rps, to_rps=rate_rps, length_s=DURATION_S),)
    plan = TrafficPlan(url=url, body=b"{}", stages=stages, job_id="benchmark")
    with EmbeddedLoad(home=Path(folder)).start(plan=plan, progress=RecordedProgress()) as load:
        for _ in load.samples():
            pass


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
