"""What a human does in the local Slack, over HTTP: for tests, and for the demo's tour."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from bot.local_slack.block_kit import elements_of
from bot.local_slack.limits import texts_of
from bot.local_slack.refusal import JSON, Refusal

# Longer than Slack's own deadline for the app, which ends every deed.
_TIMEOUT_S = 30.0

Seen = TypeVar("Seen")


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """A button, or a menu with its options' values."""

    label: str
    action_id: str
    block_id: str
    value: str = ""
    style: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedFile:
    """A file on a message; `url` downloads it."""

    name: str
    title: str
    mimetype: str
    size_bytes: int
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message as one member sees it."""

    channel: str
    ts: str
    user: str
    text: str
    blocks: tuple[JSON, ...]
    thread_ts: str
    files: tuple[SharedFile, ...]
    is_ephemeral: bool
    is_edited: bool

    @property
    def plain(self) -> str:
        """All that can be read on it: the texts of its blocks, one a line; without blocks its text."""
        return "\n".join(texts_of(list(self.blocks))) or self.text

    @property
    def buttons(self) -> tuple[Button, ...]:
        """Its buttons and menus, in order."""
        return tuple(_button(block, one) for block in self.blocks for one in elements_of(block))


@dataclass(frozen=True, kw_only=True, slots=True)
class Modal:
    """The modal on a member's screen."""

    id: str
    title: str
    callback_id: str
    blocks: tuple[JSON, ...]

    @property
    def plain(self) -> str:
        """All that can be read in it, one text a line."""
        return "\n".join(texts_of(list(self.blocks)))


