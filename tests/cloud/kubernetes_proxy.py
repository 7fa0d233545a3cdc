"""Imitation of kube-proxy: each Service has a loopback address, which forwards to its ready pods in turn."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from workers.platforms.cloud.kubernetes.objects import Object

Address = tuple[str, int]


class ServiceProxy:
    """Proxy in a thread. `endpoints(service, port)` returns the addresses for a new connection."""

    def __init__(self, endpoints: Callable[[Object, int], list[Address]]) -> None:
        self._endpoints = endpoints
        self._addresses: dict[str, str] = {}
        self._turns: Iterator[int] = itertools.count()
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kube-proxy", daemon=True)

    def __enter__(self) -> "ServiceProxy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def address_of(self, service: Object, new_address: Callable[[], str]) -> str:
        """Return the Service's address; assign a new one and listen on it if it has none."""
        uid = service["metadata"]["uid"]
        with self._lock:
            if uid not in self._addresses:
                address = new_address()
                for port in (item["port"] for item in service["spec"]["ports"]):
                    asyncio.run_coroutine_threadsafe(self._listen(service, address, port), self._loop).result(10)
                self._addresses[uid] = address
            return self._addresses[uid]

    async def _listen(self, service: Object, address: str, port: int) -> None:
        async def forward(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
            found = self._endpoints(service, port)
            try:
                if not found:
                    return
                pod, to_pod = await asyncio.open_connection(*found[next(self._turns) % len(found)])
                await asyncio.gather(_pump(client, to_pod), _pump(pod, to_client))
            except (OSError, asyncio.CancelledError):  # Python 3.11 logs a cancelled task otherwise
                return
            finally:
                to_client.close()

        await asyncio.start_server(forward, address, port)

    async def _close(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, destination: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            destination.write(data)
            await destination.drain()
    destination.close()
