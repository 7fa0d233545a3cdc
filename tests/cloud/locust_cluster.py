"""A Kubernetes cluster in miniature whose pods are Locust processes of this machine: for tests of load alone."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.cloud.kubernetes_controllers import Controllers
from tests.cloud.kubernetes_node import Node, RunningPod
from tests.cloud.kubernetes_proxy import Address
from tests.cloud.kubernetes_runtimes import LocustRuntime
from tests.cloud.kubernetes_stand_in import StandIn
from workers.platforms.cloud.kubernetes.api import Api

Object = dict[str, Any]


class LocustCluster:
    """`room` is how many pods find a node; an image of the name "missing" cannot be pulled."""

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
        """A client of it, from outside the cluster."""
        return self.stand_in.api()

    @property
    def objects(self) -> dict[tuple[str, str], Object]:
        """What was applied, by kind and name."""
        made = ("ReplicaSet", "Pod")
        return {key: obj for key, obj in self.stand_in.store.objects.items() if key[0] not in made}

    @property
    def pods(self) -> dict[str, RunningPod]:
        """The pods that a node has taken, by name."""
        return self._node.pods

    @property
    def targets(self) -> dict[str, Address]:
        """Services of tests' own: name → host and port."""
        return self._node.targets

    @property
    def refused(self) -> list[str]:
        """What was wrong in manifests."""
        return self.stand_in.mistakes
