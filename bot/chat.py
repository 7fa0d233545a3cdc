"""Slack's Web API as the bot uses it. The only module that calls it; its errors in three kinds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.blocks import Message

KEPT_CONNECTIONS = 20
"""As many as there are threads that call Slack at once."""
TIMEOUT_S = 10.0
"""A card that takes longer is posted later: Slack answers within a second, or has a fault."""


_PASSING = ("", "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org")
# Once the token is mended, all that waited is shown.
_TOKEN = ("invalid_auth", "not_authed", "account_inactive", "token_expired", "token_revoked")


class ChatError(Exception):
    """The root: Slack did not do what was asked."""


class RateLimited(ChatError):
    """Not before `retry_after_s`."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"Slack asks to wait {retry_after_s:g} s")
        self.retry_after_s = retry_after_s


class ChatUnavailable(ChatError):
    """Slack cannot be reached or has a fault of its own; later it may do."""


class ChatRefused(ChatError):
    """Slack will not do it; `error` is Slack's name for why."""

    def __init__(self, error: str) -> None:
        super().__init__(f"Slack refuses: {error}")
        self.error = error


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A person as Slack knows them. `guest`: of few channels only; `foreign`: of another workspace; `gone`: not a
    member any more, their account deactivated."""

    id: str
    name: str
    guest: bool
    foreign: bool
    gone: bool = False


class Chat:
    """Slack, with `token`, at `api_url`. Every method raises ChatError; none waits for Slack longer than TIMEOUT_S."""

    def __init__(self, *, token: str, api_url: str) -> None:
        self.client = WebClient(token=token, base_url=api_url, timeout=int(TIMEOUT_S))
        self._api_url = api_url
        # Kept connections: slack-sdk 3.47 makes one for every call, and for HTTPS reads all certificates again.
        options: dict[str, Any] = {
            "headers": {"Authorization": f"Bearer {token}"},
            "maxsize": KEPT_CONNECTIONS,
            "timeout": TIMEOUT_S,
            "retries": False,
        }
        proxy = _proxy(api_url)
        self._http = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)

    def whoami(self) -> Mapping[str, Any]:
        """auth.test: team_id, user_id, bot_id."""
        return self._call("auth.test", {})

    def post(self, channel: str, message: Message, *, thread_ts: str | None = None) -> tuple[str, str]:
        """Post; the channel's id and the message's ts."""
        sent = {"channel": channel, "text": message.text, "blocks": list(message.blocks), "unfurl_links": False}
        answer = self._call("chat.postMessage", sent | ({"thread_ts": thread_ts} if thread_ts else {}))
        return answer["channel"], answer["ts"]

    def edit(self, channel: str, ts: str, message: Message) -> None:
        """Put `message` in the place of an earlier one."""
        self._call("chat.update", {"channel": channel, "ts": ts, "text": message.text, "blocks": list(message.blocks)})

    def post_ephemeral(self, channel: str, user: str, message: Message, *, thread_ts: str | None = None) -> None:
        """Post what only `user` sees."""
        sent = {"channel": channel, "user": user, "text": message.text, "blocks": list(message.blocks)}
        self._call("chat.postEphemeral", sent | ({"thread_ts": thread_ts} if thread_ts else {}))

    def permalink(self, channel: str, ts: str) -> str:
        """chat.getPermalink: where a message is, for a browser."""
        return str(self._call("chat.getPermalink", {"channel": channel, "message_ts": ts})["permalink"])

    def upload(self, channel: str, data: bytes, *, name: str, title: str, thread_ts: str) -> None:
        """Share a file in a thread: files.getUploadURLExternal, the bytes, files.completeUploadExternal."""
        said = f"{title}. The card above this thread has the numbers." if name.endswith(".png") else None
        try:
            self.client.files_upload_v2(
                channel=channel, content=data, filename=name, title=title, alt_txt=said, thread_ts=thread_ts
            )
        except SlackApiError as error:
            answer = error.response
            told = str(answer.get("error", ""))
            raise _refusal(answer.status_code, answer.headers.get("Retry-After"), told) from error
        except (SlackClientError, URLError, HTTPException, OSError) as error:
            raise ChatUnavailable("Slack cannot be reached") from error

    def member(self, user: str, *, team: str) -> Member:
        """users.info; `team` is the bot's own workspace."""
        found = self._call("users.info", {"user": user})["user"]
        guest = bool(found.get("is_restricted") or found.get("is_ultra_restricted"))
        name = found.get("profile", {}).get("display_name") or found.get("real_name") or found.get("name") or user
        foreign = bool(found.get("is_stranger")) or found.get("team_id", team) != team
        return Member(id=user, name=name, guest=guest, foreign=foreign, gone=bool(found.get("deleted")))

    def group(self, handle: str) -> Sequence[str]:
        """The members of the user group `handle` (without @); none where there is no such group."""
        for group in self._call("usergroups.list", {})["usergroups"]:
            if group["handle"] == handle:
                return list(self._call("usergroups.users.list", {"usergroup": group["id"]})["users"])
        return []

    def _call(self, method: str, sent: Mapping[str, Any]) -> Mapping[str, Any]:
        # As a form, which every method takes; those that only read take no JSON.
        form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in sent.items()}
        try:
            response = self._http.request("POST", self._api_url + method, fields=form, encode_multipart=False)
        except urllib3.exceptions.HTTPError as error:
            raise ChatUnavailable("Slack cannot be reached") from error
        try:
            answer: Mapping[str, Any] = response.json()
        except ValueError:
            answer = {}  # not Slack's own words: a proxy's, or a fault's
        if response.status != 200 or not answer.get("ok"):
            raise _refusal(response.status, response.headers.get("Retry-After"), str(answer.get("error", "")))
        return answer


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for `url`, unless it says that none is wanted there."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _refusal(status: int, retry_after: str | None, error: str) -> ChatError:
    if status == 429 or error in ("ratelimited", "rate_limited"):
        return RateLimited(float(retry_after) if retry_after and retry_after.isdecimal() else 1.0)
    if status >= 500 or error in _PASSING:
        return ChatUnavailable(f"Slack answers {status} {error}".rstrip())
    if error in _TOKEN:
        return ChatUnavailable(f"Slack does not take the token: {error}")
    return ChatRefused(error)
