"""The Bolt callbacks for commands, clicks and mentions, all alike: ack, parse, run, reply."""

import logging
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from slack_bolt import App

from bot.blocks import Message
from bot.cards.card import reference
from bot.chat import Chat, ChatError, ChatRefused, TokenRejected
from bot.commands import ANY_VERB, COMMANDS, Desk, read, read_command, read_mention
from bot.dispatcher import Dispatcher
from bot.store import Store
from bot.views import replies
from workers.contract.queue import Queue, QueueUnavailable
from workers.contract.record import Record

logger = logging.getLogger(__name__)

THREADS = 16
"""Threads that run requests. They mostly wait for Slack, and carry about fifty commands a second. More threads only
increase GIL contention."""
CLICK_S = 10.0
"""Clicks on one button within this time are one click."""
SETTLED_S = 5.0
"""Time for a click to wait until the job of a card is submitted."""
BUTTONS = {action: handler for command in COMMANDS.values() for action, handler in command.buttons.items()}


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Runs each request in a thread, after Slack has its ack. `bot_user` is the bot's own user id."""

    dispatcher: Dispatcher
    queue: Queue
    store: Store
    chat: Chat
    bot_user: str
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, "listener"))

    def register(self, app: App) -> None:
        """Register the callbacks with `app`."""
        app.command(ANY_VERB)(self._on_command)
        for action in BUTTONS:
            app.action(action)(self._on_click)
        app.action(replies.RUN_SUGGESTION)(self._on_suggestion)
        app.event("app_mention")(self._on_mention)
        app.action(re.compile(""))(self._on_unknown)  # the last one: Bolt takes the first listener that fits

    def _on_command(self, ack: Any, body: dict[str, Any], respond: Any) -> None:
        ack()

        def run() -> Message | None:
            return self.dispatcher.run(
                lambda desk: read(body["command"], body.get("text", ""), desk).answer(desk),
                user=body["user_id"],
                channel=body["channel_id"],
                key=f"command:{body['trigger_id']}",
            )

        self._start(run, partial(_respond, respond))

    def _on_click(self, ack: Any, body: dict[str, Any], action: dict[str, Any], respond: Any) -> None:
        ack()

        def run() -> Message | None:
            name, value = action["action_id"], action.get("value", "")
            record = self._record_on(body.get("container", {}), value)
            if record is None:
                return replies.BUTTON_OUTDATED
            button = f"click:{name}:{value}"
            key = self.store.get_or_set(button, f"{button}:{time.time()}", for_s=CLICK_S)
            return self.dispatcher.run(
                lambda desk: BUTTONS[name](record, desk), user=body["user"]["id"], channel=record.asked.where, key=key
            )

        self._start(run, partial(_respond, respond))

    def _on_suggestion(self, ack: Any, body: dict[str, Any], action: dict[str, Any], respond: Any) -> None:
        ack()

        def run() -> Message | None:
            button = f"suggestion:{body['container']['message_ts']}"
            key = self.store.get_or_set(button, f"{button}:{time.time()}", for_s=CLICK_S)
            return self.dispatcher.run(
                lambda desk: read_command(action["value"], desk).answer(desk),
                user=body["user"]["id"],
                channel=body["channel"]["id"],
                key=key,
            )

        self._start(run, partial(_respond, respond))

    def _on_unknown(self, ack: Any, respond: Any) -> None:
        ack()
        self._start(lambda: replies.BUTTON_OUTDATED, partial(_respond, respond))

    def _on_mention(self, event: dict[str, Any]) -> None:
        channel, thread_ts, user = event["channel"], event.get("thread_ts"), event.get("user")
        apps = _apps(event)
        trusted = not apps.isdisjoint(self.dispatcher.trusted_bots)
        if not user:  # an incoming webhook: there is no one to act for
            logger.info("a mention without a user is ignored; apps: %s", sorted(apps))
            return
        if apps and not trusted:
            logger.info("a mention by the app %s is ignored: [slack] trusted_bots does not have it", sorted(apps))
            return

        def run() -> Message | None:
            job_id = self.store.job_at(channel=channel, ts=thread_ts) if thread_ts else None

            def answer(desk: Desk) -> Message | None:
                request = read_mention(event["text"], desk, job_id, bot_user=self.bot_user)
                return request.answer(desk) if request else replies.MENTIONED

            key = f"mention:{channel}:{event['ts']}"
            return self.dispatcher.run(answer, user=user, channel=channel, key=key, trusted=trusted)

        reply_with = partial(self.chat.post_ephemeral, channel, user, thread_ts=thread_ts)
        self._start(run, reply_with)

    def _start(self, run: Callable[[], Message | None], reply_with: Callable[[Message], None]) -> None:
        self.threads.submit(_run_and_reply, run, reply_with).add_done_callback(_log_failure)

    def _record_on(self, container: Mapping[str, Any], value: str) -> Record | None:
        """Return the record that a button with `value` is about, or None if its message is no card of that job.

        Job numbers begin again if Redis loses its data, and the rule for approvals may change: a click counts for what
        its card shows.
        """
        job_id, _, digest = value.partition(":")
        if not container.get("is_ephemeral"):  # such a copy of the card is bound by its digest alone
            channel, ts = str(container.get("channel_id")), str(container.get("message_ts"))
            if self._job_at(channel, ts, job_id) != job_id:
                return None
        record = self._settled(job_id) if digest else None
        if record is None or (record.state != "reserved" and reference(record) != value):
            return None
        return record

    def _job_at(self, channel: str, ts: str, job_id: str) -> str | None:
        """Return the job of the card in a place. A card is posted a moment before its place is stored."""
        until_s = time.monotonic() + SETTLED_S
        while (found := self.store.job_at(channel=channel, ts=ts)) is None and time.monotonic() < until_s:
            if self.store.card(job_id) is not None or self.queue.record(job_id) is None:
                return self.store.job_at(channel=channel, ts=ts)  # both are stored in one step, perhaps just now
            time.sleep(0.05)
        return found

    def _settled(self, job_id: str) -> Record | None:
        """Return the job's record once it is submitted; its card is posted a moment earlier. None if it has expired."""
        until_s = time.monotonic() + SETTLED_S
        while True:
            record = self.queue.record(job_id)
            if record is None or record.state != "reserved" or time.monotonic() > until_s:
                return record
            time.sleep(0.05)


