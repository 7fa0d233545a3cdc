"""What a job may ask of a load generator, and the values they trade; errors and Progress as in protocols."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from workers.contract.load import Sample, Spacing, Stage
from workers.platforms.protocols.progress import Progress

TOO_LATE = "not sent: the load generator was late"
"""In `failures_by_kind`, the drops that are the generator's own doing, as locust/engine.py words them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrafficPlan:
    """A load test's traffic: requests to `url` at the rate of `stages`, one after the other.

    The first `ramp_s` seconds are not judged. `body` is JSON to POST; b"" means GET. `predicts`: the answer must be
    predictions, as the answer to the first request was; otherwise any 2xx will do. `private`: the address may be a
    private one. `locustfile`: a user's own, whose user classes send the requests, one user for each request a second;
    it keeps the rate as it sees fit, and its latencies are as Locust measures them.
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
        """The highest rate."""
        return max(max(stage.from_rps, stage.to_rps) for stage in self.stages)

    @property
    def whole_s(self) -> float:
        """How long the traffic lasts, the ramp included."""
        return sum(stage.length_s for stage in self.stages)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadResult:
    """A finished load test, over what is judged: everything after the ramp.

    `requests` counts what was due and sent or dropped, `failures` among them what failed, by kind in
    `failures_by_kind` (an error's words → its count), with `dropped`. `asked_rps` and `achieved_rps` are means over
    `duration_s`. `latency_ms` counts from when a request was due, `service_ms` from when it left; `send_lag_ms` is the
    difference that the generator made; each maps percentiles (50, 90, 95, 99, 99.9, 100) to milliseconds. Of users of
    one's own nobody knows when a request was due: the last two are empty. Requests are filed by when they were due: so
    are `seconds`, the whole test second by second, its ramp included.
    `generator_trouble` says in words why the generator did not do what was asked, or is "". `report_html` is the
    generator's own report or b"".
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
    """A load test under way."""

    def samples(self) -> Iterator[Sample]:
        """One sample a second, of what ended in it, until the test's time is over or `stop` was called."""

    def stop(self) -> None:
        """End the traffic now; `result` then tells of what was due until then. A second call does nothing."""

    def result(self) -> LoadResult:
        """The totals, when every request has had its end; call after `samples` is exhausted, or after `stop`."""


class LoadGenerator(Protocol):
    """What sends the load: Locust on this machine, or on Kubernetes."""

    def start(self, *, plan: TrafficPlan, progress: Progress) -> AbstractContextManager[RunningLoad]:
        """Begin; leaving the context ends all traffic within 2 s and removes every process, whatever happened.

        One request is sent first. Raises PermanentError where the target may not be loaded (see `private`; metadata
        servers never may), and TargetDown where it does not answer as it should: no load is sent then. Nothing connects
        to other addresses than those that were found here; redirects are failures.
        """

    def sweep(self, *, ended: Callable[[str], bool]) -> int:
        """Remove what tests of workers that died have left; how many. `ended(job_id)` tells which jobs are over."""
