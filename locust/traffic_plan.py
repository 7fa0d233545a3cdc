"""The plan's file: `workers/platforms/traffic_plan.py` writes it, or a person, as k8s/locust/plan.json shows. JSON:

url        where every request goes
private    whether its address may be a private one
refused    addresses that it may never have
addresses  the only ones to connect to; [] or left out: the name is resolved here
body       what to POST, in base64; left out: GET
stages     [[from_rps, to_rps, length_s], …]
ramp_s     seconds at the beginning that are not judged; 0
spacing    "constant" or "poisson"
predicts   whether answers must be predictions; true
answer     one that is right, in base64; left out: the first one is
timeout_s  how long a request may take; 10
workers    how many processes share the rate; 1
own_users  whether another Locust file's users send the requests; false
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arrivals import ArrivalSchedule, Stage
from destination import Destination, read_destination
from http_answers import Judge
from ledger import Seconds

TOKENS = 200


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A load test as ordered.

    `workers` share the rate. `own_users`: the requests are sent by user classes of another Locust file.
    """

    target: Destination
    schedule: ArrivalSchedule
    seconds: Seconds
    ramp_s: float
    poisson: bool
    timeout_s: float
    workers: int
    own_users: bool
    predicts: bool
    answer: bytes

    @property
    def tokens(self) -> int:
        """How many users stand for the whole rate: each worker the same number, and some hundred in all, so that any
        number of workers can share them evenly."""
        return self.workers * max(TOKENS // self.workers, 1)

    def judge(self) -> Judge:
        """What tells right answers from wrong ones."""
        return Judge(predicts=self.predicts, right=self.answer)


def read_plan(path: Path) -> Plan:
    """The plan of a file. Raises target.DestinationRefused where its target may not be loaded."""
    fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    schedule = ArrivalSchedule(
        Stage(from_rps=low, to_rps=high, length_s=length_s) for low, high, length_s in fields["stages"]
    )
    ramp_s = float(fields.get("ramp_s", 0.0))
    return Plan(
        target=read_destination(fields, body=base64.b64decode(fields.get("body", ""))),
        schedule=schedule,
        seconds=Seconds(ramp_s=ramp_s, end_s=schedule.end_s),
        ramp_s=ramp_s,
        poisson=fields.get("spacing") == "poisson",
        timeout_s=float(fields.get("timeout_s", 10.0)),
        workers=int(fields.get("workers", 1)),
        own_users=bool(fields.get("own_users", False)),
        predicts=bool(fields.get("predicts", True)),
        answer=base64.b64decode(fields.get("answer", "")),
    )
