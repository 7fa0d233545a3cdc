"""Kubernetes stand-in with Locust processes of this machine as pods, for tests of load."""

from contextlib import ExitStack
from pathlib import Path

from tests.cloud.kubernetes_controllers import Controllers
from tests.cloud.kubernetes_node import Node, RunningPod
from tests.cloud.kubernetes_proxy import Address
from tests.cloud.kubernetes_runtimes import LocustRuntime
from tests.cloud.kubernetes_stand_in import StandIn
from workers.platforms.cloud.kubernetes.api import Api
from workers.platforms.cloud.kubernetes.objects import Object


class LocustCluster:
    """Cluster with room for `room` pods. The image "missing" cannot be pulled."""

    def __init__(self, folder: Path, *, room: int = 100) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.stand_in = StandIn()
        self._node = Node(self.stand_in, LocustRuntime(folder), room=room)
        self._exit_stack = ExitStack()

    def __enter__(self) -> "LocustCluster":
        self._exit_stack.enter_context(self.stand_in)
        self._exit_stack.enter_context(self._node)
        self._exit_stack.enter_context(Controllers(self.stand_in, self._node))
        return self

    def __exit__(self, *_: object) -> None:
        self._exit_stack.close()

    def api(self) -> Api:
        """Return a client outside the cluster."""
        return self.stand_in.api()

    @property
    def objects(self) -> dict[tuple[str, str], Object]:
        """Return the applied objects by kind and name."""
        created = ("ReplicaSet", "Pod")  # by controllers
        return {key: obj for key, obj in self.stand_in.store.objects.items() if key[0] not in created}

    @property
    def pods(self) -> dict[str, RunningPod]:
        """Return the scheduled pods by name."""
        return self._node.pods

    @property
    def targets(self) -> dict[str, Address]:
        """Return the tests' own Services: name → host and port."""
        return self._node.targets

    @property
    def refused(self) -> list[str]:
        """Return the errors in manifests."""
        return self.stand_in.mistakes
