"""Slack's Web API as the bot uses it. The only module that calls it; its errors in three kinds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import URLError

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.views.blocks import Message


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
    """A person as Slack knows them. `guest`: of few channels only; `foreign`: of another workspace."""

    id: str
    name: str
    guest: bool
    foreign: bool


class Chat:
    """Slack, with `token`, at `api_url`. Every method raises ChatError; no call lasts more than 10 s."""

    def __init__(self, *, token: str, api_url: str) -> None:
        self.client = WebClient(token=token, base_url=api_url, timeout=10)

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

    def whisper(self, channel: str, user: str, message: Message, *, thread_ts: str | None = None) -> None:
        """Post what only `user` sees."""
        sent = {"channel": channel, "user": user, "text": message.text, "blocks": list(message.blocks)}
        self._call("chat.postEphemeral", sent | ({"thread_ts": thread_ts} if thread_ts else {}))

    def upload(self, channel: str, data: bytes, *, name: str, title: str, thread_ts: str) -> None:
        """Share a file in a thread: files.getUploadURLExternal, the bytes, files.completeUploadExternal."""
        _as_chat_error(
            lambda: self.client.files_upload_v2(
                channel=channel, content=data, filename=name, title=title, thread_ts=thread_ts
            )
        )

    def member(self, user: str, *, team: str) -> Member:
        """users.info; `team` is the bot's own workspace."""
        found = self._call("users.info", {"user": user})["user"]
        guest = bool(found.get("is_restricted") or found.get("is_ultra_restricted"))
        name = found.get("profile", {}).get("display_name") or found.get("real_name") or found.get("name") or user
        foreign = bool(found.get("is_stranger")) or found.get("team_id", team) != team
        return Member(id=user, name=name, guest=guest, foreign=foreign)

    def group(self, handle: str) -> Sequence[str]:
        """The members of the user group `handle` (without @); none where there is no such group."""
        for group in self._call("usergroups.list", {})["usergroups"]:
            if group["handle"] == handle:
                return list(self._call("usergroups.users.list", {"usergroup": group["id"]})["users"])
        return []

    def _call(self, method: str, sent: Mapping[str, Any]) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = _as_chat_error(lambda: self.client.api_call(method, json=dict(sent)).data)
        return answer


def _as_chat_error(call: Any) -> Any:
    try:
        return call()
    except SlackApiError as error:
        response = error.response
        if response.status_code == 429:
            raise RateLimited(float(response.headers.get("Retry-After", "1"))) from error
        if response.status_code >= 500 or response.get("error") in (
            "internal_error",
            "fatal_error",
            "service_unavailable",
        ):
            raise ChatUnavailable(f"Slack answers {response.status_code}") from error
        raise ChatRefused(str(response.get("error", response.status_code))) from error
    except (SlackClientError, URLError, HTTPException, OSError) as error:
        raise ChatUnavailable("Slack cannot be reached") from error
