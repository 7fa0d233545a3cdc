"""What Bolt calls when somebody types, clicks or mentions: ack → understand → answer the person. All alike."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from slack_bolt import App

from bot.answers import Answers, CatalogueLookup
from bot.blocks import Message
from bot.chat import Chat, ChatError, ChatRefused
from bot.commands import COMMANDS, read, read_command, read_mention
from bot.commands.command import UsageError
from bot.directory import Directory
from bot.intake import Intake
from bot.policy import Refused
from bot.state import Invocation, Schedule
from bot.store import Store
from bot.views import replies
from bot.views import schedules as schedule_views
from workers.contract.jobs import Deployed, Trained
from workers.contract.queue import Queue, QueueUnavailable
from workers.contract.record import Record

logger = logging.getLogger(__name__)

THREADS = 16
"""Threads that understand and answer. Acks do not wait for them; each waits for Slack most of the time, so that these
carry about fifty commands a second. More of them take longer to pass the interpreter's lock around."""
CLICK_S = 10.0
"""Clicks on one button within this time are one."""
SETTLED_S = 5.0
"""How long a click waits for a job whose card was quicker."""
ACTIONS = ("approve", "deny", "cancel", "retry", "deploy", "roll_back")


class Listeners:
    """Understands requests, each in a thread of its own while Slack already has its ack."""

    def __init__(
        self,
        *,
        answers: Answers,
        facts: CatalogueLookup,
        intake: Intake,
        queue: Queue,
        store: Store,
        directory: Directory,
        chat: Chat,
    ) -> None:
        self._answers = answers
        self._facts = facts
        self._intake = intake
        self._queue = queue
        self._store = store
        self._directory = directory
        self._chat = chat
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="listener")

    def register(self, app: App) -> None:
        """Have `app` call these."""
        for verb in COMMANDS:
            app.command(verb)(self._on_command)
        for action in ACTIONS:
            app.action(action)(self._on_click)
        app.event("app_mention")(self._on_mention)

    def fire(self, schedule: Schedule, due_s: float) -> None:
        """Ask for a schedule's job, in the name of whoever added it; where there will be none, its channel is told.

        A second call asks for nothing new. Raises ChatError where Slack has to be asked again later.
        """
        try:
            origin = self._origin(
                schedule.by, schedule.channel, f"schedule:{schedule.id}:{due_s:.0f}", scheduled_by=schedule.id
            )
            why = self._answers.answer(read_command(schedule.command, self._facts), replace(origin, unattended=True))
        except UsageError as error:
            why = replies.usage(error.problem, nearest=error.nearest, usage=error.usage)
        except (Refused, ChatRefused) as error:
            why = replies.refused(str(error))
        if why is not None:
            self._tell_of(schedule, schedule_views.not_fired(schedule, why))

    def missed(self, schedule: Schedule, due_s: Sequence[float]) -> None:
        """Tell that a schedule's firings were missed. Raises ChatError as `fire` does."""
        self._tell_of(schedule, schedule_views.missed(schedule, due_s))

    def _tell_of(self, schedule: Schedule, message: Message) -> None:
        """Tell a schedule's channel; where that takes no message any more, the person who added it."""
        for place in (schedule.channel, schedule.by):
            try:
                self._chat.post(place, message)
                return
            except ChatRefused as error:
                logger.warning("schedule %s cannot be told of in %s: %s", schedule.id, place, error.error)

    def _on_command(self, ack: Any, body: dict[str, Any], respond: Any) -> None:
        ack()

        def understand() -> Message | None:
            origin = self._origin(body["user_id"], body["channel_id"], f"command:{body['trigger_id']}")
            return self._answers.answer(read(body["command"], body.get("text", ""), self._facts), origin)

        self._hand_over(understand, lambda reply: _respond(respond, reply))

    def _on_click(self, ack: Any, body: dict[str, Any], action: dict[str, Any], respond: Any) -> None:
        ack()

        def understand() -> Message | None:
            record = self._settled(action["value"])
            button = f"click:{action['action_id']}:{record.id}"
            key = self._store.get_or_set(button, f"{button}:{time.time()}", for_s=CLICK_S)
            return self._clicked(action["action_id"], record, self._origin(body["user"]["id"], record.asked.where, key))

        self._hand_over(understand, lambda reply: _respond(respond, reply))

    def _on_mention(self, event: dict[str, Any]) -> None:
        channel, thread_ts, user = event["channel"], event.get("thread_ts"), event.get("user")
        if not user:
            return  # an incoming webhook's: there is nobody to answer

        def understand() -> Message | None:
            job_id = self._store.job_at(channel=channel, ts=thread_ts) if thread_ts else None
            origin = self._origin(user, channel, f"mention:{channel}:{event['ts']}")
            return self._answers.answer(read_mention(event["text"], self._facts, job_id), origin)

        self._hand_over(understand, lambda reply: self._chat.post_ephemeral(channel, user, reply, thread_ts=thread_ts))

    def _settled(self, job_id: str) -> Record:
        """The job's record, once it is what its card says: a card is there a moment before its job is queued."""
        until_s = time.monotonic() + SETTLED_S
        while True:
            record = self._queue.record(job_id)
            if record is None:
                raise Refused(f"Job #{job_id} is too long ago; nothing is known of it any more.")
            if record.state != "reserved" or time.monotonic() > until_s:
                return record
            time.sleep(0.05)

    def _clicked(self, action: str, record: Record, origin: Invocation) -> Message | None:
        match action, record.outcome:
            case (("approve" | "deny"), _):
                return self._intake.decide(record, origin.by, approve=action == "approve")
            case "cancel", _:
                return self._intake.cancel(record, origin.by)
            case "retry", _:
                return self._intake.retry(record, origin)
            case "deploy", Trained() as trained:
                return self._typed(f"/deploy v{trained.version} {record.job.model}", origin)
            case "roll_back", Deployed() as deployed:
                environment = getattr(record.job, "environment", "")
                command = f"/deploy rollback to v{deployed.previous} {record.job.model} {environment}"
                return self._typed(command, origin)
            case _:
                raise Refused("This button is of another time; nothing was done.")

    def _typed(self, command: str, origin: Invocation) -> Message | None:
        """As if it had been typed."""
        return self._answers.answer(read_command(command, self._facts), origin)

    def _origin(self, user: str, channel: str, key: str, *, scheduled_by: str | None = None) -> Invocation:
        by = self._directory.member(user)
        return Invocation(by=by, channel=channel, key=key, at_s=time.time(), scheduled_by=scheduled_by)

    def _hand_over(self, understand: Callable[[], Message | None], say: Callable[[Message], None]) -> None:
        """Have it understood and answered while Slack already has its ack."""
        self._threads.submit(self._answer, understand, say).add_done_callback(_log_failure)

    def _answer(self, understand: Callable[[], Message | None], say: Callable[[Message], None]) -> None:
        """Understand, and say to the person what is to be said, whatever came of it."""
        try:
            reply = understand()
        except UsageError as error:
            reply = replies.usage(error.problem, nearest=error.nearest, usage=error.usage)
        except Refused as error:
            reply = replies.refused(str(error))
        except QueueUnavailable as error:
            logger.warning("Redis is away: %s", error)
            reply = replies.redis_away()
        except ChatRefused as error:
            logger.warning("%s", error)
            reply = replies.slack_refuses(error.error)
        except ChatError as error:
            logger.warning("%s", error)
            reply = replies.slack_away()
        if reply is not None:
            try:
                say(reply)
            except (ChatError, OSError) as error:
                logger.warning("an answer could not be given: %s", error)


def _log_failure(answered: "Future[None]") -> None:
    if error := answered.exception():
        logger.error("a listener failed", exc_info=error)


def _respond(respond: Any, reply: Message) -> None:
    respond(text=reply.text, blocks=list(reply.blocks), response_type="ephemeral", replace_original=False)
