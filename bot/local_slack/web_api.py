"""Slack's Web API: tokens, scopes, rate limits and planned failures. The methods are in `methods`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.local_slack.arguments import ApiArguments, parse_arguments
from bot.local_slack.faults import Faults, SlackCall, SlackFault
from bot.local_slack.methods import METHODS, Method, MethodContext
from bot.local_slack.rate_limits import RateLimits
from bot.local_slack.refusal import JSON, SlackRefusal

# The scopes of the installed app. A method that needs another scope answers missing_scope.
SCOPES = (
    "commands",
    "chat:write",
    "files:write",
    "users:read",
    "usergroups:read",
    "app_mentions:read",
    "channels:history",
    "groups:history",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiReply:
    """An HTTP answer with a JSON body."""

    status: int
    body: JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class WebApi:
    """The Web API; without `rate_limits` calls are unlimited."""

    context: MethodContext
    faults: Faults
    bot_token: str
    app_token: str
    scopes: tuple[str, ...] = SCOPES
    rate_limits: RateLimits | None = None

    def call(self, name: str, *, body: bytes, content_type: str, query: str, authorization: str) -> ApiReply:
        """Answer and log one call of the method `name`."""
        arguments = ApiArguments({})
        fault = self.faults.next_for(name)
        try:
            method = METHODS.get(name)
            if method and not method.takes_json and content_type.startswith("application/json"):
                body = b""
            arguments = parse_arguments(body=body, content_type=content_type, query=query)
            token = authorization.removeprefix("Bearer ").strip() or arguments.optional("token")
            reply = _failed(fault) if fault and not fault.after_action else self._execute(name, arguments, token)
        except SlackRefusal as refusal:
            reply = ApiReply(status=200, body=refusal.as_json())
        if fault and fault.after_action:
            reply = _failed(fault)
        self.faults.record(
            SlackCall(
                method=name,
                arguments=arguments.as_logged(),
                at_s=self.context.workspace.clock(),
                status=reply.status,
                error=reply.body.get("error", ""),
            )
        )
        return reply

    def _execute(self, name: str, arguments: ApiArguments, token: str) -> ApiReply:
        method = METHODS.get(name)
        if method is None:
            raise SlackRefusal("unknown_method", req_method=name)
        self._authorize(method, token)
        if retry_after_s := self._wait_s(name, method, arguments):
            return _rate_limited(retry_after_s)
        body = method.answer(self.context, arguments)
        headers = {"x-oauth-scopes": ",".join(self.scopes), "x-accepted-oauth-scopes": method.scope}
        return ApiReply(status=200, body={"ok": True, **body}, headers=headers)

    def _authorize(self, method: Method, token: str) -> None:
        if not token:
            raise SlackRefusal("not_authed")
        if token not in (self.bot_token, self.app_token):
            raise SlackRefusal("invalid_auth")
        if token != (self.app_token if method.token == "app" else self.bot_token):
            raise SlackRefusal("not_allowed_token_type")
        if method.scope and method.token == "bot" and method.scope not in self.scopes:
            raise SlackRefusal("missing_scope", needed=method.scope, provided=",".join(self.scopes))

    def _wait_s(self, name: str, method: Method, arguments: ApiArguments) -> int:
        if self.rate_limits is None:
            return 0
        key = f"{name} {arguments.optional('channel')}" if method.is_limited_per_channel else name
        return self.rate_limits.take(key, method.rate)


def _rate_limited(retry_after_s: int) -> ApiReply:
    return ApiReply(status=429, body={"ok": False, "error": "ratelimited"}, headers={"Retry-After": str(retry_after_s)})


def _failed(fault: SlackFault) -> ApiReply:
    if fault.status == 429:
        return _rate_limited(fault.retry_after_s)
    return ApiReply(status=fault.status, body={"ok": False, "error": fault.error or "internal_error"})


def encode(reply: ApiReply) -> bytes:
    """Return the reply's body as JSON."""
    return json.dumps(reply.body, ensure_ascii=False).encode()
