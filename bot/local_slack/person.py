"""Client that acts as one member of the local Slack over HTTP, for tests and for the demo's tour."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from bot.local_slack.block_kit import elements_of
from bot.local_slack.limits import texts_of
from bot.local_slack.refusal import JSON, SlackRefusal

# Longer than Slack's deadline for the app, which limits every action.
_TIMEOUT_S = 30.0

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class InteractiveElement:
    """A button or a menu; `options` are the values of a menu."""

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
class VisibleMessage:
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
        """Return the texts of its blocks, one per line, or its text if it has no blocks."""
        return "\n".join(texts_of(list(self.blocks))) or self.text

    @property
    def buttons(self) -> tuple[InteractiveElement, ...]:
        """Return its buttons and menus, in order."""
        return tuple(_button(block, one) for block in self.blocks for one in elements_of(block))


@dataclass(frozen=True, kw_only=True, slots=True)
class Modal:
    """A member's open modal or Home tab."""

    id: str
    title: str
    callback_id: str
    blocks: tuple[JSON, ...]

    @property
    def plain(self) -> str:
        """Return the texts of its blocks, one per line."""
        return "\n".join(texts_of(list(self.blocks)))


class Person:
    """One member. Actions return after the app acknowledged them, and raise SlackRefusal if Slack refuses them.

    They return "", or the error name that Slack shows if the app did not accept the delivery (`operation_timeout`,
    `dispatch_failed`) or if its answer cannot be shown.
    """

    def __init__(self, *, url: str, member: str) -> None:
        self._url = url.rstrip("/")
        # HTTP on loopback needs neither a proxy nor certificates.
        self._client = httpx.Client(base_url=self._url, timeout=_TIMEOUT_S, trust_env=False, verify=False)
        self._member = member
        self._revision = 0
        self._channels: dict[str, str] = {}

    def close(self) -> None:
        """Close the connection. `LocalSlack` closes the clients that it created."""
        self._client.close()

    @property
    def id(self) -> str:
        """Return this member's user id."""
        return str(self._state()["me"])

    def type(self, text: str, channel: str = "ml-ops", thread_ts: str | None = None) -> str:
        """Type a slash command, a mention or a plain message into a channel or thread."""
        return self._act("type", text=text, channel=channel, thread_ts=thread_ts)

    def click(self, message: VisibleMessage, action_id: str, value: object = None) -> str:
        """Press the button with this action_id, or choose the option with this value."""
        return self._act("click", channel=message.channel, ts=message.ts, action_id=action_id, value=value)

    def click_button(self, message: VisibleMessage, label: str) -> str:
        """Press the button with this label. Raises LookupError if the message has no such button."""
        for button in message.buttons:
            if button.label == label:
                return self._act(
                    "click",
                    channel=message.channel,
                    ts=message.ts,
                    block_id=button.block_id,
                    action_id=button.action_id,
                )
        labels = ", ".join(button.label for button in message.buttons if button.label)
        raise LookupError(f"The message has no button “{label}”. Its buttons: {labels}.")

    def messages(self, channel: str = "ml-ops") -> tuple[VisibleMessage, ...]:
        """Return the messages in a channel that all members see, oldest first, without replies."""
        return tuple(
            one for one in self._messages() if self._is_in(one, channel) and not (one.thread_ts or one.is_ephemeral)
        )

    def thread(self, message: VisibleMessage) -> tuple[VisibleMessage, ...]:
        """Return the replies to a message that all members see, oldest first."""
        return tuple(one for one in self._messages() if one.thread_ts == message.ts and not one.is_ephemeral)

    def ephemerals(self) -> tuple[VisibleMessage, ...]:
        """Return the messages that only this member sees, in any channel or thread, oldest first."""
        return tuple(one for one in self._messages() if one.is_ephemeral)

    def message(self, ts: str) -> VisibleMessage | None:
        """Return the message with this timestamp in its present state, or None if it was deleted."""
        return next((one for one in self._messages() if one.ts == ts), None)

    def download(self, file: SharedFile) -> bytes:
        """Return the content of a file."""
        return self._client.get(file.url).raise_for_status().content

    def modal(self) -> Modal | None:
        """Return the open modal, or None."""
        view = self._state()["modal"]
        return _modal(view) if view else None

    def open_home(self) -> None:
        """Open the app's Home tab, which sends app_home_opened to the app."""
        self._act("home")

    def home(self) -> Modal | None:
        """Return the Home tab, or None if the app has not published it."""
        view = self._state()["home"]
        return _modal(view) if view else None

    def click_in_modal(self, action_id: str, value: object = None, values: dict[str, object] | None = None) -> str:
        """Press a button or choose an option in the open modal; `values` as in `submit`."""
        view = self._open_modal()
        return self._act(
            "click", view_id=view["id"], action_id=action_id, value=value, values=_input_values(view, values or {})
        )

    def submit(self, values: dict[str, object] | None = None) -> dict[str, str]:
        """Fill in and submit the open modal. Return the errors shown in it, by block_id.

        `values` maps action_id or block_id to a text, an option's value, or a list of values for checkboxes. Other
        fields keep their initial values. Raises SlackRefusal if the app did not accept the submission.
        """
        view = self._open_modal()
        answer = self._post("submit", view_id=view["id"], values=_input_values(view, values or {}))
        if answer["failure"]:
            raise SlackRefusal(answer["failure"])
        errors: dict[str, str] = answer["errors"]
        return errors

    def close_modal(self) -> str:
        """Close the open modal without submitting it."""
        return self._act("close")

    def wait_for(self, predicate: Callable[[], T | None], timeout_s: float = 60.0) -> T:
        """Call `predicate` after every change, and return its first true result.

        Raises TimeoutError after `timeout_s`, with the messages that this member sees.
        """
        deadline_s = time.monotonic() + timeout_s
        while not (result := predicate()):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                visible = "\n".join(f"  {one.user}: {one.plain}" for one in self._messages())
                raise TimeoutError(
                    f"{self._member} waited {timeout_s:g} s without success. Visible messages:\n{visible}"
                )
            # `predicate` may depend on state outside the workspace: call it at least twice a second.
            self._state(since=self._revision, wait_s=min(left_s, 0.5))
        return result

    def _open_modal(self) -> JSON:
        view: JSON | None = self._state()["modal"]
        if view is None:
            raise LookupError("No modal is open.")
        return view

    def _act(self, action: str, **fields: object) -> str:
        return str(self._post(action, **fields)["failure"])

    def _post(self, action: str, **fields: object) -> JSON:
        answer: JSON = self._client.post(f"/local/{action}", json={"member": self._member, **fields}).json()
        if not answer["ok"]:
            raise SlackRefusal(answer["error"])
        return answer

    def _state(self, **query: Any) -> JSON:
        answer: JSON = self._client.get("/local/state", params={"member": self._member, **query}).json()
        if not answer["ok"]:
            raise SlackRefusal(answer["error"])
        self._revision = answer["revision"]
        return answer

    def _messages(self) -> list[VisibleMessage]:
        state = self._state()
        self._channels = {one["id"]: one["name"] for one in state["channels"]}
        return [self._as_message(one) for one in state["messages"]]

    def _is_in(self, message: VisibleMessage, channel: str) -> bool:
        return channel.removeprefix("#") in (message.channel, self._channels[message.channel])

    def _as_message(self, message: JSON) -> VisibleMessage:
        files = tuple(
            SharedFile(
                name=one["name"],
                title=one["title"],
                mimetype=one["mimetype"],
                size_bytes=one["size"],
                url=self._url + one["url_private"],
            )
            for one in message["files"]
        )
        fields = ("channel", "ts", "user", "text", "thread_ts", "is_ephemeral", "is_edited")
        return VisibleMessage(blocks=tuple(message["blocks"]), files=files, **{name: message[name] for name in fields})


def _button(block: JSON, element: JSON) -> InteractiveElement:
    label = element.get("text") or element.get("placeholder") or {}
    return InteractiveElement(
        label=label.get("text", ""),
        action_id=element["action_id"],
        block_id=block["block_id"],
        value=element.get("value", ""),
        style=element.get("style", ""),
        options=tuple(option.get("value", "") for option in element.get("options", ())),
    )


def _input_values(view: JSON, values: dict[str, object]) -> JSON:
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
