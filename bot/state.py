"""Values that the bot's modules exchange: members, invocations, posted cards, schedules and their results. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A user of Slack.

    `guest`: restricted to some channels. `foreign`: a member of another workspace. `gone`: the account is deactivated.
    `bot`: an app, a workflow or Slackbot. `admin`: an owner or administrator of the workspace.
    """

    id: str
    name: str
    guest: bool
    foreign: bool
    gone: bool = False
    bot: bool = False
    admin: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """The member and the channel of a request.

    `key` deduplicates: a request that arrives twice has the same key both times. `unattended`: no person waits for the
    answer, so there is one only if no job starts.
    """

    by: Member
    channel: str
    key: str
    scheduled_by: str | None = None
    unattended: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PostedCard:
    """A job's card in a channel.

    `rendered_digest` identifies the message that the card shows. `posted_events` counts the job's lasting events
    that the thread has, the newest since `posted_at_s`. `compared`: the job's schedule has its result.
    """

    channel: str
    ts: str
    rendered_digest: str
    posted_events: int
    posted_at_s: float
    compared: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The end of a schedule's job: `status` is a load test's verdict, or "done", "failed", "lost" or "expired"."""

    job_id: str
    status: str
    at_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedFirings:
    """The firings of a schedule that were skipped during one of its jobs.

    `ts` is the message about them in the thread of the job's card. The due times are in Unix seconds.
    """

    ts: str
    first_due_s: float
    last_due_s: float
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A command that a bot submits at set times.

    `cron` has five fields, in `time_zone`. Cards go to `channel`. The jobs are requested in the name of `by`.
    `next_due_s` is the next firing in Unix seconds, None while the schedule is paused. `result` is the newest job's.
    """

    id: str
    cron: str
    time_zone: str
    command: str
    channel: str
    by: str
    by_name: str
    next_due_s: float | None
    result: Result | None = None
