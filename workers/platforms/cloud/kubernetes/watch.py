"""A copy of objects that is kept up to date by list and watch, as controllers keep theirs.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from workers.errors import JobError, PermanentError

WINDOW_S = 30
"""How long one watch is asked for; the next one goes on where it ended. Short, so that a connection that has died
without a word is noticed soon."""

_READ_S = WINDOW_S + 5.0
_AGAIN_S = 1.0

Listed = Callable[[], dict[str, Any]]
Stream = Callable[[Mapping[str, str], float], Any]


class Watched:
    """The selected objects as they are now."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Any]] = {}
        self._error: JobError | None = None
        self._lock = threading.Lock()

    def now(self) -> tuple[dict[str, Any], ...]:
        """The newest known state, at once. Raises PermanentError where the rights to list or watch are missing.

        While the server cannot be reached the state is that of the last contact.
        """
        with self._lock:
            if self._error:
                raise self._error
            return tuple(self._objects.values())

    def _replace(self, objects: list[dict[str, Any]]) -> None:
        with self._lock:
            self._objects = {obj["metadata"]["name"]: obj for obj in objects}

    def _change(self, kind: str, obj: dict[str, Any]) -> None:
        with self._lock:
            if kind == "DELETED":
                self._objects.pop(obj["metadata"]["name"], None)
            else:
                self._objects[obj["metadata"]["name"]] = obj

    def _fail(self, error: JobError) -> None:
        with self._lock:
            self._error = error


@contextlib.contextmanager
def watching(*, name: str, listed: Listed, stream: Stream) -> Iterator[Watched]:
    """List the objects, and keep the copy up to date in a thread until the context is left.

    `listed` answers with a List object; `stream` opens a watch with the query given and a deadline for silence in
    seconds, and returns urllib3's unread response. Raises what the first `listed` raises.
    """
    watched = Watched()
    keeper = _Keeper(watched, listed, stream)
    version = keeper.list_all()
    thread = threading.Thread(target=keeper.keep, args=(version,), name=name, daemon=True)
    thread.start()
    try:
        yield watched
    finally:
        keeper.stop()


class _Keeper:
    """The thread's work. Whatever goes wrong with a watch (410 Gone, a cut, a time-out): list again, watch again."""

    def __init__(self, watched: Watched, listed: Listed, stream: Stream) -> None:
        self._watched = watched
        self._listed = listed
        self._stream = stream
        self._stopped = threading.Event()
        self._response: Any = None

    def stop(self) -> None:
        self._stopped.set()
        response = self._response
        if response is not None:
            # A read that waits in the other thread is woken; where it has just ended there is nothing to wake.
            with contextlib.suppress(ValueError, RuntimeError, OSError):
                response.shutdown()

    def list_all(self) -> str:
        """Replace the copy; return the resourceVersion from which to watch."""
        answer = self._listed()
        self._watched._replace(answer["items"])
        return str(answer["metadata"]["resourceVersion"])

    def keep(self, version: str) -> None:
        while not self._stopped.is_set():
            try:
                version = self._follow(version)
                if not version and not self._stopped.is_set():
                    version = self.list_all()
            except PermanentError as error:
                self._watched._fail(error)
                return
            except JobError:
                version = ""
                self._stopped.wait(_AGAIN_S)

    def _follow(self, version: str) -> str:
        """Take in changes until the watch ends; return the resourceVersion reached, or "" where it is lost.

        The thread that reads releases the connection: nobody else may.
        """
        import urllib3

        if not version:
            return ""
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WINDOW_S),
        }
        self._response = response = self._stream(query, _READ_S)
        try:
            # Looked at before the first read too: whoever stopped this before there was a response could not wake it.
            lines = iter(response)
            while not self._stopped.is_set() and (line := next(lines, None)) is not None:
                change = json.loads(line)
                if change["type"] == "ERROR":  # 410 Gone: the version is too old
                    self._stopped.wait(_AGAIN_S)
                    return ""
                version = change["object"]["metadata"]["resourceVersion"]
                if change["type"] != "BOOKMARK":
                    self._watched._change(change["type"], change["object"])
        except (urllib3.exceptions.HTTPError, OSError, ValueError, LookupError, TypeError):  # a cut, or no event
            self._stopped.wait(_AGAIN_S)
            return ""
        finally:
            self._response = None
            response.close()
        return version
