"""Client of one load test's master, and the keepalive that ends the traffic with the process that drives it.

The traffic ends even if that process is killed. On one machine a pipe does this. Here it is an endless HTTP response,
served by `Driver` in locust/master.py.
"""

import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPException

from workers.errors import JobError, PermanentError, TemporaryError
from workers.platforms.cloud.kubernetes.api import Api
from workers.platforms.cloud.load.manifests import WEB_PORT, Attempt
from workers.platforms.swarm import KEEPALIVE_PATH, MasterClient, check

THREAD = "load test keepalive"
_TIMEOUT_S = 5.0
"""Time limit for a response of the master through the API server."""
_RETRY_S = 0.1
"""Delay before a lost keepalive is opened again: the master waits GRACE_S for it."""


def master_client(api: Api, attempt: Attempt) -> MasterClient:
    """Return a client of the attempt's master. Outside the cluster, requests go through the API server."""
    if api.target.inside:
        return MasterClient(host=f"{attempt.master}.{api.namespace}.svc", port=WEB_PORT)
    return _MasterByApiServer(api, attempt.master)


class _MasterByApiServer(MasterClient):
    def __init__(self, api: Api, service: str) -> None:
        super().__init__(host=service, port=WEB_PORT)
        self._api = api

    def request(self, method: str, path: str) -> bytes:
        try:
            status, body = self._api.ask_service(self._host, self._port, method, path, answer_s=_TIMEOUT_S)
        except TemporaryError as error:
            raise HTTPException(str(error)) from error
        return check(method, path, status=status, body=body)

    def keepalive(self) -> Generator[None, None, None]:
        lines = self._api.follow_service(self._host, self._port, KEEPALIVE_PATH, silence_s=_TIMEOUT_S)
        with closing(lines):
            try:
                for _ in lines:
                    yield
            except TemporaryError as error:
                raise HTTPException(str(error)) from error


@contextmanager
def traffic(master: MasterClient) -> Iterator[None]:
    """Begin the traffic; it ends with the context or with this process. Raises PermanentError if it does not begin."""
    with ExitStack() as exit_stack:
        try:
            exit_stack.enter_context(keepalive(master))
            master.start()
        except (OSError, HTTPException, ValueError) as error:
            raise PermanentError(f"The load test could not be started: {error}.") from error
        yield


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
