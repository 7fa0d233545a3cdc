"""Requests to an API server, checked against the independent emulator kmock."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

client = pytest.importorskip("kubernetes.client", reason="needs the cloud libraries: pip install 'seatrial[cloud]'")
kmock = pytest.importorskip("kmock")

from tests.cloud.kubernetes_stand_in import StandIn  # noqa: E402
from tests.waiting import wait_until  # noqa: E402
from workers.errors import PermanentError, TemporaryError  # noqa: E402
from workers.platforms.cloud.kubernetes import api, http  # noqa: E402
from workers.platforms.cloud.kubernetes.access import ClusterAddress  # noqa: E402
from workers.platforms.cloud.kubernetes.api import Api  # noqa: E402


class Kmock:
    """kmock in a thread with its own event loop. `emulator` is kmock's object."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._up.wait(60)

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async with kmock.KubernetesEmulator() as self.emulator, kmock.Server(self.emulator) as server:
            self.url = str(server.url).rstrip("/")
            self._up.set()
            await asyncio.Event().wait()

    def close(self) -> None:
        """Stop at once, including watches, which kmock would serve forever."""
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(self._loop)])
        self._thread.join(10)


@pytest.fixture
def peer() -> Iterator[Kmock]:
    """Yield an empty kmock that knows the resources in use."""
    peer = Kmock()
    for group_version, plural in api.KINDS.values():
        group, _, version = group_version.rpartition("/")
        peer.emulator.resources[kmock.resource(group, version, plural)] = {"namespaced": True}
    yield peer
    peer.close()


def api_at(url: str) -> Api:
    target = ClusterAddress(cluster="kubernetes://kind", namespace="ns", context="kind")
    return Api(target=target, client=client.ApiClient(client.Configuration(host=url)))


def put(peer: Kmock, plural: str, name: str, obj: dict[str, Any], *, group: str = "") -> None:
    key = (kmock.resource(group, "v1", plural), "ns", name)
    peer.emulator.objects[key] = {"metadata": {"name": name, "namespace": "ns", "resourceVersion": "1"}, **obj}


def asked(peer: Kmock) -> list[Any]:
    """Return the requests so far."""
    return list(peer.emulator)


def test_get_and_list_return_objects(peer: Kmock) -> None:
    """A missing object is None."""
    api = api_at(peer.url)
    put(peer, "services", "a", {"spec": {"type": "ClusterIP"}})
    put(peer, "services", "b", {})
    assert api.get("Service", "c") is None
    found = api.get("Service", "a")
    assert found is not None
    assert found["spec"] == {"type": "ClusterIP"}
    assert sorted(item["metadata"]["name"] for item in api.list("Service")) == ["a", "b"]
    assert api.list("Deployment") == ()


def test_apply_is_a_forced_server_side_apply(peer: Kmock) -> None:
    """The field manager is seatrial, and unknown fields are refused."""
    put(peer, "deployments", "d", {"spec": {"replicas": 2}}, group="apps")
    applied = api_at(peer.url).apply(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"paused": True}}
    )
    assert applied["spec"] == {"replicas": 2, "paused": True}
    request = asked(peer)[-1]
    assert request.url.path == "/apis/apps/v1/namespaces/ns/deployments/d"
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert dict(request.params) == {"fieldManager": "seatrial", "force": "true", "fieldValidation": "Strict"}


def test_patch_and_scale_change_the_object(peer: Kmock) -> None:
    """Patch merges into the object; scale uses the subresource, as the autoscaler does."""
    api = api_at(peer.url)
    put(peer, "deployments", "d", {"spec": {"replicas": 2}}, group="apps")
    assert api.patch("Deployment", "d", {"metadata": {"labels": {"a": "b"}}})["metadata"]["labels"] == {"a": "b"}
    api.scale("Deployment", "d", 5)
    assert asked(peer)[-1].url.path.endswith("/deployments/d/scale")
    found = api.get("Deployment", "d")
    assert found is not None
    assert found["spec"]["replicas"] == 5


