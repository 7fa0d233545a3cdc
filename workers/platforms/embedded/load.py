"""Load from this machine: one request to see that the target answers, then Locust in processes of its own."""

import base64
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from workers.errors import PermanentError
from workers.platforms.embedded.background import in_background
from workers.platforms.embedded.locust_processes import locust_processes
from workers.platforms.protocols import Attack, Progress, RunningLoad
from workers.platforms.swarm import Swarm

LOCUST_DIR = Path(__file__).parents[3] / "locust"
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


class EmbeddedLoad:
    """Locust on this machine.

    `home` is where a test's files lie while it runs; `locust_dir` has the Locust file; a request may take `timeout_s`.
    """

    def __init__(self, *, home: Path, locust_dir: Path | None = None, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._home = home.absolute()
        self._locust_dir = (locust_dir or LOCUST_DIR).absolute()

    @contextmanager
    def start(self, *, attack: Attack, progress: Progress) -> Iterator[RunningLoad]:
        """Begin; leaving the context ends all traffic at once and removes every process, whatever happened.

        Raises PermanentError where the target does not answer one request with a prediction, before any load is sent,
        and where Locust does not start.
        """
        locustfile = self._locust_dir / "locustfile.py"
        if not locustfile.is_file():
            raise PermanentError(
                f"The load test's Locust file is missing: {locustfile}.",
                advice="Run the worker from a checkout or from its image: both have the folder locust/ at the top.",
            )
        in_background(lambda _: _try_target(attack, self._timeout_s), progress=progress)
        workers = min(math.ceil(attack.rate_rps / WORKER_RPS), _cores())
        users = workers * min(max(math.ceil(attack.rate_rps / workers * PATIENCE_S), FEWEST_USERS), MOST_USERS)
        with _folder(self._home) as folder:
            options = ["-f", str(locustfile), "--attack", str(_write_attack(folder, attack, workers, self._timeout_s))]
            options += ["--host", _origin(attack.url)]
            with locust_processes(folder=folder, options=options, workers=workers, progress=progress) as processes:
                processes.swarm(users=users)
                progress.log(f"Locust: {workers} worker process{'es' * (workers > 1)}, {users} users.")
                yield Swarm(
                    master=processes.master,
                    attack=attack,
                    timeout_s=self._timeout_s,
                    progress=progress,
                    watch=processes.watch,
                    trouble=processes.trouble,
                )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@contextmanager
def _folder(home: Path) -> Iterator[Path]:
    """A test's own folder, gone afterwards."""
    home.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="load-", dir=home))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_attack(folder: Path, attack: Attack, workers: int, timeout_s: float) -> Path:
    """What `locust/locustfile.py` reads."""
    fields = {
        "path": attack.url.removeprefix(_origin(attack.url)),
        "body": base64.b64encode(attack.body).decode(),
        "rate_rps": attack.rate_rps,
        "ramp_s": attack.ramp_s,
        "duration_s": attack.duration_s,
        "timeout_s": timeout_s,
        "workers": workers,
    }
    path = folder / "attack.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    return path


def _try_target(attack: Attack, timeout_s: float) -> None:
    """Send one request. Raises PermanentError where the answer is no prediction."""
    request = Request(attack.url, data=attack.body, headers={"Content-Type": "application/json"})
    try:
        # Straight to the target, as Locust goes: no proxy from the environment.
        with build_opener(ProxyHandler({})).open(request, timeout=timeout_s) as response:
            answer = json.loads(response.read())
    except HTTPError as error:
        words = error.read(200).decode(errors="replace").strip()
        raise _no_target(attack, f"answers HTTP {error.code} ({words})") from error
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        raise _no_target(attack, f"does not answer: {words.lower()}") from error
    except ValueError as error:
        raise _no_target(attack, "does not answer with JSON") from error
    if not isinstance(answer, dict) or "predictions" not in answer:
        raise _no_target(attack, "does not answer with predictions")


def _no_target(attack: Attack, what: str) -> PermanentError:
    return PermanentError(
        f"The target {attack.url} {what}; no load was sent.",
        advice="A load test needs a target that answers one request: look at the endpoint first.",
    )
