"""What the bot remembers of cards and schedules. Values only; `store` keeps them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A card in a channel. `shown` is the hash of the picture that is there; `posted` counts the job's lasting events
    that its thread has been told of; `…_at_s` when. `compared`: its schedule knows how the job ended."""

    channel: str
    ts: str
    shown: str
    shown_at_s: float
    posted: int
    posted_at_s: float
    compared: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How a job of a schedule ended: a load test's verdict, or the state that it ended in ("done", "failed", …)."""

    job_id: str
    word: str
    at_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A command on a clock. `cron` has five fields, read in `time_zone`; `channel` is where its cards go, `by` in whose
    name it asks; `next_due_s` is when it fires next, in Unix seconds, None while it is paused; `result` is its newest
    job's."""

    id: str
    cron: str
    time_zone: str
    command: str
    channel: str
    by: str
    by_name: str
    next_due_s: float | None
    result: Result | None = None
