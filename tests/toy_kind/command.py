"""The command of the toy kind. Becomes bot/commands/warm_up.py."""

from dataclasses import dataclass

from workers.contract.jobs.warm_up import WarmUp

from bot.commands.arguments import Arguments
from bot.commands.command import Command, Form, Lookup, Request, Submit
from bot.commands.line import join_words
from workers.contract.settings import SettingsFile

_FORM = Form(usage="/warmup now [MODEL] [on ENV]", does="sends a few requests")


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitWarmUp(Submit):
    """`/warmup now`."""

    job: WarmUp

    def command(self, settings: SettingsFile, *, model: str) -> str:
        return join_words("/warmup now", model, f"on {self.job.environment}")


def _parse(text: str, lookup: Lookup) -> Request:
    line = Arguments("/warmup", text, _FORM, lookup)
    dry_run = line.dry_run()
    line.subcommand({"now": _FORM})
    environment = line.take_environment()
    model = line.take_model()
    line.end(["now"])
    job = WarmUp(model=model or line.only_model(), environment=environment or line.only_environment())
    return SubmitWarmUp(job=job, dry_run=dry_run)


COMMAND = Command(verb="/warmup", does="Warm an endpoint up.", forms=(_FORM,), parse=_parse)
