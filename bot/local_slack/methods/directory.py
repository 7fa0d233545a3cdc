"""auth.*, users.*, usergroups.*, conversations.* and apps.connections.open.

The app's scopes do not cover conversations.*, as in a real installation. These methods answer if a test installs the
app with more scopes.
"""

from bot.local_slack.arguments import Arguments
from bot.local_slack.members import TEAM_ID, TEAM_NAME
from bot.local_slack.methods.method import Method, MethodContext, joined_channel
from bot.local_slack.rate_limits import GENEROUS, TIER_2, TIER_3, TIER_4
from bot.local_slack.refusal import JSON, SlackRefusal

_LAST_PAGE: JSON = {"response_metadata": {"next_cursor": ""}}


def _api_test(_context: MethodContext, arguments: Arguments) -> JSON:
    return {"args": arguments.as_logged()}


def _auth_test(context: MethodContext, _arguments: Arguments) -> JSON:
    app = context.workspace.app
    return {
        "url": context.url() + "/",
        "team": TEAM_NAME,
        "user": app.name,
        "team_id": TEAM_ID,
        "user_id": app.user_id,
        "bot_id": app.bot_id,
        "is_enterprise_install": False,
    }


def _users_info(context: MethodContext, arguments: Arguments) -> JSON:
    user_id = arguments.required("user")
    user = next((one for one in context.workspace.members() if one.id == user_id), None)
    if user is None:
        raise SlackRefusal("user_not_found")
    return {"user": user.as_slack()}


def _users_list(context: MethodContext, _arguments: Arguments) -> JSON:
    return {"members": [one.as_slack() for one in context.workspace.members()], **_LAST_PAGE}


def _usergroups_list(context: MethodContext, arguments: Arguments) -> JSON:
    with_users = arguments.optional("include_users").lower() in ("1", "true")
    return {
        "usergroups": [
            group.as_slack() | ({"users": list(group.members)} if with_users else {})
            for group in context.workspace.groups
        ]
    }


def _usergroups_users_list(context: MethodContext, arguments: Arguments) -> JSON:
    group_id = arguments.required("usergroup")
    group = next((one for one in context.workspace.groups if one.id == group_id), None)
    if group is None:
        raise SlackRefusal("no_such_subteam")
    return {"users": list(group.members)}


def _conversations_list(context: MethodContext, _arguments: Arguments) -> JSON:
    channels = context.workspace.channels.values()
    return {"channels": [one.as_slack() for one in channels if not one.is_im], **_LAST_PAGE}


def _conversations_info(context: MethodContext, arguments: Arguments) -> JSON:
    channel = context.workspace.channel(arguments.required("channel"))
    return {"channel": channel.as_slack() | {"is_member": context.workspace.app.user_id in channel.members}}


def _conversations_members(context: MethodContext, arguments: Arguments) -> JSON:
    channel = context.workspace.channel(arguments.required("channel"))
    return {"members": sorted(channel.members), **_LAST_PAGE}


def _conversations_join(context: MethodContext, arguments: Arguments) -> JSON:
    channel = context.workspace.channel(arguments.required("channel"))
    context.workspace.join(channel, context.workspace.bot)
    return {"channel": channel.as_slack()}


def _conversations_history(context: MethodContext, arguments: Arguments) -> JSON:
    workspace = context.workspace
    channel = joined_channel(workspace, arguments.required("channel"))
    messages = [one for one in workspace.messages(channel_id=channel.id) if not (one.thread_ts or one.only_for)]
    return {"messages": [workspace.as_slack(one) for one in reversed(messages)], "has_more": False}


def _conversations_replies(context: MethodContext, arguments: Arguments) -> JSON:
    workspace, ts = context.workspace, arguments.required("ts")
    channel = joined_channel(workspace, arguments.required("channel"))
    messages = [
        one for one in workspace.messages(channel_id=channel.id) if ts in (one.ts, one.thread_ts) and not one.only_for
    ]
    if not messages:
        raise SlackRefusal("thread_not_found")
    return {"messages": [workspace.as_slack(one) for one in messages], "has_more": False}


def _connections_open(context: MethodContext, _arguments: Arguments) -> JSON:
    return {"url": context.open_socket()}


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