class Person:
    """One member at the keyboard. Deeds raise Refusal where Slack itself refuses them.

    Otherwise they return when the app has acknowledged: an empty string, or the error name that Slack shows where the
    app did not take the delivery (`operation_timeout`, `dispatch_failed`) or answered what cannot be shown.
    """

    def __init__(self, *, url: str, member: str) -> None:
        self._url = url.rstrip("/")
        # Plain HTTP on loopback: no proxy to look for, no certificates to load.
        self._client = httpx.Client(base_url=self._url, timeout=_TIMEOUT_S, trust_env=False, verify=False)
        self._member = member
        self._revision = 0
        self._channels: dict[str, str] = {}

    def close(self) -> None:
        """Hangs up. `LocalSlack` does it for everyone that it has handed out."""
        self._client.close()

    @property
    def id(self) -> str:
        """This member's user id."""
        return str(self._state()["me"])

    def type(self, text: str, channel: str = "ml-ops", thread_ts: str | None = None) -> str:
        """Types into a channel, or into a thread of it: a slash command, a mention or a plain message."""
        return self._do("type", text=text, channel=channel, thread_ts=thread_ts)

    def click(self, message: Message, action_id: str, value: object = None) -> str:
        """Presses the button with this action_id, or chooses the option with this value from the menu."""
        return self._do("click", channel=message.channel, ts=message.ts, action_id=action_id, value=value)

    def click_button(self, message: Message, label: str) -> str:
        """Presses the button that reads `label`; raises LookupError where there is none."""
        for button in message.buttons:
            if button.label == label:
                return self._do(
                    "click",
                    channel=message.channel,
                    ts=message.ts,
                    block_id=button.block_id,
                    action_id=button.action_id,
                )
        labels = ", ".join(button.label for button in message.buttons) or "none"
        raise LookupError(f"No button “{label}” on the message; there are: {labels}.")

    def messages(self, channel: str = "ml-ops") -> tuple[Message, ...]:
        """Returns what everybody sees in a channel, oldest first, without replies in threads."""
        return tuple(
            one for one in self._messages() if self._is_in(one, channel) and not (one.thread_ts or one.is_ephemeral)
        )

    def thread(self, message: Message) -> tuple[Message, ...]:
        """Returns the replies to a message that everybody sees, oldest first."""
        return tuple(one for one in self._messages() if one.thread_ts == message.ts and not one.is_ephemeral)

    def ephemerals(self) -> tuple[Message, ...]:
        """Returns what only this member sees, in any channel or thread, oldest first."""
        return tuple(one for one in self._messages() if one.is_ephemeral)

    def message(self, ts: str) -> Message | None:
        """Returns the message with this timestamp as it is now, if it is still there."""
        return next((one for one in self._messages() if one.ts == ts), None)

    def download(self, file: SharedFile) -> bytes:
        """Returns the content of a file."""
        return self._client.get(file.url).raise_for_status().content

    def modal(self) -> Modal | None:
        """Returns the modal on the screen, if one is open."""
        view = self._state()["modal"]
        return _modal(view) if view else None

    def open_home(self) -> None:
        """Opens the app's Home tab; the app hears of it and may publish something."""
        self._do("home")

    def home(self) -> Modal | None:
        """Returns what the app has published on the Home tab, if anything."""
        view = self._state()["home"]
        return _modal(view) if view else None

    def click_in_modal(self, action_id: str, value: object = None, values: dict[str, object] | None = None) -> str:
        """Presses a button, or chooses from a menu, in the modal on the screen; `values` as in `submit`."""
        view = self._open_modal()
        return self._do(
            "click", view_id=view["id"], action_id=action_id, value=value, values=_filled_in(view, values or {})
        )

    def submit(self, values: dict[str, object] | None = None) -> dict[str, str]:
        """Fills in the modal and submits it; returns the complaints shown in it, by block_id.

        `values` goes by action_id or block_id: a text, an option's value, or a list of them for checkboxes. What is
        left out keeps its initial value. Raises Refusal where the app did not take it.
        """
        view = self._open_modal()
        answer = self._post("submit", view_id=view["id"], values=_filled_in(view, values or {}))
        if answer["failure"]:
            raise Refusal(answer["failure"])
        complaints: dict[str, str] = answer["errors"]
        return complaints

    def close_modal(self) -> str:
        """Closes the modal on the screen without submitting it."""
        return self._do("close")

    def wait_for(self, look: Callable[[], Seen | None], timeout_s: float = 60.0) -> Seen:
        """Calls `look` after every change until it returns something true, and returns that.

        Raises TimeoutError after `timeout_s`, with everything that this member sees.
        """
        deadline_s = time.monotonic() + timeout_s
        while not (found := look()):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                seen = "\n".join(f"  {one.user}: {one.plain}" for one in self._messages())
                raise TimeoutError(f"Not seen by {self._member} within {timeout_s} s; what there is:\n{seen}")
            # `look` may depend on more than this workspace: look again twice a second, whatever happens.
            self._state(since=self._revision, wait_s=min(left_s, 0.5))
        return found

    def _open_modal(self) -> JSON:
        view: JSON | None = self._state()["modal"]
        if view is None:
            raise LookupError("No modal is open.")
        return view

    def _do(self, deed: str, **fields: object) -> str:
        return str(self._post(deed, **fields)["failure"])

    def _post(self, deed: str, **fields: object) -> JSON:
        answer: JSON = self._client.post(f"/local/{deed}", json={"member": self._member, **fields}).json()
        if not answer["ok"]:
            raise Refusal(answer["error"])
        return answer

    def _state(self, **query: Any) -> JSON:
        answer: JSON = self._client.get("/local/state", params={"member": self._member, **query}).json()
        if not answer["ok"]:
            raise Refusal(answer["error"])
        self._revision = answer["revision"]
        return answer

    def _messages(self) -> list[Message]:
        state = self._state()
        self._channels = {one["id"]: one["name"] for one in state["channels"]}
        return [self._as_message(one) for one in state["messages"]]

    def _is_in(self, message: Message, channel: str) -> bool:
        return channel.removeprefix("#") in (message.channel, self._channels[message.channel])

    def _as_message(self, seen: JSON) -> Message:
        files = tuple(
            SharedFile(
                name=one["name"],
                title=one["title"],
                mimetype=one["mimetype"],
                size_bytes=one["size"],
                url=self._url + one["url_private"],
            )
            for one in seen["files"]
        )
        kept = ("channel", "ts", "user", "text", "thread_ts", "is_ephemeral", "is_edited")
        return Message(blocks=tuple(seen["blocks"]), files=files, **{name: seen[name] for name in kept})


def _button(block: JSON, element: JSON) -> Button:
    label = element.get("text") or element.get("placeholder") or {}
    return Button(
        label=label.get("text", ""),
        action_id=element["action_id"],
        block_id=block["block_id"],
        value=element.get("value", ""),
        style=element.get("style", ""),
        options=tuple(option.get("value", "") for option in element.get("options", ())),
    )


def _filled_in(view: JSON, values: dict[str, object]) -> JSON:
    filled: JSON = {}
    for block in view["blocks"]:
        for element in elements_of(block) if block["type"] == "input" else ():
            for name in (element["action_id"], block["block_id"]):
                if name in values:
                    filled[block["block_id"]] = {element["action_id"]: values[name]}
    return filled


def _modal(view: JSON) -> Modal:
    title = view.get("title", {}).get("text", "Home")
    return Modal(id=view["id"], title=title, callback_id=view["callback_id"], blocks=tuple(view["blocks"]))
