"""`/scale`: set the number of an endpoint's replicas."""

from dataclasses import dataclass

from bot.commands.arguments import Arguments
from bot.commands.cleaning import clean, with_ranges
from bot.commands.command import Command, Form, Lookup, Request, SettingsFile, Submit
from bot.commands.line import join_words
from workers.contract.jobs import Scale

_FORMS = (
    Form(usage="/scale N [MODEL] [on ENV]", does="a fixed number of replicas"),
    Form(usage="/scale MIN..MAX [MODEL] [on ENV]", does="bounds between which the autoscaler moves"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitScale(Submit):
    """`/scale N|MIN..MAX [MODEL] [on ENV]`."""

    job: Scale

    def command(self, settings: SettingsFile, *, model: str) -> str:
        return join_words(f"/scale {self.job.replicas}", model, f"on {self.job.environment}")


def _parse(text: str, lookup: Lookup) -> Request:
    text = with_ranges(clean(text))
    line = Arguments("/scale", text, _FORMS[1] if ".." in text else _FORMS[0], lookup)
    dry_run = line.dry_run()
    replicas = line.take_replicas(bare=True)
    environment = line.take_environment()
    model = line.take_model()
    line.end(("replicas",))
    if replicas is None:
        raise line.not_possible("Say how many replicas: 3 for a fixed number, 1..4 for bounds.")
    model = model or line.only_model()
    environment = environment or line.only_environment()
    line.must_be_served(model, environment)
    return SubmitScale(job=Scale(model=model, environment=environment, replicas=replicas), dry_run=dry_run)


COMMAND = Command(verb="/scale", does="Set how many replicas an endpoint has.", forms=_FORMS, parse=_parse)
