"""Trigger ids and response URLs: short-lived permissions that an action gives to the app."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.local_slack.refusal import SlackRefusal

# https://docs.slack.dev/interactivity/handling-user-interaction: a trigger opens one view within 3 seconds.
TRIGGER_LIFE_S = 3.0
# Same page: a response_url accepts 5 responses within 30 minutes.
RESPONSE_LIFE_S = 30 * 60.0
RESPONSE_USES = 5


@dataclass(kw_only=True, slots=True)
class Trigger:
    """The member and the view, if any, behind a trigger id."""

    member_id: str
    view_id: str
    issued_at_s: float
    is_used: bool = False


@dataclass(kw_only=True, slots=True)
class ResponsePlace:
    """The destination behind a response URL: channel, reader, thread, and the message that it may replace."""

    channel_id: str
    member_id: str
    thread_ts: str
    source_ts: str
    issued_at_s: float
    uses_left: int = RESPONSE_USES


@dataclass(kw_only=True)
class Tickets:
    """Issued triggers and response URLs; `clock` returns Unix seconds."""

    clock: Callable[[], float]
    _triggers: dict[str, Trigger] = field(default_factory=dict)
    _places: dict[str, ResponsePlace] = field(default_factory=dict)

    def new_trigger(self, member_id: str, view_id: str = "") -> str:
        """Return a new trigger id, valid for one view within 3 s."""
        now_s = self.clock()
        trigger_id = f"{int(now_s * 1000)}.{secrets.randbelow(10**9)}.{secrets.token_hex(16)}"
        self._triggers[trigger_id] = Trigger(member_id=member_id, view_id=view_id, issued_at_s=now_s)
        return trigger_id

    def take_trigger(self, trigger_id: str) -> Trigger:
        """Use a trigger. Raises invalid_trigger_id, exchanged_trigger_id or expired_trigger_id."""
        trigger = self._triggers.get(trigger_id)
        if trigger is None:
            raise SlackRefusal("invalid_trigger_id")
        if trigger.is_used:
            raise SlackRefusal("exchanged_trigger_id")
        if self.clock() - trigger.issued_at_s > TRIGGER_LIFE_S:
            raise SlackRefusal("expired_trigger_id")
        trigger.is_used = True
        return trigger

    def new_response(self, *, channel_id: str, member_id: str, thread_ts: str = "", source_ts: str = "") -> str:
        """Return the secret last part of a new response URL."""
        secret = secrets.token_urlsafe(24)
        self._places[secret] = ResponsePlace(
            channel_id=channel_id,
            member_id=member_id,
            thread_ts=thread_ts,
            source_ts=source_ts,
            issued_at_s=self.clock(),
        )
        return secret

    def take_response(self, secret: str) -> ResponsePlace:
        """Use a response URL once. Raises expired_url after 30 minutes or if it is unknown, used_url after 5 uses."""
        place = self._places.get(secret)
        if place is None or self.clock() - place.issued_at_s > RESPONSE_LIFE_S:
            raise SlackRefusal("expired_url")
        if place.uses_left == 0:
            raise SlackRefusal("used_url")
        place.uses_left -= 1
        return place
