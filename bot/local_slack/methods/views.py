"""views.*: modals and the Home tab."""

from bot.local_slack.arguments import ApiArguments
from bot.local_slack.methods.method import Method, MethodContext
from bot.local_slack.rate_limits import TIER_4
from bot.local_slack.refusal import JSON


def _open(context: MethodContext, arguments: ApiArguments) -> JSON:
    return {"view": context.views.open(arguments.required("trigger_id"), arguments.parsed("view"))}


def _push(context: MethodContext, arguments: ApiArguments) -> JSON:
    return {"view": context.views.push(arguments.required("trigger_id"), arguments.parsed("view"))}


def _update(context: MethodContext, arguments: ApiArguments) -> JSON:
    view = context.views.update(
        view_id=arguments.optional("view_id"),
        external_id=arguments.optional("external_id"),
        view=arguments.parsed("view"),
        hash_=arguments.optional("hash"),
    )
    return {"view": view}


def _publish(context: MethodContext, arguments: ApiArguments) -> JSON:
    return {"view": context.views.publish(arguments.required("user_id"), arguments.parsed("view"))}


METHODS = {
    "views.open": Method(answer=_open, rate=TIER_4),
    "views.push": Method(answer=_push, rate=TIER_4),
    "views.update": Method(answer=_update, rate=TIER_4),
    "views.publish": Method(answer=_publish, rate=TIER_4),
}
