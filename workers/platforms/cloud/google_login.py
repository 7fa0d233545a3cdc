"""The worker's Google credentials (Application Default Credentials) and their tokens."""

import functools
from typing import Any

from workers.errors import PermanentError, TemporaryError

LOG_IN = (
    "Run: gcloud auth application-default login; on Kubernetes, bind the worker's service account to a Google one"
    " (Workload Identity); elsewhere set GOOGLE_APPLICATION_CREDENTIALS."
)
"""https://cloud.google.com/docs/authentication/application-default-credentials"""

_ANSWER_S = 15.0
"""The deadline of one request to a token service. The default of google-auth, two minutes, is too long for a job."""


def log_in(*scopes: str) -> Any:
    """Return credentials for the OAuth scopes. Raises PermanentError if they are missing or unreadable."""
    import google.auth
    from google.auth import exceptions

    try:
        credentials, _ = google.auth.default(scopes=scopes)
    except (exceptions.GoogleAuthError, OSError) as error:
        raise PermanentError(f"Google credentials are missing: {error}", advice=LOG_IN) from error
    return credentials


def refresh(credentials: Any) -> None:
    """Get a new token. Raises TemporaryError for faults of the network or of Google, PermanentError for a refusal."""
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
