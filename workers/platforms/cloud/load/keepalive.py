"""A driver's hold on its load test, so that the traffic ends with the process that drives it, however that dies.

On one machine a pipe does this; here an HTTP answer that never ends, whose other side is `Driver` in locust/master.py.
"""

import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException

from workers.errors import JobError
from workers.platforms.swarm import MasterClient

THREAD = "hold on the load test"
_AGAIN_S = 0.1
"""Before a hold that was lost is taken up again: the master waits GRACE_S for it."""


@contextmanager
def held(master: MasterClient) -> Iterator[None]:
    """Hold the master's test until the context is left, again and again where the connection is cut.

    Raises what `master.hold` does where it cannot be held to begin with.
    """
    hold = master.hold()
    next(hold, None)
    left = threading.Event()
    threading.Thread(target=_keep, args=(master, hold, left), name=THREAD, daemon=True).start()
    try:
        yield
    finally:
        left.set()


def _keep(master: MasterClient, hold: Generator[None, None, None], left: threading.Event) -> None:
    """The thread's work; the hold's next turn shows it that it has been left."""
    while not left.is_set():
        with closing(hold), suppress(JobError, OSError, HTTPException, ValueError):
            for _ in hold:
                if left.is_set():
                    return
        left.wait(_AGAIN_S)
        hold = master.hold()
