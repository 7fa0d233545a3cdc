"""Docker engine client: every call has a deadline, and every stream can be interrupted.

Only this module handles the SDK's errors. https://docs.docker.com/reference/api/engine/
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
from workers.platforms.cloud.docker.stream import Message
from workers.platforms.protocols import Progress

Failure = Callable[[str], JobError]
Received = queue.SimpleQueue[Message | BaseException | None]
"""Messages of a stream, and at its end an error or None."""

CALL_WITHIN_S = 60.0
"""The deadline of a call. Most take milliseconds. Removing a container on a busy disk takes seconds."""

SILENT_FOR_S = 600.0
"""The longest silence of a build, pull or push: unpacking a large layer takes minutes."""

_CHECK_EVERY_S = 0.1
_ENDS_WITHIN_S = 10.0
_SDK_ERRORS = (docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)

ELSEWHERE = "Set DOCKER_HOST to an engine on this machine: images are tested on loopback."


class DockerEngine:
    """The engine that builds and tests images. Thread-safe, because every call uses its own client."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Use the engine in DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH of `environ`, or the local one.

        https://docs.docker.com/reference/cli/docker/#environment-variables
        """
        # An empty mapping would make the SDK read the process's own environment.
        self._environ = {"DOCKER_HOST": "", **environ}
        self.address = environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"

    @property
    def here(self) -> bool:
        """Return True if the engine shares this machine's loopback: its address is a socket or on loopback."""
        scheme, _, rest = self.address.rpartition("://")
        if scheme in ("unix", "npipe"):
            return True
        host = urlsplit(f"//{rest}").hostname or ""
        return scheme != "ssh" and (host in ("", "localhost", "::1") or host.startswith("127."))

    @contextlib.contextmanager
    def client(self, *, silent_for_s: float = CALL_WITHIN_S) -> Iterator[Any]:
        """Open the SDK's APIClient, and translate its errors into PermanentError or TemporaryError."""
        try:
            options = docker.utils.kwargs_from_env(self._environ)
            with docker.APIClient(version="auto", timeout=int(silent_for_s), **options) as client:
                yield client
        except _SDK_ERRORS as error:
            raise self._translated(error) from error

    def inspect(self, reference: str, *, silent_for_s: float = CALL_WITHIN_S) -> dict[str, Any]:
        """Return the description of an image, or an empty one if the engine has no image of that name."""
        with self.client(silent_for_s=silent_for_s) as client:
            try:
                return dict(client.inspect_image(reference))
            except docker.errors.ImageNotFound:
                return {}

    @contextlib.contextmanager
    def stream(
        self, start: Callable[[Any], Any], *, failure: Failure, progress: Progress
    ) -> Iterator[Iterator[Message]]:
        """Yield the messages of the operation that `start` begins. Leaving the context ends the operation.

        A thread reads the messages, because an interruption must also work while the engine is silent. `failure`
        creates the error from the engine's words. Most errors arrive in the stream with the status 200.
        """
        responses: list[Any] = []
        with self.client(silent_for_s=SILENT_FOR_S) as client:
            client.hooks["response"].append(lambda response, **_: responses.append(response))
            try:
                operation, received = start(client), Received()
                reader = threading.Thread(target=_read, args=(operation, received), daemon=True)
                reader.start()
                try:
                    yield _messages(received, failure, progress)
                finally:
                    if reader.is_alive():
                        with contextlib.suppress(*_SDK_ERRORS, AttributeError):
                            docker.types.CancellableStream(operation, responses[-1]).close()
                    reader.join(_ENDS_WITHIN_S)
            except docker.errors.APIError as error:
                raise failure(_words(error)) from error

    def _translated(self, error: BaseException) -> JobError:
        if isinstance(error, docker.errors.APIError):
            if error.is_server_error():
                return TemporaryError(f"The Docker engine failed: {_words(error)}.")
            return PermanentError(f"The Docker engine refused: {_words(error)}.")
        if "Permission denied" in str(error) or isinstance(error, PermissionError):
            return PermanentError(
                f"The worker has no permission for the Docker engine at {self.address}.",
                advice="Run the worker as a member of the group that owns the engine's socket (group docker).",
            )
        if isinstance(error, docker.errors.TLSParameterError | docker.errors.InvalidConfigFile):
            return PermanentError(f"The Docker engine's settings are invalid: {error}.")
        return TemporaryError(
            f"The Docker engine at {self.address} does not respond ({_reason(error)}): start it, or set DOCKER_HOST."
        )


def _words(error: docker.errors.APIError) -> str:
    return str(error.explanation or error).strip().rstrip(".")


def _read(operation: Any, received: Received) -> None:
    try:
        for message in operation:
            received.put(message)
    except (*_SDK_ERRORS, ValueError, AttributeError) as error:  # the last two if the connection is closed meanwhile
        received.put(error)
    else:
        received.put(None)


def _messages(received: Received, failure: Failure, progress: Progress) -> Iterator[Message]:
    while True:
        progress.check()
        try:
            message = received.get(timeout=_CHECK_EVERY_S)
        except queue.Empty:
            continue
        if message is None:
            return
        if isinstance(message, BaseException):
            raise message
        if words := (message.get("errorDetail") or {}).get("message") or message.get("error"):
            raise failure(str(words).strip().rstrip(".")[:1000])
        yield message


def _reason(error: BaseException) -> str:
    """Return the innermost reason: requests and urllib3 wrap each other's errors around Python's."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(getattr(error, "strerror", None) or error)[:200]
