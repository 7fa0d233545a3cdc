"""Errors that end a job. Handlers and adapters raise them; the runner reports them. The whole tree:

    JobError
    ├── PermanentError      a retry would not help
    │   └── TargetDown      the system under test does not answer; no load was sent
    ├── TemporaryError      retry after `retry_after_s`, a bounded number of times
    └── Interrupted         the job must stop at once; not a fault of the job
        ├── JobCancelled    a person cancelled it
        ├── Superseded      this attempt lost its claim: another worker has the job now
        └── ShuttingDown    this worker is shutting down: the job is requeued

Every message is a sentence that a person can act on: it is shown on the job's card.
"""


class JobError(Exception):
    """Root of all errors that end a job."""


class PermanentError(JobError):
    """The job failed and would fail again. `advice`: what a person can do about it, as a sentence, or ""."""

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class TargetDown(PermanentError):
    """The system under test did not answer one request correctly, so no load was sent."""


class TemporaryError(JobError):
    """The job failed for a temporary cause. The runner retries it after `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Interrupted(JobError):
    """The job must stop now. Handlers release their resources in `finally` and let it pass."""


class JobCancelled(Interrupted):
    """A person cancelled the job. The message is the person's id."""


class Superseded(Interrupted):
    """Another attempt holds the claim, so this one must not write any more."""


class ShuttingDown(Interrupted):
    """The worker is shutting down."""
