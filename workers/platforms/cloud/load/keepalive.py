"""Keepalive from the driver to its load test: the traffic ends with the process that drives it, even if it is killed.

On one machine a pipe does this. Here it is an endless HTTP response, served by `Driver` in locust/master.py.
"""

import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException

from workers.errors import JobError
from workers.platforms.swarm import MasterClient

THREAD = "load test keepalive"
_RETRY_S = 0.1
"""Delay before a lost keepalive is opened again: the master waits GRACE_S for it."""


@contextmanager
def keepalive(master: MasterClient) -> Iterator[None]:
    """Keep the master's test alive inside the context; reconnect if the connection is cut.

    Raises the errors of `master.keepalive` if the first connection fails.
    """
    beats = master.keepalive()
    next(beats, None)
    left = threading.Event()
    threading.Thread(target=_read, args=(master, beats, left), name=THREAD, daemon=True).start()
    try:
        yield
    finally:
        left.set()


def _read(master: MasterClient, beats: Generator[None, None, None], left: threading.Event) -> None:
    while not left.is_set():
        with closing(beats), suppress(JobError, OSError, HTTPException, ValueError):
            for _ in beats:
                if left.is_set():
                    return
        left.wait(_RETRY_S)
        beats = master.keepalive()
