"""Checks of Redis for `doctor`: reachable, new enough, persistent, without eviction, with the same time."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import redis

from workers.contract.findings import Finding
from workers.contract.formatting import show_duration
from workers.contract.queue.connection import QueueUnavailable, connect

OLDEST = (6, 2)
"""The oldest Redis version with all commands that the queue uses."""
LARGEST_CLOCK_DIFFERENCE_S = 5.0


def diagnose(url: str) -> Iterator[Finding]:
    """Check the connection, version, append-only file, eviction and clock. Never shows the password in the URL."""
    client: Any = connect(url)  # redis-py does not annotate the types of replies
    place = _place(client)
    try:
        client.ping()
        info = client.info()
        seconds, microseconds = client.time()
    except redis.AuthenticationError as error:
        advice = "Correct the user and password in REDIS_URL."
        yield Finding(what=f"Redis at {place} refused a command: {error}".rstrip("."), ok=False, advice=advice)
    except redis.ResponseError as error:
        advice = "Give the user in REDIS_URL these rights: redis-cli ACL SETUSER USER ~seatrial:* +@all -@admin"
        yield Finding(what=f"Redis at {place} refused a command: {error}".rstrip("."), ok=False, advice=advice)
    except QueueUnavailable:
        yield Finding(what=f"Redis at {place} cannot be reached", ok=False, advice="Start Redis, or set REDIS_URL.")
    else:
        yield from judge(place, info)
        yield judge_clock(time.time() - seconds - microseconds / 1e6)
    finally:
        client.close()


def judge(place: str, info: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge the reply to INFO, https://redis.io/docs/latest/commands/info. A missing field counts as off."""
    version = str(info.get("redis_version", "0"))
    oldest = ".".join(map(str, OLDEST))
    new_enough = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) >= OLDEST
    yield Finding(what=f"Redis {version} at {place}", ok=new_enough, advice=f"Seatrial needs Redis {oldest} or newer.")
    persistent = bool(info.get("aof_enabled"))
    what = "Redis has an append-only file" if persistent else "Redis has no append-only file: a restart would lose jobs"
    advice = "Start redis-server with --appendonly yes, or run: redis-cli CONFIG SET appendonly yes"
    yield Finding(what=what, ok=persistent, advice=advice)
    policy = info.get("maxmemory_policy", "noeviction")
    advice = "Run: redis-cli CONFIG SET maxmemory-policy noeviction"
    when_full = "refuses writes when it is full" if policy == "noeviction" else f"drops keys when it is full ({policy})"
    yield Finding(what=f"Redis {when_full}", ok=policy == "noeviction", advice=advice)


def judge_clock(ahead_s: float) -> Finding:
    """Judge the clock of this machine, which is `ahead_s` seconds ahead of Redis'.

    Slack's SDK refuses signed requests that differ by 5 minutes:
    https://docs.slack.dev/authentication/verifying-requests-from-slack.
    """
    if abs(ahead_s) <= LARGEST_CLOCK_DIFFERENCE_S:
        return Finding(what="this machine's clock agrees with Redis'", ok=True)
    what = f"this machine's clock is {show_duration(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} Redis'"
    advice = (
        "Synchronize both clocks, for example by NTP. Jobs and schedules follow Redis' clock, but a bot refuses "
        "Slack's signed requests at a difference of 5 minutes."
    )
    return Finding(what=what, ok=False, advice=advice)


def _place(client: Any) -> str:
    to = client.connection_pool.connection_kwargs
    return str(to.get("path") or f"{to.get('host', 'localhost')}:{to.get('port', 6379)}")
