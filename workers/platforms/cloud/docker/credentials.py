"""Registry credentials, looked up for each push and pull, because Google's tokens last an hour."""

from dataclasses import dataclass, field

from workers.errors import PermanentError
from workers.platforms.cloud.google_login import log_in, refresh

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def registry_of(reference: str) -> str:
    """Return the registry's host in an image reference, or Docker Hub's if the reference has no host.

    Grammar: https://pkg.go.dev/github.com/distribution/reference
    """
    first, slash, _ = reference.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """User and password for one registry. Other registries use Google's credentials or `docker login`."""

    registry: str
    username: str = ""
    password: str = field(default="", repr=False)

    def for_registry(self, registry: str) -> dict[str, str] | None:
        """Return the credentials for `registry`, or None to use those of `docker login` on this machine.

        Artifact Registry without a user gets an access token from Application Default Credentials, as in
        https://cloud.google.com/artifact-registry/docs/docker/authentication#token. Raises PermanentError if they are
        missing, and TemporaryError if Google cannot be reached.
        """
        if self.username and registry == self.registry:
            return {"username": self.username, "password": self.password}
        if not registry.endswith(".pkg.dev"):
            return None
        try:
            credentials = log_in(_SCOPE)
            refresh(credentials)
        except PermanentError as error:
            advice = f"{error.advice} Or set REGISTRY_USERNAME and REGISTRY_PASSWORD."
            raise PermanentError(f"{registry} cannot be used: {error}", advice=advice) from error
        return {"username": "oauth2accesstoken", "password": str(credentials.token)}
