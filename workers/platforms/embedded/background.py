"""Background threads for long library calls, which let the job stop before the call returns.

A call into DuckDB, scikit-learn or the system's resolver cannot be interrupted from outside.
"""

from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeVar

from workers.platforms.protocols import Progress

POLL_S = 0.2
"""Interval between checks for interruption: people are promised a cancellation within a second."""

T = TypeVar("T")
ReportStage = Callable[[float, float | None, str], None]
"""Called by the work between its stages with (done, total, fact), the arguments of Progress.report.

Raises if the work has been abandoned."""


class _Abandoned(Exception):
    """The job has stopped. Unwinds the thread; its outcome is discarded."""


def run_in_background(
    work: Callable[[ReportStage], T], *, progress: Progress, interrupt: Callable[[], object] = lambda: None
) -> T:
    """Run `work` in a thread and forward its stages to `progress`. Return its result or raise its error.

    If `progress` raises Interrupted, so does this function, at once. It calls `interrupt`, and the thread ends after
    its current stage at the latest. The thread is a daemon: it does not delay the worker's exit.
    """
    stages: SimpleQueue[tuple[float, float | None, str]] = SimpleQueue()
    abandoned = Event()
    outcome: Future[T] = Future()

    def report_stage(done: float, total: float | None, fact: str) -> None:
        if abandoned.is_set():
            raise _Abandoned
        stages.put((done, total, fact))

    def run() -> None:
        try:
            outcome.set_result(work(report_stage))
        except BaseException as error:  # noqa: BLE001  the outermost frame of a thread: raised again in the job's thread
            outcome.set_exception(error)

    Thread(target=run, name="warehouse", daemon=True).start()
    try:
        finished = False
        while not finished:
            finished = outcome in wait([outcome], timeout=POLL_S).done
            progress.check()
            while not stages.empty():
                done, total, fact = stages.get()
                progress.report(done, total, fact=fact)
    finally:
        abandoned.set()
        if not outcome.done():
            interrupt()
    return outcome.result()
