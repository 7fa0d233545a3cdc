"""The card of a deployment. Pure."""

from bot.blocks import Button, code
from bot.cards.kind import Card
from workers.contract.formatting import show_count
from workers.contract.jobs import Deploy, Deployed

_DIGEST_LENGTH = 19
"""Characters of "sha256:…", enough to distinguish versions."""


class DeployCard(Card[Deploy, Deployed]):
    """The version and its content, the address of the endpoint, and a button that rolls back."""

    def approval_facts(self, job: Deploy) -> str:
        return f"v{job.version}, content {code(job.digest[:_DIGEST_LENGTH])}"

    def sentence(self, outcome: Deployed) -> str:
        replaced = f", in place of v{outcome.replaced}" if outcome.replaced is not None else ""
        count = show_count(outcome.ready, "replica")
        return f"*v{outcome.version} is live* on {count} (bounds {outcome.replicas}){replaced}.\n{outcome.address}"

    def next_buttons(self, job_id: str, outcome: Deployed) -> list[Button]:
        if outcome.replaced is None:
            return []
        confirm = f"v{outcome.replaced} will replace the version that runs there."
        return [Button(text=f"Roll back to v{outcome.replaced}", action="roll_back", value=job_id, confirm=confirm)]


CARD = DeployCard()
