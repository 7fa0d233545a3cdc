"""Slack users and user groups, cached for a few minutes. Listeners and intake look members up here."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from bot.chat import Chat
from bot.state import Member

CACHED_S = 300.0
"""Commands use answers of the last five minutes. Decisions about a job do not."""

_Value = TypeVar("_Value")


@dataclass
class Directory:
    """The members and user groups of the workspace `team`. Raises ChatError."""

    chat: Chat
    team: str
    _cache: dict[str, tuple[float, Any]] = field(default_factory=dict, init=False)

    def member(self, user: str, *, fresh: bool = False) -> Member:
        """Return the member with the id `user`, with `fresh` from Slack and not from the cache."""
        return self._cached(f"member {user}", partial(self.chat.member, user, team=self.team), fresh=fresh)

    def group_id(self, handle: str) -> str | None:
        """Return the id of the user group `handle` (without @), or None if it does not exist."""
        found = self._cached(f"group id {handle}", lambda: (self.chat.group_id(handle),))
        return found[0]

    def is_among(self, user: str, names: tuple[str, ...]) -> bool:
        """Return True if `user` is one of `names`, user ids and groups as "@handle", or if `names` is empty.

        Groups are read from Slack and not from the cache: approvers count as they are at the decision.
        """
        if not names or user in names:
            return True
        handles = (name.removeprefix("@") for name in names if name.startswith("@"))
        return any(user in self.chat.group(handle) for handle in handles)

    def _cached(self, key: str, find: Callable[[], _Value], *, fresh: bool = False) -> _Value:
        now = time.monotonic()
        until_s, found = self._cache.get(key, (0.0, None))
        if fresh or until_s <= now:
            found = find()
            self._cache[key] = (now + CACHED_S, found)
        return found  # type: ignore[no-any-return]
