"""A running Locust master, driven through its web server: on this machine, or wherever it is reached.

`locust/locustfile.py` is the other side. Nothing here starts or ends a process.
"""

import json
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from errno import EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS
from http.client import HTTPConnection, HTTPException
from os import strerror
from time import monotonic
from typing import Any, Self
from urllib.parse import urlencode

from workers.errors import PermanentError
from workers.platforms.protocols import Attack, LoadResult, LoadSample, Progress

POLL_S = 0.2
"""How often a master is asked, and the job whether it is to stop: within the second that a cancel may take."""
SILENCE_S = 15.0
"""How long a test may stand still before it is given up: longer than any pause of a busy machine."""
WINDOW_S = 3
"""Over how many seconds a sample's percentiles are taken: enough for a p99 at ordinary rates, and still live."""
PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9, 100.0)
"""What a LoadResult tells of the latencies; 100 is the slowest request."""
FORM = "application/x-www-form-urlencoded"
CPU_LIMIT_PERCENT = 90.0
"""Percent of a core above which a load process measures its own queue; Locust warns at the same."""
FUTURE = 2**31
"""A second that no test reaches: asks for how far it is, without its seconds."""
OWN_FAILURES = frozenset(strerror(number).lower() for number in (EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS))
"""Failures that are the generator's machine's, not the target's: no local port or no file left."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What became of some requests: how many latencies of each value, how many failures of each kind."""

    sent: int
    ended: int
    latencies_ms: Mapping[float, int]
    failures: Mapping[str, int]

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Read what the master tells; JSON's keys are strings."""
        latencies_ms = {float(key): count for key, count in fields["latencies_ms"].items()}
        return cls(**{**fields, "latencies_ms": latencies_ms})


@dataclass(frozen=True, kw_only=True, slots=True)
class Second(Tally):
    """The tally of a complete second. Numbers below 0 are the ramp's; `asked` is a number of requests."""

    second: int
    end_s: float
    length_s: float
    asked: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """What a master knows, `reported_s` seconds after the traffic began (below 0: it has not).

    `over`: the schedule has ended and every request has had its end.
    """

    workers: int
    reported_s: float
    in_flight: int
    over: bool
    seconds: tuple[Second, ...]


class Master:
    """A Locust master's web server. Every call raises OSError, HTTPException or ValueError where it does not answer.

    Reached at `host`:`port`; a subclass whose `ask` goes another way reaches it elsewhere.
    """

    def __init__(self, *, host: str, port: int, timeout_s: float = 5.0) -> None:
        self._host, self._port, self._timeout_s = host, port, timeout_s

    def status(self, *, since: int | None = None) -> Status:
        """How far the test is, with the complete seconds from number `since` on (None: all)."""
        query = "" if since is None else f"?since={since}"
        answer = json.loads(self.ask("GET", f"/seatrial/status{query}"))
        answer["seconds"] = tuple(Second.from_json(second) for second in answer["seconds"])
        return Status(**answer)

    def steady(self) -> Tally:
        """The sum over everything after the ramp."""
        return Tally.from_json(json.loads(self.ask("GET", "/seatrial/steady")))

    def swarm(self, *, users: int) -> None:
        """Bring up all users at once; the traffic begins when they are there."""
        answer = json.loads(self.ask("POST", "/swarm", urlencode({"user_count": users, "spawn_rate": users})))
        if not answer["success"]:
            raise ValueError(answer["message"])

    def stop(self) -> None:
        """End all users, and with them the traffic; what was counted stays."""
        self.ask("POST", "/stop")

    def busiest_percent(self) -> float:
        """CPU of the busiest worker in percent of a core, over the 5 s in which Locust measures it."""
        workers = json.loads(self.ask("GET", "/stats/requests"))["workers"]
        return max((float(worker["cpu_usage"]) for worker in workers), default=0.0)

    def report(self) -> bytes:
        """Locust's own report, one HTML page."""
        return self.ask("GET", "/stats/report?download=1")

    def ask(self, method: str, path: str, form: str | None = None) -> bytes:
        """The body of the answer to one request, its `form` URL-encoded."""
        with closing(HTTPConnection(self._host, self._port, timeout=self._timeout_s)) as connection:
            headers = {"Content-Type": FORM} if form else {}
            connection.request(method, path, body=form, headers=headers)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise HTTPException(f"{method} {path}: {response.status} {body[:200]!r}")
            return body


