"""Passing of time for tests of the queue: all stored times move back, because Redis' clock cannot be set."""

from typing import Any

_SORTED_SETS = ("workers", "outbox", "expiring", "changed", "jobs")


def pass_time(client: Any, seconds: float) -> None:
    """Make the queue's leases, delays, deadlines and last misses older by `seconds`."""
    for name in _SORTED_SETS:
        for member in client.zrange(f"seatrial:{name}", 0, -1):
            client.zincrby(f"seatrial:{name}", -seconds, member)
    for key in client.scan_iter("seatrial:job:*", _type="hash"):
        if client.hexists(key, "missed_at"):
            client.hincrbyfloat(key, "missed_at", -seconds)
