"""Messages that notify people about a job, beside its card: Slack does not notify of an edit.

The relay and the bot's timer call it. Each message is posted once, also with several bots and after restarts.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks import Message, escape, person
from bot.cards.card import status, title
from bot.chat import Chat, ChatError, ChatRefused, MessageGone
from bot.directory import Directory
from bot.state import PostedCard
from bot.store import Store
from bot.views.replies import plain
from workers.contract.formatting import show_duration
from workers.contract.queue import Queue
from workers.contract.record import Record
from workers.contract.settings import ChatSettings

logger = logging.getLogger(__name__)

ONCE_S = 30 * 24 * 3600.0
"""Time for which a posted message is remembered, as long as a job."""


@dataclass(kw_only=True)
class Announcer:
    """Mentions the asker at the end of a job, and the approvers of a request. Raises ChatError."""

    queue: Queue
    store: Store
    chat: Chat
    directory: Directory
    settings: ChatSettings

    def announce_end(self, record: Record, card: PostedCard) -> None:
        """Mention the asker under the card, unless the job was short, a schedule's, or ended by the asker."""
        asked, ended_at_s = record.asked, record.ended_at_s or 0.0
        by_the_asker = record.ended_by == asked.by or record.cancel_by == asked.by
        if not self.settings.notify or asked.scheduled_by or not asked.by or by_the_asker:
            return
        lasted_s = ended_at_s - asked.at_s
        if record.state != "expired" and lasted_s <= self.settings.notify_after_s:
            return
        if record.state == "expired":
            text = "the request expired without approval. Retry on the card asks again."
        else:
            text = f"{escape(title(record.job))}: {status(record)} after {show_duration(lasted_s)}."
        self._post_once(f"end:{record.id}", card.channel, f"{person(asked.by)} {text}", thread_ts=card.ts)

    def send_end(self, record: Record, error: str) -> None:
        """Send the asker the end of a job whose card Slack refuses, as a direct message."""
        where = f"<#{record.asked.where}>"
        text = (
            f"Job #{record.id}, {escape(record.job.summary)}: {status(record)}. Slack takes no message about it in "
            f"{where} ({escape(error)}). If the channel takes messages again within an hour, the card follows."
        )
        self._send(record, text)

    def report_discarded(self, record: Record, reason: str) -> None:
        """Send the asker the reason why an accepted job was not started, as a direct message."""
        text = (
            f"Job #{record.id}, {escape(record.job.summary)}, was not started: {escape(reason)}. Nothing was changed."
        )
        self._send(record, text)

    def _send(self, record: Record, text: str) -> None:
        try:
            self._post_once(f"direct:{record.id}@{record.asked.at_s}", record.asked.by, text)
        except ChatRefused as refusal:
            logger.warning("job %s: Slack refuses a direct message to its asker: %s", record.id, refusal.error)

    def round(self) -> None:
        """Mention the approvers of each open request: once it is asked, and again halfway to its end."""
        now_s = self.queue.now_s()
        for record in self.queue.awaiting_approval():
            request, card = record.approval, self.store.card(record.id)
            if request is None or card is None:
                continue
            half_s = request.at_s + (request.expires_at_s - request.at_s) / 2
            turn = "reminder" if now_s >= half_s else "request"
            name = f"{turn}:{record.id}:{request.at_s}"
            if not request.approvers or self.store.is_known(f"announced:{name}"):
                continue
            left = show_duration(max(request.expires_at_s - now_s, 1.0))
            try:
                text = f"{self._mentions(request.approvers)}: {escape(record.job.summary)} waits for your approval"
                text += f" and expires in {left}." if turn == "reminder" else "."
                self._post_once(name, card.channel, text, thread_ts=card.ts)
            except MessageGone:
                # The card was deleted, and with it the buttons. The relay posts another one.
                self.store.delete_card(record.id, card)
                self.queue.mark_dirty(record.id)
            except ChatError as error:
                logger.warning("the approvers of job %s cannot be mentioned: %s", record.id, error)

    def _mentions(self, approvers: Sequence[str]) -> str:
        """Return what notifies the approvers in Slack. A group is mentioned by its id."""
        groups = {name: self.directory.group_id(name[1:]) for name in approvers if name.startswith("@")}
        return " ".join(f"<!subteam^{groups[name]}>" if groups.get(name) else person(name) for name in approvers)

    def _post_once(self, name: str, channel: str, text: str, *, thread_ts: str | None = None) -> None:
        """Post a message unless it was posted before. A bot that dies between posting and storing may repeat it."""
        with self.store.locked(f"announce:{name}") as acquired:
            if not acquired or self.store.is_known(f"announced:{name}"):
                return
            message = plain(text)
            self.chat.post(channel, Message(text=message.text, blocks=message.blocks), thread_ts=thread_ts)
            self.store.get_or_set(f"announced:{name}", "1", for_s=ONCE_S)
