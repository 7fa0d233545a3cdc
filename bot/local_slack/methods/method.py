"""One method of the Web API, and the state that methods use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bot.local_slack.arguments import ApiArguments
from bot.local_slack.modals import Views
from bot.local_slack.rate_limits import TIER_3, Rate
from bot.local_slack.refusal import JSON, SlackRefusal
from bot.local_slack.workspace import Channel, Workspace


@dataclass(kw_only=True)
class MethodContext:
    """State that methods use.

    `open_socket` returns the address of a new Socket Mode connection. `unknown_blocks` are types of blocks that this
    workspace refuses because Slack has not enabled them there yet.
    """

    workspace: Workspace
    views: Views
    open_socket: Callable[[], str]
    url: Callable[[], str]
    unknown_blocks: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One method; `answer` returns the fields of its answer beside `ok`, or raises SlackRefusal.

    Methods that only read ignore JSON bodies and have `takes_json` False
    (https://docs.slack.dev/apis/web-api, JSON-encoded bodies; each method's page lists its content types).
    """

    answer: Callable[[MethodContext, ApiArguments], JSON]
    scope: str = ""
    rate: Rate = TIER_3
    token: Literal["bot", "app"] = "bot"
    is_limited_per_channel: bool = False
    takes_json: bool = True


def joined_channel(workspace: Workspace, channel_id: str) -> Channel:
    """Return a channel in which the app may post. Raises channel_not_found or not_in_channel."""
    channel = workspace.channel(channel_id)
    if workspace.app.user_id not in channel.members:
        raise SlackRefusal("not_in_channel")
    return channel
