"""The Google account that this worker is: Application Default Credentials, and tokens while they are fresh."""

import functools
from typing import Any

from workers.errors import PermanentError, TemporaryError

LOG_IN = (
    "Run: gcloud auth application-default login; on Kubernetes, bind the worker's service account to a Google one"
    " (Workload Identity); elsewhere set GOOGLE_APPLICATION_CREDENTIALS."
)
"""https://cloud.google.com/docs/authentication/application-default-credentials"""

_ANSWER_S = 15.0
"""How long one request to a token service may take; google-auth's own two minutes are longer than a job may hang."""


def log_in(*scopes: str) -> Any:
    """The credentials, for these OAuth scopes. Raises PermanentError where there are none, or none that can be read."""
    import google.auth
    from google.auth import exceptions

    try:
        credentials, _ = google.auth.default(scopes=scopes)
    except (exceptions.GoogleAuthError, OSError) as error:
        raise PermanentError(f"There are no Google credentials: {error}", advice=LOG_IN) from error
    return credentials


def refresh(credentials: Any) -> None:
    """Get a new token. Raises TemporaryError for the network's and Google's faults, PermanentError for a refusal."""
    from google.auth import exceptions
    from google.auth.transport.requests import Request

    request: Any = Request()
    try:
        credentials.refresh(functools.partial(request, timeout=_ANSWER_S))
    except exceptions.TransportError as error:
        raise TemporaryError(f"Google's token service could not be reached: {error}") from error
    except exceptions.GoogleAuthError as error:
        if getattr(error, "retryable", False):
            raise TemporaryError(f"Google's token service failed: {error}") from error
        raise PermanentError(f"Google gave no token: {error}", advice=LOG_IN) from error
