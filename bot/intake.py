"""The only way to submit a job: check the rules, reserve an id, post the card, then queue the job or await approval.

Commands, buttons and schedules all submit through `Intake`. The steps after the rules are in `bot.submission`.
"""

from bot import policy
from bot.blocks import Message
from bot.chat import ChatRefused
from bot.state import Invocation, Member
from bot.submission import CardDelayed, Submission
from bot.views import replies
from workers.contract.jobs import Asked, Job
from workers.contract.settings import SettingsFile


class Intake:
    """Checks and submits jobs.

    Raises Refused with a sentence for the person, and QueueUnavailable while Redis is away.
    """

    def __init__(self, *, submission: Submission, settings: SettingsFile) -> None:
        self._submission = submission
        self._settings = settings

    def check(self, job: Job, by: Member) -> None:
        """Raise Refused if a rule forbids the job."""
        policy.check(policy.PolicyQuery(by=by, job=job, settings=self._settings))

    def submit(self, job: Job, origin: Invocation, *, dry_run: bool = False) -> Message | None:
        """Submit a job. Return an answer for the person alone, or None if the card is the answer."""
        self.check(job, origin.by)
        if dry_run:
            return replies.dry_run(job, job.approvals_needed(self._settings))
        asked = Asked(
            by=origin.by.id,
            by_name=origin.by.name,
            where=origin.channel,
            at_s=origin.at_s,
            scheduled_by=origin.scheduled_by,
        )
        try:
            existing_id = self._submission.start(key=origin.key, job=job, asked=asked)
        except CardDelayed as delayed:
            text = f"Accepted as job #{delayed.job_id}. Slack is slow; the job starts once its card is posted."
            return None if origin.unattended else replies.plain(text)
        except ChatRefused as error:
            return replies.no_card(origin.channel, error.error)
        if existing_id is None or origin.unattended:
            return None
        return replies.plain(f"This is job #{existing_id} already. No new job was started.")
