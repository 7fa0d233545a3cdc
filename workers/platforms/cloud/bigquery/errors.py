"""Translation of BigQuery's errors into PermanentError and TemporaryError, with advice.

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
"""Reasons after which a retry may succeed → seconds until the retry."""

ROLES = (
    ("bigquery.jobs.", "roles/bigquery.jobUser on the project"),
    ("bigquery.datasets.create", "roles/bigquery.user on the project"),
    ("bigquery.datasets.", "roles/bigquery.dataEditor on the dataset"),
    ("bigquery.models.", "roles/bigquery.dataEditor on the dataset"),
    ("bigquery.tables.", "roles/bigquery.dataViewer on the tables that the query reads"),
    ("storage.", "roles/storage.objectUser on the bucket"),
)
"""The missing permission in BigQuery's words → the least role that has it.

https://cloud.google.com/bigquery/docs/access-control and https://cloud.google.com/storage/docs/access-control/iam-roles
"""

_PERMISSION = re.compile(r"\b(?:bigquery|storage)\.[a-z]+\.[A-Za-z]+\b")
_OF_THE_QUERY = frozenset({"invalidQuery", "invalid", "notFound", "resourcesExceeded", "responseTooLarge", "timeout"})


class JobFailed(Exception):
    """The error of a BigQuery job: https://cloud.google.com/bigquery/docs/reference/rest/v2/ErrorProto."""

    def __init__(self, *, reason: str, words: str) -> None:
        super().__init__(f"{reason}: {words}")
        self.reason, self.words = reason, words


BIGQUERY_ERRORS = (GoogleAPIError, GoogleAuthError, JobFailed, OSError)
"""Every error of a call. The errors of `requests` are OSErrors."""


@contextmanager
def translated_errors(doing: str, *, model: Model | None = None) -> Iterator[None]:
    """Turn BIGQUERY_ERRORS into PermanentError or TemporaryError: "BigQuery could not `doing`: …".

    With `model`, an error in a query names `models.MODEL.query`.
    """
    try:
        yield
    except BIGQUERY_ERRORS as error:
        raise _translated(error, doing, model) from error


def _translated(error: Exception, doing: str, model: Model | None) -> JobError:
    if isinstance(error, RetryError) and isinstance(error.cause, Exception):
        error = error.cause
    reason, words = _reason_and_words(error)
    sentence = f"BigQuery could not {doing}: {words}"
    if isinstance(error, GoogleAuthError) and not isinstance(error, TransportError) and not error.retryable:
        return PermanentError(sentence, advice=LOG_IN)
    if reason in RETRY_AFTER_S:
        return TemporaryError(sentence, retry_after_s=RETRY_AFTER_S[reason])
    if reason == "accessDenied" or isinstance(error, Forbidden):
        return PermanentError(sentence, advice=_grant(words, reason))
    if reason == "stopped":
        return PermanentError(f"The job was cancelled in BigQuery: {words}", advice="Run the command again.")
    if model and reason == "bytesBilledLimitExceeded":
        field = f"models.{model.name}.max_bytes"
        return PermanentError(f"{field}: {words}", advice=f"Reduce what the query reads, or raise {field}.")
    if model and reason in _OF_THE_QUERY:
        advice = f"Correct models.{model.name} in seatrial.toml and run the command again."
        return PermanentError(f"models.{model.name}.query: {words}", advice=advice)
    if not isinstance(error, JobFailed | GoogleAPICallError) or isinstance(error, ServerError):
        return TemporaryError(sentence, retry_after_s=10.0)
    return PermanentError(sentence, advice="See https://cloud.google.com/bigquery/docs/error-messages.")


def _reason_and_words(error: Exception) -> tuple[str, str]:
    """Return the reason, or "", and the message as one line that ends like a sentence."""
    reason, words = "", str(error) or type(error).__name__
    if isinstance(error, JobFailed):
        reason, words = error.reason, error.words
    elif isinstance(error, GoogleAPICallError):
        first = error.errors[0] if error.errors and isinstance(error.errors[0], dict) else {}
        reason, words = first.get("reason", ""), first.get("message") or error.message or words
    line = " ".join(words.split())
    return reason, (line if len(line) <= 400 else line[:399] + "…").rstrip(".") + "."


def _grant(words: str, reason: str) -> str:
    """Return the advice to grant the permission that BigQuery names as missing."""
    if reason == "billingNotEnabled":
        return "Enable billing for the project: https://cloud.google.com/billing/docs/how-to/modify-project."
    permission = match[0] if (match := _PERMISSION.search(words)) else ("bigquery.tables." if "Table " in words else "")
    unknown = "the permission: https://cloud.google.com/bigquery/docs/access-control"
    role = next((role for begin, role in ROLES if permission.startswith(begin)), unknown)
    return f"Grant the worker's service account {role}."
