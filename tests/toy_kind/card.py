"""The card of the toy kind. Becomes bot/cards/warm_up.py."""

from workers.contract.jobs.warm_up import WarmedUp, WarmUp

from bot.cards.kind import Card


class WarmUpCard(Card[WarmUp, WarmedUp]):
    """The number of requests."""

    def sentence(self, outcome: WarmedUp) -> str:
        return f"The endpoint answered {outcome.requests} requests."


CARD = WarmUpCard()
