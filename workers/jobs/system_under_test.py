"""The endpoint or load target that a load test or a capacity search sends traffic to, and the traffic's plan."""

import json
from dataclasses import dataclass
from pathlib import Path

from workers.context import Context
from workers.contract.formatting import show_count, show_duration
from workers.contract.load import Spacing, Stage
from workers.contract.settings import LoadTarget, SettingsFile
from workers.errors import PermanentError
from workers.platforms.protocols import Endpoint, Environment, TrafficPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemUnderTest:
    """A model's endpoint, or a load target of the settings, which has no model and no `endpoint`.

    `place` is the name of the environment or of the target. `fact` describes the system on the card.
    """

    place: str
    model: str
    fact: str
    url: str
    body: bytes
    private: bool
    endpoint: Endpoint | None

    @property
    def report_place(self) -> str:
        """Return the key of the system's reports in the model store."""
        return f"{self.place}/{self.model}" if self.model else self.place

    @property
    def ready(self) -> int:
        return self.endpoint.ready if self.endpoint else 0

    def plan(
        self, context: Context, *, stages: tuple[Stage, ...], ramp_s: float, spacing: Spacing = "constant"
    ) -> TrafficPlan:
        """Return the traffic of `stages` to the system.

        Raises PermanentError if it would last longer than the settings allow, or if their Locust file is missing.
        """
        settings = context.platforms.settings
        longest_s, whole_s = settings.loadtest.longest_s, sum(stage.length_s for stage in stages)
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
            locustfile=_locustfile(settings),
            job_id=context.job_id,
        )


def find_system(context: Context, *, place: str, model: str) -> SystemUnderTest:
    """Return the system at the environment or target called `place`.

    Raises PermanentError if no replica serves `model` there.
    """
    settings = context.platforms.settings
    match settings.place(place):
        case LoadTarget() as target:
            return SystemUnderTest(
                place=place,
                model="",
                fact=target.url,
                url=target.url,
                body=b"" if target.body is None else json.dumps(target.body).encode(),
                private=target.private,
                endpoint=None,
            )
        case Environment() as environment:
            endpoint = context.platforms.clusters[place].endpoint(model=model, environment=environment)
            if endpoint is None or endpoint.ready == 0:
                raise PermanentError(
                    f"No replica of {model} is ready on {place}.",
                    advice=f"Deploy a version first: /deploy v1 {model} to {place}.",
                )
            return SystemUnderTest(
                place=place,
                model=model,
                fact=f"v{endpoint.version} on {show_count(endpoint.ready, 'replica')} at {endpoint.address}",
                url=f"{endpoint.address}/v1/models/{model}:predict",
                body=json.dumps({"instances": [settings.models[model].sample[0]]}).encode(),
                private=True,
                endpoint=endpoint,
            )


def _locustfile(settings: SettingsFile) -> Path | None:
    if settings.loadtest.locustfile is None:
        return None
    path = Path(settings.loadtest.locustfile)
    if not path.is_file():
        raise PermanentError(
            f"loadtest.locustfile: there is no file {path}.",
            advice="Put the file there, also on the worker's machine, or remove the line from seatrial.toml.",
        )
    return path
