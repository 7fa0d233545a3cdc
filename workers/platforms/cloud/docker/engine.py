"""A Docker engine by its API: opened when first needed, every call with a deadline, every stream stopped at a wish.

The one place that meets the SDK's errors. https://docs.docker.com/reference/api/engine/
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import docker
import docker.errors
import docker.types
import docker.utils
import requests
import urllib3

from workers.errors import JobError, PermanentError, TemporaryError
from workers.platforms.cloud.docker.stream import Failure, Message
from workers.platforms.protocols.progress import Progress

CALL_WITHIN_S = 60.0
"""A call that is answered at once takes milliseconds; removing a container on a busy disk, seconds."""

SILENT_FOR_S = 600.0
"""After how long without a word a build, pull or push is given up: to unpack a large layer takes minutes."""

_CHECK_EVERY_S = 0.1
_ENDS_WITHIN_S = 10.0
_SDK_ERRORS = (docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)


ELSEWHERE = "Name an engine of this machine (DOCKER_HOST): images are tried on loopback, which another does not share."


class DockerEngine:
    """Where images are built and tried. Safe to use from several threads: every call has a client of its own."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Use the engine that `environ` names: DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH.

        https://docs.docker.com/reference/cli/docker/#environment-variables. Default: the one of this machine.
        """
        # An empty mapping would make the SDK read the process's own environment.
        self._environ = {"DOCKER_HOST": "", **environ}
        self.address = environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"

    @property
    def here(self) -> bool:
        """Whether what the engine publishes on its loopback is on ours: a socket, or an address of loopback."""
        scheme, _, rest = self.address.rpartition("://")
        if scheme in ("unix", "npipe"):
            return True
        host = urlsplit(f"//{rest}").hostname or ""
        return scheme != "ssh" and (host in ("", "localhost", "::1") or host.startswith("127."))

    @contextlib.contextmanager
    def client(self, *, silent_for_s: float = CALL_WITHIN_S) -> Iterator[Any]:
        """The SDK's APIClient; its errors become PermanentError or TemporaryError, whose cause they are."""
        try:
            with docker.APIClient(
                version="auto", timeout=int(silent_for_s), **docker.utils.kwargs_from_env(self._environ)
            ) as client:
                yield client
        except _SDK_ERRORS as error:
            raise self._translated(error) from error

    @contextlib.contextmanager
    def stream(
        self,
        start: Callable[[Any], Any],
        *,
        failure: Failure,
        progress: Progress,
    ) -> Iterator[Iterator[Message]]:
        """The messages of what `start` begins. Leaving the context, in whatever way, ends it on the engine too.

        The messages are read by a thread, so that a wish to stop is seen while the engine says nothing. `failure`
        makes the error of the engine's words where it answers with a status instead of a stream.
        """
        responses: list[Any] = []
        with self.client(silent_for_s=SILENT_FOR_S) as client:
            client.hooks["response"].append(lambda response, **_: responses.append(response))
            with _translated_errors(failure):
                begun = start(client)
            heard: queue.SimpleQueue[Message | BaseException | None] = queue.SimpleQueue()
            reader = threading.Thread(target=_read, args=(begun, heard), daemon=True)
            reader.start()
            try:
                with _translated_errors(failure):
                    yield _listen(heard, progress)
            finally:
                if reader.is_alive():
                    with contextlib.suppress(*_SDK_ERRORS, AttributeError):
                        docker.types.CancellableStream(begun, responses[-1]).close()
                reader.join(_ENDS_WITHIN_S)

    def _translated(self, error: BaseException) -> JobError:
        if isinstance(error, docker.errors.APIError):
            words = _words(error)
            if error.is_server_error():
                return TemporaryError(f"The Docker engine failed: {words}.")
            return PermanentError(f"The Docker engine refused: {words}.")
        if "Permission denied" in str(error) or isinstance(error, PermissionError):
            return PermanentError(
                f"The worker may not use the Docker engine at {self.address}.",
                advice="Run the worker as a member of the group that owns the engine's socket (group docker).",
            )
        if isinstance(error, docker.errors.TLSParameterError | docker.errors.InvalidConfigFile):
            return PermanentError(f"The Docker engine cannot be used as it is set up: {error}.")
        return TemporaryError(
            f"No Docker engine answers at {self.address} ({_shortly(error)}): start it, or set DOCKER_HOST."
        )


@contextlib.contextmanager
def _translated_errors(failure: Failure) -> Iterator[None]:
    try:
        yield
    except docker.errors.APIError as error:
        raise failure(_words(error)) from error


def _words(error: docker.errors.APIError) -> str:
    return str(error.explanation or error).strip().rstrip(".")


def _read(begun: Any, heard: "queue.SimpleQueue[Message | BaseException | None]") -> None:
    try:
        for message in begun:
            heard.put(message)
    except (*_SDK_ERRORS, ValueError, AttributeError) as error:  # the last two: of a connection closed under its reader
        heard.put(error)
    else:
        heard.put(None)


def _listen(heard: "queue.SimpleQueue[Message | BaseException | None]", progress: Progress) -> Iterator[Message]:
    while True:
        progress.check()
        try:
            message = heard.get(timeout=_CHECK_EVERY_S)
        except queue.Empty:
            continue
        if message is None:
            return
        if isinstance(message, BaseException):
            raise message
        yield message


def _shortly(error: BaseException) -> str:
    """The innermost reason: requests and urllib3 wrap each other's errors, with Python's own at the bottom."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    reason = getattr(error, "strerror", None)
    return str(reason or error)[:200]
