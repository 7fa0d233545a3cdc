"""Wire the bot: the Bolt app, its listeners, and the relay and scheduler threads."""

import logging
import threading
from collections.abc import Callable
from functools import partial

from slack_bolt import App

from bot.announcer import Announcer
from bot.card_poster import CardPoster
from bot.chat import Chat, ChatError
from bot.desk import BotDesk
from bot.directory import Directory
from bot.dispatcher import Dispatcher
from bot.intake import Intake
from bot.listeners import Listeners
from bot.relay import Relay
from bot.schedules.firing import Firing
from bot.schedules.repository import Schedules
from bot.schedules.timekeeper import Timekeeper
from bot.settings import BotSettings
from bot.store import Store
from workers.contract.queue import Catalogue, Queue, QueueUnavailable, connect

logger = logging.getLogger(__name__)


class Bot:
    """The Bolt app in `app`, and the bot's threads. Raises ChatError if Slack refuses the token."""

    def __init__(self, settings: BotSettings) -> None:
        self._redis = connect(settings.redis_url)
        self._queue, store = Queue(self._redis), Store(self._redis)
        chat = Chat(token=settings.bot_token, api_url=settings.api_url)
        me = chat.whoami()
        directory = Directory(chat, team=str(me["team_id"]))
        catalogue = Catalogue(self._redis)
        cards = CardPoster(queue=self._queue, store=store, chat=chat, catalogue=catalogue)
        self._announcer = Announcer(
            queue=self._queue, store=store, chat=chat, directory=directory, settings=settings.file.slack
        )
        self._intake = Intake(
            queue=self._queue,
            store=store,
            cards=cards,
            directory=directory,
            announcer=self._announcer,
            settings=settings.file,
        )
        schedules = Schedules(self._redis, store=store)
        desk = partial(
            BotDesk,
            settings=settings.file,
            catalogue=catalogue,
            queue=self._queue,
            store=store,
            chat=chat,
            intake=self._intake,
            schedules=schedules,
        )
        dispatcher = Dispatcher(
            directory=directory,
            trusted_bots=settings.file.slack.trusted_bots,
            desk=lambda invocation: desk(invocation=invocation),
        )
        firing = Firing(dispatcher=dispatcher, chat=chat, store=store, pause=schedules.pause)
        self._timekeeper = Timekeeper(self._redis, store=store, fire=firing.fire, missed=firing.missed)
        self._relay = Relay(queue=self._queue, store=store, chat=chat, cards=cards, announcer=self._announcer)
        self._asked_again = False
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._render, self._keep_time)]
        self.listeners = Listeners(
            dispatcher=dispatcher, queue=self._queue, store=store, chat=chat, bot_user=str(me["user_id"])
        )
        self.app = _bolt(settings, chat)
        self.listeners.register(self.app)

    def start(self) -> None:
        """Start the threads that render changed jobs and fire schedules."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the threads."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=15)

    def healthy(self) -> bool:
        """Return whether the threads are alive and Redis answers."""
        try:
            self._redis.ping()
        except QueueUnavailable:
            return False
        return all(thread.is_alive() for thread in self._threads)

    def warnings(self) -> list[str]:
        """Return sentences about faults with which the bot still works."""
        unreadable = self._queue.unreadable()
        ids = ", ".join(f"#{job_id}" for job_id in unreadable)
        found = [f"Jobs that another release wrote, and this bot cannot read: {ids}."] if unreadable else []
        refused = [f"#{job_id} ({refusal.error})" for job_id, refusal in list(self._relay.refused.items())]
        return found + ([f"Slack refuses the cards of jobs: {', '.join(refused)}."] if refused else [])

    def _render(self) -> None:
        self._relay.run(self._stop)

    def _keep_time(self) -> None:
        """Once a second: fire schedules, resume reserved jobs, redeliver jobs."""
        while not self._stop.wait(1.0):
            self._round(self._timekeeper.round)
            self._round(self._intake.resume)
            self._round(self._queue.deliver_due)
            self._round(self._ask_again)
            self._round(self._announcer.round)

    def _ask_again(self) -> None:
        """Once after the start: apply changed rules to open requests for approval."""
        if not self._asked_again:
            self._intake.ask_again()
            self._asked_again = True

    def _round(self, work: Callable[[], object]) -> None:
        try:
            work()
        except QueueUnavailable as error:
            logger.warning("Redis is away: %s", error)
        except ChatError as error:
            logger.warning("%s", error)
        except Exception:  # the outermost loop of this thread: one broken schedule must not stop the others
            logger.exception("a round failed")


def _bolt(settings: BotSettings, chat: Chat) -> App:
    app = App(
        client=chat.client,
        signing_secret=settings.signing_secret or "unused-by-socket-mode",
        # Otherwise Bolt 1.30 runs a listener in another thread and polls every 10 ms for its ack. The listeners here
        # ack and start a thread of their own, which takes less time.
        process_before_response=True,
    )
    # Bolt logs the body of a request with a wrong signature; it may contain anything.
    logging.getLogger("slack_bolt.RequestVerification").setLevel(logging.WARNING)
    return app
