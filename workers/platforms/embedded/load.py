"""Load from this machine: one request to see that the target answers, then Locust in processes of its own."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.platforms.attack import (
    LOCUST_DIR,
    REQUEST_TIMEOUT_S,
    attack_json,
    find_locustfile,
    origin,
    try_target,
    users_for,
    workers_for,
)
from workers.platforms.embedded.background import in_background
from workers.platforms.embedded.locust_processes import locust_processes
from workers.platforms.protocols import Attack, Progress, RunningLoad
from workers.platforms.swarm import Swarm


class EmbeddedLoad:
    """Locust on this machine.

    `home` is where a test's files lie while it runs; `locust_dir` has the Locust file; a request may take `timeout_s`.
    """

    def __init__(self, *, home: Path, locust_dir: Path | None = None, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._home = home.absolute()
        self._locust_dir = (locust_dir or LOCUST_DIR).absolute()

    def sweep(self, *, ended: Callable[[str], bool]) -> int:
        """None: Locust's processes here end with the worker that started them."""
        return 0

    @contextmanager
    def start(self, *, attack: Attack, progress: Progress) -> Iterator[RunningLoad]:
        """Begin; leaving the context ends all traffic at once and removes every process, whatever happened.

        Raises PermanentError where the target does not answer one request with a prediction, before any load is sent,
        and where Locust does not start.
        """
        locustfile = find_locustfile(self._locust_dir)
        in_background(lambda _: try_target(attack, timeout_s=self._timeout_s), progress=progress)
        workers = min(workers_for(attack), _cores())
        users = users_for(attack, workers=workers)
        with _folder(self._home) as folder:
            file = folder / "attack.json"
            file.write_text(attack_json(attack, workers=workers, timeout_s=self._timeout_s), encoding="utf-8")
            options = ["-f", str(locustfile), "--attack", str(file), "--host", origin(attack.url)]
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


@contextmanager
def _folder(home: Path) -> Iterator[Path]:
    """A test's own folder, gone afterwards."""
    home.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="load-", dir=home))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
