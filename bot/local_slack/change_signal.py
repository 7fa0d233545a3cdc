"""Signal with which coroutines wait for the next change of the workspace."""

import asyncio


class ChangeSignal:
    """A signal within one event loop."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()
        self.is_closed = False

    def notify(self) -> None:
        """Wake all waiting coroutines."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    async def wait(self, timeout_s: float) -> None:
        """Return at the next change, after `timeout_s`, or when the signal is closed."""
        if self.is_closed:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await asyncio.wait_for(waiting, timeout_s)
        except TimeoutError:
            self._waiting.discard(waiting)

    def close(self) -> None:
        """Wake all waiting coroutines, and let later waits return at once."""
        self.is_closed = True
        self.notify()
