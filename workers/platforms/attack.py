"""An attack before any load is sent: one request to see that the target answers, how much Locust it takes, its file.

What every load generator does alike. The other side of the file is `locust/locustfile.py`.
"""

import base64
import json
import math
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from workers.errors import PermanentError
from workers.platforms.protocols import Attack

LOCUST_DIR = Path(__file__).parents[2] / "locust"
"""Where the Locust file lies in a checkout and in the image."""
REQUEST_TIMEOUT_S = 10.0
"""How long a request may take: whoever waits longer for a prediction has given up."""
WORKER_RPS = 2_500.0
"""The most that one worker process is given: half of what Locust's FastHttpUser can do on a core."""
PATIENCE_S = 0.5
"""Up to which mean latency the asked rate is kept: requests under way are rate × latency (Little's law)."""
FEWEST_USERS, MOST_USERS = 10, 500
"""Users of one worker process. More connections than that come near the 1,024 that select() takes, which tells
geventhttpclient whether one is still open."""


def workers_for(attack: Attack) -> int:
    """How many worker processes the rate takes."""
    return math.ceil(attack.rate_rps / WORKER_RPS)


def users_for(attack: Attack, *, workers: int) -> int:
    """How many users, over all `workers`, keep up the rate."""
    return workers * min(max(math.ceil(attack.rate_rps / workers * PATIENCE_S), FEWEST_USERS), MOST_USERS)


def find_locustfile(locust_dir: Path) -> Path:
    """The Locust file. Raises PermanentError where it is not there."""
    locustfile = locust_dir / "locustfile.py"
    if not locustfile.is_file():
        raise PermanentError(
            f"The load test's Locust file is missing: {locustfile}.",
            advice="Run the worker from a checkout or from its image: both have the folder locust/ at the top.",
        )
    return locustfile


def origin(url: str) -> str:
    """Scheme, host and port of `url`, which Locust takes as its host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def attack_json(attack: Attack, *, workers: int, timeout_s: float) -> str:
    """What `locust/locustfile.py` reads."""
    fields = {
        "path": attack.url.removeprefix(origin(attack.url)),
        "body": base64.b64encode(attack.body).decode(),
        "rate_rps": attack.rate_rps,
        "ramp_s": attack.ramp_s,
        "duration_s": attack.duration_s,
        "timeout_s": timeout_s,
        "workers": workers,
    }
    return json.dumps(fields)


def try_target(attack: Attack, *, timeout_s: float) -> None:
    """Send one request. Raises PermanentError where the answer is no prediction."""
    request = Request(attack.url, data=attack.body, headers={"Content-Type": "application/json"})
    try:
        # Straight to the target, as Locust goes: no proxy from the environment.
        with build_opener(ProxyHandler({})).open(request, timeout=timeout_s) as response:
            status, body = response.status, response.read()
    except HTTPError as error:
        with error:
            status, body = error.code, error.read()
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        raise no_target(attack, f"does not answer: {words.lower()}") from error
    judge_answer(attack, status=status, body=body)


def judge_answer(attack: Attack, *, status: int, body: bytes) -> None:
    """Raise PermanentError where the target's answer to the attack's request is no prediction."""
    if status != 200:
        raise no_target(attack, f"answers HTTP {status} ({body[:200].decode(errors='replace').strip()})")
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise no_target(attack, "does not answer with JSON") from error
    if not isinstance(answer, dict) or "predictions" not in answer:
        raise no_target(attack, "does not answer with predictions")


def no_target(attack: Attack, what: str) -> PermanentError:
    """The error for a target that "does not answer", or however `what` puts it."""
    return PermanentError(
        f"The target {attack.url} {what}; no load was sent.",
        advice="A load test needs a target that answers one request: look at the endpoint first.",
    )
