"""Redis-backed job queue. No module outside this package knows the names of its keys.

The bot submits jobs with `Queue`. Workers run them with `Claims`, and receive their ids through `Transport`. Workers
publish versions and endpoints in the `Catalogue`.
"""

from workers.contract.queue.catalogue import Catalogue
from workers.contract.queue.claims import Busy, Claim, Claims
from workers.contract.queue.connection import QueueUnavailable, connect
from workers.contract.queue.submission import Decision, PreviousOpen, Queue
from workers.contract.queue.transport import Transport

__all__ = [
    "Busy",
    "Catalogue",
    "Claim",
    "Claims",
    "Decision",
    "PreviousOpen",
    "Queue",
    "QueueUnavailable",
    "Transport",
    "connect",
]
