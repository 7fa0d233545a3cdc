"""The card of a model's check. Pure."""

from bot.blocks import Button, escape
from bot.cards.kind import Card
from workers.contract.formatting import show_count
from workers.contract.jobs import CheckModel, CheckPassed

_MOST_FEATURES = 30


class CheckModelCard(Card[CheckModel, CheckPassed]):
    """The features with their types, the cost of a training, and a button that trains."""

    def sentence(self, outcome: CheckPassed) -> str:
        features = [f"{name} {type_}" for name, type_ in outcome.features.items()]
        more = f" and {len(features) - _MOST_FEATURES} more" if len(features) > _MOST_FEATURES else ""
        shown = f"{' · '.join(features[:_MOST_FEATURES])}{more}"
        count = show_count(len(features), "feature")
        what = f"{outcome.model_type} can predict {outcome.label} from {count}: {shown}"
        return f"*Ready to train.* {escape(what)}\nA training: {escape(outcome.cost)}."

    def next_buttons(self, job_id: str, outcome: CheckPassed) -> list[Button]:
        return [Button(text="Train", action="train", value=job_id, style="primary")]


CARD = CheckModelCard()
