"""The Protocol of an adapter that `doctor` can check."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from workers.contract.findings import Finding


@runtime_checkable
class Diagnosable(Protocol):
    """An adapter that can be asked what is reachable and which rights are missing; each adapter may be one."""

    def diagnose(self) -> Iterator[Finding]:
        """One finding a check, each after at most some 30 s; changes nothing, raises nothing.

        A missing right is a finding with the command that grants it; after one that makes the rest pointless (no
        credentials, no way to the service) there are no more.
        """