class Swarm:
    """The RunningLoad of a master whose users have been started.

    `timeout_s` is how long a request may take. `watch` is called before every question and raises where a load process
    has died; `trouble` tells, at the end, in whole sentences, what kept the load processes from their work.
    """

    def __init__(
        self,
        *,
        master: Master,
        attack: Attack,
        timeout_s: float,
        progress: Progress,
        watch: Callable[[], None],
        trouble: Callable[[], list[str]],
    ) -> None:
        self._master = master
        self._attack = attack
        self._timeout_s = timeout_s
        self._progress = progress
        self._watch = watch
        self._trouble = trouble

    def samples(self) -> Iterator[LoadSample]:
        """One sample a second until the test's time is over."""
        end_s = self._attack.ramp_s + self._attack.duration_s
        recent: deque[Second] = deque(maxlen=WINDOW_S)
        while not recent or recent[-1].end_s < end_s:
            since = recent[-1].second + 1 if recent else None
            for second in self._when(lambda status: bool(status.seconds), since=since).seconds:
                recent.append(second)
                yield _sample(second, recent)

    def result(self) -> LoadResult:
        """The totals over the steady part; waits until the last request has had its end."""
        gives_up_at = monotonic() + self._timeout_s + SILENCE_S
        in_flight = self._when(lambda status: status.over or monotonic() > gives_up_at, since=FUTURE).in_flight
        try:
            steady, report_html = self._master.steady(), self._master.report()
        except (OSError, HTTPException, ValueError) as error:
            raise PermanentError(f"The load generator's results could not be read: {error}.") from error
        failures = Counter(steady.failures)
        failures[f"no answer within {self._timeout_s:g} s"] += in_flight
        kinds = dict((+failures).most_common())
        return LoadResult(
            requests=steady.ended + in_flight,
            failures=failures.total(),
            duration_s=self._attack.duration_s,
            achieved_rps=steady.sent / self._attack.duration_s,
            latency_ms={
                each: found for each in PERCENTILES if (found := percentile_ms(steady.latencies_ms, each)) is not None
            },
            failures_by_kind=kinds,
            generator_trouble=" ".join(self._trouble() + _own_failures(kinds)),
            report_html=report_html,
        )

    def _when(self, ready: Callable[[Status], bool], *, since: int | None) -> Status:
        """The first status for which `ready` holds."""
        reported_s, heard_at, words = -math.inf, monotonic(), "its workers are silent"
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
                if status.reported_s > reported_s:
                    reported_s, heard_at = status.reported_s, monotonic()
            if monotonic() - heard_at > SILENCE_S:
                raise PermanentError(f"The load test has stood still for {SILENCE_S:g} s: {words}.")
            self._progress.wait(POLL_S)


def _sample(second: Second, recent: Iterable[Second]) -> LoadSample:
    latencies_ms: Counter[float] = Counter()
    for each in recent:
        latencies_ms.update(each.latencies_ms)
    return LoadSample(
        at_s=second.end_s,
        asked_rps=second.asked / second.length_s,
        achieved_rps=second.sent / second.length_s,
        failures_per_s=sum(second.failures.values()) / second.length_s,
        p50_ms=percentile_ms(latencies_ms, 50),
        p95_ms=percentile_ms(latencies_ms, 95),
        p99_ms=percentile_ms(latencies_ms, 99),
    )


def too_busy(percent: float) -> list[str]:
    """One sentence where a load process's CPU, in percent of a core, was above what it may use."""
    if percent <= CPU_LIMIT_PERCENT:
        return []
    return [f"A load process used {percent:.0f} % of a core, above {CPU_LIMIT_PERCENT:.0f} %: it measured itself."]


def _own_failures(kinds: Mapping[str, int]) -> list[str]:
    own = [words for words in kinds if words in OWN_FAILURES]
    count = sum(kinds[words] for words in own)
    return [f"The load generator's machine refused {count:,} connections: {', '.join(own)}."] if own else []


def percentile_ms(latencies_ms: Mapping[float, int], percentile: float) -> float | None:
    """The least latency that `percentile` per cent of the counted requests did not exceed (nearest rank), or None."""
    # Rounded, so that 99.9 % of 1,000 is the 999th and not, by a float's last bit, the one after it.
    rank = max(1, math.ceil(round(sum(latencies_ms.values()) * percentile / 100, 6)))
    for latency_ms in sorted(latencies_ms):
        rank -= latencies_ms[latency_ms]
        if rank <= 0:
            return latency_ms
    return None
