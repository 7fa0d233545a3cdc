"""Load generator on this machine: runs a Locust master and workers as child processes for one test."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.errors import PermanentError
from workers.platforms.destination import find_destination, origin
from workers.platforms.embedded.background import run_in_background
from workers.platforms.embedded.load.locust_processes import locust_processes
from workers.platforms.protocols.load import RunningLoad, TrafficPlan
from workers.platforms.protocols.progress import Progress
from workers.platforms.swarm import Swarm
from workers.platforms.traffic_plan import LOCUST_DIR, REQUEST_TIMEOUT_S, find_locustfile, plan_json, workers_for

_PREFIX = "load-"


class EmbeddedLoad:
    """LoadGenerator that runs Locust on this machine.

    `home` has a test's files while it runs. `locust_dir` has the Locust file; `timeout_s` is the time limit of a
    request. By default there are as many `workers` as the rate needs, but not more than cores.
    """

    def __init__(
        self,
        *,
        home: Path,
        locust_dir: Path | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
        workers: int | None = None,
    ) -> None:
        self._workers = workers
        self._timeout_s = timeout_s
        self._home = home.absolute()
        self._locust_dir = (locust_dir or LOCUST_DIR).absolute()

    def sweep(self, *, ended: Callable[[str], bool]) -> int:
        """Remove the files of tests of ended jobs; see LoadGenerator. Their processes ended with their worker."""
        left = [folder for folder in self._home.glob(f"{_PREFIX}*-*") if ended(_job_of(folder))]
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        return len(left)

    @contextmanager
    def start(self, *, plan: TrafficPlan, progress: Progress) -> Iterator[RunningLoad]:
        """Begin the traffic; leaving the context, also by an error, ends it at once and kills every process.

        Raises PermanentError if the target may not be loaded, TargetDown if it does not answer one request correctly,
        both before any load is sent, and PermanentError if Locust does not start.
        """
        locustfiles = ",".join(str(file) for file in (find_locustfile(self._locust_dir), *_user_locustfile(plan)))
        addresses, answer = run_in_background(
            lambda _: find_destination(plan, timeout_s=self._timeout_s), progress=progress
        )
        workers = self._workers or min(workers_for(plan), _cores())
        with _folder(self._home, plan.job_id) as folder:
            file = folder / "plan.json"
            text = plan_json(plan, workers=workers, timeout_s=self._timeout_s, addresses=addresses, answer=answer)
            file.write_text(text, encoding="utf-8")
            options = ["-f", locustfiles, "--plan", str(file), "--host", origin(plan.url)]
            with locust_processes(folder=folder, options=options, workers=workers, progress=progress) as processes:
                processes.start()
                progress.log(f"Locust: {workers} worker process{'es' * (workers > 1)}.")
                yield Swarm(
                    master=processes.master,
                    whole_s=plan.whole_s,
                    timeout_s=self._timeout_s,
                    progress=progress,
                    watch=processes.watch,
                )


def _user_locustfile(plan: TrafficPlan) -> tuple[Path, ...]:
    """Return the user's Locust file. Raise PermanentError if it is missing or has a comma, Locust's separator."""
    if plan.locustfile is None:
        return ()
    if not plan.locustfile.is_file() or "," in str(plan.locustfile):
        raise PermanentError(
            f"The Locust file {plan.locustfile} cannot be read.",
            advice="Correct the path, without a comma, under [loadtest] locustfile in the settings.",
        )
    return (plan.locustfile.absolute(),)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _folder(home: Path, job_id: str) -> Iterator[Path]:
    """Create a test's folder; remove it afterwards."""
    home.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{job_id}-", dir=home))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _job_of(folder: Path) -> str:
    return folder.name.removeprefix(_PREFIX).rpartition("-")[0]
