"""Redis-backed catalogue of versions and endpoints. Workers write it, the bot reads it."""

from collections.abc import Iterable
from typing import Any

import redis

from workers.contract import wire
from workers.contract.catalogue import Served, Version
from workers.contract.queue.connection import PREFIX

_VERSIONS = PREFIX + "versions:"
_SERVED = PREFIX + "served"


class Catalogue:
    """Versions and endpoints as last published, without those that cannot be read.

    Raises QueueUnavailable while Redis is unavailable.
    """

    def __init__(self, client: "redis.Redis") -> None:
        self._redis: Any = client  # redis-py does not annotate the types of replies

    def versions(self, model: str) -> list[Version]:
        """Return the published versions of `model`, oldest first."""
        versions = wire.VERSION.decode_readable(self._redis.hvals(_VERSIONS + model))
        return sorted(versions, key=lambda version: version.version)

    def publish_versions(self, model: str, versions: Iterable[Version]) -> None:
        """Replace the published versions of `model`."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(_VERSIONS + model)
            for version in versions:
                pipe.hset(_VERSIONS + model, str(version.version), wire.VERSION.encode(version).decode())
            pipe.execute()

    def served(self) -> list[Served]:
        """Return the endpoints, sorted by environment and model."""
        endpoints = wire.SERVED.decode_readable(self._redis.hvals(_SERVED))
        return sorted(endpoints, key=lambda served: (served.environment, served.model))

    def publish_served(self, served: Served) -> None:
        """Publish the endpoint of `served.model` on `served.environment`."""
        self._redis.hset(_SERVED, f"{served.environment}/{served.model}", wire.SERVED.encode(served).decode())

    def publish_removed(self, *, environment: str, model: str) -> None:
        """Publish that the endpoint was removed."""
        self._redis.hdel(_SERVED, f"{environment}/{model}")
