"""State of the local workspace: channels, messages, files. It does no I/O, and one event loop owns it."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bot.local_slack.limits import with_ids
from bot.local_slack.members import GROUPS, PEOPLE, SLACKBOT, TEAM_ID, InstalledApp, UserGroup, WorkspaceMember
from bot.local_slack.refusal import JSON, SlackRefusal


@dataclass(kw_only=True, slots=True)
class Channel:
    """A channel, or the direct conversation between one member and the app."""

    id: str
    name: str
    members: set[str]
    is_im: bool = False

    def as_slack(self) -> JSON:
        """Return Slack's channel object."""
        return {"id": self.id, "name": self.name, "is_channel": not self.is_im, "is_im": self.is_im}


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """An uploaded file; `content` is empty until the upload is complete."""

    id: str
    name: str
    title: str
    alt_txt: str
    mimetype: str
    content: bytes

    def as_slack(self) -> JSON:
        """Return the file object of a message."""
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
class StoredMessage:
    """A message; `only_for` is the member who sees an ephemeral message, or ""."""

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
    metadata: JSON | None = None
    revision: int = 0


@dataclass(kw_only=True)
class Workspace:
    """The workspace. Every change increments `revision` and calls `on_change`.

    `clock` returns Unix seconds. Message timestamps come from it; they are unique and increasing.
    """

    clock: Callable[[], float]
    app: InstalledApp = field(default_factory=InstalledApp)
    people: tuple[WorkspaceMember, ...] = PEOPLE
    groups: tuple[UserGroup, ...] = GROUPS
    bot: WorkspaceMember = field(init=False)
    revision: int = 0
    on_change: Callable[[], None] = lambda: None
    channels: dict[str, Channel] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    _messages: dict[tuple[str, str], StoredMessage] = field(default_factory=dict)
    _last_micros: int = 0

    def __post_init__(self) -> None:
        everyone = {person.id for person in self.people}
        ops = Channel(id="C0MLOPS7X21", name="ml-ops", members=everyone | {self.app.user_id})
        self.channels[ops.id] = ops
        random = Channel(id="C0RANDOM4K8", name="random", members=set(everyone))
        self.channels[random.id] = random
        app = self.app
        self.bot = WorkspaceMember(id=app.user_id, name=app.name, real_name=app.real_name, is_bot=True)

    def members(self) -> tuple[WorkspaceMember, ...]:
        """Return the people, the app's bot user and Slackbot."""
        return (*self.people, self.bot, SLACKBOT)

    def member(self, ref: str) -> WorkspaceMember:
        """Return a member by id, name or full name. Raises user_not_found."""
        for member in self.members():
            if ref == member.id or ref.lower() in (member.name, member.real_name.lower()):
                return member
        raise SlackRefusal("user_not_found")

    def channel(self, channel_id: str) -> Channel:
        """Return a channel by id. Raises channel_not_found."""
        if channel := self.channels.get(channel_id):
            return channel
        raise SlackRefusal("channel_not_found")

    def channel_named(self, ref: str) -> Channel:
        """Return a channel by `ml-ops`, `#ml-ops` or its id. Raises channel_not_found."""
        name = ref.removeprefix("#")
        found = next((one for one in self.channels.values() if one.name == name), None)
        return found or self.channel(ref)

    def direct(self, member: WorkspaceMember) -> Channel:
        """Return the direct conversation between the app and a member, and open it at first use."""
        channel_id = f"D{member.id[1:]}"
        if channel_id not in self.channels:
            both = {member.id, self.app.user_id}
            self.channels[channel_id] = Channel(id=channel_id, name=member.name, members=both, is_im=True)
            self.notify_change()
        return self.channels[channel_id]

    def join(self, channel: Channel, member: WorkspaceMember) -> None:
        """Add a member to a channel."""
        channel.members.add(member.id)
        self.notify_change()

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
        metadata: JSON | None = None,
    ) -> StoredMessage:
        """Add a message at the current time. A reply to a reply joins the same thread, as in Slack."""
        parent = self._messages.get((channel.id, thread_ts))
        if parent and parent.thread_ts:
            thread_ts = parent.thread_ts
        message = StoredMessage(
            channel=channel.id,
            ts=self._next_ts(),
            user=user,
            text=text,
            blocks=with_ids(list(blocks)),
            thread_ts=thread_ts,
            only_for=only_for,
            files=files,
            metadata=metadata,
        )
        self._messages[(channel.id, message.ts)] = message
        self.notify_change(message)
        return message

    def edit(self, message: StoredMessage, *, text: str, blocks: list[JSON] | None) -> None:
        """Replace text and blocks. Only an edit without blocks is marked as edited, as chat.update documents."""
        message.text = text
        message.blocks = with_ids(blocks or [])
        message.is_edited = message.is_edited or not blocks
        self.notify_change(message)

    def delete(self, message: StoredMessage) -> None:
        """Mark a message as deleted and clear it; the page learns of the deletion from what is left."""
        message.is_deleted, message.text, message.blocks, message.files = True, "", [], ()
        self.notify_change(message)

    def message(self, channel_id: str, ts: str) -> StoredMessage:
        """Return a message, including an ephemeral one. Raises message_not_found."""
        message = self._messages.get((channel_id, ts))
        if message is None or message.is_deleted:
            raise SlackRefusal("message_not_found")
        return message

    def messages(self, *, since: int = 0, channel_id: str = "") -> list[StoredMessage]:
        """Return the messages that changed after revision `since`, oldest first; deleted ones only if `since` > 0."""
        return [
            one
            for one in self._messages.values()
            if one.revision > since and (not channel_id or one.channel == channel_id) and (since or not one.is_deleted)
        ]

    def store_file(self, file: File) -> None:
        """Add or replace a file."""
        self.files[file.id] = file

    def as_slack(self, message: StoredMessage) -> JSON:
        """Return Slack's message object, for answers and payloads."""
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

    def notify_change(self, message: StoredMessage | None = None) -> None:
        """Increment the revision after a change of `message`, or of anything else."""
        self.revision += 1
        if message is not None:
            message.revision = self.revision
        self.on_change()

    def _next_ts(self) -> str:
        self._last_micros = max(self._last_micros + 1, int(self.clock() * 1_000_000))
        return f"{self._last_micros // 1_000_000}.{self._last_micros % 1_000_000:06d}"


def new_id(prefix: str) -> str:
    """Return a new id in Slack's format, such as `F0…` or `V0…`."""
    return f"{prefix}0{secrets.token_hex(5)[:9].upper()}"
