"""The app's responses to a command or click, in the acknowledgement or by the response URL."""

from dataclasses import dataclass
from typing import Literal

from bot.local_slack.limits import check_message
from bot.local_slack.refusal import JSON, SlackRefusal
from bot.local_slack.tickets import ResponsePlace, Tickets
from bot.local_slack.workspace import Workspace


@dataclass(kw_only=True)
class Responses:
    """Responses as messages: new ones, or replacements of the original message."""

    workspace: Workspace
    tickets: Tickets

    def by_response_url(self, secret: str, answer: JSON) -> None:
        """Post through a response URL. Raises expired_url, used_url, no_text, invalid_blocks and others."""
        self.post(self.tickets.take_response(secret), answer)

    def post(self, place: ResponsePlace, answer: JSON) -> None:
        """Post, replace or delete a message. Raises SlackRefusal for a message that Slack would refuse."""
        if answer.get("delete_original"):
            self.workspace.delete(self.workspace.message(place.channel_id, place.source_ts))
            return
        text, blocks = str(answer.get("text") or ""), answer.get("blocks")
        if blocks is not None and not isinstance(blocks, list):
            raise SlackRefusal("invalid_blocks_format")
        check_message(text=text, blocks=blocks)
        if answer.get("replace_original") and place.source_ts:
            original = self.workspace.message(place.channel_id, place.source_ts)
            self.workspace.edit(original, text=text, blocks=blocks)
            return
        self.workspace.post(
            self.workspace.channel(place.channel_id),
            user=self.workspace.app.user_id,
            text=text,
            blocks=blocks or [],
            thread_ts=answer.get("thread_ts") or place.thread_ts,
            only_for="" if _visibility(answer) == "in_channel" else place.member_id,
        )


def _visibility(answer: JSON) -> Literal["in_channel", "ephemeral"]:
    return "in_channel" if answer.get("response_type") == "in_channel" else "ephemeral"
