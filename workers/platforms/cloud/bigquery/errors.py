"""BigQuery's errors in words, once: what a person can do about them, and whether trying again helps.

Reasons are those of https://cloud.google.com/bigquery/docs/error-messages.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from google.api_core.exceptions import Forbidden, GoogleAPICallError, GoogleAPIError, RetryError, ServerError
from google.auth.exceptions import GoogleAuthError, TransportError

from workers.contract.settings import Model
from workers.errors import JobError, PermanentError, TemporaryError
from workers.platforms.cloud.google_login import LOG_IN

RETRY_AFTER_S = {
    "backendError": 10.0,
    "badGateway": 10.0,
    "duplicate": 5.0,  # a job id that was taken and cannot be read yet
    "internalError": 10.0,
    "jobBackendError": 10.0,
    "jobInternalError": 10.0,
    "jobRateLimitExceeded": 30.0,
    "quotaExceeded": 600.0,  # https://cloud.google.com/bigquery/docs/troubleshoot-quotas: ten minutes or longer
    "rateLimitExceeded": 30.0,
    "tableUnavailable": 60.0,
}
"""Reasons that pass → seconds to wait."""

ROLES = (
    ("bigquery.jobs.", "roles/bigquery.jobUser on the project"),
    ("bigquery.datasets.create", "roles/bigquery.user on the project"),
    ("bigquery.datasets.", "roles/bigquery.dataEditor on the dataset"),
    ("bigquery.models.", "roles/bigquery.dataEditor on the dataset"),
    ("bigquery.tables.", "roles/bigquery.dataViewer on the tables that the query reads"),
    ("storage.", "roles/storage.objectUser on the bucket"),
)
"""Rights, as BigQuery names the one that is missing → the least role that has them.

https://cloud.google.com/bigquery/docs/access-control and https://cloud.google.com/storage/docs/access-control/iam-roles
"""

_RIGHT = re.compile(r"\b(?:bigquery|storage)\.[a-z]+\.[A-Za-z]+\b")
_OF_THE_QUERY = frozenset({"invalidQuery", "invalid", "notFound", "resourcesExceeded", "responseTooLarge", "timeout"})


class JobFailed(Exception):
    """A BigQuery job ended with an error: `reason` and `words` are its errorResult's.

    https://cloud.google.com/bigquery/docs/reference/rest/v2/ErrorProto
    """

    def __init__(self, *, reason: str, words: str) -> None:
        super().__init__(f"{reason}: {words}")
        self.reason = reason
        self.words = words


BIGQUERY_ERRORS = (GoogleAPIError, GoogleAuthError, JobFailed, OSError)
"""All that a call may raise; `requests`' errors are OSErrors."""


@contextmanager
def translated_errors(doing: str, *, model: Model | None = None) -> Iterator[None]:
    """Turn BIGQUERY_ERRORS into PermanentError or TemporaryError: "BigQuery could not `doing`: …".

    With `model`, what is wrong with a query is said of `models.MODEL.query`.
    """
    try:
        yield
    except BIGQUERY_ERRORS as error:
        raise _explained(error, doing, model) from error


def passes(reason: str) -> bool:
    """Whether the same again may succeed where it failed for `reason`."""
    return reason in RETRY_AFTER_S


def _explained(error: Exception, doing: str, model: Model | None) -> JobError:
    """The error in words."""
    if isinstance(error, RetryError) and isinstance(error.cause, Exception):
        error = error.cause
    reason, words = _said(error)
    sentence = f"BigQuery could not {doing}: {words}"
    if isinstance(error, GoogleAuthError) and not isinstance(error, TransportError) and not error.retryable:
        return PermanentError(sentence, advice=LOG_IN)
    if passes(reason):
        return TemporaryError(sentence, retry_after_s=RETRY_AFTER_S[reason])
    if reason == "accessDenied" or isinstance(error, Forbidden):
        return PermanentError(sentence, advice=_grant(words, reason))
    if reason == "stopped":
        return PermanentError(f"BigQuery's job was cancelled in BigQuery: {words}", advice="Ask again.")
    if model and reason == "bytesBilledLimitExceeded":
        advice = f"Let the query read less, or raise models.{model.name}.max_bytes."
        return PermanentError(f"models.{model.name}.max_bytes: {words}", advice=advice)
    if model and reason in _OF_THE_QUERY:
        advice = f"Correct models.{model.name} in seatrial.toml and ask again."
        return PermanentError(f"models.{model.name}.query: {words}", advice=advice)
    if not isinstance(error, JobFailed | GoogleAPICallError) or isinstance(error, ServerError):
        return TemporaryError(sentence, retry_after_s=10.0)
    return PermanentError(sentence, advice="See https://cloud.google.com/bigquery/docs/error-messages.")


def _said(error: Exception) -> tuple[str, str]:
    """The reason, or "", and what was said in one line that ends as a sentence."""
    reason, words = "", str(error) or type(error).__name__
    if isinstance(error, JobFailed):
        reason, words = error.reason, error.words
    elif isinstance(error, GoogleAPICallError):
        first = error.errors[0] if error.errors and isinstance(error.errors[0], dict) else {}
        reason, words = first.get("reason", ""), first.get("message") or error.message or words
    line = " ".join(words.split())
    return reason, (line if len(line) <= 400 else line[:399] + "…").rstrip(".") + "."


def _grant(words: str, reason: str) -> str:
    """What to grant, judged by the right that BigQuery says is missing."""
    if reason == "billingNotEnabled":
        return "Enable billing for the project: https://cloud.google.com/billing/docs/how-to/modify-project."
    right = match[0] if (match := _RIGHT.search(words)) else ("bigquery.tables." if "Table " in words else "")
    role = next((role for begin, role in ROLES if right.startswith(begin)), None)
    if role is None:
        return "Grant the worker's service account what is missing; see https://cloud.google.com/bigquery/docs/access-control."
    return f"Grant the worker's service account {role}."
