"""Cluster addresses, and authenticated clients for their API servers, without kubectl or gcloud."""

import base64
import tempfile
import weakref
from dataclasses import dataclass
from typing import Any

from workers.errors import PermanentError, TemporaryError
from workers.platforms.cloud.google_login import LOG_IN, log_in, refresh

# https://cloud.google.com/kubernetes-engine/docs/how-to/api-server-authentication: RBAC binds the account by its
# e-mail address, which the cluster sees through this scope.
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email")
_GKE = "https://container.googleapis.com/v1"
_DEADLINE_S = 15.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterAddress:
    """A parsed cluster address: the source of the API server's URL and of the credentials.

    `cluster` is the address without the namespace, `context` a context of the kubeconfig, `gke`
    "projects/…/clusters/…". If both are "", the worker runs inside the cluster.
    """

    cluster: str
    namespace: str
    context: str = ""
    gke: str = ""

    @property
    def inside(self) -> bool:
        """True if this process runs in a pod of the cluster, and Services resolve by their DNS names."""
        return not self.context and not self.gke


def read_address(address: str) -> ClusterAddress:
    """Parse `address`. Raises ValueError, with one sentence, if it does not have one of the three forms.

    A context's name may contain slashes (EKS names contexts by their ARN). A namespace cannot.
    """
    scheme, _, rest = address.partition("://")
    cluster, _, namespace = rest.rpartition("/")
    whole = f"{scheme}://{cluster}"
    match scheme, cluster.split("/"):
        case "kubernetes", ["in-cluster"] if namespace:
            return ClusterAddress(cluster=whole, namespace=namespace)
        case "kubernetes", _ if cluster and namespace:
            return ClusterAddress(cluster=whole, namespace=namespace, context=cluster)
        case "gke", [project, location, name] if project and location and name and namespace:
            gke = f"projects/{project}/locations/{location}/clusters/{name}"
            return ClusterAddress(cluster=whole, namespace=namespace, gke=gke)
    raise ValueError(
        f"{address!r} is not a cluster address: write kubernetes://CONTEXT/NAMESPACE, "
        "kubernetes://in-cluster/NAMESPACE or gke://PROJECT/LOCATION/CLUSTER/NAMESPACE."
    )


def open_client(target: ClusterAddress) -> Any:
    """Return a `kubernetes.client.ApiClient` that refreshes its tokens. Looks up GKE clusters by their name.

    Raises PermanentError if context, credentials or cluster are missing, TemporaryError for network faults.
    """
    import yaml
    from kubernetes import client, config

    # The SDK raises these for a kubeconfig with the wrong structure, or with data that is not in base64.
    malformed = (yaml.YAMLError, AttributeError, LookupError, TypeError, ValueError)
    configuration = client.Configuration()
    try:
        if target.gke:
            _configure_gke(configuration, target)
        elif target.inside:
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config(context=target.context, client_configuration=configuration, persist_config=False)
    except (config.ConfigException, OSError, *malformed) as error:
        raise PermanentError(f"{target.cluster} cannot be used: {error}", advice=_advice(target)) from error
    return client.ApiClient(configuration)


def _advice(target: ClusterAddress) -> str:
    if target.inside:
        return "kubernetes://in-cluster works only in a pod with a service account token. Elsewhere, name a context."
    return "Run `kubectl config get-contexts` as the worker's user, and set KUBECONFIG if the file is elsewhere."


def _configure_gke(configuration: Any, target: ClusterAddress) -> None:
    credentials = log_in(*_SCOPES)
    found = _look_up(credentials, target)
    configuration.host, certificate = _endpoint(found)
    if certificate:
        # The HTTP client needs a file. It is deleted together with the configuration.
        file = tempfile.NamedTemporaryFile(prefix="gke-ca-", suffix=".pem")  # noqa: SIM115
        file.write(base64.b64decode(certificate))
        file.flush()
        configuration.ssl_ca_cert = file.name
        weakref.finalize(configuration, file.close)

    def keep_fresh(configuration: Any) -> None:
        if not credentials.valid:
            refresh(credentials)
        configuration.api_key["BearerToken"] = f"Bearer {credentials.token}"

    configuration.refresh_api_key_hook = keep_fresh
    keep_fresh(configuration)


def _look_up(credentials: Any, target: ClusterAddress) -> dict[str, Any]:
    """Return the Cluster resource of GKE's API.

    https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.clusters/get
    """
    import requests
    from google.auth import exceptions
    from google.auth.transport.requests import AuthorizedSession

    try:
        with AuthorizedSession(credentials) as session:  # type: ignore[no-untyped-call]
            response = session.get(f"{_GKE}/{target.gke}", timeout=_DEADLINE_S)
    except (exceptions.TransportError, requests.RequestException) as error:
        raise TemporaryError(f"Google Kubernetes Engine did not answer for {target.cluster}: {error}") from error
    except exceptions.GoogleAuthError as error:
        raise PermanentError(f"Google gave no token: {error}", advice=LOG_IN) from error
    try:
        answer = response.json()
    except ValueError:
        answer = {}
    if response.status_code == 200:
        return dict(answer)
    reason = answer.get("error", {}).get("message") or f"HTTP {response.status_code}"
    if response.status_code in (408, 429) or response.status_code >= 500:
        raise TemporaryError(f"Google Kubernetes Engine failed: {reason}")
    raise PermanentError(
        f"{target.cluster} cannot be looked up: {reason}",
        advice="Check the address; the worker's account needs roles/container.developer on the project.",
    )


def _endpoint(found: dict[str, Any]) -> tuple[str, str]:
    """Return the URL of the control plane and its CA in base64, or "" for a publicly signed certificate.

    Uses the DNS endpoint if the IP endpoints are disabled.
    https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.clusters#controlplaneendpointsconfig
    """
    endpoints = found.get("controlPlaneEndpointsConfig", {})
    by_dns, by_ip = endpoints.get("dnsEndpointConfig", {}), endpoints.get("ipEndpointsConfig", {})
    if by_dns.get("allowExternalTraffic") and by_dns.get("endpoint") and not by_ip.get("enabled", True):
        return f"https://{by_dns['endpoint']}", ""
    if not found.get("endpoint"):
        raise TemporaryError("The cluster has no endpoint yet: GKE is still creating it.", retry_after_s=30.0)
    return f"https://{found['endpoint']}", found["masterAuth"]["clusterCaCertificate"]
