"""The Protocol of a load generator, and its values."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from workers.contract.load import Sample, Spacing, Stage
from workers.platforms.protocols.progress import Progress

TOO_LATE = "not sent: the load generator was late"
"""The key in `failures_by_kind` of drops that the generator caused itself; locust/engine.py has the same words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrafficPlan:
    """The traffic of a load test: requests to `url` at the rates of `stages`, one stage after the other.

    * `ramp_s`: the first seconds, which are not judged.
    * `body`: JSON to POST; b"" means GET.
    * `predicts`: answers must be predictions like the answer to the first request. Otherwise any 2xx will do.
    * `private`: the address may be a private one.
    * `locustfile`: the user's Locust file. Its user classes send the requests, one user per request per second. They
      control the rate, and Locust measures their latencies.
    """

    url: str
    body: bytes
    stages: tuple[Stage, ...]
    ramp_s: float = 0.0
    spacing: Spacing = "constant"
    predicts: bool = True
    private: bool = True
    locustfile: Path | None = None
    job_id: str

    @property
    def rate_rps(self) -> float:
        return max(max(stage.from_rps, stage.to_rps) for stage in self.stages)

    @property
    def whole_s(self) -> float:
        return sum(stage.length_s for stage in self.stages)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadResult:
    """The totals of a finished load test without its ramp, and the whole test second by second.

    * `requests`: sent or dropped; `failures` of them failed or were dropped.
    * `failures_by_kind`: an error's words → its count.
    * `dropped`: requests that were due and could not be sent.
    * `asked_rps`, `achieved_rps`: means over `duration_s`.
    * `latency_ms`: from when a request was due; `service_ms`: from when it left; `send_lag_ms`: the difference. Each
      maps percentiles (50, 90, 95, 99, 99.9, 100) to milliseconds. The last two are empty for a user's Locust file,
      because the times at which its requests were due are unknown.
    * `seconds`: with the ramp. A request counts in the second in which it was due.
    * `generator_trouble`: why the generator did not send what was asked, in sentences, or "".
    * `report_html`: the generator's own report, or b"".
    """

    requests: int
    failures: int
    duration_s: float
    asked_rps: float
    achieved_rps: float
    latency_ms: Mapping[float, float]
    service_ms: Mapping[float, float] = field(default_factory=dict)
    send_lag_ms: Mapping[float, float] = field(default_factory=dict)
    failures_by_kind: Mapping[str, int] = field(default_factory=dict)
    dropped: int = 0
    seconds: Sequence[Sample] = ()
    generator_trouble: str = ""
    report_html: bytes = b""


class RunningLoad(Protocol):
    """A running load test."""

    def samples(self) -> Iterator[Sample]:
        """Yield a sample per second, of what ended in it, until the test's time is over or `stop` was called."""

    def stop(self) -> None:
        """End the traffic now; `result` then covers the time until now. A second call has no effect."""

    def result(self) -> LoadResult:
        """Wait for the last answers and return the totals. Call after `samples` is exhausted, or after `stop`."""


class LoadGenerator(Protocol):
    """A sender of load: Locust on this machine, or on Kubernetes."""

    def start(self, *, plan: TrafficPlan, progress: Progress) -> AbstractContextManager[RunningLoad]:
        """Start the traffic. Leaving the context always ends it within 2 s and removes every process.

        The generator sends one request first. Without a correct answer it raises TargetDown and sends no load. Raises
        PermanentError if the target may not be loaded: metadata servers never, private addresses only with `private`.
        The load goes only to the addresses that were resolved here; redirects are failures.
        """

    def sweep(self, *, ended: Callable[[str], bool | None]) -> int:
        """Remove the leftovers of tests of ended jobs, and return how many.

        `ended(job_id)` is None if the job is unknown.
        """
