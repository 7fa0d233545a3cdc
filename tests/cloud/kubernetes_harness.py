"""Harness of the Kubernetes adapter: the stand-in, pods with scripted states, and releases."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes.client", reason="needs the cloud libraries: pip install 'seatrial[cloud]'")

from tests.cloud.kubernetes_controllers import Controllers
from tests.cloud.kubernetes_stand_in import StandIn
from tests.cloud.scripted_kubelet import ScriptedKubelet
from tests.platforms.progress import RecordedProgress
from workers.contract.replicas import Replicas
from workers.contract.settings import Environment, Model
from workers.platforms.cloud.endpoints.cluster import KubernetesCluster
from workers.platforms.cloud.endpoints.endpoint_objects import RolloutTiming
from workers.platforms.protocols import Endpoint, Manifest, Release

MODEL = Model(name="fruit", type="linear_reg", label="price", query="SELECT 1", sample=({"weight": 1.0},))
STAGING = Environment(name="staging", cpu_request="250m", cpu_target=60)
QUICK = RolloutTiming(poll_s=0.02, address_s=60.0, answer_s=5.0, undone_s=60.0, ended_s=60.0, stuck_s=60.0)


class KubernetesHarness:
    """The adapter, the stand-in behind it, and releases."""

    def __init__(self, stand_in: StandIn, controllers: Controllers, kubelet: ScriptedKubelet) -> None:
        self.stand_in, self.controllers, self.kubelet, self.store = stand_in, controllers, kubelet, stand_in.store
        self.api = stand_in.api()
        self.cluster = KubernetesCluster(api=self.api, timing=QUICK)

    def release(
        self, version: int, *, replicas: tuple[int, int] = (1, 1), state: str = "ready", job_id: str = ""
    ) -> Release:
        image = f"registry/fruit@sha256:{version:064}"
        self.kubelet.states[image] = state
        manifest = Manifest(
            model="fruit", version=version, digest=f"sha256:{version}", format="saved_model", size_bytes=1, metrics={},
            query_sha256="", training="", trained_by="", job_id=f"job-{version}", created_at_s=0.0, image=image,
        )  # fmt: skip
        low, high = replicas
        return Release(
            model=MODEL, environment=STAGING, manifest=manifest, folder=Path("unused"),
            replicas=Replicas(minimum=low, maximum=high), job_id=job_id or f"job-{version}", asked_by="ada",
            at_s=0.0,
        )  # fmt: skip

    def up(self, version: int, **how: Any) -> Endpoint:
        return self.cluster.roll_out(release=self.release(version, **how), progress=RecordedProgress())

    def now(self) -> Endpoint:
        endpoint = self.cluster.endpoint(model="fruit", environment=STAGING)
        assert endpoint is not None
        return endpoint

    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.store.objects if kind != "Event"}


@contextmanager
def kubernetes_harness() -> Iterator[KubernetesHarness]:
    """Yield an empty cluster."""
    with ExitStack() as exit_stack:
        stand_in = exit_stack.enter_context(StandIn())
        kubelet = ScriptedKubelet(stand_in)
        yield KubernetesHarness(stand_in, exit_stack.enter_context(Controllers(stand_in, kubelet)), kubelet)
