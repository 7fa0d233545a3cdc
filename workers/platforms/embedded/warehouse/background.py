"""Runs a long call into a library in a thread of its own, so that the job can be stopped while it lasts.

A call into DuckDB or scikit-learn cannot be interrupted from outside; the job's thread must not be inside one.
"""

from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeVar

from workers.platforms.protocols.progress import Progress

POLL_S = 0.2
"""How often the job is asked whether it is to stop: five times within the second that a person is promised."""

T = TypeVar("T")
Tell = Callable[[float, float | None, str], None]
"""Called by the work between its stages with (done, total, fact), as Progress.report takes them.

Raises where the work has been abandoned."""


class _Abandoned(Exception):
    """The job was stopped: unwinds the thread, whose outcome nobody reads any more."""


def in_background(
    work: Callable[[Tell], T], *, progress: Progress, interrupt: Callable[[], object] = lambda: None
) -> T:
    """Return what `work` returns, or raise what it raises, and pass on every stage that it tells.

    When `progress` raises Interrupted it leaves at once: `interrupt` is called, and the thread ends by itself at
    the latest after the stage under way. The thread is a daemon: it does not keep a worker from exiting.
    """
    stages: SimpleQueue[tuple[float, float | None, str]] = SimpleQueue()
    abandoned = Event()
    outcome: Future[T] = Future()

    def tell(done: float, total: float | None, fact: str) -> None:
        if abandoned.is_set():
            raise _Abandoned
        stages.put((done, total, fact))

    def run() -> None:
        try:
            outcome.set_result(work(tell))
        except BaseException as error:  # noqa: BLE001  a thread's outermost frame: carried over to the job's thread
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
