"""What `doctor` found out: one line a check, the same from both sides."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One check. `what` was looked at and what it came to, without a full stop; never a secret.

    `advice` for one that is not `ok`: a whole sentence with the command that would mend it, or the setting to change.
    """

    what: str
    ok: bool
    advice: str = ""

    def __str__(self) -> str:
        return f"✓ {self.what}" if self.ok else f"✗ {self.what}. {self.advice}".rstrip()


def tell(findings: Iterable[Finding]) -> int:
    """Print each finding as soon as it is there; the exit status: 0 when all is well, else 1."""
    status = 0
    for finding in findings:
        print(finding, flush=True)
        status |= not finding.ok
    return status
