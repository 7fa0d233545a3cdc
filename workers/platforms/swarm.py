"""Client of a running Locust master's web server, for both load generators.

`locust/master.py` is the server side. This module starts and ends no process.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields as dataclass_fields, replace
from errno import EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS
from http.client import HTTPConnection, HTTPException
from os import strerror
from time import monotonic
from typing import Any

from workers.contract.formatting import show_count, show_ms
from workers.contract.load import Sample
from workers.errors import PermanentError
from workers.platforms.protocols import TOO_LATE, LoadResult, Progress

POLL_S = 0.2
"""Time between two polls of the master and of the job's cancellation, which must take effect within a second."""
SILENCE_S = 15.0  # time without progress after which a test fails: longer than any pause of a busy machine
CPU_LIMIT_PERCENT = 90.0
"""Percent of a core above which a load worker measures its own queue. Locust warns at the same value."""
LAG_SHARE = 0.1
"""Share of the 99th percentile that may be the generator's own delay. More would hide the target's behaviour."""
LAG_FLOOR_MS = 20.0
"""Delay of the generator that is always accepted: a tenth of the default objective. The delay is part of every latency,
so it never makes a target look better. On two cores it was 6 ms beside two busy processes, and 26 ms beside four."""
MOST_EXCEPTIONS = 3  # kinds of exceptions that a report names
KEEPALIVE_PATH = "/seatrial/driver"  # path of the endless response that a driver reads to keep its test alive
FUTURE = 2**31  # a sample number that no test reaches: asks for the status without samples
OWN_FAILURES = frozenset(strerror(number).lower() for number in (EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS))
"""Failures of the generator's machine, not of the target: no local port or file handle is left."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SwarmStatus:
    """The state of a test, `at_s` seconds after the traffic began (None: not yet; below 0: it is about to begin).

    `workers` are connected. `over`: every request has ended.
    """

    workers: int
    at_s: float | None
    over: bool
    samples: tuple[Sample, ...]


class MasterClient:
    """Client of a Locust master's web server. Every call raises OSError, HTTPException or ValueError on failure.

    Subclasses override `request` and `keepalive` to reach the master by another way than `host`:`port`.
    """

    def __init__(self, *, host: str, port: int, timeout_s: float = 5.0) -> None:
        self._host, self._port, self._timeout_s = host, port, timeout_s

    def status(self, *, since: int = 0) -> SwarmStatus:
        """Return the state of the test, with the samples from number `since` on."""
        answer = json.loads(self.request("GET", f"/seatrial/status?since={since}"))
        answer["samples"] = tuple(Sample(**sample) for sample in answer["samples"])
        return SwarmStatus(**answer)

    def start(self) -> None:
        """Start the traffic as soon as all users are spawned."""
        self.request("POST", "/seatrial/start")

    def stop(self) -> None:
        """End the traffic. The counts stay."""
        self.request("POST", "/seatrial/stop")

    def result(self) -> dict[str, Any]:
        """Return the totals, which are final when the test is over."""
        return dict(json.loads(self.request("GET", "/seatrial/result")))

    def report(self) -> bytes:
        return self.request("GET", "/stats/report?download=1")

    def keepalive(self) -> Generator[None, None, None]:
        """Keep the test alive from the first beat on; yield several times a second until the connection ends.

        The master stops a test without a keepalive, so the test ends with the process that drives it.
        """
        with closing(HTTPConnection(self._host, self._port, timeout=self._timeout_s)) as connection:
            connection.request("GET", KEEPALIVE_PATH)
            response = connection.getresponse()
            if response.status != 200:
                check("GET", KEEPALIVE_PATH, status=response.status, body=response.read())
            while response.readline():
                yield

    def request(self, method: str, path: str) -> bytes:
        with closing(HTTPConnection(self._host, self._port, timeout=self._timeout_s)) as connection:
            connection.request(method, path)
            response = connection.getresponse()
            return check(method, path, status=response.status, body=response.read())


def check(method: str, path: str, *, status: int, body: bytes) -> bytes:
    """Return the body of a master's response. Raises HTTPException with its words if the master refused."""
    if not 200 <= status < 300:
        raise HTTPException(f"{method} {path}: {status} {body[:200].decode(errors='replace').strip()}")
    return body


