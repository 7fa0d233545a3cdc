"""Runs a request on behalf of a Slack user: typed, clicked, mentioned, or fired by a schedule."""

import time
from collections.abc import Callable

from bot.blocks import Message
from bot.commands import Desk, UsageError, read_command
from bot.directory import Directory
from bot.policy import Refused, check_member
from bot.state import Invocation
from bot.views import replies

Action = Callable[[Desk], Message | None]
"""Carries out a request and returns the reply, or None if a card says everything."""


class Dispatcher:
    """Gives each action a desk of its own. `desk` makes one."""

    def __init__(self, *, directory: Directory, desk: Callable[[Invocation], Desk]) -> None:
        self._directory = directory
        self._desk = desk

    def run(
        self, action: Action, *, user: str, channel: str, key: str, scheduled_by: str | None = None
    ) -> Message | None:
        """Run an action for `user` and return the reply. A second run with the same `key` submits no second job.

        `scheduled_by` is the schedule that asks; its user gets no reply about a job that exists. Mistakes and refusals
        are replies. Raises ChatError, and QueueUnavailable while Redis is away.
        """
        by = self._directory.member(user)
        scheduled = scheduled_by is not None
        now_s = time.time()
        return self._run(
            action,
            Invocation(by=by, channel=channel, key=key, at_s=now_s, scheduled_by=scheduled_by, unattended=scheduled),
        )

    def run_command(self, command: str, invocation: Invocation) -> Message | None:
        """Parse and run a command as `run` does."""
        return self._run(lambda desk: read_command(command, desk).answer(desk), invocation)

    def _run(self, action: Action, invocation: Invocation) -> Message | None:
        try:
            check_member(invocation.by)
            return action(self._desk(invocation))
        except UsageError as error:
            return replies.usage(error.problem, nearest=error.nearest, usage=error.usage)
        except Refused as error:
            return replies.refused(str(error))
