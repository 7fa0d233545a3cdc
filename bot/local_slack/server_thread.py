"""Local Slack in a thread of this process, for tests, benchmarks and the demo."""

import asyncio
import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn

from bot.local_slack.faults import SlackCall, SlackFault
from bot.local_slack.person import Person
from bot.local_slack.server import SlackServer, SlackSettings

_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 10.0


class LocalSlack:
    """A running local Slack: `with LocalSlack(SlackSettings(…)) as slack: …`.

    The app often starts later: set `request_url` then. The app needs `api_url`, and from `settings` the `bot_token`
    and `signing_secret`, or the `app_token` for Socket Mode.
    """

    def __init__(self, settings: SlackSettings | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.settings = settings or SlackSettings()
        self.server = SlackServer(self.settings)
        self._host, self._port = host, port
        self._people: list[Person] = []
        self._uvicorn: uvicorn.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Return the address of the page, without a trailing slash."""
        return self.server.url

    @property
    def api_url(self) -> str:
        """Return the address that replaces `https://slack.com/api/`."""
        return f"{self.server.url}/api/"

    @property
    def request_url(self) -> str:
        """Return the app's address for deliveries."""
        return self.server.delivery.request_url

    @request_url.setter
    def request_url(self, url: str) -> None:
        self.server.delivery.request_url = url

    def person(self, member: str) -> Person:
        """Return a client that acts as `member`, given by id or by a name such as `Ada`."""
        person = Person(url=self.url, member=member)
        self._people.append(person)
        return person

    def calls(self, method: str = "") -> tuple[SlackCall, ...]:
        """Return the Web API calls of one method, or all, oldest first."""
        return self.server.faults.calls(method)

    def fail_next(
        self,
        method: str,
        *,
        times: int = 1,
        status: int = 500,
        error: str = "",
        retry_after_s: int = 1,
        after_action: bool = False,
    ) -> None:
        """Make the next `times` calls of a method (`*` for any) fail; `SlackFault` describes the arguments."""
        fault = SlackFault(
            method=method, status=status, error=error, retry_after_s=retry_after_s, after_action=after_action
        )
        self.server.faults.plan(fault, times)

    def stop_failing(self) -> None:
        """Drop the planned failures that are left."""
        self.server.faults.clear()

    def disconnect_sockets(self) -> None:
        """Ask the app to reconnect its Socket Mode connections, as Slack does from time to time."""
        assert self._loop is not None, "the local Slack is not running"
        asyncio.run_coroutine_threadsafe(self.server.socket_mode.disconnect(), self._loop).result(_STOP_TIMEOUT_S)

    def start(self) -> None:
        """Start, and return when the server answers. Raises RuntimeError if it does not start in time."""
        listener = _listener(self._host, self._port)
        self.server.listen_at(f"http://127.0.0.1:{listener.getsockname()[1]}")
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listener, started), name="local-slack", daemon=True)
        self._thread.start()
        if not started.wait(_START_TIMEOUT_S):
            raise RuntimeError(f"The local Slack did not start within {_START_TIMEOUT_S:g} s.")

    def stop(self) -> None:
        """Stop listening and wait for the thread to end. A second call has no effect."""
        while self._people:
            self._people.pop().close()
        if self._uvicorn and self._loop and self._thread and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self.server.changes.close)
            self._uvicorn.should_exit = True
            self._thread.join(_STOP_TIMEOUT_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _run(self, listener: socket.socket, started: threading.Event) -> None:
        config = uvicorn.Config(
            self.server.asgi(), log_level="warning", access_log=False, lifespan="on", timeout_graceful_shutdown=2
        )
        self._uvicorn = _SignallingServer(config, started)

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            assert self._uvicorn is not None
            await self._uvicorn.serve(sockets=[listener])

        asyncio.run(serve())


def _listener(host: str, port: int) -> socket.socket:
    # asyncio disables Nagle's algorithm only if the socket names its protocol, and create_server does not name it.
    # Nagle's algorithm would delay every answer by 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


class _SignallingServer(uvicorn.Server):
    """Server that sets an event when it listens."""

    def __init__(self, config: uvicorn.Config, started: threading.Event) -> None:
        super().__init__(config)
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started.set()
