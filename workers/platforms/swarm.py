"""A running Locust master, driven through its web server: on this machine, or wherever it is reached.

`locust/master.py` is the other side. Nothing here starts or ends a process.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from errno import EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS
from http.client import HTTPConnection, HTTPException
from os import strerror
from time import monotonic
from typing import Any

from workers.contract.formatting import show_count, show_ms
from workers.contract.load import Sample
from workers.errors import PermanentError
from workers.platforms.protocols.load import TOO_LATE, LoadResult
from workers.platforms.protocols.progress import Progress

POLL_S = 0.2
"""How often a master is asked, and the job whether it is to stop: within the second that a cancel may take."""
SILENCE_S = 15.0
"""How long a test may stand still before it is given up: longer than any pause of a busy machine."""
CPU_LIMIT_PERCENT = 90.0
"""Percent of a core above which a load worker measures its own queue; Locust warns at the same."""
LAG_SHARE = 0.1
"""Share of the 99th percentile that may be the generator's own delay: more would hide what the target did."""
LAG_FLOOR_MS = 20.0
"""Up to which its delay is let pass, however quick the target: a tenth of the objective that tests have by default. It
is part of every latency, so it never makes a target look better. On a machine of two cores that two other processes
keep busy it was 6 ms, with four of them 26 ms."""
MOST_EXCEPTIONS = 3
"""How many kinds of them are told."""
KEEPALIVE_PATH = "/seatrial/driver"
"""Path of the endless response that a driver reads to keep its test alive."""
FUTURE = 2**31
"""A sample's number that no test reaches: asks for how far it is, without its samples."""
OWN_FAILURES = frozenset(strerror(number).lower() for number in (EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS))
"""Failures that are the generator's machine's, not the target's: no local port or no file left."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SwarmStatus:
    """What a master knows, `at_s` seconds after the traffic began (None: it has not; below 0: it is about to).

    `workers` are connected; `samples` are those that were asked for; `over`: every request has had its end.
    """

    workers: int
    at_s: float | None
    over: bool
    samples: tuple[Sample, ...]


class MasterClient:
    """A Locust master's web server. Every call raises OSError, HTTPException or ValueError where it does not answer.

    Reached at `host`:`port`; a subclass whose `ask` and `keepalive` go another way reaches it elsewhere.
    """

    def __init__(self, *, host: str, port: int, timeout_s: float = 5.0) -> None:
        self._host, self._port, self._timeout_s = host, port, timeout_s

    def status(self, *, since: int = 0) -> SwarmStatus:
        """How far the test is, with the samples from number `since` on."""
        answer = json.loads(self.ask("GET", f"/seatrial/status?since={since}"))
        answer["samples"] = tuple(Sample(**sample) for sample in answer["samples"])
        return SwarmStatus(**answer)

    def start(self) -> None:
        """Begin the traffic, as soon as all users are there."""
        self.ask("POST", "/seatrial/start")

    def stop(self) -> None:
        """End the traffic; what was counted stays."""
        self.ask("POST", "/seatrial/stop")

    def result(self) -> dict[str, Any]:
        """The totals; final when the test is over."""
        return dict(json.loads(self.ask("GET", "/seatrial/result")))

    def report(self) -> bytes:
        """Locust's own report, one HTML page."""
        return self.ask("GET", "/stats/report?download=1")

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

    def ask(self, method: str, path: str) -> bytes:
        """The body of the answer to one request."""
        with closing(HTTPConnection(self._host, self._port, timeout=self._timeout_s)) as connection:
            connection.request(method, path)
            response = connection.getresponse()
            return check(method, path, status=response.status, body=response.read())


def check(method: str, path: str, *, status: int, body: bytes) -> bytes:
    """The body of a master's answer. Raises HTTPException with its words where it refuses."""
    if not 200 <= status < 300:
        raise HTTPException(f"{method} {path}: {status} {body[:200].decode(errors='replace').strip()}")
    return body


