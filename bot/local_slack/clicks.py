"""Members' actions on messages and views, delivered to the app as Slack's interaction payloads."""

from dataclasses import dataclass
from typing import Any

from bot.local_slack.block_kit import elements_of
from bot.local_slack.delivery import VERIFICATION_TOKEN, Delivery, DeliveryFailed, event_callback
from bot.local_slack.inputs import selection, state_of
from bot.local_slack.members import TEAM_DOMAIN, TEAM_ID, WorkspaceMember
from bot.local_slack.modals import Views
from bot.local_slack.refusal import JSON, SlackRefusal
from bot.local_slack.tickets import Tickets
from bot.local_slack.workspace import StoredMessage, Workspace


@dataclass(kw_only=True)
class Clicks:
    """Buttons, menus, modals and the Home tab.

    Every public coroutine returns "", or Slack's error name if the app did not accept the delivery.
    """

    workspace: Workspace
    delivery: Delivery
    tickets: Tickets
    views: Views
    url: str = ""

    async def on_message(
        self, member: WorkspaceMember, message: StoredMessage, *, block_id: str, action_id: str, value: Any
    ) -> str:
        """Press a button of a message or choose from its menu. Raises action_not_found."""
        block, element = _find(message.blocks, block_id, action_id)
        channel = self.workspace.channel(message.channel)
        secret = self.tickets.new_response(
            channel_id=channel.id, member_id=member.id, thread_ts=message.thread_ts, source_ts=message.ts
        )
        container = {
            "type": "message",
            "message_ts": message.ts,
            "channel_id": channel.id,
            "is_ephemeral": bool(message.only_for),
        } | ({"thread_ts": message.thread_ts} if message.thread_ts else {})
        payload = self._payload("block_actions", member) | {
            "container": container,
            "channel": {"id": channel.id, "name": "directmessage" if channel.is_im else channel.name},
            "state": {"values": {}},
            "response_url": f"{self.url}/actions/{TEAM_ID}/{secret}",
            "actions": [self._action(block, element, value)],
        }
        if not message.only_for:
            payload["message"] = self.workspace.as_slack(message)
        return await self._deliver(payload)

    async def on_view(
        self, member: WorkspaceMember, view: JSON, *, block_id: str, action_id: str, value: Any, values: JSON
    ) -> str:
        """Press a button or choose from a menu in a modal or on the Home tab; `values` are the input fields' values."""
        block, element = _find(view["blocks"], block_id, action_id)
        view["state"] = {"values": state_of(view["blocks"], values)[0]}
        payload = self._payload("block_actions", member, view_id=view["id"]) | {
            "container": {"type": "view", "view_id": view["id"]},
            "view": view,
            "actions": [self._action(block, element, value)],
        }
        return await self._deliver(payload)

    async def submit(self, member: WorkspaceMember, view: JSON, values: JSON) -> tuple[str, dict[str, str]]:
        """Submit a modal. Return the failure, and the input errors of Slack or of the app by block_id."""
        state, errors = state_of(view["blocks"], values)
        if errors:
            return "", errors
        view["state"] = {"values": state}
        payload = self._payload("view_submission", member, view_id=view["id"]) | {"view": view, "response_urls": []}
        try:
            answer = await self.delivery.deliver("interactive", payload)
            return "", self._after_submission(member, view, answer)
        except (DeliveryFailed, SlackRefusal) as failure:
            return failure.error, {}

    async def close(self, member: WorkspaceMember) -> str:
        """Close the open modal, and notify the app if the view has notify_on_close."""
        error = ""
        for view in self.views.close(member.id):
            if view["notify_on_close"]:
                payload = self._payload("view_closed", member) | {"view": view, "is_cleared": False}
                del payload["trigger_id"]
                error = await self._deliver(payload)
        return error

    def open_home(self, member: WorkspaceMember) -> None:
        """Send the event that a member opened the Home tab."""
        event = {
            "type": "app_home_opened",
            "user": member.id,
            "channel": self.workspace.direct(member).id,
            "tab": "home",
            "event_ts": f"{self.workspace.clock():.6f}",
        }
        self.delivery.deliver_event(event_callback(self.workspace, event))

    def _after_submission(self, member: WorkspaceMember, view: JSON, answer: JSON) -> dict[str, str]:
        match answer.get("response_action"):
            case "errors":
                return {str(block_id): str(text) for block_id, text in (answer.get("errors") or {}).items()}
            case "update":
                self.views.update(view_id=view["id"], external_id="", view=answer.get("view"), hash_="")
            case "push":
                self.views.push_for(member.id, answer.get("view"))
            case "clear":
                self.views.close(member.id, all_of_them=True)
            case _:
                self.views.close(member.id)
        return {}

    async def _deliver(self, payload: JSON) -> str:
        try:
            await self.delivery.deliver("interactive", payload)
        except DeliveryFailed as failure:
            return failure.error
        return ""

    def _payload(self, kind: str, member: WorkspaceMember, view_id: str = "") -> JSON:
        return {
            "type": kind,
            "user": {"id": member.id, "username": member.name, "name": member.name, "team_id": member.team_id},
            "api_app_id": self.workspace.app.app_id,
            "token": VERIFICATION_TOKEN,
            "trigger_id": self.tickets.new_trigger(member.id, view_id),
            "team": {"id": TEAM_ID, "domain": TEAM_DOMAIN},
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _action(self, block: JSON, element: JSON, value: Any) -> JSON:
        action: JSON = {
            "type": element["type"],
            "action_id": element["action_id"],
            "block_id": block["block_id"],
            "action_ts": f"{self.workspace.clock():.6f}",
        }
        if element["type"] == "button":
            action |= {name: element[name] for name in ("text", "value", "style") if name in element}
            return action
        return action | selection(element, value)


def _find(blocks: list[JSON], block_id: str, action_id: str) -> tuple[JSON, JSON]:
    for block in blocks:
        for element in elements_of(block):
            if element["action_id"] == action_id and block_id in ("", block["block_id"]):
                return block, element
    raise SlackRefusal("action_not_found")
