"""A lookup for parsers made of values: the settings, versions and endpoints of an example team."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.lookup import GivenLookup
from workers.contract.catalogue import Served, Version
from workers.contract.record import Record
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

    def versions(self, model: str) -> Sequence[Version]:
        """Return the versions 1 to `newest`."""
        return self._given.versions(model)

    def served(self) -> Sequence[Served]:
        """Return every model at every one of `places`."""
        return self._given.served()

    def recent(self) -> Sequence[Record]:
        """Return a deployment of the newest version at every place, which replaced `before`."""
        return self._given.recent()

    @property
    def _given(self) -> GivenLookup:
        models = self.settings.models
        return GivenLookup(
            settings=self.settings,
            numbers={model: range(1, self.newest + 1) for model in models},
            environments=[place for place in self.places if place in self.settings.environments],
            replaced=dict.fromkeys(models, self.before),
        )
