"""The Slack app's manifest, made from the table of commands. Pure."""

from typing import Any

from bot.commands import COMMANDS

SCOPES = ("app_mentions:read", "chat:write", "commands", "files:write", "usergroups:read", "users:read")
USAGE_HINT = 1000
DESCRIPTION = 2000


def manifest(*, request_url: str | None) -> dict[str, Any]:
    """The manifest for HTTP at `request_url`, or for Socket Mode where it is None.

    https://docs.slack.dev/reference/app-manifest; under Socket Mode a slash command has no url.
    """
    where = {"url": request_url} if request_url else {}
    commands = [
        {
            "command": command.verb,
            "description": command.does[:DESCRIPTION],
            "usage_hint": " | ".join(form.usage.removeprefix(command.verb).strip() for form in command.forms)[
                :USAGE_HINT
            ],
            "should_escape": False,
        }
        | where
        for command in COMMANDS.values()
    ]
    reached = {"request_url": request_url} if request_url else {}
    return {
        "display_information": {
            "name": "Seatrial",
            "description": "Takes a model from SQL to an elastic endpoint, and proves that it holds the load",
        },
        "features": {
            "bot_user": {"display_name": "seatrial", "always_online": True},
            "slash_commands": commands,
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {"bot_events": ["app_mention"]} | reached,
            "interactivity": {"is_enabled": True} | reached,
            "org_deploy_enabled": False,
            "socket_mode_enabled": request_url is None,
            "token_rotation_enabled": False,
        },
    }
