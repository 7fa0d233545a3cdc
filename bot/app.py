"""Bolt's listeners, all alike: ack → understand → answer the person. And the bot's own threads."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from slack_bolt import App

from bot.answers import Answers, Facts
from bot.chat import Chat, ChatError
from bot.commands import COMMANDS, read, read_command, read_mention
from bot.commands.command import UsageError
from bot.intake import Intake, Origin
from bot.people import People
from bot.policy import Refused
from bot.relay import Relay
from bot.remembered import Schedule
from bot.schedules import Schedules
from bot.settings import Settings
from bot.store import Store
from bot.views import replies
from bot.views.blocks import Message
from workers.contract.outcomes import Deployed, Trained
from workers.contract.queue import Catalogue, Queue, QueueUnavailable, Transport, connect
from workers.contract.record import Record

logger = logging.getLogger(__name__)

LISTENERS = 32
"""Threads for listeners: each acks first and then waits for Redis and Slack; too few would starve acks."""
CLICK_S = 10.0
"""Clicks on one button within this time are one."""


class Bot:
    """The bot: Bolt's App in `app`, and the threads that show, fire and carry on."""

    def __init__(self, settings: Settings) -> None:
        client = connect(settings.redis_url)
        self._redis = client
        self._chat = Chat(token=settings.bot_token, api_url=settings.api_url)
        self._queue = Queue(client)
        self._store = Store(client)
        team = str(self._chat.whoami()["team_id"])
        self._people = People(self._chat, team=team)
        self._facts = Facts(settings=settings.file, catalogue=Catalogue(client), queue=self._queue)
        self._intake = Intake(
            queue=self._queue,
            transport=Transport(settings.redis_url),
            store=self._store,
            chat=self._chat,
            people=self._people,
            settings=settings.file,
        )
        self._schedules = Schedules(store=self._store, fire=self._fire, missed=self._missed)
        self._relay = Relay(queue=self._queue, store=self._store, chat=self._chat)
        self._answers = Answers(
            facts=self._facts,
            intake=self._intake,
            queue=self._queue,
            store=self._store,
            schedules=self._schedules,
            chat=self._chat,
        )
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.app = self._listen(settings)

    def start(self) -> None:
        """Begin to show what changes and to fire what is due."""
        for run in (lambda: self._relay.run(self._stop), self._clock):
            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End the threads."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=15)

    def healthy(self) -> bool:
        """Whether the threads live and Redis answers."""
        try:
            self._redis.ping()
        except QueueUnavailable:
            return False
        return all(thread.is_alive() for thread in self._threads)

    def _listen(self, settings: Settings) -> App:
        app = App(
            client=self._chat.client,
            signing_secret=settings.signing_secret or "unused-by-socket-mode",
            listener_executor=ThreadPoolExecutor(LISTENERS, thread_name_prefix="listener"),
        )
        # Bolt logs the body of a request whose signature is wrong; it may hold anything.
        logging.getLogger("slack_bolt.RequestVerification").setLevel(logging.WARNING)
        for verb in COMMANDS:
            app.command(verb)(self._on_command)
        for action in ("approve", "deny", "cancel", "retry", "deploy", "roll_back"):
            app.action(action)(self._on_click)
        app.event("app_mention")(self._on_mention)
        return app

    def _on_command(self, ack: Any, body: dict[str, Any], respond: Any) -> None:
        ack()

        def understand() -> Message | None:
            origin = self._origin(body["user_id"], body["channel_id"], f"command:{body['trigger_id']}")
            return self._answers.answer(read(body["command"], body.get("text", ""), self._facts), origin)

        self._answer(understand, lambda reply: _respond(respond, reply))

    def _on_click(self, ack: Any, body: dict[str, Any], action: dict[str, Any], respond: Any) -> None:
        ack()

        def understand() -> Message | None:
            record = self._queue.record(action["value"])
            if record is None:
                raise Refused(f"Job #{action['value']} is too long ago; nothing is known of it any more.")
            key = f"{action['action_id']}:{record.id}:{int(time.time() // CLICK_S)}"
            return self._clicked(action["action_id"], record, self._origin(body["user"]["id"], record.asked.where, key))

        self._answer(understand, lambda reply: _respond(respond, reply))

    def _on_mention(self, event: dict[str, Any]) -> None:
        channel, thread_ts = event["channel"], event.get("thread_ts")

        def understand() -> Message | None:
            job_id = self._store.job_at(channel=channel, ts=thread_ts) if thread_ts else None
            origin = self._origin(event["user"], channel, f"mention:{channel}:{event['ts']}")
            return self._answers.answer(read_mention(event["text"], self._facts, job_id), origin)

        self._answer(understand, lambda reply: self._chat.whisper(channel, event["user"], reply, thread_ts=thread_ts))

    def _clicked(self, action: str, record: Record, origin: Origin) -> Message | None:
        match action, record.outcome:
            case (("approve" | "deny"), _):
                return self._intake.decide(record, origin.by, approve=action == "approve")
            case "cancel", _:
                return self._intake.cancel(record, origin.by)
            case "retry", _:
                return self._intake.again(record, origin)
            case "deploy", Trained() as trained:
                return self._answers.answer(
                    read("/deploy", f"v{trained.version} {record.job.model}", self._facts), origin
                )
            case "roll_back", Deployed() as deployed:
                place = f"to v{deployed.previous} {record.job.model} {getattr(record.job, 'environment', '')}"
                return self._answers.answer(read("/deploy", f"rollback {place}", self._facts), origin)
            case _:
                raise Refused("This button is of another time; nothing was done.")

    def _origin(self, user: str, channel: str, key: str, *, scheduled_by: str | None = None) -> Origin:
        return Origin(
            by=self._people.member(user), channel=channel, key=key, at_s=time.time(), scheduled_by=scheduled_by
        )

    def _answer(self, understand: Callable[[], Message | None], say: Callable[[Message], None]) -> None:
        """Understand, and say to the person what is to be said, whatever came of it."""
        try:
            reply = understand()
        except UsageError as error:
            reply = replies.usage(error)
        except Refused as error:
            reply = replies.refused(str(error))
        except QueueUnavailable as error:
            logger.warning("Redis is away: %s", error)
            reply = replies.redis_away()
        except ChatError as error:
            logger.warning("%s", error)
            reply = replies.slack_away()
        if reply is not None:
            try:
                say(reply)
            except (ChatError, OSError) as error:
                logger.warning("an answer could not be given: %s", error)

    def _fire(self, schedule: Schedule, due_s: float) -> None:
        """Ask for a schedule's job, in the name of whoever added it."""

        def ask() -> Message | None:
            origin = self._origin(
                schedule.by, schedule.channel, f"schedule:{schedule.id}:{due_s:.0f}", scheduled_by=schedule.id
            )
            return self._answers.answer(read_command(schedule.command, self._facts), origin)

        self._answer(ask, lambda reply: self._post(schedule.channel, reply))

    def _missed(self, schedule: Schedule, due_s: float) -> None:
        self._post(schedule.channel, replies.missed(schedule, due_s))

    def _post(self, channel: str, message: Message) -> None:
        self._chat.post(channel, message)

    def _clock(self) -> None:
        """Once a second: what is due, and what was left behind."""
        while not self._stop.wait(1.0):
            try:
                self._schedules.tick()
                self._intake.carry_on()
            except QueueUnavailable as error:
                logger.warning("Redis is away: %s", error)
            except ChatError as error:
                logger.warning("%s", error)
            except Exception:  # the outermost loop of this thread: one schedule must not stop all others
                logger.exception("a round of the clock failed")


def _respond(respond: Any, reply: Message) -> None:
    respond(text=reply.text, blocks=list(reply.blocks), response_type="ephemeral", replace_original=False)
