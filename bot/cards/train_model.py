"""The card of a training job. Pure."""

from bot.blocks import Button, escape
from bot.cards.kind import Card
from workers.contract.formatting import show_means
from workers.contract.jobs import Trained, TrainModel


class TrainModelCard(Card[TrainModel, Trained]):
    """Metrics of the new version, and a button that deploys it."""

    def sentence(self, outcome: Trained) -> str:
        metrics = " · ".join(f"{name} {value:.3f}" for name, value in outcome.metrics.items())
        probe = f"\nProbe: {escape(outcome.probe)}." if outcome.probe else ""
        means = f"\nMeans, to send for missing numbers: {escape(show_means(outcome.means))}" if outcome.means else ""
        return f"*v{outcome.version}* is in the registry.\n{escape(metrics)}{probe}{means}"

    def next_buttons(self, job_id: str, outcome: Trained) -> list[Button]:
        return [Button(text=f"Deploy v{outcome.version}", action="deploy", value=job_id, style="primary")]


CARD = TrainModelCard()
