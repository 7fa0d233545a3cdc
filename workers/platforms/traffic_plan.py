"""An plan as the load's processes read it, and how many of them it takes: what every load generator does alike.

The other side of the file is `locust/traffic_plan.py`.
"""

import base64
import json
import math
from collections.abc import Sequence
from pathlib import Path

from workers.errors import PermanentError
from workers.platforms.destination import NEVER, origin, request_path
from workers.platforms.protocols.load import TrafficPlan

LOCUST_DIR = Path(__file__).parents[2] / "locust"
"""Where the Locust file lies in a checkout and in the image."""
REQUEST_TIMEOUT_S = 10.0
"""How long a request may take: whoever waits longer for a prediction has given up."""
WORKER_RPS = 4_000.0
"""The most that one worker process is given: half of what it can send, so that the others can take over a lost one's
share."""


def workers_for(plan: TrafficPlan) -> int:
    """How many worker processes the rate takes."""
    return math.ceil(plan.rate_rps / WORKER_RPS)


def find_locustfile(locust_dir: Path) -> Path:
    """The Locust file. Raises PermanentError where it is not there."""
    locustfile = locust_dir / "locustfile.py"
    if not locustfile.is_file():
        raise PermanentError(
            f"The load test's Locust file is missing: {locustfile}.",
            advice="Run the worker from a checkout or from its image: both have the folder locust/ at the top.",
        )
    return locustfile


def plan_json(
    plan: TrafficPlan, *, workers: int, timeout_s: float, addresses: Sequence[str] = (), answer: bytes = b""
) -> str:
    """What the load's processes read.

    `addresses` are the only ones that they connect to; without any, they resolve the target's name where they are,
    under the same rules. `answer` is what the target has answered to one request: others are compared with it.
    """
    fields = {
        "url": origin(plan.url) + request_path(plan.url),
        "addresses": list(addresses),
        "private": plan.private,
        "refused": list(NEVER),
        "body": base64.b64encode(plan.body).decode(),
        "stages": [[stage.from_rps, stage.to_rps, stage.length_s] for stage in plan.stages],
        "ramp_s": plan.ramp_s,
        "spacing": plan.spacing,
        "predicts": plan.predicts,
        "answer": base64.b64encode(answer).decode(),
        "timeout_s": timeout_s,
        "workers": workers,
        "own_users": plan.locustfile is not None,
    }
    return json.dumps(fields)