def _apps(event: Mapping[str, Any]) -> set[str]:
    """Return the ids of the bot or app that wrote a message, empty if a person did."""
    profile = event.get("bot_profile") or {}
    fields = (event.get("bot_id"), event.get("app_id"), profile.get("id"), profile.get("app_id"))
    ids = {str(one) for one in fields if one}
    if event.get("user") == "USLACKBOT" or event.get("subtype") in ("bot_message", "workflow"):
        ids.add(event.get("user") or "unknown")
    return ids


def _run_and_reply(run: Callable[[], Message | None], reply_with: Callable[[Message], None]) -> None:
    """Run a request and reply to the user, also on errors."""
    reply = _reply(run)
    try:
        if reply:
            reply_with(reply)
    except (ChatError, OSError) as error:
        logger.warning("a reply could not be delivered: %s", error)


def _reply(run: Callable[[], Message | None]) -> Message | None:
    try:
        return run()
    except QueueUnavailable as error:
        logger.warning("Redis is away: %s", error)
        return replies.REDIS_FULL if "maxmemory" in str(error) else replies.REDIS_AWAY
    except ChatRefused as error:
        logger.warning("%s", error)
        return replies.slack_refuses(error.error)
    except ChatError as error:
        logger.warning("%s", error)
        return replies.TOKEN_REJECTED if isinstance(error, TokenRejected) else replies.SLACK_AWAY
    except Exception:  # the outermost call of this thread: the person gets an answer in any case
        logger.exception("a request failed")
        return replies.FAILED


def _log_failure(done: "Future[None]") -> None:
    """Log an error in the delivery of a reply, which would be lost in the future."""
    if error := done.exception():
        logger.error("a reply failed", exc_info=error)


def _respond(respond: Any, reply: Message) -> None:
    respond(text=reply.text, blocks=list(reply.blocks), response_type="ephemeral", replace_original=False)
