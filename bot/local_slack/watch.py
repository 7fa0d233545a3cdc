"""Lets coroutines wait until the workspace changes."""

from __future__ import annotations

import asyncio


class Watch:
    """Wakes all who wait, each time something changes. Lives in one event loop."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()
        self.is_closed = False

    def notify(self) -> None:
        """Wakes everyone who waits now."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    async def wait(self, timeout_s: float) -> None:
        """Returns at the next change, or after `timeout_s`, or when the server stops."""
        if self.is_closed:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await asyncio.wait_for(waiting, timeout_s)
        except TimeoutError:
            self._waiting.discard(waiting)

    def close(self) -> None:
        """Lets nobody wait any longer."""
        self.is_closed = True
        self.notify()
