"""The card of a change of replicas. Pure."""

from bot.cards.kind import Card
from workers.contract.jobs import Rescaled, Scale


class ScaleCard(Card[Scale, Rescaled]):
    """Ready replicas before and after."""

    def sentence(self, outcome: Rescaled) -> str:
        return f"Now *{outcome.after}* ready (bounds {outcome.replicas}), previously {outcome.before}."


CARD = ScaleCard()
