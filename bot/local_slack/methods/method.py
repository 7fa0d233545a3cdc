"""What one method of the Web API is, and what it works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bot.local_slack.arguments import Arguments
from bot.local_slack.modals import Views
from bot.local_slack.rate_limits import TIER_3, Rate
from bot.local_slack.refusal import JSON, Refusal
from bot.local_slack.workspace import Channel, Workspace


@dataclass(kw_only=True)
class Server:
    """What methods work on. `open_socket` returns the address of a fresh Socket Mode connection; `unknown_blocks` are
    the kinds of blocks that are refused, as where Slack has not rolled them out yet."""

    workspace: Workspace
    views: Views
    open_socket: Callable[[], str]
    url: Callable[[], str]
    unknown_blocks: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One method; `answer` returns the fields of its answer beside `ok`, or raises a Refusal.

    `takes_json`: methods that only read take a form; a JSON body is as good as none to them
    (https://docs.slack.dev/apis/web-api, about JSON-encoded bodies; each method's page has its content types).
    """

    answer: Callable[[Server, Arguments], JSON]
    scope: str = ""
    rate: Rate = TIER_3
    token: Literal["bot", "app", "none"] = "bot"
    is_limited_per_channel: bool = False
    takes_json: bool = True


def bots_channel(workspace: Workspace, channel_id: str) -> Channel:
    """Finds a channel in which the app may post; raises channel_not_found or not_in_channel."""
    channel = workspace.channel(channel_id)
    if workspace.app.user_id not in channel.members:
        raise Refusal("not_in_channel")
    return channel
