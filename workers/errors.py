"""How work can end other than well. The whole tree:

    JobError
    ├── PermanentError      trying again would not help: say why, stop
    │   └── TargetDown      what was to be loaded does not answer: no load was sent
    ├── TemporaryError      try again after `retry_after_s`, a bounded number of times
    └── Interrupted         the job is to stop at once; not an error of the job's
        ├── JobCancelled       a person wished it
        ├── Superseded      this attempt lost its claim: another worker has the job now
        └── ShuttingDown      this worker is shutting down: another attempt will take the job up

Every message is a whole sentence that a person can act on: it is shown on the job's card.
"""


class JobError(Exception):
    """The root of all that ends a job early."""


class PermanentError(JobError):
    """The job failed and would fail again. `advice` says what a person can do, as a whole sentence, or ""."""

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class TargetDown(PermanentError):
    """What was to be loaded does not answer one request as it should: no load was sent."""


class TemporaryError(JobError):
    """The job failed for a cause that passes. Tried again after `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Interrupted(JobError):
    """The job is to stop now: handlers release what they hold in `finally` and let it pass."""


class JobCancelled(Interrupted):
    """A person asked for the job to be cancelled."""


class Superseded(Interrupted):
    """Another attempt holds the claim: this one may write nothing any more."""


class ShuttingDown(Interrupted):
    """The worker is shutting down."""
