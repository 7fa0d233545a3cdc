"""Value for the bounds of an endpoint's replica count."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Replicas:
    """Bounds of an endpoint's replica count, `minimum..maximum`. Equal bounds mean a fixed count.

    Both are at least 1 (the lower bound of a HorizontalPodAutoscaler) and minimum ≤ maximum; otherwise ValueError.
    """

    minimum: int
    maximum: int

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.maximum:
            raise ValueError(f"replicas {self.minimum}..{self.maximum}: expected 1 ≤ minimum ≤ maximum")

    def __str__(self) -> str:
        return str(self.minimum) if self.fixed else f"{self.minimum}..{self.maximum}"

    @property
    def fixed(self) -> bool:
        """Return True if the endpoint needs no autoscaler."""
        return self.minimum == self.maximum
