"""Who Seatrial is to a registry. Found anew for each push and pull, as Google's tokens last an hour."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.errors import PermanentError
from workers.platforms.cloud.google_login import log_in, refresh

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def registry_of(reference: str) -> str:
    """The registry's host of an image's reference: what stands before the first slash if it looks like a host.

    https://pkg.go.dev/github.com/distribution/reference has the grammar; without a host it is Docker Hub's.
    """
    first, slash, _ = reference.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """User and password for the registry `registry`; for others, and without a user, what else is known of them."""

    registry: str
    username: str = ""
    password: str = field(default="", repr=False)

    def for_registry(self, registry: str) -> Mapping[str, str] | None:
        """What the engine is to send to `registry`; None leaves it to what `docker login` wrote on this machine.

        For Artifact Registry without a user: an access token from Application Default Credentials, as in
        https://cloud.google.com/artifact-registry/docs/docker/authentication#token. Raises PermanentError where there
        are none, TemporaryError where Google cannot be asked.
        """
        if self.username and registry == self.registry:
            return {"username": self.username, "password": self.password}
        return _google(registry) if registry.endswith(".pkg.dev") else None


def _google(registry: str) -> Mapping[str, str]:
    try:
        credentials = log_in(_SCOPE)
        refresh(credentials)
    except PermanentError as error:
        advice = f"{error.advice} Or set REGISTRY_USERNAME and REGISTRY_PASSWORD."
        raise PermanentError(f"{registry} cannot be used: {error}", advice=advice) from error
    return {"username": "oauth2accesstoken", "password": str(credentials.token)}
