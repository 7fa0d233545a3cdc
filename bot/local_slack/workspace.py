"""The state of the local workspace: channels, messages, files. Pure: no I/O, no threads; one event loop owns it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bot.local_slack.limits import with_ids
from bot.local_slack.members import GROUPS, PEOPLE, SLACKBOT, TEAM_ID, InstalledApp, Member, UserGroup
from bot.local_slack.refusal import JSON, Refusal


@dataclass(kw_only=True, slots=True)
class Channel:
    """A channel, or the direct conversation between one member and the app."""

    id: str
    name: str
    members: set[str]
    is_im: bool = False

    def as_slack(self) -> JSON:
        """Returns the channel object of conversations.info."""
        return {"id": self.id, "name": self.name, "is_channel": not self.is_im, "is_im": self.is_im}


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """An uploaded file; `content` is empty until its bytes have come."""

    id: str
    name: str
    title: str
    alt_txt: str
    mimetype: str
    content: bytes

    def as_slack(self) -> JSON:
        """Returns the file object as it hangs on a message."""
        return {
            "id": self.id,
            "name": self.name,
            "title": self.title,
            "alt_txt": self.alt_txt,
            "mimetype": self.mimetype,
            "size": len(self.content),
            "url_private": f"/local/files/{self.id}/{self.name}",
        }


@dataclass(kw_only=True, slots=True)
class Message:
    """One message; `only_for` names the single member who sees an ephemeral one."""

    channel: str
    ts: str
    user: str
    text: str
    blocks: list[JSON]
    thread_ts: str = ""
    only_for: str = ""
    is_edited: bool = False
    is_deleted: bool = False
    files: tuple[File, ...] = ()
    revision: int = 0


@dataclass(kw_only=True)
class Workspace:
    """Everything that the workspace remembers. Every change raises `revision` and calls `on_change`.

    `clock` gives Unix seconds; timestamps of messages are made from it, unique and always rising.
    """

    clock: Callable[[], float]
    app: InstalledApp = field(default_factory=InstalledApp)
    people: tuple[Member, ...] = PEOPLE
    groups: tuple[UserGroup, ...] = GROUPS
    bot: Member = field(init=False)
    revision: int = 0
    on_change: Callable[[], None] = lambda: None
    channels: dict[str, Channel] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    _messages: dict[tuple[str, str], Message] = field(default_factory=dict)
    _last_micros: int = 0

    def __post_init__(self) -> None:
        everyone = {person.id for person in self.people}
        ops = Channel(id="C0MLOPS7X21", name="ml-ops", members=everyone | {self.app.user_id})
        self.channels[ops.id] = ops
        random = Channel(id="C0RANDOM4K8", name="random", members=set(everyone))
        self.channels[random.id] = random
        app = self.app
        self.bot = Member(id=app.user_id, name=app.name, real_name=app.real_name, is_bot=True)

    def members(self) -> tuple[Member, ...]:
        """Returns everyone: people, the app's bot user and Slackbot."""
        return (*self.people, self.bot, SLACKBOT)

    def member(self, ref: str) -> Member:
        """Finds a member by id, name or first name; raises user_not_found."""
        for member in self.members():
            if ref == member.id or ref.lower() in (member.name, member.real_name.lower()):
                return member
        raise Refusal("user_not_found")

    def channel(self, channel_id: str) -> Channel:
        """Finds a channel by id; raises channel_not_found."""
        if channel := self.channels.get(channel_id):
            return channel
        raise Refusal("channel_not_found")

    def channel_named(self, ref: str) -> Channel:
        """Finds a channel as a person names it: `ml-ops`, `#ml-ops` or its id; raises channel_not_found."""
        name = ref.removeprefix("#")
        found = next((one for one in self.channels.values() if one.name == name), None)
        return found or self.channel(ref)

    def direct(self, member: Member) -> Channel:
        """Returns the conversation between the app and a member; opens it at first use."""
        channel_id = f"D{member.id[1:]}"
        if channel_id not in self.channels:
            both = {member.id, self.app.user_id}
            self.channels[channel_id] = Channel(id=channel_id, name=member.name, members=both, is_im=True)
            self._changed()
        return self.channels[channel_id]

    def join(self, channel: Channel, member: Member) -> None:
        """Makes a member part of a channel."""
        channel.members.add(member.id)
        self._changed()

    def post(
        self,
        channel: Channel,
        *,
        user: str,
        text: str,
        blocks: Iterable[JSON] = (),
        thread_ts: str = "",
        only_for: str = "",
        files: tuple[File, ...] = (),
    ) -> Message:
        """Adds a message at the current time; a reply to a reply joins the thread's parent, as in Slack."""
        parent = self._messages.get((channel.id, thread_ts))
        if parent and parent.thread_ts:
            thread_ts = parent.thread_ts
        message = Message(
            channel=channel.id,
            ts=self._next_ts(),
            user=user,
            text=text,
            blocks=with_ids(list(blocks)),
            thread_ts=thread_ts,
            only_for=only_for,
            files=files,
        )
        self._messages[(channel.id, message.ts)] = message
        self._changed(message)
        return message

    def edit(self, message: Message, *, text: str, blocks: list[JSON] | None) -> None:
        """Replaces text and blocks; only an edit without blocks is marked, as chat.update documents."""
        message.text = text
        message.blocks = with_ids(blocks or [])
        message.is_edited = message.is_edited or not blocks
        self._changed(message)

    def delete(self, message: Message) -> None:
        """Takes a message away; what stays of it tells watchers that it is gone."""
        message.is_deleted, message.text, message.blocks, message.files = True, "", [], ()
        self._changed(message)

    def message(self, channel_id: str, ts: str) -> Message:
        """Finds a message, also an ephemeral one; raises message_not_found."""
        message = self._messages.get((channel_id, ts))
        if message is None or message.is_deleted:
            raise Refusal("message_not_found")
        return message

    def messages(self, *, since: int = 0, channel_id: str = "") -> list[Message]:
        """Returns the messages that changed after revision `since`, oldest first; gone ones only as changes."""
        return [
            one
            for one in self._messages.values()
            if one.revision > since and (not channel_id or one.channel == channel_id) and (since or not one.is_deleted)
        ]

    def keep(self, file: File) -> None:
        """Remembers a file under its id."""
        self.files[file.id] = file

    def as_slack(self, message: Message) -> JSON:
        """Returns the message object that Slack puts into answers and payloads."""
        body: JSON = {"type": "message", "user": message.user, "ts": message.ts, "text": message.text, "team": TEAM_ID}
        if message.user == self.app.user_id:
            body |= {"bot_id": self.app.bot_id, "app_id": self.app.app_id}
        if message.blocks:
            body["blocks"] = message.blocks
        if message.files:
            body["files"] = [file.as_slack() for file in message.files]
        if message.is_edited:
            body["edited"] = {"user": message.user, "ts": message.ts}
        replies = [one for one in self.messages(channel_id=message.channel) if one.thread_ts == message.ts]
        if message.thread_ts:
            body["thread_ts"] = message.thread_ts
        elif replies := [one for one in replies if not one.only_for]:
            body |= {"thread_ts": message.ts, "reply_count": len(replies), "latest_reply": replies[-1].ts}
        return body

    def changed(self) -> None:
        """Tells watchers that something other than a message has changed."""
        self._changed()

    def _next_ts(self) -> str:
        self._last_micros = max(self._last_micros + 1, int(self.clock() * 1_000_000))
        return f"{self._last_micros // 1_000_000}.{self._last_micros % 1_000_000:06d}"

    def _changed(self, message: Message | None = None) -> None:
        self.revision += 1
        if message is not None:
            message.revision = self.revision
        self.on_change()


def new_id(prefix: str) -> str:
    """Returns a fresh id of Slack's kind, such as `F0…` or `V0…`."""
    return f"{prefix}0{secrets.token_hex(5)[:9].upper()}"
