"""A load target that fails above a given rate, in a thread of the test's process."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

WINDOW_S = 2.0
"""Time over which the rate is measured: long compared with the jitter of a generator on a busy machine."""
PREDICTIONS = b'{"predictions": [1]}'


class LimitedTarget:
    """Answers up to `limit_rps` requests a second, and HTTP 503 above. The limit may change at any time."""

    def __init__(self, *, limit_rps: float) -> None:
        self.limit_rps = limit_rps
        self.url = ""
        self.requests = 0
        self.refused = 0
        self._asked_at_s: deque[float] = deque()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
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
    """Yield a listening target; stop its thread and close its port afterwards."""
    target = LimitedTarget(limit_rps=limit_rps)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    # In a thread, because the test may run an event loop itself.
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
