"""Translation of Cloud Storage's errors, and the permissions that the registry needs.

Status codes of the JSON API: https://cloud.google.com/storage/docs/json_api/v1/status-codes
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from google.api_core import exceptions
from google.auth import exceptions as auth_exceptions
from google.cloud.storage.exceptions import DataCorruption

from workers.errors import PermanentError, TemporaryError
from workers.platforms.cloud.google_login import LOG_IN

ROLES = {
    "storage.buckets.get": "roles/storage.legacyBucketReader",
    "storage.objects.list": "roles/storage.objectViewer",
    "storage.objects.get": "roles/storage.objectViewer",
    "storage.objects.create": "roles/storage.objectCreator",
}
"""Each permission that the registry needs on its bucket, and the least predefined role that has it:
https://cloud.google.com/storage/docs/access-control/iam-roles."""
_ACCOUNT = re.compile(r"[\w.+-]+@[\w.-]+\w")
_PERMISSION = re.compile(r"storage\.[A-Za-z]+\.[A-Za-z]+")
_NOT_KNOWN = (exceptions.Unauthorized, auth_exceptions.DefaultCredentialsError, auth_exceptions.RefreshError)
_AWAY = (
    exceptions.RetryError,
    exceptions.ServerError,
    exceptions.TooManyRequests,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    auth_exceptions.TransportError,
)


def grant(url: str, permission: str, *, account: str = "") -> str:
    """Return the command that grants `account` (an e-mail address; "" = unknown) a role with `permission`."""
    role = ROLES.get(permission, "roles/storage.admin")
    kind = "serviceAccount" if not account or account.endswith(".gserviceaccount.com") else "user"
    member = f"{kind}:{account or 'THE_WORKERS_ACCOUNT'}"
    return f"Run: gcloud storage buckets add-iam-policy-binding {url} --member={member} --role={role}"


def create(url: str, *, project: str, location: str) -> str:
    """Return the commands that create the bucket like the registry does."""
    options = "".join(f" --{name}={value}" for name, value in (("project", project), ("location", location)) if value)
    return (
        f"Run: gcloud storage buckets create {url}{options} --uniform-bucket-level-access"
        f" && gcloud storage buckets update {url} --versioning"
    )


@contextmanager
def translated_errors(url: str, doing: str, *, advice: str = "") -> Iterator[None]:
    """Turn the SDK's errors into PermanentError and TemporaryError.

    `doing` names the action ("list objects"). `advice` replaces the command that grants a missing permission.
    """
    try:
        yield
    except exceptions.Forbidden as error:
        said = _words(error)
        permission, account = _PERMISSION.search(said), _ACCOUNT.search(said)
        if permission and not advice:
            advice = grant(url, permission[0], account=account[0] if account else "")
        raise PermanentError(f"{url} refuses to let this worker {doing}: {said}.", advice=advice) from error
    except exceptions.NotFound as error:
        missing = f"The bucket {url} or an object in it does not exist."
        raise PermanentError(missing, advice="Restore it, or change artifacts in seatrial.toml.") from error
    except _NOT_KNOWN as error:
        missing_ones = type(error) is auth_exceptions.DefaultCredentialsError  # its subclasses mean invalid ones
        what = "Google credentials are missing" if missing_ones else "Google does not accept this worker's credentials"
        raise PermanentError(f"{what}: {_words(error)}.", advice=LOG_IN) from error
    except DataCorruption as error:
        raise TemporaryError(f"A download from {url} was damaged.") from error
    except _AWAY as error:
        raise TemporaryError(f"{url} cannot be reached to {doing}: {_words(error)}.") from error
    except exceptions.GoogleAPICallError as error:
        raise PermanentError(f"Cloud Storage refuses to {doing} in {url}: {_words(error)}.") from error
    except OSError as error:
        if error.errno is None:  # google-auth found credentials without a project
            raise PermanentError(f"{_words(error)}.", advice="Set GOOGLE_CLOUD_PROJECT.") from error
        raise PermanentError(
            f"{error.filename or 'A file'}: {error.strerror}.",
            advice="Check the free space and the permissions of the worker's folder (SEATRIAL_HOME).",
        ) from error


def _words(error: Exception) -> str:
    """Return Google's message without the request: from JSON, or from plain text for downloads."""
    response: Any = getattr(error, "response", None)
    try:
        said = response.json()["error"]["message"]
    except (AttributeError, KeyError, TypeError, ValueError):
        said = getattr(response, "text", "") or getattr(error, "cause", None) or getattr(error, "message", "") or error
    return str(said).strip().rstrip(".")
