"""The Slack app's manifest, derived from the table of commands. Pure."""

from typing import Any

from bot.commands import COMMANDS

SCOPES = (
    "app_mentions:read",
    "channels:history",  # these two find the bot's own card again if Slack's answer to its post was lost
    "groups:history",
    "chat:write",
    "commands",
    "files:write",
    "usergroups:read",
    "users:read",
)
MOST_USAGE_HINT = 1000
MOST_DESCRIPTION = 2000


def manifest(*, request_url: str | None, umbrella: bool = False, prefix: str = "") -> dict[str, Any]:
    """Return the manifest for HTTP at `request_url`, or for Socket Mode if it is None.

    With `umbrella` the only command is /seatrial, which takes every verb. `prefix` precedes each name, with a hyphen.
    Reference: https://docs.slack.dev/reference/app-manifest. In Socket Mode, a slash command has no url.
    """
    command_url = {"url": request_url} if request_url else {}
    commands = [
        {
            "command": f"/{prefix}-{command.verb[1:]}" if prefix else command.verb,
            "description": command.does[:MOST_DESCRIPTION],
            "usage_hint": " | ".join(form.usage.removeprefix(command.verb).strip() for form in command.forms)[
                :MOST_USAGE_HINT
            ],
            "should_escape": False,
        }
        | command_url
        for command in COMMANDS.values()
        if command.verb == "/seatrial" or not umbrella
    ]
    event_url = {"request_url": request_url} if request_url else {}
    return {
        "display_information": {
            "name": "Seatrial",
            "description": "Takes a model from SQL to an elastic endpoint, and proves that it holds the load",
        },
        "features": {"bot_user": {"display_name": "seatrial", "always_online": True}, "slash_commands": commands},
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {"bot_events": ["app_mention"]} | event_url,
            "interactivity": {"is_enabled": True} | event_url,
            "org_deploy_enabled": False,
            "socket_mode_enabled": request_url is None,
            "token_rotation_enabled": False,
        },
    }
