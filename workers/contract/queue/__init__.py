"""Jobs in Redis: asked by the bot, worked by workers. No other module knows a key's name.

`Queue` is the asking side, `Claims` the working side, `Catalogue` what workers tell of versions and endpoints,
`Transport` the engine that carries a job's id to a worker that is free.
"""

from workers.contract.queue.catalogue import Catalogue
from workers.contract.queue.claims import Busy, Claim, Claims
from workers.contract.queue.connection import QueueUnavailable, connect
from workers.contract.queue.submission import Decision, Queue
from workers.contract.queue.transport import Transport

__all__ = ["Busy", "Catalogue", "Claim", "Claims", "Decision", "Queue", "QueueUnavailable", "Transport", "connect"]
