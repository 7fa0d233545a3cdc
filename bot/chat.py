"""Slack's Web API as the bot uses it, with its errors in three kinds. No other module of the bot calls Slack."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from http.client import HTTPException
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.blocks import Message
from bot.state import Member

_CARD_EVENT = "seatrial_card"
POOL_SIZE = 20
"""Connections: one for each thread that calls Slack at the same time."""
TIMEOUT_S = 10.0
"""Slack usually answers within a second. A card that takes longer is posted later."""

# Error codes of https://docs.slack.dev/reference/methods/chat.postMessage and …/chat.update, by what is refused.
_TEMPORARY = frozenset(
    (
        "",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
        "update_failed",
        "streaming_state_conflict",
        "org_login_required",
        "accesslimited",
    )
)
# Waiting cards are posted after an administrator has repaired the token.
_TOKEN = frozenset(("invalid_auth", "not_authed", "account_inactive", "token_expired", "token_revoked"))
_MESSAGE = frozenset(("message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"))
_PLACE = frozenset(
    (
        "channel_not_found",
        "is_archived",
        "not_in_channel",
        "user_not_in_channel",
        "restricted_action",
        "no_permission",
        "access_denied",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
        "restricted_action_thread_locked",
        "restricted_action_non_threadable_channel",
        "posting_to_channel_denied",
        "ekm_access_denied",
        "channel_type_not_supported",
        "team_access_not_granted",
        "messages_tab_disabled",
        "cannot_dm_bot",
    )
)


class ChatError(Exception):
    """A failed call to Slack.

    ChatError
    ├── RateLimited       retry after a time that Slack gives
    ├── ChatUnavailable   this moment: Slack is away or at fault; retry later
    │   └── TokenRejected   retry after an administrator has repaired the token
    └── ChatRefused       this content, or a reason that is not known
        ├── MessageGone   this message: it was deleted, or can no longer be edited
        └── PlaceRefused  this channel or thread takes no messages
    """


class RateLimited(ChatError):
    """A call above Slack's limits. Retry after `retry_after_s`."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"Slack asks to wait {retry_after_s:g} s")
        self.retry_after_s = retry_after_s


class ChatUnavailable(ChatError):
    """A call that may succeed later."""


class TokenRejected(ChatUnavailable):
    """A call whose token Slack rejects, until an administrator repairs it."""


class ChatRefused(ChatError):
    """A call that Slack refuses for the reason `error`, one of Slack's error codes."""

    def __init__(self, error: str) -> None:
        super().__init__(f"Slack refuses: {error}")
        self.error = error


class MessageGone(ChatRefused):
    """An edit or a reply whose message no longer exists."""


class PlaceRefused(ChatRefused):
    """A message for a channel that takes none, at least now: a channel may be opened again."""


