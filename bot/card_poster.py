"""Posts the cards of jobs and keeps them up to date, within Slack's budget of edits. Intake and the relay use it."""

import logging

from bot.blocks import Message, digest
from bot.cards.card import render
from bot.chat import Chat, ChatRefused
from bot.state import PostedCard
from bot.store import Store
from workers.contract.record import Record

logger = logging.getLogger(__name__)

REFUSED_BLOCKS = ("invalid_blocks", "msg_blocks_too_long")
"""Slack's errors for blocks that it does not accept. It still accepts the text."""


class CardPoster:
    """Posts and edits cards. Raises ChatError."""

    def __init__(self, *, store: Store, chat: Chat) -> None:
        self._store = store
        self._chat = chat

    def post(self, record: Record, *, ahead: Record | None = None) -> PostedCard:
        """Post the job's card. `ahead` is the job that it waits for, if any."""
        message = render(record, ahead=ahead)
        channel, ts = self._chat.post(record.asked.where, message)
        return self._store.save_card(record.id, channel=channel, ts=ts, rendered_digest=digest(message))

    def update(self, record: Record, *, ahead: Record | None) -> PostedCard | None:
        """Edit the card if it shows another message, or post it. Return None if the budget of edits is used up."""
        card = self._store.card(record.id)
        if card is None:
            return self.post(record, ahead=ahead)
        message = render(record, ahead=ahead)
        if digest(message) == card.rendered_digest:
            return card
        if not self._store.acquire_edit():
            return None
        try:
            self._chat.edit(card.channel, card.ts, message)
        except ChatRefused as error:
            if error.error not in REFUSED_BLOCKS:
                raise
            logger.warning("the card of job %s shows text only: %s", record.id, error.error)
            self._chat.edit(card.channel, card.ts, Message(text=message.text))
        self._store.set_rendered(record.id, digest(message))
        return card
