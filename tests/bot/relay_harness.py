"""Harness for relays: a real Redis, a local Slack, and a worker that the test plays."""

from dataclasses import dataclass, field

from bot.announcer import Announcer
from bot.card_poster import CardPoster
from bot.chat import Chat
from bot.directory import Directory
from bot.local_slack.members import TEAM_ID
from bot.local_slack.person import VisibleMessage
from bot.local_slack.server_thread import LocalSlack
from bot.relay import Relay
from bot.state import Schedule
from bot.store import Store
from workers.contract import events as e, wire
from workers.contract.jobs import Asked, LoadTest, Outcome, Tested
from workers.contract.load import Sample, Shape, Slo
from workers.contract.queue import Catalogue, Claims, Queue, connect
from workers.contract.settings import ChatSettings

NIGHTLY = Schedule(
    id="s1",
    cron="0 2 * * *",
    time_zone="UTC",
    command="/loadtest 1000rps for 5m iris on staging",
    channel="ml-ops",
    by="U1",
    by_name="Ada",
    next_due_s=None,
)
TIMELINE = tuple(
    Sample(
        at_s=float(second),
        asked_rps=1000.0,
        achieved_rps=990.0,
        failures_per_s=0.0,
        p50_ms=2.0,
        p95_ms=9.0,
        p99_ms=20.0,
    )
    for second in range(1, 21)
)


def report(verdict: str = "PASS", reason: str = "") -> Tested:
    """Return a report with this verdict."""
    return Tested(
        verdict=verdict,  # type: ignore[arg-type]  # a test's literal
        reasons=(reason,) if reason else (),
        asked_rps=1000.0,
        achieved_rps=990.0,
        requests=300_000,
        failures=0,
        failures_by_kind={},
        latency_ms={95.0: 9.0},
        replicas_before=1,
        replicas_most=4,
        scaled_after_s=12.0,
        timeline=TIMELINE,
    )


@dataclass(kw_only=True)
class RelayHarness:
    """A Slack, a Redis, and any number of bots, each with one of `relays`."""

    slack: LocalSlack
    url: str
    chat_settings: ChatSettings = field(default_factory=ChatSettings)
    relays: list[Relay] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = connect(self.url)
        self.queue, self.store = Queue(self.client), Store(self.client)
        self.worker = Claims(self.client, worker="played", lease_s=60.0)
        self.ada = self.slack.person("Ada")
        self.channel = "C0MLOPS7X21"
        self._asked = 0

    def relay(self) -> Relay:
        """Add a bot."""
        chat = Chat(token=self.slack.settings.bot_token, api_url=self.slack.api_url)
        cards = CardPoster(queue=self.queue, store=self.store, chat=chat, catalogue=Catalogue(self.client))
        directory = Directory(chat, team=TEAM_ID)
        announcer = Announcer(
            queue=self.queue, store=self.store, chat=chat, directory=directory, settings=self.chat_settings
        )
        self.relays.append(Relay(queue=self.queue, store=self.store, chat=chat, cards=cards, announcer=announcer))
        return self.relays[-1]

    def ask(self, *, scheduled_by: str | None = None) -> str:
        """Submit a load test and return its id."""
        job_id = self.reserve(scheduled_by=scheduled_by)
        self.queue.submit(job_id)
        return job_id

    def ask_as(self, user: str, *, ago_s: float = 0.0) -> str:
        """Submit a load test of `user` that was requested `ago_s` seconds ago, and return its id."""
        job_id = self.reserve(by=user)
        if ago_s:
            asked = Asked(by=user, by_name="Ada", where=self.channel, at_s=self.queue.now_s() - ago_s)
            self.client.hset(f"seatrial:job:{job_id}", "asked", wire.ASKED.encode(asked))
        self.queue.submit(job_id)
        return job_id

    def request_as(self, user: str, *, approvers: tuple[str, ...], for_s: float) -> str:
        """Request approval for a load test of `user`, and return its id. The request expires in `for_s` seconds."""
        job_id = self.reserve(by=user)
        expires_at_s = self.queue.now_s() + for_s
        request = e.ApprovalRequested(count=1, approvers=approvers, own=False, expires_at_s=expires_at_s)
        self.queue.await_approval(job_id, request)
        return job_id

    def reserve(self, *, scheduled_by: str | None = None, by: str = "U1") -> str:
        """Reserve a load test, which has no card yet, and return its id."""
        self._asked += 1
        shape = Shape(lowest_rps=1000.0, highest_rps=1000.0)
        slo = Slo(latency_ms=((95.0, 200.0),), errors_percent=1.0)
        job = LoadTest(model="iris", environment=f"staging{self._asked}", shape=shape, duration_s=300.0, slo=slo)
        asked = Asked(by=by, by_name="Ada", where=self.channel, scheduled_by=scheduled_by)
        job_id, _ = self.queue.reserve(key=f"asked:{self._asked}", job=job, asked=asked)
        return job_id

    def end(self, job_id: str, ended: Outcome | str, *, picture: bytes = b"", line: str = "") -> None:
        """Run the job until it ends with an outcome or fails with a reason, after a line and a picture."""
        self.worker.heartbeat()
        claim = self.worker.claim(job_id)
        assert claim is not None
        if line:
            self.worker.append(claim, e.Logged(line=line))
        if picture:
            self.worker.attach(claim, name="chart.png", title="Chart", data=picture)
        event = e.Failed(reason=ended, advice="") if isinstance(ended, str) else None
        assert self.worker.finish(claim, event or e.Succeeded(outcome=ended))

    def night(self, ended: Outcome | str) -> None:
        """Run one job of the schedule s1 until it ends, and let all bots render it."""
        self.end(self.ask(scheduled_by="s1"), ended)
        self.tick()

    def tick(self) -> None:
        """Let every bot render once."""
        for relay in self.relays:
            relay.tick()

    def mentions(self) -> list[VisibleMessage]:
        """Return the messages that notify the whole channel."""
        return [one for one in self.ada.messages() if "<!channel>" in one.plain]

    def thread(self) -> list[VisibleMessage]:
        """Return the replies under the newest card."""
        return list(self.ada.thread(self.ada.messages()[-1]))
