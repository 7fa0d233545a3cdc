"""The views that are open: a stack of modals for each member, and the app's Home tab."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.local_slack.limits import check_view, with_ids
from bot.local_slack.members import TEAM_ID
from bot.local_slack.refusal import JSON, Refusal
from bot.local_slack.tickets import Tickets
from bot.local_slack.workspace import Workspace, new_id

# https://docs.slack.dev/reference/methods/views.push: "push_limit_reached".
MAX_DEPTH = 3


@dataclass(kw_only=True)
class Views:
    """Opens, pushes, updates and closes views. The last of a member's stack is the one on the screen."""

    workspace: Workspace
    tickets: Tickets
    stacks: dict[str, list[JSON]] = field(default_factory=dict)
    homes: dict[str, JSON] = field(default_factory=dict)

    def open(self, trigger_id: str, view: object) -> JSON:
        """Opens a modal for the member behind the trigger, in place of those that are open."""
        checked = check_view(view, kind="modal")
        member_id = self.tickets.take_trigger(trigger_id).member_id
        self.stacks[member_id] = []
        return self._put(member_id, checked)

    def push(self, trigger_id: str, view: object) -> JSON:
        """Opens a modal on top of the one in which the trigger arose; raises push_limit_reached above three."""
        checked = check_view(view, kind="modal")
        member_id = self.tickets.take_trigger(trigger_id).member_id
        return self.push_for(member_id, checked)

    def push_for(self, member_id: str, view: object) -> JSON:
        """Pushes a view without a trigger: a submission was answered with `response_action: push`."""
        if len(self.stacks.get(member_id, [])) >= MAX_DEPTH:
            raise Refusal("push_limit_reached")
        return self._put(member_id, check_view(view, kind="modal"))

    def update(self, *, view_id: str, external_id: str, view: object, hash_: str) -> JSON:
        """Replaces an open modal; raises not_found, or hash_conflict where `hash_` is not of its last state."""
        checked = check_view(view, kind="modal")
        for stack in self.stacks.values():
            for index, old in enumerate(stack):
                if view_id == old["id"] or (external_id and external_id == old.get("external_id")):
                    if hash_ and hash_ != old["hash"]:
                        raise Refusal("hash_conflict")
                    kept = {name: old[name] for name in ("id", "root_view_id", "previous_view_id")}
                    updated: JSON = self._filled(checked) | kept
                    stack[index] = updated
                    self.workspace.changed()
                    return updated
        raise Refusal("not_found")

    def publish(self, member_id: str, view: object) -> JSON:
        """Shows a view as the member's Home tab."""
        member = self.workspace.member(member_id)
        self.homes[member.id] = self._filled(check_view(view, kind="home"))
        self.workspace.changed()
        return self.homes[member.id]

    def top(self, member_id: str) -> JSON | None:
        """Returns the modal that the member sees."""
        stack = self.stacks.get(member_id)
        return stack[-1] if stack else None

    def find(self, member_id: str, view_id: str) -> JSON:
        """Returns a member's open view; raises not_found."""
        home = self.homes.get(member_id)
        for view in (*self.stacks.get(member_id, []), *([home] if home else [])):
            if view["id"] == view_id:
                return view
        raise Refusal("not_found")

    def close(self, member_id: str, *, all_of_them: bool = False) -> list[JSON]:
        """Closes the member's top modal, or the whole stack; returns what was closed, topmost first."""
        stack = self.stacks.get(member_id, [])
        closed = [stack.pop() for _ in range(len(stack) if all_of_them else min(1, len(stack)))]
        if closed:
            self.workspace.changed()
        return closed

    def _put(self, member_id: str, view: JSON) -> JSON:
        stack = self.stacks.setdefault(member_id, [])
        external_id = view.get("external_id")
        if external_id and any(one.get("external_id") == external_id for one in stack):
            raise Refusal("duplicate_external_id")
        filled = self._filled(view)
        filled["root_view_id"] = stack[0]["id"] if stack else filled["id"]
        filled["previous_view_id"] = stack[-1]["id"] if stack else None
        stack.append(filled)
        self.workspace.changed()
        return filled

    def _filled(self, view: JSON) -> JSON:
        app = self.workspace.app
        defaults: JSON = {
            "private_metadata": "",
            "callback_id": "",
            "external_id": "",
            "close": None,
            "submit": None,
            "clear_on_close": False,
            "notify_on_close": False,
        }
        return (
            defaults
            | view
            | {
                "id": new_id("V"),
                "team_id": TEAM_ID,
                "app_id": app.app_id,
                "bot_id": app.bot_id,
                "app_installed_team_id": TEAM_ID,
                "blocks": with_ids(view["blocks"]),
                "state": {"values": {}},
                "hash": f"{self.workspace.revision}.{new_id('')}",
            }
        )
