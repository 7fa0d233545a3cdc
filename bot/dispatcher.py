"""Runs a request on behalf of a Slack user: typed, clicked, mentioned, or fired by a schedule."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.blocks import Message
from bot.commands import Desk, UsageError
from bot.directory import Directory
from bot.policy import Refused, check_member
from bot.state import Invocation
from bot.views import replies

logger = logging.getLogger(__name__)

Action = Callable[[Desk], Message | None]
"""Carries out a request and returns the reply, or None if a card says everything."""


@dataclass(frozen=True, kw_only=True)
class Dispatcher:
    """Gives each action a desk of its own. `desk` makes one."""

    directory: Directory
    trusted_bots: Sequence[str]
    desk: Callable[[Invocation], Desk]

    def run(
        self,
        action: Action,
        *,
        user: str,
        channel: str,
        key: str,
        scheduled_by: str | None = None,
        trusted: bool = False,
    ) -> Message | None:
        """Run an action for `user` and return the reply. A second run with the same `key` submits no second job.

        `scheduled_by` is the schedule that asks; its user gets no reply about a job that exists. `trusted`: the
        settings trust the speaking app; other bots get no reply, except about their schedules. Mistakes and refusals
        are replies. Raises ChatError, and QueueUnavailable while Redis is away.
        """
        unattended = scheduled_by is not None
        # A person types or clicks a moment after Slack checked the account. The author of a schedule may have left.
        by = self.directory.member(user, fresh=unattended)
        invocation = Invocation(by=by, channel=channel, key=key, scheduled_by=scheduled_by, unattended=unattended)
        if by.bot and not trusted and user not in self.trusted_bots:
            logger.info("a command of the bot %s is ignored: [slack] trusted_bots does not have it", user)
            why = f"[slack] trusted_bots in the settings does not have {user}."
            return replies.refused(why) if unattended else None
        try:
            check_member(by)
            return action(self.desk(invocation))
        except UsageError as error:
            return replies.usage(error.problem, nearest=error.nearest, usage=error.usage)
        except Refused as error:
            return replies.refused(str(error))