class Swarm:
    """The RunningLoad of a master whose traffic has been started.

    It lasts `whole_s`; a request may take `timeout_s`. `watch` is called before every question and raises where the
    master has died.
    """

    def __init__(
        self, *, master: MasterClient, whole_s: float, timeout_s: float, progress: Progress, watch: Callable[[], None]
    ) -> None:
        self._master = master
        self._whole_s = whole_s
        self._timeout_s = timeout_s
        self._progress = progress
        self._watch = watch
        self._stopped = False

    def samples(self) -> Iterator[Sample]:
        """See RunningLoad."""
        count, over = 0, False
        while not over and not self._stopped:
            status = self._when(lambda status: bool(status.samples) or status.over, since=count)
            over = status.over or any(sample.at_s >= self._whole_s for sample in status.samples)
            for sample in status.samples:
                count += 1
                yield sample

    def stop(self) -> None:
        """See RunningLoad. Raises PermanentError where the master does not answer."""
        if not self._stopped:
            try:
                self._master.stop()
            except (OSError, HTTPException, ValueError) as error:
                raise PermanentError(f"The load could not be stopped: {error}.") from error
            self._stopped = True

    def result(self) -> LoadResult:
        """See RunningLoad. Raises PermanentError where the master does not tell."""
        gives_up_at = monotonic() + self._timeout_s + SILENCE_S
        self._when(lambda status: status.over or monotonic() > gives_up_at)
        try:
            told, report_html = self._master.result(), self._master.report()
        except (OSError, HTTPException, ValueError) as error:
            raise PermanentError(f"The load generator's results could not be read: {error}.") from error
        return load_result(told, report_html=report_html, stopped_here=self._stopped)

    def _when(self, ready: Callable[[SwarmStatus], bool], *, since: int = FUTURE) -> SwarmStatus:
        """The first status for which `ready` holds."""
        at_s, heard_at, words = -1.0, monotonic(), "it does not begin"
        while True:
            self._progress.check()
            self._watch()
            try:
                status = self._master.status(since=since)
            except (OSError, HTTPException, ValueError) as error:
                words = str(error)
            else:
                if ready(status):
                    return status
                if status.at_s is not None and status.at_s > at_s:
                    at_s, heard_at = status.at_s, monotonic()
            if monotonic() - heard_at > SILENCE_S:
                raise PermanentError(f"The load test has stood still for {SILENCE_S:g} s: {words}.")
            self._progress.wait(POLL_S)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Generator:
    """What a master tells of the load's processes.

    `stopped_at_s`: when somebody else ended the test early; `exceptions`: the words of those that users of one's own
    have raised, and how often.
    """

    busiest_percent: float
    lost_at_s: Sequence[float]
    stopped_at_s: float | None
    exceptions: Sequence[tuple[str, int]]


def load_result(told: Mapping[str, Any], *, report_html: bytes, stopped_here: bool) -> LoadResult:
    """The result that a master tells. `stopped_here`: it was to end before its time."""
    fields = dict(told)
    generator = _Generator(**{each.name: fields.pop(each.name) for each in dataclass_fields(_Generator)})
    if stopped_here:
        generator = replace(generator, stopped_at_s=None)
    for name in ("latency_ms", "service_ms", "send_lag_ms", "failures_by_kind"):
        fields[name] = dict(fields[name])
    fields["seconds"] = tuple(Sample(**second) for second in fields["seconds"])
    result = LoadResult(**fields, report_html=report_html)
    return replace(result, generator_trouble=" ".join(_trouble(result, generator)))


def _trouble(result: LoadResult, generator: _Generator) -> Iterator[str]:
    """Whole sentences on what kept the load's processes from their work, the weightiest first."""
    # A user who stumbles over a failed request is the target's doing.
    if sum(count for _, count in generator.exceptions) > result.failures:
        told = ", ".join(f"{words} × {count:,}" for words, count in generator.exceptions[:MOST_EXCEPTIONS])
        before = "" if any(second.achieved_rps for second in result.seconds) else " before they sent anything"
        yield f"The Locust file's users raised exceptions{before}: {told}."
    for at_s in generator.lost_at_s:
        yield (
            f"A load worker was lost, last heard of {at_s:.0f} s after the start: what it sent from then on is not "
            "counted, and its share of the rate is missing until another takes it over."
        )
    if generator.stopped_at_s is not None and not generator.lost_at_s:  # Locust stops when the last worker is lost
        yield f"The load was stopped {generator.stopped_at_s:.0f} s after the start, and not by this test."
    if generator.busiest_percent > CPU_LIMIT_PERCENT:
        used = f"{generator.busiest_percent:.0f} % of a core, above {CPU_LIMIT_PERCENT:.0f} %"
        yield f"A load worker used {used}: it measured itself."
    lag_ms, latency_ms = result.send_lag_ms.get(99.0, 0.0), result.latency_ms.get(99.0, 0.0)
    if lag_ms > max(LAG_FLOOR_MS, LAG_SHARE * latency_ms):
        yield (
            f"Requests left late: 1 % of them by {show_ms(lag_ms)} or more, of a p99 latency of {show_ms(latency_ms)}; "
            "the load generator's machine was too busy."
        )
    if late := result.failures_by_kind.get(TOO_LATE):
        yield f"The load generator stood still: {show_count(late, 'request')} could not be sent in time."
    if own := [words for words in result.failures_by_kind if words in OWN_FAILURES]:
        count = sum(result.failures_by_kind[words] for words in own)
        yield f"The load generator's machine refused {show_count(count, 'connection')}: {', '.join(own)}."
