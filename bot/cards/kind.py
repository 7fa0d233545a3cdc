"""The parts of a card that depend on the kind of job. Pure.

The module of each kind defines a subclass of `Card` and one instance, `CARD`. The frame, `bot.cards.card`, finds it by
the kind's name. This module must not know any kind.
"""

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from bot.blocks import Block, Button, escape, section
from workers.contract.events import Scaled
from workers.contract.jobs import Job, Outcome
from workers.contract.record import Record

JobT = TypeVar("JobT", bound=Job)
OutcomeT = TypeVar("OutcomeT", bound=Outcome)
_MOST_COUNTS = 8


class Card(Generic[JobT, OutcomeT]):
    """The answers of a kind to the frame, the thread and the schedules. The defaults suit a job that sends no load."""

    stop: ClassVar[str] = "Cancel"
    """The text of the button that stops the job."""

    def verdict(self, outcome: OutcomeT) -> tuple[str, str]:
        """Return the sign and the words for a success in the title."""
        return ":large_green_circle:", "done"

    def approval_facts(self, job: JobT) -> str:
        """Return the facts that an approver needs beyond the title, or ""."""
        return ""

    def owner(self, job: JobT) -> str:
        """Return the sentence that names the owner of the job's load target, or ""."""
        return ""

    def report(self, job: JobT, outcome: OutcomeT) -> list[Block]:
        """Return the report of a success, which stands above the steps."""
        return []

    def sentence(self, outcome: OutcomeT) -> str:
        """Return the summary of a success, which stands below the steps, or ""."""
        return ""

    def live(self, record: Record) -> list[Block]:
        """Return the newest measurements, which stand below the steps."""
        history = replica_history(record.scalings)
        return [section(f"Replicas {history}")] if history and record.state != "succeeded" else []

    def next_buttons(self, job_id: str, outcome: OutcomeT) -> list[Button]:
        """Return the buttons for the next step after a success."""
        return []

    def result(self, outcome: OutcomeT) -> str:
        """Return the word by which a schedule compares this success with the one before."""
        return "done"

    def reason(self, outcome: OutcomeT) -> str:
        """Return the main reason for `result`, or ""."""
        return ""

    def charts(self, outcome: OutcomeT) -> list[Block]:
        """Return the charts for Slack to draw in the card's thread."""
        return []


def replica_history(scalings: Sequence[Scaled]) -> str:
    """Return the replica counts so far and the reason for the last change, or "" without a change."""
    if not scalings:
        return ""
    counts = [scalings[0].before, *(scaling.after for scaling in scalings)]
    reason = f" ({escape(scalings[-1].reason)})" if scalings[-1].reason else ""
    return f"*{' → '.join(map(str, counts[-_MOST_COUNTS:]))}*{reason}"
