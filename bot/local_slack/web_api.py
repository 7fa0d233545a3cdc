"""Slack's Web API: who may call what, how often, and what fails on purpose. The methods themselves are in `methods`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.local_slack.arguments import Arguments, parse_arguments
from bot.local_slack.faults import Call, Fault, Faults
from bot.local_slack.methods import METHODS, Method, Server
from bot.local_slack.rate_limits import RateLimits
from bot.local_slack.refusal import JSON, Refusal

# The scopes that the app was installed with; a method that needs another is answered with missing_scope.
SCOPES = ("commands", "chat:write", "files:write", "users:read", "usergroups:read", "app_mentions:read")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An HTTP answer with a JSON body."""

    status: int
    body: JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class WebApi:
    """Answers calls. Without `rate_limits` everything is allowed at any speed; without `app_token` no Socket Mode."""

    server: Server
    faults: Faults
    bot_token: str
    app_token: str
    scopes: tuple[str, ...] = SCOPES
    rate_limits: RateLimits | None = None

    def call(self, name: str, *, body: bytes, content_type: str, query: str, authorization: str) -> Reply:
        """Answers one call of the method `name` and logs it."""
        arguments = Arguments({})
        fault = self.faults.next_for(name)
        try:
            method = METHODS.get(name)
            if method and not method.takes_json and content_type.startswith("application/json"):
                body = b""
            arguments = parse_arguments(body=body, content_type=content_type, query=query)
            token = authorization.removeprefix("Bearer ").strip() or arguments.optional("token")
            reply = _failed(fault) if fault and not fault.after_the_deed else self._carry_out(name, arguments, token)
        except Refusal as refusal:
            reply = Reply(status=200, body=refusal.as_json())
        if fault and fault.after_the_deed:
            reply = _failed(fault)
        self.faults.record(
            Call(
                method=name,
                arguments=arguments.as_logged(),
                at_s=self.server.workspace.clock(),
                status=reply.status,
                error=reply.body.get("error", ""),
            )
        )
        return reply

    def _carry_out(self, name: str, arguments: Arguments, token: str) -> Reply:
        method = METHODS.get(name)
        if method is None:
            raise Refusal("unknown_method", req_method=name)
        self._authorize(method, token)
        if retry_after_s := self._wait_s(name, method, arguments):
            return _rate_limited(retry_after_s)
        body = method.answer(self.server, arguments)
        headers = {"x-oauth-scopes": ",".join(self.scopes), "x-accepted-oauth-scopes": method.scope}
        return Reply(status=200, body={"ok": True, **body}, headers=headers)

    def _authorize(self, method: Method, token: str) -> None:
        if method.token == "none":
            return
        if not token:
            raise Refusal("not_authed")
        if token not in (self.bot_token, self.app_token):
            raise Refusal("invalid_auth")
        if token != (self.app_token if method.token == "app" else self.bot_token):
            raise Refusal("not_allowed_token_type")
        if method.scope and method.token == "bot" and method.scope not in self.scopes:
            raise Refusal("missing_scope", needed=method.scope, provided=",".join(self.scopes))

    def _wait_s(self, name: str, method: Method, arguments: Arguments) -> int:
        if self.rate_limits is None:
            return 0
        key = f"{name} {arguments.optional('channel')}" if method.is_limited_per_channel else name
        return self.rate_limits.take(key, method.rate)


def _rate_limited(retry_after_s: int) -> Reply:
    return Reply(status=429, body={"ok": False, "error": "ratelimited"}, headers={"Retry-After": str(retry_after_s)})


def _failed(fault: Fault) -> Reply:
    if fault.status == 429:
        return _rate_limited(fault.retry_after_s)
    return Reply(status=fault.status, body={"ok": False, "error": fault.error or "internal_error"})


def encode(reply: Reply) -> bytes:
    """Returns the reply's body as it goes over the wire."""
    return json.dumps(reply.body, ensure_ascii=False).encode()
