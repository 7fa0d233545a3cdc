"""Local copy of selected objects, kept up to date by list and watch, as controllers do.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from workers.errors import JobError, PermanentError
from workers.platforms.cloud.kubernetes.objects import Object

_WINDOW_S = 30
"""Length of one watch; the next one continues from its end. Short, to notice dead connections soon."""

_READ_S = _WINDOW_S + 5.0
_RETRY_S = 1.0

ListObjects = Callable[[], Object]
OpenStream = Callable[[Mapping[str, str], float], Any]


class Watched:
    """The selected objects in their newest known state. Thread-safe: each change replaces the whole dict.

    A thread follows the server. After any failed watch (410 Gone, a broken connection, a timeout), it lists and
    watches again.
    """

    def __init__(self, list_objects: ListObjects, open_stream: OpenStream) -> None:
        self._list_objects = list_objects
        self._open_stream = open_stream
        self._objects: dict[str, Object] = {}
        self._error: JobError | None = None
        self._stopped = threading.Event()
        self._response: Any = None

    def now(self) -> tuple[Object, ...]:
        """Return the newest known state at once. Raises PermanentError if the right to list or watch is missing.

        While the server is unreachable, this is the state of the last contact.
        """
        if self._error:
            raise self._error
        return tuple(self._objects.values())

    def _stop(self) -> None:
        self._stopped.set()
        if (response := self._response) is not None:
            # Wakes a read that blocks in the other thread. If that has just ended, the shutdown fails.
            with contextlib.suppress(ValueError, RuntimeError, OSError):
                response.shutdown()

    def _list(self) -> str:
        """Replace the copy; return the resourceVersion to watch from."""
        answer = self._list_objects()
        self._objects = {obj["metadata"]["name"]: obj for obj in answer["items"]}
        return str(answer["metadata"]["resourceVersion"])

    def _run(self, version: str) -> None:
        while not self._stopped.is_set():
            try:
                version = self._follow(version)
                if not version and not self._stopped.is_set():
                    version = self._list()
            except PermanentError as error:
                self._error = error
                return
            except JobError:
                version = ""
                self._stopped.wait(_RETRY_S)

    def _follow(self, version: str) -> str:
        """Apply changes until the watch ends; return the resourceVersion reached, or "" if it is lost.

        Only the thread that reads may release the connection.
        """
        import urllib3

        if not version:
            return ""
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(_WINDOW_S)}
        self._response = response = self._open_stream(query | {"resourceVersion": version}, _READ_S)
        try:
            # Checked before the first read too: a stop() that ran before there was a response could not wake it.
            lines = iter(response)
            while not self._stopped.is_set() and (line := next(lines, None)) is not None:
                change = json.loads(line)
                if change["type"] == "ERROR":  # 410 Gone: the version is too old
                    self._stopped.wait(_RETRY_S)
                    return ""
                version = change["object"]["metadata"]["resourceVersion"]
                if change["type"] != "BOOKMARK":
                    self._change(change["type"], change["object"])
        except (urllib3.exceptions.HTTPError, OSError, ValueError, LookupError, TypeError):  # broken off, or no event
            self._stopped.wait(_RETRY_S)
            return ""
        finally:
            self._response = None
            response.close()
        return version

    def _change(self, kind: str, obj: Object) -> None:
        objects = self._objects | {obj["metadata"]["name"]: obj}
        if kind == "DELETED":
            del objects[obj["metadata"]["name"]]
        self._objects = objects


@contextlib.contextmanager
def watching(*, name: str, list_objects: ListObjects, open_stream: OpenStream) -> Iterator[Watched]:
    """List the objects, then keep the copy up to date in a thread until the context exits.

    `list_objects` returns a List object. `open_stream` opens a watch with the given query and read timeout in seconds
    and returns urllib3's unread response. Raises what the first `list_objects` raises.
    """
    watched = Watched(list_objects, open_stream)
    version = watched._list()
    threading.Thread(target=watched._run, args=(version,), name=name, daemon=True).start()
    try:
        yield watched
    finally:
        watched._stop()
