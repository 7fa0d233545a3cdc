"""Driver of load on the Kubernetes stand-in, in a separate process that tests can kill.

python -m tests.cloud.kubernetes_driver TARGET RPS      with KUBECONFIG in the environment
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cloud.kubernetes_stand_in import CONTEXT, StandIn
from tests.cloud.kubernetes_store import NAMESPACE
from tests.platforms.progress import RecordedProgress
from workers.contract.load import Stage
from workers.platforms.cloud.kubernetes.api import connect
from workers.platforms.cloud.load.generator import KubernetesLoad
from workers.platforms.protocols import TrafficPlan

DURATION_S = 60.0
_ROOT = Path(__file__).parents[2]


@contextmanager
def driver(stand_in: StandIn, *, url: str, rate_rps: float, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start the driver with a kubeconfig in `folder`; kill it when the context is left."""
    environ = {**os.environ, "KUBECONFIG": str(stand_in.kubeconfig(folder / "kubeconfig"))}
    command = [sys.executable, "-m", __name__, url, str(rate_rps)]
    process = subprocess.Popen(command, cwd=_ROOT, env=environ)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def main(url: str, rate_rps: float) -> None:
    """Run a load test of one minute."""
    stages = (Stage(from_rps=rate_rps, to_rps=rate_rps, length_s=DURATION_S),)
    plan = TrafficPlan(url=url, body=b"{}", stages=stages, job_id="driven")
    load = KubernetesLoad(api=connect(f"kubernetes://{CONTEXT}/{NAMESPACE}"), image="seatrial-load:0.1.0")
    with load.start(plan=plan, progress=RecordedProgress()) as running:
        for _ in running.samples():
            pass


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
