"""Messages that members type: slash commands, mentions, and plain text."""

import re
from dataclasses import dataclass

from bot.local_slack.delivery import VERIFICATION_TOKEN, Delivery, DeliveryFailed, event_callback
from bot.local_slack.members import SLACKBOT, TEAM_DOMAIN, TEAM_ID, SlashCommand, WorkspaceMember
from bot.local_slack.refusal import JSON, SlackRefusal
from bot.local_slack.responses import Responses
from bot.local_slack.tickets import ResponsePlace, Tickets
from bot.local_slack.workspace import Channel, StoredMessage, Workspace

_ADDRESS = re.compile(r"https?://[^\s<>|]*[^\s<>|.,;:!?)]")
_MENTION = re.compile(r"([@#])([\w.-]*\w)")


@dataclass(kw_only=True)
class Composer:
    """Handler of typed text. `commands` are the slash commands of the app."""

    workspace: Workspace
    delivery: Delivery
    tickets: Tickets
    responses: Responses
    commands: tuple[SlashCommand, ...]
    url: str = ""

    async def submit(self, member: WorkspaceMember, channel: Channel, text: str, thread_ts: str) -> str:
        """Run a command or post a message. Return "", or Slack's error name if the app did not accept a command."""
        text = text.strip()
        if not text:
            return ""
        if member.id not in channel.members:
            raise SlackRefusal("not_in_channel")
        if not text.startswith("/"):
            self._post(member, channel, text, thread_ts)
            return ""
        command, *words = text.split(maxsplit=1)
        rest = words[0] if words else ""
        if thread_ts:
            self._notify(member, channel, f"`{command}` is not supported in threads. Sorry!", thread_ts)
        elif command == "/invite":
            self._invite(member, channel, rest)
        elif command not in (one.command for one in self.commands) or member.is_stranger:
            self._notify(member, channel, f"`{command}` is not a valid command.")
        else:
            return await self._run(member, channel, command, rest)
        return ""

    async def _run(self, member: WorkspaceMember, channel: Channel, command: str, text: str) -> str:
        secret = self.tickets.new_response(channel_id=channel.id, member_id=member.id)
        fields = {
            "token": VERIFICATION_TOKEN,
            "team_id": TEAM_ID,
            "team_domain": TEAM_DOMAIN,
            "channel_id": channel.id,
            "channel_name": "directmessage" if channel.is_im else channel.name,
            "user_id": member.id,
            "user_name": member.name,
            "command": command,
            "text": escape(text),
            "api_app_id": self.workspace.app.app_id,
            "is_enterprise_install": "false",
            "response_url": f"{self.url}/commands/{TEAM_ID}/{secret}",
            "trigger_id": self.tickets.new_trigger(member.id),
        }
        try:
            answer = await self.delivery.deliver("slash_commands", fields)
            if answer.get("text") or answer.get("blocks"):
                place = ResponsePlace(
                    channel_id=channel.id, member_id=member.id, thread_ts="", source_ts="", issued_at_s=0
                )
                self.responses.post(place, answer)
        except (DeliveryFailed, SlackRefusal) as failure:
            self._notify(member, channel, f'`{command}` failed with the error "{failure.error}"')
            return failure.error
        return ""

    def _post(self, member: WorkspaceMember, channel: Channel, text: str, thread_ts: str) -> None:
        formatted = self._with_names(escape(text))
        message = self.workspace.post(channel, user=member.id, text=formatted, thread_ts=thread_ts)
        bot = self.workspace.bot
        if f"<@{bot.id}>" not in formatted:
            return
        if bot.id in channel.members:
            self._mention(member, message)
        else:
            note = f"You mentioned <@{bot.id}>, which is not in this channel. To add it, type `/invite @{bot.name}`."
            self._notify(member, channel, note)

    def _mention(self, member: WorkspaceMember, message: StoredMessage) -> None:
        event: JSON = {
            "type": "app_mention",
            "user": member.id,
            "user_team": member.team_id,
            "team": TEAM_ID,
            "channel": message.channel,
            "text": message.text,
            "ts": message.ts,
            "event_ts": message.ts,
        }
        if message.thread_ts:
            event["thread_ts"] = message.thread_ts
        self.delivery.deliver_event(event_callback(self.workspace, event))

    def _invite(self, member: WorkspaceMember, channel: Channel, text: str) -> None:
        try:
            invited = self.workspace.member(text.removeprefix("@"))
        except SlackRefusal:
            self._notify(member, channel, f"No member is called “{escape(text)}”.")
            return
        if invited.id in channel.members:
            self._notify(member, channel, f"<@{invited.id}> is already in this channel.")
            return
        self.workspace.join(channel, invited)
        self.workspace.post(channel, user=invited.id, text=f"was added to #{channel.name} by <@{member.id}>.")

    def _notify(self, member: WorkspaceMember, channel: Channel, text: str, thread_ts: str = "") -> None:
        self.workspace.post(channel, user=SLACKBOT.id, text=text, thread_ts=thread_ts, only_for=member.id)

    def _with_names(self, text: str) -> str:
        """Turn `@name`, `@group`, `@channel`, `#channel` and web addresses into references, as Slack's clients do."""
        references = {f"@{member.name}": f"<@{member.id}>" for member in self.workspace.members()}
        references |= {f"@{group.handle}": f"<!subteam^{group.id}>" for group in self.workspace.groups}
        references |= {f"@{word}": f"<!{word}>" for word in ("channel", "here", "everyone")}
        references |= {f"#{one.name}": f"<#{one.id}|{one.name}>" for one in self.workspace.channels.values()}
        linked = _MENTION.sub(lambda match: references.get(match.group(0).lower(), match.group(0)), text)
        return _ADDRESS.sub(r"<\g<0>>", linked)


def escape(text: str) -> str:
    """Escape &, < and >, as Slack does in typed text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
