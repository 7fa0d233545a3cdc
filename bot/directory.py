"""Slack users and user groups, cached for a few minutes.

Listeners and intake look members up here. Requests to Slack go through `bot.chat`.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from bot.chat import Chat
from bot.state import Member

CACHED_S = 300.0
"""A new member of a user group may approve after five minutes at the latest."""

_Value = TypeVar("_Value")


class Directory:
    """The members and user groups of the workspace `team`. Raises ChatError."""

    def __init__(self, chat: Chat, *, team: str) -> None:
        self._chat = chat
        self.team = team
        self._cache: dict[str, tuple[float, object]] = {}
        self._lock = threading.Lock()

    def member(self, user: str) -> Member:
        """Return the member with the id `user`."""
        return self._cached(f"member {user}", lambda: self._chat.member(user, team=self.team))

    def is_among(self, user: str, names: tuple[str, ...]) -> bool:
        """Return True if `user` is one of `names`, user ids and groups as "@handle", or if `names` is empty."""
        if not names or user in names:
            return True
        groups = (name.removeprefix("@") for name in names if name.startswith("@"))
        return any(user in self._group(handle) for handle in groups)

    def _group(self, handle: str) -> tuple[str, ...]:
        return self._cached(f"group {handle}", lambda: tuple(self._chat.group(handle)))

    def _cached(self, key: str, find: Callable[[], _Value]) -> _Value:
        now = time.monotonic()
        with self._lock:
            entry = self._cache.get(key)
        if entry is not None and entry[0] > now:
            return entry[1]  # type: ignore[return-value]  # each key has values of one type
        found = find()
        with self._lock:
            self._cache[key] = (now + CACHED_S, found)
        return found