def test_delete_returns_whether_the_object_existed(peer: Kmock) -> None:
    api = api_at(peer.url)
    put(peer, "configmaps", "c", {})
    assert api.delete("ConfigMap", "c")
    assert not api.delete("ConfigMap", "c")
    assert api.get("ConfigMap", "c") is None


def test_watched_copy_follows_the_server(peer: Kmock) -> None:
    """Through additions, changes and deletions."""
    api = api_at(peer.url)
    put(peer, "pods", "old", {})
    with api.watch("Pod") as pods:

        def names() -> list[str]:
            return sorted(pod["metadata"]["name"] for pod in pods.now())

        assert names() == ["old"]
        body = {"metadata": {"name": "new", "namespace": "ns", "resourceVersion": "2"}}
        import urllib.request

        def post() -> None:
            data = json.dumps(body).encode()
            request = urllib.request.Request(
                f"{peer.url}/api/v1/namespaces/ns/pods", data, {"Content-Type": "application/json"}
            )
            urllib.request.urlopen(request, timeout=60).close()

        post()
        wait_until(lambda: names() == ["new", "old"])
        api.patch("Pod", "new", {"status": {"phase": "Running"}})
        wait_until(lambda: any(pod.get("status") for pod in pods.now()))
        api.delete("Pod", "old")
        wait_until(lambda: names() == ["new"])


def test_leaving_a_watch_ends_its_thread(peer: Kmock) -> None:
    """Without waiting for the server to send something."""
    put(peer, "pods", "old", {})  # kmock sends no headers before the first event
    with api_at(peer.url).watch("Pod"):
        wait_until(lambda: any(thread.name == "watch pods" for thread in threading.enumerate()))
    wait_until(lambda: not any(thread.name == "watch pods" for thread in threading.enumerate()))


def test_watch_restarts_after_an_invalid_event() -> None:
    """A proxy in front of the server may send its own messages."""
    lists: list[str] = []

    class InvalidEvents(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            if "watch=true" in self.path:
                self.wfile.write(b'{"message": "please wait"}\n')
                return
            lists.append(self.path)
            pod = {"metadata": {"name": f"pod-{len(lists)}"}}
            answer = {"kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": [pod]}
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), InvalidEvents) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with api_at(f"http://127.0.0.1:{server.server_address[1]}").watch("Pod") as pods:
            wait_until(lambda: [pod["metadata"]["name"] for pod in pods.now()] == ["pod-2"])
        server.shutdown()


def test_watch_reports_a_lost_right() -> None:
    """The next read raises the error."""
    with StandIn() as stand_in, stand_in.api().watch("Pod") as pods:
        assert pods.now() == ()
        stand_in.refused["GET", "pods"] = (403, "pods is forbidden")
        stand_in.cut()

        def refused() -> bool:
            try:
                pods.now()
            except PermanentError as error:
                return "pods is forbidden" in str(error)
            return False

        wait_until(refused)


def test_unreachable_server_is_a_temporary_error() -> None:
    """It names the cluster and the call."""
    with pytest.raises(TemporaryError, match="kubernetes://kind could not be reached to get services"):
        api_at("http://127.0.0.1:1").get("Service", "a")


def test_call_times_out_if_the_server_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = api_at(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(TemporaryError, match="timed out"):
            api.get("Service", "a")


def test_answer_of_another_server_is_reported() -> None:
    """A login page has the status 200."""

    class LoginPage(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>\n  log in")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), LoginPage) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with pytest.raises(PermanentError, match=r"It answered: <html> log in$") as caught:
            api_at(f"http://127.0.0.1:{server.server_address[1]}").get("Service", "a")
        server.shutdown()
    assert "kubeconfig" in caught.value.advice


def test_right_is_checked_without_using_it() -> None:
    """As `kubectl auth can-i` does."""
    with StandIn() as stand_in:
        api = stand_in.api()
        stand_in.refused["DELETE", "deployments"] = (403, "no")
        assert api.may("get", "Deployment")
        assert not api.may("delete", "Deployment")
