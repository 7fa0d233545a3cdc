"""Results of the checks of `doctor`, for the bot and for workers."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The result of one check. `what` describes it without a full stop, and never contains a secret.

    If the check failed, `advice` is a sentence with the command to run or the setting to change.
    """

    what: str
    ok: bool
    advice: str = ""

    def __str__(self) -> str:
        return f"✓ {self.what}" if self.ok else f"✗ {self.what}. {self.advice}".rstrip()
