"""Dramatiq on Redis, as the transport: carries a job's id to a worker that is free, and again when that one dies.

Deliveries are put in its list by the scripts in which jobs become due (queue.scripts); here they are taken out.

Nothing else of Dramatiq is used: retries, time limits, results and cancellation are the queue's own matter.
"""

from collections.abc import Callable

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Callbacks
from dramatiq.worker import Worker

from workers.contract.queue.connection import PREFIX

_QUEUE = "jobs"
_ACTOR = "run"
_IDLE_POLL_MS = 100
"""How often an idle worker looks: a job is picked up after about 40 ms, for under 2 % of a core."""


class Transport:
    """`heartbeat_s`: how long after its last sign of life a worker's jobs are delivered to another."""

    def __init__(self, url: str, *, heartbeat_s: float = 10.0) -> None:
        self._broker = RedisBroker(  # type: ignore[no-untyped-call]  # Dramatiq 2.2 leaves it out
            client=redis.Redis.from_url(url, socket_connect_timeout=1.0, socket_timeout=5.0),
            namespace=PREFIX + "dramatiq",
            middleware=[Callbacks()],
            heartbeat_timeout=int(heartbeat_s * 1000),
            # One poll in ten looks for dead workers: once a second for each idle worker.
            maintenance_chance=100_000,
        )
        self._broker.declare_queue(_QUEUE)

    def serve(self, run: Callable[[str], None], *, threads: int) -> Worker:
        """Call `run(job_id)` for each delivery, in one of `threads` threads; stop with the worker's `stop()`.

        A delivery is acknowledged when `run` has returned.
        """
        dramatiq.actor(broker=self._broker, queue_name=_QUEUE, actor_name=_ACTOR)(run)
        worker = Worker(self._broker, worker_timeout=_IDLE_POLL_MS, worker_threads=threads)
        # Take no more than can be begun at once: a job must not stand behind a long one while another worker is idle.
        worker.queue_prefetch = threads
        worker.start()
        return worker
