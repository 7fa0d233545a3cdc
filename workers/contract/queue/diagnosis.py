"""Checks of Redis for `doctor`: reachable, new enough, persistent, without eviction."""

from collections.abc import Iterator, Mapping
from typing import Any

import redis

from workers.contract.findings import Finding
from workers.contract.queue.connection import QueueUnavailable, connect

OLDEST = (6, 2)
"""The oldest Redis version with all commands that the queue uses."""


def diagnose(url: str) -> Iterator[Finding]:
    """Check the connection, version, append-only file and eviction. Never shows the password in the URL."""
    client: Any = connect(url)  # redis-py does not annotate the types of replies
    place = _place(client)
    try:
        client.ping()
        info = client.info()
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


def _place(client: Any) -> str:
    to = client.connection_pool.connection_kwargs
    return str(to.get("path") or f"{to.get('host', 'localhost')}:{to.get('port', 6379)}")
