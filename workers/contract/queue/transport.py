"""Delivery of job ids to free workers, by Dramatiq on Redis. It redelivers the jobs of a worker that died.

The queue's scripts put deliveries into Dramatiq's list when jobs become due. Retries, time limits, results and
cancellation belong to the queue, not to Dramatiq. Heartbeats are by Redis' clock.
"""

from collections.abc import Callable
from typing import Any

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Callbacks
from dramatiq.worker import Worker

from workers.contract.queue.connection import PREFIX

_IDLE_POLL_MS = 100
"""Polling interval of an idle worker. A job starts after about 40 ms, for less than 2 % of a core."""


class Transport:
    """The jobs of a worker are redelivered to another one `heartbeat_s` seconds after its last heartbeat."""

    def __init__(self, url: str, *, heartbeat_s: float = 10.0) -> None:
        self._broker = RedisBroker(  # type: ignore[no-untyped-call]  # Dramatiq 2.2 does not annotate it
            client=redis.Redis.from_url(url, socket_connect_timeout=1.0, socket_timeout=5.0),
            namespace=PREFIX + "dramatiq",
            middleware=[Callbacks()],
            heartbeat_timeout=int(heartbeat_s * 1000),
            # One poll in ten checks for dead workers: once per second for each idle worker.
            maintenance_chance=100_000,
        )
        _use_redis_clock(self._broker)
        self._broker.declare_queue("jobs")

    def serve(self, run: Callable[[str], None], *, threads: int) -> Worker:
        """Call `run(job_id)` for each delivery, in one of `threads` threads, until `stop()` of the returned worker.

        A delivery is acknowledged when `run` returns.
        """
        dramatiq.actor(broker=self._broker, queue_name="jobs", actor_name="run")(run)
        worker = Worker(self._broker, worker_timeout=_IDLE_POLL_MS, worker_threads=threads)
        # Fetch only what can start at once: a job must not wait behind a long one while another worker is idle.
        worker.queue_prefetch = threads
        worker.start()
        return worker


def _use_redis_clock(broker: RedisBroker) -> None:
    """Give Dramatiq's heartbeats Redis' time. Raises ValueError if its script is not the expected one.

    Dramatiq 2.2 passes the time of the worker's machine. A worker with a clock ahead would redeliver the jobs of all
    others, and its own jobs would stay undelivered after its death.
    """
    source: Any = broker.scripts["dispatch"].script
    ours = source.replace(
        b"local timestamp = ARGV[2]",
        b"local clock = redis.call('TIME')\nlocal timestamp = clock[1] * 1000 + math.floor(clock[2] / 1000)",
    )
    if ours == source:
        raise ValueError("This release of Dramatiq takes the time for its heartbeats in another way.")
    broker.scripts["dispatch"] = broker.client.register_script(ours)
