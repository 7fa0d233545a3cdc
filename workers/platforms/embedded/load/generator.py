"""Load from this machine: one request to see that the target answers, then Locust in processes of its own."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.errors import PermanentError
from workers.platforms.destination import find_destination, origin
from workers.platforms.embedded.load.locust_processes import locust_processes
from workers.platforms.embedded.warehouse.background import in_background
from workers.platforms.protocols.load import RunningLoad, TrafficPlan
from workers.platforms.protocols.progress import Progress
from workers.platforms.swarm import Swarm
from workers.platforms.traffic_plan import LOCUST_DIR, REQUEST_TIMEOUT_S, find_locustfile, plan_json, workers_for

_PREFIX = "load-"


class EmbeddedLoad:
    """Locust on this machine.

    `home` is where a test's files lie while it runs; `locust_dir` has the Locust file; a request may take `timeout_s`.
    `workers` None: as many processes as the rate takes, and the machine has cores.
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
        """Remove the files of tests whose jobs are over; see LoadGenerator. Their processes ended with their worker."""
        left = [folder for folder in self._home.glob(f"{_PREFIX}*-*") if ended(_job_of(folder))]
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        return len(left)

    @contextmanager
    def start(self, *, plan: TrafficPlan, progress: Progress) -> Iterator[RunningLoad]:
        """Begin; leaving the context ends all traffic at once and removes every process, whatever happened.

        Raises PermanentError where the target may not be loaded, TargetDown where it does not answer one request as it
        should, both before any load is sent, and PermanentError where Locust does not start.
        """
        locustfiles = ",".join(str(file) for file in (find_locustfile(self._locust_dir), *_own(plan)))
        addresses, answer = in_background(
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


def _own(plan: TrafficPlan) -> tuple[Path, ...]:
    """The user's own Locust file. Raises PermanentError where Locust, which parts files by commas, cannot take it."""
    if plan.locustfile is None:
        return ()
    if not plan.locustfile.is_file() or "," in str(plan.locustfile):
        raise PermanentError(
            f"The Locust file {plan.locustfile} cannot be read.",
            advice="Put the right path, without a comma, into the settings under [loadtest] locustfile.",
        )
    return (plan.locustfile.absolute(),)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _folder(home: Path, job_id: str) -> Iterator[Path]:
    """A test's own folder, gone afterwards."""
    home.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{job_id}-", dir=home))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _job_of(folder: Path) -> str:
    return folder.name.removeprefix(_PREFIX).rpartition("-")[0]
