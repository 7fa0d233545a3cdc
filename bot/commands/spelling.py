"""Quantities as commands have them. `spelled` methods and suggestions use them."""

from workers.contract.formatting import digits
from workers.contract.load import Slo
from workers.contract.settings import SettingsFile


def spell_rate(rps: float) -> str:
    """Return a rate as a command has it."""
    return f"{digits(rps)}rps"


def spell_duration(seconds: float) -> str:
    """Return a duration as a command has it."""
    if seconds != int(seconds):
        return f"{digits(seconds)}s"
    hours, rest = divmod(int(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return "".join(f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if count)


def spell_slo(slo: Slo, settings: SettingsFile) -> str:
    """Return the words for an SLO, or "" for the default of the settings."""
    return "" if slo == settings.loadtest.slo else f"slo {slo}"
