"""Plan file of a load test, and the number of load workers: shared by all load generators.

`locust/traffic_plan.py` reads the file and describes its fields.
"""

import base64
import json
import math
from collections.abc import Sequence
from pathlib import Path

from workers.errors import PermanentError
from workers.platforms.destination import METADATA_ADDRESSES, origin, request_path
from workers.platforms.protocols import TrafficPlan

LOCUST_DIR = Path(__file__).parents[2] / "locust"  # folder of the Locust file, in a checkout and in the image
REQUEST_TIMEOUT_S = 10.0  # Time limit of a request. Clients of a prediction do not wait longer.
WORKER_RPS = 4_000.0
"""Highest rate of one worker process: half of what it can send, so the others can take over a lost worker's share."""


def workers_for(plan: TrafficPlan) -> int:
    return math.ceil(plan.rate_rps / WORKER_RPS)


def find_locustfile(locust_dir: Path) -> Path:
    """Return the path of the Locust file. Raise PermanentError if it is missing."""
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
    """Return the plan file's content.

    The load connects only to `addresses`. Without any, each load process resolves the name under the same rules.
    `answer` is the body of a correct response, with which others are compared.
    """
    fields = {
        "url": origin(plan.url) + request_path(plan.url),
        "addresses": list(addresses),
        "private": plan.private,
        "refused": list(METADATA_ADDRESSES),
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
