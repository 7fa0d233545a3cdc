"""Who is who in the workspace, remembered for a few minutes."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from bot.chat import Chat, Member

REMEMBERED_S = 300.0
"""Someone who joins a group may approve within five minutes; users.info is not asked for every click."""

_Value = TypeVar("_Value")


class Directory:
    """The members and user groups of the bot's workspace `team`. Raises ChatError."""

    def __init__(self, chat: Chat, *, team: str) -> None:
        self._chat = chat
        self.team = team
        self._known: dict[str, tuple[float, object]] = {}
        self._lock = threading.Lock()

    def member(self, user: str) -> Member:
        """The person with the id `user`."""
        return self._remember(f"member {user}", lambda: self._chat.member(user, team=self.team))

    def is_among(self, user: str, names: tuple[str, ...]) -> bool:
        """Whether `user` is one of `names`: user ids, or user groups as "@handle". Nobody is named: everybody is."""
        if not names or user in names:
            return True
        groups = (name.removeprefix("@") for name in names if name.startswith("@"))
        return any(user in self._group(handle) for handle in groups)

    def _group(self, handle: str) -> tuple[str, ...]:
        return self._remember(f"group {handle}", lambda: tuple(self._chat.group(handle)))

    def _remember(self, key: str, find: Callable[[], _Value]) -> _Value:
        now = time.monotonic()
        with self._lock:
            known = self._known.get(key)
        if known is not None and known[0] > now:
            return known[1]  # type: ignore[return-value]  # each key is only ever given one type
        found = find()
        with self._lock:
            self._known[key] = (now + REMEMBERED_S, found)
        return found
