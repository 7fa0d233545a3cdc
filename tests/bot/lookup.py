"""A lookup for parsers made of values: the settings, versions and endpoints of an example team."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workers.contract.catalogue import Served, Version
from workers.contract.jobs import Asked, Deploy, Deployed
from workers.contract.record import Record
from workers.contract.replicas import Replicas
from workers.contract.settings import Approvals, Environment, LoadTarget, Model, SettingsFile


def settings(
    *,
    models: Sequence[str] = ("iris",),
    environments: Mapping[str, bool] | None = None,
    targets: Mapping[str, str] | None = None,
) -> SettingsFile:
    """Return settings. Environments are True if they need approval; targets have caps like "100rps"."""
    protected = {"staging": False, "production": True} if environments is None else environments
    return SettingsFile(
        models={
            name: Model(name=name, type="logistic_reg", label="species", query="SELECT 1", sample=({"x": 1.0},))
            for name in models
        },
        environments={
            name: Environment(name=name, approvals=Approvals() if approved else None)
            for name, approved in protected.items()
        },
        targets={
            name: LoadTarget.model_validate(
                {"name": name, "url": f"https://{name}.example.com/", "owner": "@search", "max_load": cap}
            )
            for name, cap in (targets or {}).items()
        },
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class LookupValues:
    """Implements `Lookup`: each model has the versions 1 to `newest`, and is served at `places`."""

    settings: SettingsFile = field(default_factory=settings)
    newest: int = 2
    places: tuple[str, ...] = ("staging",)
    before: int | None = 1

    def versions(self, model: str) -> list[Version]:
        """Return the versions 1 to `newest`."""
        return [
            Version(
                model=model,
                version=number,
                digest=f"sha256:{number}",
                metrics={},
                size_bytes=1,
                trained_by="Ada",
                created_at_s=0.0,
                job_id="1",
            )
            for number in range(1, self.newest + 1)
        ]

    def served(self) -> list[Served]:
        """Return every model at every one of `places`."""
        return [
            Served(
                model=model,
                environment=place,
                version=self.newest,
                address="http://127.0.0.1:1",
                ready=1,
                replicas=Replicas(minimum=1, maximum=4),
                since_s=0.0,
                job_id="2",
            )
            for model in self.settings.models
            for place in self.places
        ]

    def recent(self) -> list[Record]:
        """Return a deployment of the newest version at every place, which replaced `before`."""
        return [
            Record(
                id=served.job_id,
                job=Deploy(
                    model=served.model, version=served.version, environment=served.environment, digest="sha256:0"
                ),
                asked=Asked(by="U1", by_name="Ada", where="C1", at_s=0.0),
                state="succeeded",
                outcome=Deployed(
                    version=served.version,
                    previous=self.before,
                    address=served.address,
                    ready=served.ready,
                    replicas=served.replicas,
                ),
            )
            for served in self.served()
        ]
