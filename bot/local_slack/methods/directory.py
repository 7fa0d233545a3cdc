"""Who and where: auth, users, user groups, conversations.

The app's scopes do not cover conversations.*, as in the real installation: there to refuse, and to answer where a
test installs the app with more.
"""

from __future__ import annotations

from bot.local_slack.arguments import Arguments
from bot.local_slack.members import TEAM_ID, TEAM_NAME
from bot.local_slack.methods.method import Method, Server, bots_channel
from bot.local_slack.rate_limits import GENEROUS, TIER_2, TIER_3, TIER_4
from bot.local_slack.refusal import JSON, Refusal

_NO_MORE_PAGES: JSON = {"response_metadata": {"next_cursor": ""}}


def _api_test(_server: Server, arguments: Arguments) -> JSON:
    return {"args": arguments.as_logged()}


def _auth_test(server: Server, _arguments: Arguments) -> JSON:
    app = server.workspace.app
    return {
        "url": server.url() + "/",
        "team": TEAM_NAME,
        "user": app.name,
        "team_id": TEAM_ID,
        "user_id": app.user_id,
        "bot_id": app.bot_id,
        "is_enterprise_install": False,
    }


def _users_info(server: Server, arguments: Arguments) -> JSON:
    wanted = arguments.required("user")
    found = next((one for one in server.workspace.members() if one.id == wanted), None)
    if found is None:
        raise Refusal("user_not_found")
    return {"user": found.as_slack()}


def _users_list(server: Server, _arguments: Arguments) -> JSON:
    return {"members": [one.as_slack() for one in server.workspace.members()], **_NO_MORE_PAGES}


def _usergroups_list(server: Server, arguments: Arguments) -> JSON:
    with_users = arguments.optional("include_users").lower() in ("1", "true")
    return {
        "usergroups": [
            group.as_slack() | ({"users": list(group.members)} if with_users else {})
            for group in server.workspace.groups
        ]
    }


def _usergroups_users_list(server: Server, arguments: Arguments) -> JSON:
    wanted = arguments.required("usergroup")
    found = next((group for group in server.workspace.groups if group.id == wanted), None)
    if found is None:
        raise Refusal("no_such_subteam")
    return {"users": list(found.members)}


def _conversations_list(server: Server, _arguments: Arguments) -> JSON:
    channels = server.workspace.channels.values()
    return {"channels": [one.as_slack() for one in channels if not one.is_im], **_NO_MORE_PAGES}


def _conversations_info(server: Server, arguments: Arguments) -> JSON:
    channel = server.workspace.channel(arguments.required("channel"))
    return {"channel": channel.as_slack() | {"is_member": server.workspace.app.user_id in channel.members}}


def _conversations_members(server: Server, arguments: Arguments) -> JSON:
    channel = server.workspace.channel(arguments.required("channel"))
    return {"members": sorted(channel.members), **_NO_MORE_PAGES}


def _conversations_join(server: Server, arguments: Arguments) -> JSON:
    channel = server.workspace.channel(arguments.required("channel"))
    server.workspace.join(channel, server.workspace.bot)
    return {"channel": channel.as_slack()}


def _conversations_history(server: Server, arguments: Arguments) -> JSON:
    workspace = server.workspace
    channel = bots_channel(workspace, arguments.required("channel"))
    shown = [one for one in workspace.messages(channel_id=channel.id) if not (one.thread_ts or one.only_for)]
    return {"messages": [workspace.as_slack(one) for one in reversed(shown)], "has_more": False}


def _conversations_replies(server: Server, arguments: Arguments) -> JSON:
    workspace, ts = server.workspace, arguments.required("ts")
    channel = bots_channel(workspace, arguments.required("channel"))
    shown = [
        one for one in workspace.messages(channel_id=channel.id) if ts in (one.ts, one.thread_ts) and not one.only_for
    ]
    if not shown:
        raise Refusal("thread_not_found")
    return {"messages": [workspace.as_slack(one) for one in shown], "has_more": False}


def _connections_open(server: Server, _arguments: Arguments) -> JSON:
    return {"url": server.open_socket()}


METHODS = {
    "api.test": Method(answer=_api_test, token="none", rate=TIER_4),
    "auth.test": Method(answer=_auth_test, rate=GENEROUS),
    "users.info": Method(answer=_users_info, scope="users:read", rate=TIER_4, takes_json=False),
    "users.list": Method(answer=_users_list, scope="users:read", rate=TIER_2, takes_json=False),
    "usergroups.list": Method(answer=_usergroups_list, scope="usergroups:read", rate=TIER_2, takes_json=False),
    "usergroups.users.list": Method(
        answer=_usergroups_users_list, scope="usergroups:read", rate=TIER_2, takes_json=False
    ),
    "conversations.list": Method(answer=_conversations_list, scope="channels:read", rate=TIER_2, takes_json=False),
    "conversations.info": Method(answer=_conversations_info, scope="channels:read", rate=TIER_3, takes_json=False),
    "conversations.members": Method(
        answer=_conversations_members, scope="channels:read", rate=TIER_4, takes_json=False
    ),
    "conversations.join": Method(answer=_conversations_join, scope="channels:join", rate=TIER_3),
    "conversations.history": Method(answer=_conversations_history, scope="channels:history", rate=TIER_3),
    "conversations.replies": Method(
        answer=_conversations_replies, scope="channels:history", rate=TIER_3, takes_json=False
    ),
    "apps.connections.open": Method(answer=_connections_open, token="app", rate=TIER_3),
}
