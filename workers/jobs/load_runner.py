"""What a load test and a search for capacity share: what is loaded, how the traffic runs, and what is seen meanwhile.

Knows no job: both handlers use it, and it neither of them.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from workers.context import Context
from workers.contract.formatting import show_duration, show_number
from workers.contract.load import Abort, Sample, Spacing, Stage
from workers.contract.settings import Environment, LoadTarget
from workers.errors import PermanentError, TemporaryError
from workers.jobs.stop_rules import ErrorRateStop, OverrateStop
from workers.platforms.protocols.cluster import Cluster, Endpoint
from workers.platforms.protocols.load import LoadResult, TrafficPlan
from workers.platforms.protocols.platforms import Platforms


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What is to be loaded: a model's endpoint, or a target of the settings, which has no `endpoint`.

    `place` is the key of its kept reports; `fact` says for people what was found.
    """

    name: str
    model: str
    place: str
    fact: str
    url: str
    body: bytes
    private: bool
    endpoint: Endpoint | None

    @property
    def words(self) -> str:
        """ "iris on staging", or the target's name."""
        return f"{self.model} on {self.name}" if self.model else self.name

    @property
    def ready(self) -> int:
        """The replicas that were ready when it was found; 0 for a target."""
        return self.endpoint.ready if self.endpoint else 0

    def plan(
        self, platforms: Platforms, *, stages: tuple[Stage, ...], ramp_s: float, spacing: Spacing, job_id: str
    ) -> TrafficPlan:
        """The traffic of `stages` at it. Raises PermanentError where it would last longer than the settings allow, or
        where the settings' own Locust file is missing."""
        longest_s = platforms.settings.loadtest.longest_s
        whole_s = sum(stage.length_s for stage in stages)
        if whole_s > longest_s:
            raise PermanentError(
                f"A load test may last {show_duration(longest_s)}, and this one would last {show_duration(whole_s)}.",
                advice="Ask for a shorter one, or raise longest under [loadtest] in seatrial.toml.",
            )
        return TrafficPlan(
            url=self.url,
            body=self.body,
            stages=stages,
            ramp_s=ramp_s,
            spacing=spacing,
            predicts=bool(self.model),
            private=self.private,
            locustfile=_locustfile(platforms),
            job_id=job_id,
        )


def find(platforms: Platforms, *, name: str, model: str) -> Loaded:
    """What is loaded under an environment's or a target's `name`.

    Raises PermanentError where nothing serves `model` there.
    """
    place = platforms.settings.place(name)
    match place:
        case LoadTarget():
            return Loaded(
                name=name,
                model="",
                place=name,
                fact=place.url,
                url=place.url,
                body=b"" if place.body is None else json.dumps(place.body).encode(),
                private=place.private,
                endpoint=None,
            )
        case Environment():
            return _served(platforms, place, model)


def _served(platforms: Platforms, environment: Environment, model: str) -> Loaded:
    endpoint = platforms.clusters[environment.name].endpoint(model=model, environment=environment)
    if endpoint is None or endpoint.ready == 0:
        raise PermanentError(
            f"Nothing answers as {model} on {environment.name}.",
            advice=f"Deploy a version first: /deploy v1 {model} to {environment.name}.",
        )
    count = "1 replica" if endpoint.ready == 1 else f"{endpoint.ready} replicas"
    return Loaded(
        name=environment.name,
        model=model,
        place=f"{environment.name}/{model}",
        fact=f"v{endpoint.version} on {count} at {endpoint.address}",
        url=f"{endpoint.address}/v1/models/{model}:predict",
        body=json.dumps({"instances": [platforms.settings.models[model].sample[0]]}).encode(),
        private=True,
        endpoint=endpoint,
    )


def _locustfile(platforms: Platforms) -> Path | None:
    named = platforms.settings.loadtest.locustfile
    if named is None:
        return None
    path = Path(named)
    if not path.is_file():
        raise PermanentError(
            f"loadtest.locustfile: there is no file {path}.",
            advice="Put it there, on the worker's machine too, or take the line out of seatrial.toml.",
        )
    return path


class ReplicaWatch:
    """The replicas of what is loaded, told whenever their number changes. A target has none."""

    def __init__(self, loaded: Loaded, platforms: Platforms, context: Context) -> None:
        self.changes: list[tuple[float, int]] = [(0.0, loaded.ready)] if loaded.endpoint else []
        """(Seconds since the start, ready from then on)."""
        self._loaded = loaded
        self._context = context
        self._cluster: Cluster | None = platforms.clusters[loaded.name] if loaded.endpoint else None
        self._environment = platforms.settings.environments.get(loaded.name)

    @property
    def ready(self) -> int:
        """How many there are now."""
        return self.changes[-1][1] if self.changes else 0

    def look(self, at_s: float) -> None:
        """Count them. A cluster that does not answer for once is asked again the next second."""
        if self._cluster is None or self._environment is None:
            return
        try:
            now = self._cluster.endpoint(model=self._loaded.model, environment=self._environment)
        except TemporaryError:
            return
        ready = now.ready if now else 0
        if ready != self.ready:
            cpu = now.cpu_percent if now else None
            target = self._environment.cpu_target
            reason = "" if cpu is None else f"CPU {cpu:.0f} % of the request, target {target} %"
            self._context.scaled(before=self.ready, after=ready, reason=reason)
            self.changes.append((at_s, ready))


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """Traffic that has ended. `seconds`: one sample each. `aborted_after_s`: when `abort` ended it early, if it did;
    `curbed_after_s`: when it was ended because a Locust file of one's own sent too much, which the result's
    `generator_trouble` then says."""

    result: LoadResult
    seconds: Sequence[Sample]
    aborted_after_s: float | None = None
    curbed_after_s: float | None = None


def send(
    plan: TrafficPlan,
    *,
    loaded: Loaded,
    platforms: Platforms,
    context: Context,
    replicas: ReplicaWatch,
    abort: Abort | None,
    told: Callable[[Sample], None],
) -> Sent:
    """Run the traffic to its end, or until `abort` holds or a Locust file of one's own sends more than was asked for.

    `told` is called with every second of it. Raises TargetDown, before any load, where what is to be loaded does not
    answer.
    """
    seconds: list[Sample] = []
    patience, curb = ErrorRateStop(abort), OverrateStop(plan.rate_rps)
    aborted_after_s: float | None = None
    curbed_after_s: float | None = None
    with platforms.loads[loaded.name].start(plan=plan, progress=context) as running:
        for second in running.samples():
            replicas.look(second.at_s)
            seconds.append(second)
            left_s = max(plan.whole_s - second.at_s, 0.0)
            context.measured(second, left_s=left_s, replicas=replicas.ready)
            told(second)
            if patience.ends_with(second):
                aborted_after_s = second.at_s
            elif plan.locustfile and curb.ends_with(second):
                curbed_after_s = second.at_s
            else:
                continue
            running.stop()
            break
        result = running.result()
    if curbed_after_s is not None:
        words = _curbed(plan, curb.surplus, after_s=curbed_after_s)
        result = replace(result, generator_trouble=f"{words} {result.generator_trouble}".strip())
    return Sent(
        result=result,
        seconds=result.seconds or seconds,
        aborted_after_s=aborted_after_s,
        curbed_after_s=curbed_after_s,
    )


def _curbed(plan: TrafficPlan, surplus: float, *, after_s: float) -> str:
    ended, asked = show_duration(after_s), show_number(plan.rate_rps)
    return (
        f"It was ended after {ended}: the Locust file's users had sent {surplus:,.0f} requests more than {asked} a"
        " second, the most that was asked for."
    )
