"""Deliveries to the app: signed HTTP requests, or Socket Mode while the app is connected."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode

import httpx
from slack_sdk.signature import SignatureVerifier

from bot.local_slack.members import TEAM_ID
from bot.local_slack.refusal import JSON
from bot.local_slack.socket_mode import SocketMode
from bot.local_slack.workspace import Workspace, new_id

# Deprecated by Slack: apps verify the signature instead.
VERIFICATION_TOKEN = "local-verification-token"
# https://docs.slack.dev/interactivity/implementing-slash-commands and .../handling-user-interaction.
DEADLINE_S = 3.0
# https://docs.slack.dev/apis/events-api: Slack retries an event at once, after one minute, and after five.
EVENT_RETRIES_S = (0.0, 60.0, 300.0)

# One connection per delivery: none is stale, and no delivery waits for another.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=0)

Kind = Literal["slash_commands", "interactive", "events_api"]


class DeliveryFailed(Exception):
    """The app did not accept a delivery. Slack shows `error`, and puts `reason` into the headers of event retries."""

    def __init__(self, error: str, reason: str) -> None:
        super().__init__(error)
        self.error = error
        self.reason = reason


@dataclass(kw_only=True)
class Delivery:
    """Delivery to `request_url`, which may be set later. Signatures use the real clock, because the app does."""

    signing_secret: str
    socket_mode: SocketMode
    request_url: str = ""
    deadline_s: float = DEADLINE_S
    event_retries_s: tuple[float, ...] = EVENT_RETRIES_S
    _client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False, limits=_LIMITS))
    _events: set[asyncio.Task[None]] = field(default_factory=set)

    async def deliver(self, kind: Kind, payload: JSON, *, retry: JSON | None = None) -> JSON:
        """Deliver once and return the app's answer; plain text becomes `{"text": …}`.

        Raises DeliveryFailed: operation_timeout after `deadline_s`, dispatch_failed if the answer is not a 200.
        """
        if self.socket_mode.is_connected:
            return await self._by_socket(kind, payload, retry)
        return await self._by_http(kind, payload, retry or {})

    def deliver_event(self, payload: JSON) -> None:
        """Deliver an event in the background, and retry as Slack does until the app accepts it."""
        task = asyncio.get_running_loop().create_task(self._deliver_event(payload))
        self._events.add(task)
        task.add_done_callback(self._events.discard)

    async def close(self) -> None:
        """Cancel pending retries and close the HTTP client."""
        for task in list(self._events):
            task.cancel()
        await self._client.aclose()

    async def _deliver_event(self, payload: JSON) -> None:
        retry: JSON = {}
        for attempt, delay_s in enumerate((*self.event_retries_s, 0.0), start=1):
            try:
                await self.deliver("events_api", payload, retry=retry)
                return
            except DeliveryFailed as failure:
                if attempt > len(self.event_retries_s) or failure.reason == "no_retry":
                    return
                retry = {"retry_attempt": attempt, "retry_reason": failure.reason}
            await asyncio.sleep(delay_s)

    async def _by_socket(self, kind: Kind, payload: JSON, retry: JSON | None) -> JSON:
        try:
            answer = await self.socket_mode.deliver(kind, payload, deadline_s=self.deadline_s, retry=retry)
        except TimeoutError:
            raise DeliveryFailed("operation_timeout", "timeout") from None
        except ConnectionError:
            raise DeliveryFailed("dispatch_failed", "connection_failed") from None
        return answer or {}

    async def _by_http(self, kind: Kind, payload: JSON, retry: JSON) -> JSON:
        if not self.request_url:
            raise DeliveryFailed("dispatch_failed", "connection_failed")
        body, content_type = _encoded(kind, payload)
        headers = {"Content-Type": content_type, "User-Agent": "Slackbot 1.0 (+local)", "Accept": "*/*"}
        headers |= _signed(self.signing_secret, body)
        if retry:
            headers["X-Slack-Retry-Num"] = str(retry["retry_attempt"])
            headers["X-Slack-Retry-Reason"] = retry["retry_reason"]
        try:
            async with asyncio.timeout(self.deadline_s):
                response = await self._client.post(self.request_url, content=body, headers=headers, timeout=None)
        except TimeoutError:
            raise DeliveryFailed("operation_timeout", "http_timeout") from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise DeliveryFailed("dispatch_failed", "connection_failed") from None
        if response.status_code != 200:
            wants_no_retry = response.headers.get("x-slack-no-retry") == "1"
            raise DeliveryFailed("dispatch_failed", "no_retry" if wants_no_retry else "http_error")
        return _decoded(response)


def _encoded(kind: Kind, payload: JSON) -> tuple[bytes, str]:
    if kind == "events_api":
        return json.dumps(payload).encode(), "application/json"
    fields = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
    return urlencode(fields).encode(), "application/x-www-form-urlencoded"


def _signed(signing_secret: str, body: bytes) -> dict[str, str]:
    verifier = SignatureVerifier(signing_secret)
    timestamp = str(int(verifier.clock.now()))
    signature = verifier.generate_signature(timestamp=timestamp, body=body) or ""
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": signature}


def _decoded(response: httpx.Response) -> JSON:
    if not response.content.strip():
        return {}
    if response.headers.get("content-type", "").startswith("application/json"):
        try:
            answer = response.json()
        except ValueError:
            return {}
        return answer if isinstance(answer, dict) else {}
    return {"text": response.text}


def event_callback(workspace: Workspace, event: JSON) -> JSON:
    """Return the envelope in which the Events API delivers an event."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": TEAM_ID,
        "api_app_id": workspace.app.app_id,
        "event": event,
        "type": "event_callback",
        "event_id": new_id("Ev"),
        "event_time": int(workspace.clock()),
        "authorizations": [
            {"team_id": TEAM_ID, "user_id": workspace.app.user_id, "is_bot": True, "is_enterprise_install": False}
        ],
    }