@dataclass(kw_only=True, slots=True)
class Swarm:
    """The RunningLoad of a master that has started its traffic.

    The traffic lasts `whole_s`; a request may take `timeout_s`. `watch` is called before every poll and raises if the
    master has died. Every method raises PermanentError if the master does not answer.
    """

    master: MasterClient
    whole_s: float
    timeout_s: float
    progress: Progress
    watch: Callable[[], None]
    _stopped: bool = field(default=False, init=False)

    def samples(self) -> Iterator[Sample]:
        count, over = 0, False
        while not over and not self._stopped:
            status = self._when(lambda status: bool(status.samples) or status.over, since=count)
            over = status.over or any(sample.at_s >= self.whole_s for sample in status.samples)
            for sample in status.samples:
                count += 1
                yield sample

    def stop(self) -> None:
        if not self._stopped:
            try:
                self.master.stop()
            except (OSError, HTTPException, ValueError) as error:
                raise PermanentError(f"The load could not be stopped: {error}.") from error
            self._stopped = True

    def result(self) -> LoadResult:
        gives_up_at = monotonic() + self.timeout_s + SILENCE_S
        self._when(lambda status: status.over or monotonic() > gives_up_at)
        try:
            answer, report_html = self.master.result(), self.master.report()
        except (OSError, HTTPException, ValueError) as error:
            raise PermanentError(f"The load generator's results could not be read: {error}.") from error
        return load_result(answer, report_html=report_html, stopped_here=self._stopped)

    def _when(self, ready: Callable[[SwarmStatus], bool], *, since: int = FUTURE) -> SwarmStatus:
        at_s, progress_at, reason = -1.0, monotonic(), ""
        while True:
            self.progress.check()
            self.watch()
            try:
                status = self.master.status(since=since)
            except (OSError, HTTPException, ValueError) as error:
                reason = f" ({error})"
            else:
                if ready(status):
                    return status
                if status.at_s is not None and status.at_s > at_s:
                    at_s, progress_at = status.at_s, monotonic()
            if monotonic() - progress_at > SILENCE_S:
                raise PermanentError(f"The load test made no progress for {SILENCE_S:g} s{reason}.")
            self.progress.wait(POLL_S)


@dataclass(frozen=True, kw_only=True, slots=True)
class _GeneratorState:
    """A master's report about the load's processes.

    `stopped_at_s`: when the test was ended early, if not by us. `exceptions`: those of the Locust file's users, with
    their counts.
    """

    busiest_percent: float
    lost_at_s: Sequence[float]
    stopped_at_s: float | None
    exceptions: Sequence[tuple[str, int]]


def load_result(answer: Mapping[str, Any], *, report_html: bytes, stopped_here: bool) -> LoadResult:
    """Return a master's totals as a LoadResult. `stopped_here`: this process ended the test early."""
    fields = dict(answer)
    generator = _GeneratorState(**{each.name: fields.pop(each.name) for each in dataclass_fields(_GeneratorState)})
    if stopped_here:
        generator = replace(generator, stopped_at_s=None)
    for name in ("latency_ms", "service_ms", "send_lag_ms", "failures_by_kind"):
        fields[name] = dict(fields[name])
    fields["seconds"] = tuple(Sample(**second) for second in fields["seconds"])
    result = LoadResult(**fields, report_html=report_html)
    return replace(result, generator_trouble=" ".join(_trouble(result, generator)))


def _trouble(result: LoadResult, generator: _GeneratorState) -> Iterator[str]:
    """Yield sentences about faults of the load's processes, the most important first."""
    # Users also raise exceptions because a request failed: those are the target's fault.
    if sum(count for _, count in generator.exceptions) > result.failures:
        kinds = ", ".join(f"{words} × {count:,}" for words, count in generator.exceptions[:MOST_EXCEPTIONS])
        before = "" if any(second.achieved_rps for second in result.seconds) else " before they sent anything"
        yield f"The Locust file's users raised exceptions{before}: {kinds}."
    for at_s in generator.lost_at_s:
        yield (
            f"A load worker was lost {at_s:.0f} s after the start. Its later requests are not counted, and its share of"
            " the rate was missing until another worker took over."
        )
    if generator.stopped_at_s is not None and not generator.lost_at_s:  # Locust stops when the last worker is lost
        yield f"The load was stopped {generator.stopped_at_s:.0f} s after the start, but not by Seatrial."
    if generator.busiest_percent > CPU_LIMIT_PERCENT:
        used = f"{generator.busiest_percent:.0f} % of a core"
        yield f"A load worker used {used}; results may reflect the generator, not the target."
    lag_ms, latency_ms = result.send_lag_ms.get(99.0, 0.0), result.latency_ms.get(99.0, 0.0)
    if lag_ms > max(LAG_FLOOR_MS, LAG_SHARE * latency_ms):
        yield (
            f"The load generator's machine was too busy: 1 % of the requests left at least {show_ms(lag_ms)} late, and"
            f" the p99 latency is {show_ms(latency_ms)}."
        )
    if late := result.failures_by_kind.get(TOO_LATE):
        yield f"The load generator paused: {show_count(late, 'request')} could not be sent in time."
    if own := [words for words in result.failures_by_kind if words in OWN_FAILURES]:
        count = sum(result.failures_by_kind[words] for words in own)
        yield f"The load generator's machine refused {show_count(count, 'connection')}: {', '.join(own)}."
