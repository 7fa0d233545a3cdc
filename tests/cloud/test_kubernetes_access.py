"""Cluster addresses, and clients authenticated by a kubeconfig or a pod's service account."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("kubernetes.client", reason="needs the cloud libraries: pip install 'seatrial[cloud]'")

from kubernetes.config import kube_config

from tests.cloud.kubernetes_stand_in import CONTEXT, StandIn
from tests.cloud.kubernetes_store import NAMESPACE
from workers.errors import PermanentError
from workers.platforms.cloud.kubernetes.access import ClusterAddress, read_address
from workers.platforms.cloud.kubernetes.api import connect


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("kubernetes://kind/prod", ClusterAddress(cluster="kubernetes://kind", namespace="prod", context="kind")),
        ("kubernetes://in-cluster/prod", ClusterAddress(cluster="kubernetes://in-cluster", namespace="prod")),
        (
            "kubernetes://arn:aws:eks:eu-1:1:cluster/c/prod",
            ClusterAddress(
                cluster="kubernetes://arn:aws:eks:eu-1:1:cluster/c",
                namespace="prod",
                context="arn:aws:eks:eu-1:1:cluster/c",
            ),
        ),
        (
            "gke://p/us-central1-b/serving/prod",
            ClusterAddress(
                cluster="gke://p/us-central1-b/serving",
                namespace="prod",
                gke="projects/p/locations/us-central1-b/clusters/serving",
            ),
        ),
    ],
)
def test_address_is_parsed(address: str, target: ClusterAddress) -> None:
    """The namespace follows the last slash."""
    assert read_address(address) == target
    assert target.inside == ("in-cluster" in address)


@pytest.mark.parametrize(
    "address", ["local", "kubernetes://kind", "kubernetes:///prod", "gke://p/l/c", "gke://p//c/n", "k8s://a/b"]
)
def test_invalid_address_is_refused_with_the_three_forms(address: str) -> None:
    """When it is read, before any connection."""
    with pytest.raises(ValueError, match="write kubernetes://CONTEXT/NAMESPACE") as caught:
        connect(address)
    assert repr(address) in str(caught.value)


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Yield a stand-in with one Service, and make the default kubeconfig point to it."""
    with StandIn() as stand_in:
        stand_in.store.put({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}})
        path = stand_in.kubeconfig(tmp_path / "config")
        monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
        yield stand_in


def test_context_selects_server_and_credentials(kubeconfig: StandIn) -> None:
    (service,) = connect(f"kubernetes://{CONTEXT}/{NAMESPACE}").list("Service")
    assert service["metadata"]["name"] == "a"


def test_missing_context_is_reported_by_the_first_call(kubeconfig: StandIn) -> None:
    """A worker can start while one of its clusters is unavailable."""
    api = connect("kubernetes://elsewhere/prod")
    with pytest.raises(PermanentError, match="kubernetes://elsewhere cannot be used") as caught:
        api.list("Service")
    assert "kubectl config get-contexts" in caught.value.advice


def test_kubeconfig_that_is_not_yaml_is_reported(kubeconfig: StandIn, tmp_path: Path) -> None:
    """With the position of the mistake."""
    (tmp_path / "config").write_text("clusters: [c\n")
    with pytest.raises(PermanentError, match=r"cannot be used: while parsing") as caught:
        connect(f"kubernetes://{CONTEXT}/{NAMESPACE}").list("Service")
    assert "KUBECONFIG" in caught.value.advice


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "contexts: [{}]",
        "words",
        "contexts: [{name: test-cluster, context: {cluster: c}}]\nclusters: [{name: c, cluster: "
        "{server: 'https://127.0.0.1:1', certificate-authority-data: '!a'}}]",
    ],
)
def test_malformed_kubeconfig_is_reported(kubeconfig: StandIn, tmp_path: Path, text: str) -> None:
    """As a mistake in the configuration, not as a crash."""
    (tmp_path / "config").write_text(text)
    with pytest.raises(PermanentError, match="cannot be used") as caught:
        connect(f"kubernetes://{CONTEXT}/{NAMESPACE}").list("Service")
    assert "KUBECONFIG" in caught.value.advice


def test_token_may_end_with_a_line_break(kubeconfig: StandIn, tmp_path: Path) -> None:
    """YAML blocks end with one. In a header it would be invalid, and the error would reveal the token."""
    text = (tmp_path / "config").read_text()
    (tmp_path / "config").write_text(text.replace('"secret"', '"secret\\n"'))
    kubeconfig.accepted = "Bearer secret"
    assert len(connect(f"kubernetes://{CONTEXT}/{NAMESPACE}").list("Service")) == 1


def test_in_cluster_address_works_only_in_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(PermanentError, match="kubernetes://in-cluster cannot be used") as caught:
        connect("kubernetes://in-cluster/prod").get("Service", "a")
    assert "in a pod" in caught.value.advice


def test_failed_credential_plugin_is_called_again(kubeconfig: StandIn, tmp_path: Path) -> None:
    """The SDK sends no credentials if a plugin fails. The error says so."""
    token = tmp_path / "token"
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "interactiveMode": "Never",
        "args": ["-c", f"cat {token}"],
    }  # fmt: skip
    config = json.loads((tmp_path / "config").read_text())
    config["users"] = [{"name": "u", "user": {"exec": plugin}}]
    (tmp_path / "config").write_text(json.dumps(config))
    kubeconfig.accepted = "Bearer t"
    api = connect(f"kubernetes://{CONTEXT}/{NAMESPACE}")
    with pytest.raises(PermanentError, match="received no credentials") as caught:
        api.list("Service")
    assert "Log in again" in caught.value.advice
    given = {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "status": {"token": "t"}}
    token.write_text(json.dumps(given))
    assert len(api.list("Service")) == 1
