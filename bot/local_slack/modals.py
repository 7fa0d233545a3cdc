"""Open views: a stack of modals and a Home tab for each member."""

from dataclasses import dataclass, field

from bot.local_slack.limits import check_view, with_ids
from bot.local_slack.members import TEAM_ID
from bot.local_slack.refusal import JSON, SlackRefusal
from bot.local_slack.tickets import Tickets
from bot.local_slack.workspace import Workspace, new_id

# https://docs.slack.dev/reference/methods/views.push: "push_limit_reached".
MAX_DEPTH = 3


@dataclass(kw_only=True)
class Views:
    """The open views. A member sees the last view of the stack."""

    workspace: Workspace
    tickets: Tickets
    stacks: dict[str, list[JSON]] = field(default_factory=dict)
    homes: dict[str, JSON] = field(default_factory=dict)

    def open(self, trigger_id: str, view: object) -> JSON:
        """Open a modal for the trigger's member, and close that member's other modals."""
        checked = check_view(view, kind="modal")
        member_id = self.tickets.take_trigger(trigger_id).member_id
        self.stacks[member_id] = []
        return self._put(member_id, checked)

    def push(self, trigger_id: str, view: object) -> JSON:
        """Open a modal on top of the trigger's modal. Raises push_limit_reached above three."""
        checked = check_view(view, kind="modal")
        member_id = self.tickets.take_trigger(trigger_id).member_id
        return self.push_for(member_id, checked)

    def push_for(self, member_id: str, view: object) -> JSON:
        """Push a view without a trigger, for `response_action: push`."""
        if len(self.stacks.get(member_id, [])) >= MAX_DEPTH:
            raise SlackRefusal("push_limit_reached")
        return self._put(member_id, check_view(view, kind="modal"))

    def update(self, *, view_id: str, external_id: str, view: object, hash_: str) -> JSON:
        """Replace an open modal. Raises not_found, or hash_conflict if `hash_` is outdated."""
        checked = check_view(view, kind="modal")
        for stack in self.stacks.values():
            for index, old in enumerate(stack):
                if view_id == old["id"] or (external_id and external_id == old.get("external_id")):
                    if hash_ and hash_ != old["hash"]:
                        raise SlackRefusal("hash_conflict")
                    ids = {name: old[name] for name in ("id", "root_view_id", "previous_view_id")}
                    updated: JSON = self._filled(checked) | ids
                    stack[index] = updated
                    self.workspace.notify_change()
                    return updated
        raise SlackRefusal("not_found")

    def publish(self, member_id: str, view: object) -> JSON:
        """Set the member's Home tab."""
        member = self.workspace.member(member_id)
        self.homes[member.id] = self._filled(check_view(view, kind="home"))
        self.workspace.notify_change()
        return self.homes[member.id]

    def top(self, member_id: str) -> JSON | None:
        """Return the member's visible modal, or None."""
        stack = self.stacks.get(member_id)
        return stack[-1] if stack else None

    def find(self, member_id: str, view_id: str) -> JSON:
        """Return a member's open view. Raises not_found."""
        home = self.homes.get(member_id)
        for view in (*self.stacks.get(member_id, []), *([home] if home else [])):
            if view["id"] == view_id:
                return view
        raise SlackRefusal("not_found")

    def close(self, member_id: str, *, all_of_them: bool = False) -> list[JSON]:
        """Close the member's top modal, or all. Return the closed views, topmost first."""
        stack = self.stacks.get(member_id, [])
        closed = [stack.pop() for _ in range(len(stack) if all_of_them else min(1, len(stack)))]
        if closed:
            self.workspace.notify_change()
        return closed

    def _put(self, member_id: str, view: JSON) -> JSON:
        stack = self.stacks.setdefault(member_id, [])
        external_id = view.get("external_id")
        if external_id and any(one.get("external_id") == external_id for one in stack):
            raise SlackRefusal("duplicate_external_id")
        filled = self._filled(view)
        filled["root_view_id"] = stack[0]["id"] if stack else filled["id"]
        filled["previous_view_id"] = stack[-1]["id"] if stack else None
        stack.append(filled)
        self.workspace.notify_change()
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
