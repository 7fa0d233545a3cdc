"""From a cluster's address to an authenticated HTTP client for its API server, without kubectl or gcloud."""

import base64
import tempfile
import threading
import weakref
from dataclasses import dataclass
from typing import Any

from workers.errors import PermanentError, TemporaryError
from workers.platforms.cloud.google_login import LOG_IN, log_in, refresh

# https://cloud.google.com/kubernetes-engine/docs/how-to/api-server-authentication: the e-mail scope lets the cluster
# see the account's name, by which RBAC binds it.
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email")
_GKE = "https://container.googleapis.com/v1"
_DEADLINE_S = 15.0
_MISSHAPEN = (AttributeError, LookupError, TypeError, ValueError)
"""What the SDK raises for a kubeconfig that is YAML of another shape, or whose data are not in base64."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterAddress:
    """A cluster's address, taken apart: where its API server's address and credentials come from.

    `cluster` is the address without the namespace; `context` that of a kubeconfig, `gke` "projects/…/clusters/…";
    where both are "" the worker runs inside the cluster.
    """

    cluster: str
    namespace: str
    context: str = ""
    gke: str = ""

    @property
    def inside(self) -> bool:
        """Whether this process runs in a pod of the cluster, so that Services answer by their DNS names."""
        return not self.context and not self.gke


def read_address(address: str) -> ClusterAddress:
    """Take `address` apart. Raises ValueError, with one sentence, where it has none of the three forms.

    A context's name may hold slashes (EKS names contexts by their ARN); a namespace cannot.
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
        f"{address!r} is not a cluster's address: write kubernetes://CONTEXT/NAMESPACE, "
        "kubernetes://in-cluster/NAMESPACE or gke://PROJECT/LOCATION/CLUSTER/NAMESPACE."
    )


def open_client(target: ClusterAddress) -> Any:
    """A `kubernetes.client.ApiClient` for the target, whose tokens are kept fresh. GKE is asked where the cluster is.

    Raises PermanentError where context, credentials or cluster are not there, TemporaryError for the network's faults.
    """
    import yaml
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        if target.gke:
            _configure_gke(configuration, target)
        elif target.inside:
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config(context=target.context, client_configuration=configuration, persist_config=False)
    except (config.ConfigException, OSError, yaml.YAMLError, *_MISSHAPEN) as error:
        raise PermanentError(f"{target.cluster} cannot be used: {error}", advice=_advice(target)) from error
    return client.ApiClient(configuration)


class Login:
    """One target's client, for any number of threads: made when it is first needed, and anew after `forget`."""

    def __init__(self, target: ClusterAddress, client: Any = None) -> None:
        """`client` is used always, where it is given."""
        self._target = target
        self._given = client
        self._client: Any = None
        self._opening = threading.Lock()

    def client(self) -> Any:
        """The client; raises what `open_client` does."""
        with self._opening:
            if self._client is None:
                self._client = self._given or open_client(self._target)
            return self._client

    def forget(self, client: Any) -> None:
        """Have the next call log in, with the credentials that are there then."""
        with self._opening:
            if self._client is client:
                self._client = None


def _advice(target: ClusterAddress) -> str:
    if target.inside:
        return "kubernetes://in-cluster works in a pod with a service account's token only; name a context elsewhere."
    return "Look at `kubectl config get-contexts` as the worker's user, and set KUBECONFIG where the file is elsewhere."


def _configure_gke(configuration: Any, target: ClusterAddress) -> None:
    credentials = log_in(*_SCOPES)
    found = _look_up(credentials, target)
    configuration.host, certificate = _endpoint(found)
    if certificate:
        # The HTTP client wants a file; it is deleted when the configuration is.
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
    """The Cluster resource.

    https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.clusters/get
    """
    import requests
    from google.auth import exceptions
    from google.auth.transport.requests import AuthorizedSession

    open_session: Any = AuthorizedSession  # without types
    try:
        with open_session(credentials) as session:
            response = session.get(f"{_GKE}/{target.gke}", timeout=_DEADLINE_S)
    except (exceptions.TransportError, requests.RequestException) as error:
        raise TemporaryError(f"Google Kubernetes Engine could not be asked for {target.cluster}: {error}") from error
    except exceptions.GoogleAuthError as error:
        raise PermanentError(f"Google gave no token: {error}", advice=LOG_IN) from error
    try:
        answer = response.json()
    except ValueError:
        answer = {}
    if response.status_code == 200:
        return dict(answer)
    said = answer.get("error", {}).get("message") or f"HTTP {response.status_code}"
    if response.status_code in (408, 429) or response.status_code >= 500:
        raise TemporaryError(f"Google Kubernetes Engine failed: {said}")
    raise PermanentError(
        f"{target.cluster} cannot be looked up: {said}",
        advice="Check the address; the worker's account needs roles/container.developer on the project.",
    )


def _endpoint(found: dict[str, Any]) -> tuple[str, str]:
    """URL of the control plane and its CA in base64, or "" where a public one signed its certificate.

    The DNS endpoint is taken where the IP endpoints are off.
    https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.clusters#controlplaneendpointsconfig
    """
    endpoints = found.get("controlPlaneEndpointsConfig", {})
    by_dns = endpoints.get("dnsEndpointConfig", {})
    by_ip = endpoints.get("ipEndpointsConfig", {})
    if by_dns.get("allowExternalTraffic") and by_dns.get("endpoint") and not by_ip.get("enabled", True):
        return f"https://{by_dns['endpoint']}", ""
    if not found.get("endpoint"):
        raise TemporaryError("The cluster has no endpoint yet: it is still being made.", retry_after_s=30.0)
    return f"https://{found['endpoint']}", found["masterAuth"]["clusterCaCertificate"]
