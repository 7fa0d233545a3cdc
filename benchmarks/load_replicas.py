"""1,000 requests a second on an endpoint that begins with one replica: what each replica carries, and from when on."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import psutil

from benchmarks.load_generators import Patient, home
from benchmarks.table import Line, show
from workers.contract.load import Stage
from workers.contract.replicas import Replicas
from workers.contract.settings import Model, SettingsFile
from workers.contract.settings_reader import read_settings_file
from workers.platforms.embedded.cluster.cluster import EmbeddedCluster
from workers.platforms.embedded.load.generator import EmbeddedLoad
from workers.platforms.embedded.warehouse.warehouse import EmbeddedWarehouse
from workers.platforms.protocols.artifacts import Manifest
from workers.platforms.protocols.cluster import Endpoint, Release
from workers.platforms.protocols.load import LoadResult, TrafficPlan

RATE_RPS, DURATION_S, REPLICAS = 1_000, 25, 4
LOOK_S = 0.5
WINDOW, END = 4, 20
"""CPU time is counted in hundredths of a second: shares are taken over so many looks, at the end over more."""
EVEN = 1 / 3
"""How far off the even share each is to be at most at the end, as a part of it."""
CARRIES = 0.5
"""Of an even share: from there on a replica carries its part."""
GOAL_S = 6.0


def run() -> None:
    """Measure and print."""
    settings = read_settings_file(Path("seatrial.toml"))
    with home() as folder, _deployed(settings, folder) as endpoint:
        watch = Watch(folder)
        result = _load(settings.models["iris"], endpoint, folder, watch)
    even, shares = 1 / len(watch.started_s), watch.shares(looks=END)
    lines = [
        Line(
            what=f"requests that failed, of {result.requests:,}",
            measured=f"{result.failures}",
            goal="0",
            reached=result.failures == 0,
        ),
        Line(what="p95, p99", measured=f"{result.latency_ms[95.0]:.3g} ms, {result.latency_ms[99.0]:.3g} ms"),
        Line(what="replicas", measured=f"1 → {len(watch.started_s)}", goal=f"{REPLICAS}"),
        Line(
            what=f"share of the load on each, in the last {END * LOOK_S:g} s",
            measured=", ".join(f"{share:.0%}" for share in shares),
            compared=f"even: {even:.0%}",
            goal=f"{even * (1 - EVEN):.0%} to {even * (1 + EVEN):.0%}",
            reached=all(abs(share - even) <= EVEN * even for share in shares),
        ),
        Line(
            what="until a new replica carries its part, the slowest",
            measured=f"{watch.slowest_s():.1f} s",
            goal=f"≤ {GOAL_S:g} s",
            reached=watch.slowest_s() <= GOAL_S,
        ),
    ]
    show(f"replicas: {RATE_RPS:,}/s for {DURATION_S} s, scaled by the autoscaler", lines)


class Watch:
    """The CPU time of every replica process, looked at twice a second: its share of it is its share of the load."""

    def __init__(self, folder: Path) -> None:
        self.started_s: dict[int, float] = {}
        """When each was first seen at work."""
        self._folder = str(folder)
        self._looks: list[tuple[float, dict[int, float]]] = []
        self._over = Event()

    def __enter__(self) -> None:
        self._thread = Thread(target=self._look)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def shares(self, at: int = -1, *, looks: int = WINDOW) -> list[float]:
        """The replicas' shares over the `looks` up to number `at`, the oldest first."""
        last = len(self._looks) + at if at < 0 else at
        now, before = self._looks[last][1], self._looks[max(last - looks, 0)][1]
        used = [now.get(pid, 0.0) - before.get(pid, now.get(pid, 0.0)) for pid in self.started_s]
        return [each / max(sum(used), 1e-9) for each in used]

    def slowest_s(self) -> float:
        """From when a new replica was there to when it carried CARRIES of an even share, the longest of all."""
        waits = []
        for number, (pid, started_s) in enumerate(self.started_s.items()):
            for at, (at_s, cpu) in enumerate(self._looks):
                if pid in cpu and self.shares(at)[number] >= CARRIES / len(cpu):
                    waits.append(at_s - started_s)
                    break
            else:
                waits.append(float("inf"))
        return max(waits[1:], default=float("inf"))

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
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
            self._looks.append((time.monotonic(), cpu))


def _load(model: Model, endpoint: Endpoint, folder: Path, watch: Watch) -> LoadResult:
    plan = TrafficPlan(
        url=f"{endpoint.address}/v1/models/{model.name}:predict",
        body=json.dumps({"instances": [dict(model.sample[0])]}).encode(),
        stages=(Stage(from_rps=RATE_RPS, to_rps=RATE_RPS, length_s=DURATION_S),),
        job_id="benchmark",
    )
    with EmbeddedLoad(home=folder / "load").start(plan=plan, progress=Patient()) as load, watch:
        for _ in load.samples():
            pass
        return load.result()


@contextmanager
def _deployed(settings: SettingsFile, folder: Path) -> Iterator[Endpoint]:
    """The irises' model, trained and served by one replica that may become REPLICAS."""
    model, environment = settings.models["iris"], settings.environments["staging"]
    warehouse, cluster = EmbeddedWarehouse(home=folder, tables={}), EmbeddedCluster(home=folder)
    warehouse.train(model=model, version=1, progress=Patient())
    warehouse.export(model=model, version=1, to=str(folder / "exported"), progress=Patient())
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
        yield cluster.roll_out(release=release, progress=Patient())
    finally:
        cluster.remove_all()
