"""APScheduler without a thread of its own, so that many can work on one store."""

from datetime import UTC

from apscheduler.executors.base import BaseExecutor
from apscheduler.schedulers.base import BaseScheduler

from bot.schedules.job_store import JobStore


class Scheduler(BaseScheduler):  # type: ignore[misc]  # APScheduler publishes no types
    """A scheduler whose rounds are made by whoever has it.

    One that sleeps until its next job would not hear of those that other bots add.
    """

    def __init__(self, job_store: JobStore, executor: BaseExecutor | None = None) -> None:
        executors = {"default": executor} if executor else {}
        super().__init__(jobstores={"default": job_store}, executors=executors, timezone=UTC)

    def round(self) -> None:
        """Hand what is due to the executor."""
        self._process_jobs()

    def wakeup(self) -> None:
        """There is nothing to wake."""

    def shutdown(self, wait: bool = True) -> None:
        """There is nothing to end; the store's client belongs to whoever made it."""
