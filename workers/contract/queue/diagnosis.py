"""Whether Redis is one that jobs can be trusted to: reachable, new enough, keeping what it was told."""

from collections.abc import Iterator, Mapping
from typing import Any

import redis

from workers.contract.findings import Finding
from workers.contract.queue.connection import QueueUnavailable, connect
from workers.contract.settings import SettingsError

OLDEST = (6, 2)
"""The oldest Redis that the queue's commands and scripts are written for."""


def diagnose(url: str) -> Iterator[Finding]:
    """Ping, version, append-only file, eviction. The URL's password is not shown."""
    try:
        client: Any = connect(url)  # redis-py's annotations leave open what a reply is
    except SettingsError as error:
        yield from (Finding(what=mistake.rstrip("."), ok=False) for mistake in error.mistakes)
        return
    place = _place(client)
    try:
        client.ping()
        info = client.info()
    except redis.AuthenticationError as error:
        advice = "Put the right user and password into REDIS_URL."
        yield Finding(what=f"Redis at {place} refuses: {error}".rstrip("."), ok=False, advice=advice)
    except redis.ResponseError as error:
        advice = "Let the user in REDIS_URL do what jobs need: redis-cli ACL SETUSER USER ~seatrial:* +@all -@admin"
        yield Finding(what=f"Redis at {place} refuses: {error}".rstrip("."), ok=False, advice=advice)
    except QueueUnavailable:
        yield Finding(what=f"Redis at {place} cannot be reached", ok=False, advice="Start Redis, or set REDIS_URL.")
    else:
        yield from judge(place, info)
    finally:
        client.close()


def judge(place: str, info: Mapping[str, Any]) -> Iterator[Finding]:
    """From Redis' INFO (https://redis.io/docs/latest/commands/info); what a managed one leaves out counts as off."""
    version = str(info.get("redis_version", "0"))
    oldest = ".".join(map(str, OLDEST))
    new_enough = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) >= OLDEST
    yield Finding(what=f"Redis {version} at {place}", ok=new_enough, advice=f"Seatrial needs Redis {oldest} or newer.")
    if info.get("aof_enabled"):
        yield Finding(what="Redis keeps an append-only file", ok=True)
    else:
        advice = "Start redis-server with --appendonly yes, or run: redis-cli CONFIG SET appendonly yes"
        yield Finding(what="Redis keeps no append-only file: a restart would forget jobs", ok=False, advice=advice)
    policy = info.get("maxmemory_policy", "noeviction")
    advice = "Run: redis-cli CONFIG SET maxmemory-policy noeviction"
    when_full = "refuses writes when it is full" if policy == "noeviction" else f"drops keys when it is full ({policy})"
    yield Finding(what=f"Redis {when_full}", ok=policy == "noeviction", advice=advice)


def _place(client: Any) -> str:
    to = client.connection_pool.connection_kwargs
    return str(to.get("path") or f"{to.get('host', 'localhost')}:{to.get('port', 6379)}")
