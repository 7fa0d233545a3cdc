"""auth.*, users.*, usergroups.* and apps.connections.open."""

from bot.local_slack.arguments import ApiArguments
from bot.local_slack.members import TEAM_ID, TEAM_NAME
from bot.local_slack.methods.method import Method, MethodContext
from bot.local_slack.rate_limits import GENEROUS, TIER_2, TIER_3, TIER_4
from bot.local_slack.refusal import JSON, SlackRefusal


def _auth_test(context: MethodContext, _arguments: ApiArguments) -> JSON:
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


def _users_info(context: MethodContext, arguments: ApiArguments) -> JSON:
    user_id = arguments.required("user")
    user = next((one for one in context.workspace.members() if one.id == user_id), None)
    if user is None:
        raise SlackRefusal("user_not_found")
    return {"user": user.as_slack()}


def _usergroups_list(context: MethodContext, arguments: ApiArguments) -> JSON:
    with_users = arguments.optional("include_users").lower() in ("1", "true")
    return {
        "usergroups": [
            group.as_slack() | ({"users": list(group.members)} if with_users else {})
            for group in context.workspace.groups
        ]
    }


def _usergroups_users_list(context: MethodContext, arguments: ApiArguments) -> JSON:
    group_id = arguments.required("usergroup")
    group = next((one for one in context.workspace.groups if one.id == group_id), None)
    if group is None:
        raise SlackRefusal("no_such_subteam")
    return {"users": list(group.members)}


def _connections_open(context: MethodContext, _arguments: ApiArguments) -> JSON:
    return {"url": context.open_socket()}


METHODS = {
    "auth.test": Method(answer=_auth_test, rate=GENEROUS),
    "users.info": Method(answer=_users_info, scope="users:read", rate=TIER_4, takes_json=False),
    "usergroups.list": Method(answer=_usergroups_list, scope="usergroups:read", rate=TIER_2, takes_json=False),
    "usergroups.users.list": Method(
        answer=_usergroups_users_list, scope="usergroups:read", rate=TIER_2, takes_json=False
    ),
    "apps.connections.open": Method(answer=_connections_open, token="app", rate=TIER_3),
}
