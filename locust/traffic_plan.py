"""Reader of the plan file. `workers/platforms/traffic_plan.py` writes it, or a person (see k8s/locust/plan.json).

Its JSON fields, with their defaults:

url        URL of every request
private    the address may be a private one
refused    addresses that are never loaded
addresses  the only addresses to connect to; [] or absent: the name is resolved here
body       body to POST, in base64; absent: GET
stages     [[from_rps, to_rps, length_s], …]
ramp_s     seconds at the beginning that are not judged; 0
spacing    "constant" or "poisson"; "constant"
predicts   responses must be predictions; true
answer     body of a correct response, in base64; absent: the first response
timeout_s  time limit of a request; 10
workers    number of processes that share the rate; 1
own_users  the user classes of the user's Locust file send the requests; false
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arrivals import ArrivalSchedule, RateStage
from destination import Destination, read_destination
from http_responses import ResponseCheck
from ledger import Timeline

TOKENS = 200


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Load test as requested; the module's docstring describes the fields."""

    destination: Destination
    schedule: ArrivalSchedule
    timeline: Timeline
    ramp_s: float
    poisson: bool
    timeout_s: float
    workers: int
    own_users: bool
    predicts: bool
    expected: bytes

    @property
    def tokens(self) -> int:
        """Return the number of Locust users that represent the whole rate.

        It is a multiple of `workers` near TOKENS: each worker has the same number, and fewer workers can share them.
        """
        return self.workers * max(TOKENS // self.workers, 1)

    def check(self) -> ResponseCheck:
        return ResponseCheck(predicts=self.predicts, expected=self.expected)


def read_plan(path: Path) -> Plan:
    """Read a plan file. Raise DestinationRefused if its destination may not be loaded."""
    fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    schedule = ArrivalSchedule(
        RateStage(from_rps=low, to_rps=high, length_s=length_s) for low, high, length_s in fields["stages"]
    )
    ramp_s = float(fields.get("ramp_s", 0.0))
    return Plan(
        destination=read_destination(fields, body=base64.b64decode(fields.get("body", ""))),
        schedule=schedule,
        timeline=Timeline(ramp_s=ramp_s, end_s=schedule.end_s),
        ramp_s=ramp_s,
        poisson=fields.get("spacing") == "poisson",
        timeout_s=float(fields.get("timeout_s", 10.0)),
        workers=int(fields.get("workers", 1)),
        own_users=bool(fields.get("own_users", False)),
        predicts=bool(fields.get("predicts", True)),
        expected=base64.b64decode(fields.get("answer", "")),
    )
