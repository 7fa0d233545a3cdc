"""A target that breaks down under more than so many requests a second, in a thread of the test's process."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

WINDOW_S = 2.0
"""Over what time the rate is taken: long against the unevenness of a generator on a busy machine."""
PREDICTIONS = b'{"predictions": [1]}'


class LimitedTarget:
    """Answers while it is asked at most `limit_rps` times a second, which may be changed at any time; else HTTP 503."""

    def __init__(self, *, limit_rps: float) -> None:
        self.limit_rps = limit_rps
        self.url = ""
        self.requests = 0
        self.refused = 0
        self._asked_at_s: deque[float] = deque()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection's requests."""
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).lower():
                if b"content-length:" in head:
                    await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
                carried = self._carried()
                self.requests += 1
                self.refused += not carried
                status = b"200 OK" if carried else b"503 Service Unavailable"
                length = str(len(PREDICTIONS)).encode()
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: " + length + b"\r\n\r\n" + PREDICTIONS)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _carried(self) -> bool:
        self._asked_at_s.append(monotonic())
        while self._asked_at_s[0] < self._asked_at_s[-1] - WINDOW_S:
            self._asked_at_s.popleft()
        return len(self._asked_at_s) <= self.limit_rps * WINDOW_S


@contextmanager
def limited_target(*, limit_rps: float) -> Iterator[LimitedTarget]:
    """A target that listens; its thread and its port are gone afterwards."""
    target = LimitedTarget(limit_rps=limit_rps)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    # In its own thread: the test's may have a loop of its own that runs.
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(target.answer, "127.0.0.1", 0), loop).result()
    target.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield target
    finally:
        loop.call_soon_threadsafe(_end, loop, server)
        thread.join()
        loop.close()


def _end(loop: asyncio.AbstractEventLoop, server: asyncio.Server) -> None:
    server.close()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.call_soon(loop.stop)