class Chat:
    """Slack's Web API at `api_url`. Every method raises ChatError, and waits at most TIMEOUT_S for Slack."""

    def __init__(self, *, token: str, api_url: str) -> None:
        self.client = WebClient(token=token, base_url=api_url, timeout=int(TIMEOUT_S))
        self._api_url = api_url
        # A pool: slack-sdk 3.47 opens a connection for every call, and reads all certificates again for HTTPS.
        parts = urlsplit(api_url)
        proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
        pool = partial(urllib3.ProxyManager, proxy) if proxy else urllib3.PoolManager
        headers = {"Authorization": f"Bearer {token}"}
        self._http = pool(headers=headers, maxsize=POOL_SIZE, timeout=TIMEOUT_S, retries=False)

    def whoami(self) -> Mapping[str, Any]:
        """Call auth.test: team_id, user_id, bot_id."""
        return self._call("auth.test", {})

    def post(
        self, channel: str, message: Message, *, thread_ts: str | None = None, card_of: str | None = None
    ) -> tuple[str, str]:
        """Post a message. Return the channel's id and the message's ts.

        `card_of` identifies a card for `find_cards`. Reference: https://docs.slack.dev/messaging/message-metadata.
        """
        metadata = card_of and {"event_type": _CARD_EVENT, "event_payload": {"job": card_of}}
        place = {"channel": channel, "thread_ts": thread_ts, "unfurl_links": False, "metadata": metadata}
        answer = self._call("chat.postMessage", place | _content(message))
        return answer["channel"], answer["ts"]

    def find_cards(self, channel: str, card_of: str, *, since_s: float) -> Sequence[str]:
        """Return the ts of each card that was posted with `card_of` since a time: conversations.history.

        Only the newest 200 messages are searched.
        """
        newest = {"channel": channel, "oldest": f"{since_s:.6f}", "limit": 200, "include_all_metadata": True}
        messages = self._call("conversations.history", newest)["messages"]
        wanted = {"event_type": _CARD_EVENT, "event_payload": {"job": card_of}}
        return [str(one["ts"]) for one in messages if one.get("metadata") == wanted]

    def edit(self, channel: str, ts: str, message: Message) -> None:
        """Replace an earlier message."""
        self._call("chat.update", {"channel": channel, "ts": ts} | _content(message))

    def post_ephemeral(self, channel: str, user: str, message: Message, *, thread_ts: str | None = None) -> None:
        """Post a message that only `user` sees."""
        place = {"channel": channel, "user": user, "thread_ts": thread_ts}
        self._call("chat.postEphemeral", place | _content(message))

    def permalink(self, channel: str, ts: str) -> str:
        """Return a message's address for a browser: chat.getPermalink."""
        return str(self._call("chat.getPermalink", {"channel": channel, "message_ts": ts})["permalink"])

    def upload(self, channel: str, data: bytes, *, name: str, title: str, thread_ts: str) -> None:
        """Share a file in a thread: files.getUploadURLExternal, the bytes, files.completeUploadExternal."""
        alt_text = f"{title}. The card above this thread has the numbers." if name.endswith(".png") else None
        try:
            self.client.files_upload_v2(
                channel=channel, content=data, filename=name, title=title, alt_txt=alt_text, thread_ts=thread_ts
            )
        except SlackApiError as error:
            answer = error.response
            raise _error(answer.status_code, answer.headers, str(answer.get("error", ""))) from error
        except (SlackClientError, URLError, HTTPException, OSError) as error:
            raise ChatUnavailable("Slack cannot be reached") from error

    def member(self, user: str, *, team: str) -> Member:
        """Return a user, as a member or guest of the workspace `team`: users.info.

        On Enterprise Grid, `enterprise_user.teams` has all workspaces of a user. Without any team, a user is foreign.
        Reference: https://docs.slack.dev/reference/objects/user-object.
        """
        found = self._call("users.info", {"user": user})["user"]
        guest = bool(found.get("is_restricted") or found.get("is_ultra_restricted"))
        name = found.get("profile", {}).get("display_name") or found.get("real_name") or found.get("name") or user
        teams = (found.get("team_id"), *found.get("enterprise_user", {}).get("teams", ()))
        return Member(
            id=user,
            name=name,
            guest=guest,
            foreign=bool(found.get("is_stranger")) or team not in teams,
            gone=bool(found.get("deleted")),
            bot=bool(found.get("is_bot") or found.get("is_workflow_bot") or user == "USLACKBOT"),
            admin=bool(found.get("is_admin") or found.get("is_owner") or found.get("is_primary_owner")),
        )

    def group(self, handle: str) -> Sequence[str]:
        """Return the member ids of the user group `handle` (without @), empty if it does not exist."""
        group = self.group_id(handle)
        return list(self._call("usergroups.users.list", {"usergroup": group})["users"]) if group else []

    def group_id(self, handle: str) -> str | None:
        """Return the id of the user group `handle` (without @), or None if it does not exist."""
        groups = self._call("usergroups.list", {})["usergroups"]
        return next((str(group["id"]) for group in groups if group["handle"] == handle), None)

    def _call(self, method: str, sent: Mapping[str, Any]) -> Mapping[str, Any]:
        # Every method accepts a form. Methods that only read accept no JSON.
        given = {name: value for name, value in sent.items() if value is not None}
        form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
        try:
            response = self._http.request("POST", self._api_url + method, fields=form, encode_multipart=False)
        except urllib3.exceptions.HTTPError as error:
            raise ChatUnavailable("Slack cannot be reached") from error
        try:
            answer: Mapping[str, Any] = response.json()
        except ValueError:
            answer = {}  # from a proxy, or from a fault of Slack
        if response.status != 200 or not answer.get("ok"):
            raise _error(response.status, response.headers, str(answer.get("error", "")))
        return answer


def _content(message: Message) -> dict[str, Any]:
    return {"text": message.text, "blocks": list(message.blocks)}


def _error(status: int, headers: Mapping[str, str], code: str) -> ChatError:
    if status == 429 or code in ("ratelimited", "rate_limited"):
        retry_after = headers.get("Retry-After", "")
        return RateLimited(float(retry_after) if retry_after.isdecimal() else 1.0)
    if status >= 500 or code in _TEMPORARY:
        return ChatUnavailable(f"Slack answers {status} {code}".rstrip())
    if code in _TOKEN:
        return TokenRejected(f"Slack rejects the token: {code}")
    kind = MessageGone if code in _MESSAGE else PlaceRefused if code in _PLACE else ChatRefused
    return kind(code)
