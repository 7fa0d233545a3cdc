"""Share of the load on each replica while the autoscaler adds replicas to an endpoint under 1,000 requests a second."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import psutil

from benchmarks.load_generators import home
from benchmarks.table import Row, show
from tests.platforms.progress import RecordedProgress
from workers.contract.load import Stage
from workers.contract.replicas import Replicas
from workers.contract.settings import Model, SettingsFile
from workers.contract.settings_reader import read_settings_file
from workers.platforms.embedded.cluster.cluster import EmbeddedCluster
from workers.platforms.embedded.load import EmbeddedLoad
from workers.platforms.embedded.warehouse.warehouse import EmbeddedWarehouse
from workers.platforms.protocols import Endpoint, LoadResult, Manifest, Release, TrafficPlan

RATE_RPS, DURATION_S, REPLICAS = 1_000, 25, 4
POLL_S = 0.5
WINDOW, END = 4, 20
"""Number of polls over which shares are taken, and their number at the end: CPU time has steps of 10 ms."""
EVEN = 1 / 3
"""Allowed deviation from the even share at the end, as a part of it."""
CARRIES = 0.5
"""Part of an even share from which on a replica counts as loaded."""
GOAL_S = 6.0


def run() -> None:
    """Measure and print a table."""
    settings = read_settings_file(Path("seatrial.toml"))
    with home() as folder, _deployed(settings, folder) as endpoint:
        monitor = ReplicaMonitor(folder)
        result = _load(settings.models["iris"], endpoint, folder, monitor)
    even, shares = 1 / len(monitor.started_s), monitor.shares(polls=END)
    rows = [
        Row(
            what=f"requests that failed, of {result.requests:,}",
            measured=f"{result.failures}",
            goal="0",
            reached=result.failures == 0,
        ),
        Row(what="p95, p99", measured=f"{result.latency_ms[95.0]:.3g} ms, {result.latency_ms[99.0]:.3g} ms"),
        Row(what="replicas", measured=f"1 → {len(monitor.started_s)}", goal=f"{REPLICAS}"),
        Row(
            what=f"share of the load on each, in the last {END * POLL_S:g} s",
            measured=", ".join(f"{share:.0%}" for share in shares),
            compared=f"even: {even:.0%}",
            goal=f"{even * (1 - EVEN):.0%} to {even * (1 + EVEN):.0%}",
            reached=all(abs(share - even) <= EVEN * even for share in shares),
        ),
        Row(
            what="slowest new replica until it carries its share",
            measured=f"{monitor.slowest_s():.1f} s",
            goal=f"≤ {GOAL_S:g} s",
            reached=monitor.slowest_s() <= GOAL_S,
        ),
    ]
    show(f"replicas: {RATE_RPS:,}/s for {DURATION_S} s, scaled by the autoscaler", rows)


class ReplicaMonitor:
    """CPU time of every replica process, polled twice a second. Its share of it is its share of the load."""

    def __init__(self, folder: Path) -> None:
        self.started_s: dict[int, float] = {}
        """Time at which each process was first seen."""
        self._folder = str(folder)
        self._polls: list[tuple[float, dict[int, float]]] = []
        self._over = Event()

    def __enter__(self) -> None:
        self._thread = Thread(target=self._poll)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def shares(self, at: int = -1, *, polls: int = WINDOW) -> list[float]:
        """Return the replicas' shares over the `polls` up to number `at`, the oldest replica first."""
        last = len(self._polls) + at if at < 0 else at
        now, before = self._polls[last][1], self._polls[max(last - polls, 0)][1]
        used = [now.get(pid, 0.0) - before.get(pid, now.get(pid, 0.0)) for pid in self.started_s]
        return [each / max(sum(used), 1e-9) for each in used]

    def slowest_s(self) -> float:
        """Return the longest time from the start of a new replica until it had CARRIES of an even share."""
        waits = []
        for number, (pid, started_s) in enumerate(self.started_s.items()):
            for at, (at_s, cpu) in enumerate(self._polls):
                if pid in cpu and self.shares(at)[number] >= CARRIES / len(cpu):
                    waits.append(at_s - started_s)
                    break
            else:
                waits.append(float("inf"))
        return max(waits[1:], default=float("inf"))

    def _poll(self) -> None:
        while not self._over.wait(POLL_S):
            cpu = {}
            for process in psutil.process_iter():
                try:
                    words = process.cmdline()
                    if "workers.platforms.serving" in words and any(self._folder in word for word in words):
                        times = process.cpu_times()
                        cpu[process.pid] = times.user + times.system
                        self.started_s.setdefault(process.pid, time.monotonic())
                except psutil.Error:
                    continue
            self._polls.append((time.monotonic(), cpu))


def _load(model: Model, endpoint: Endpoint, folder: Path, monitor: ReplicaMonitor) -> LoadResult:
    plan = TrafficPlan(
        url=f"{endpoint.address}/v1/models/{model.name}:predict",
        body=json.dumps({"instances": [dict(model.sample[0])]}).encode(),
        stages=(Stage(from_rps=RATE_RPS, to_rps=RATE_RPS, length_s=DURATION_S),),
        job_id="benchmark",
    )
    with EmbeddedLoad(home=folder / "load").start(plan=plan, progress=RecordedProgress()) as load, monitor:
        for _ in load.samples():
            pass
        return load.result()


@contextmanager
def _deployed(settings: SettingsFile, folder: Path) -> Iterator[Endpoint]:
    """Train and deploy the iris model with one replica, up to REPLICAS."""
    model, environment = settings.models["iris"], settings.environments["staging"]
    warehouse, cluster = EmbeddedWarehouse(home=folder, tables={}), EmbeddedCluster(home=folder)
    warehouse.train(model=model, version=1, progress=RecordedProgress())
    warehouse.export(model=model, version=1, to=str(folder / "exported"), progress=RecordedProgress())
    manifest = Manifest(
        model=model.name, version=1, digest="sha256:1", format="onnx", size_bytes=1, metrics={}, query_sha256="",
        training="", trained_by="", job_id="benchmark", created_at_s=time.time(),
    )  # fmt: skip
    release = Release(
        model=model,
        environment=environment,
        manifest=manifest,
        folder=folder / "exported",
        replicas=Replicas(minimum=1, maximum=REPLICAS),
        job_id="benchmark",
        asked_by="",
    )
    try:
        yield cluster.roll_out(release=release, progress=RecordedProgress())
    finally:
        cluster.remove_all()
