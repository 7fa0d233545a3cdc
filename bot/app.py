"""Wire the bot: the Bolt app, its listeners, and the relay and scheduler threads."""

import logging
import threading
from collections.abc import Callable

from slack_bolt import App

from bot.card_poster import CardPoster
from bot.chat import Chat, ChatError
from bot.desk import BotDesk
from bot.directory import Directory
from bot.dispatcher import Dispatcher
from bot.intake import Intake
from bot.listeners import Listeners
from bot.relay import Relay
from bot.schedules import BotScheduleDesk, Firing, Schedules, Timekeeper
from bot.settings import BotSettings
from bot.state import Invocation
from bot.store import Store
from workers.contract.queue import Catalogue, Queue, QueueUnavailable, connect

logger = logging.getLogger(__name__)


class Bot:
    """The Bolt app in `app`, and the bot's threads. Raises ChatError if Slack refuses the token."""

    def __init__(self, settings: BotSettings) -> None:
        self._redis = connect(settings.redis_url)
        self._queue, self._catalogue = Queue(self._redis), Catalogue(self._redis)
        self._chat, self._store = Chat(token=settings.bot_token, api_url=settings.api_url), Store(self._redis)
        self._settings = settings.file
        directory = Directory(self._chat, team=str(self._chat.whoami()["team_id"]))
        cards = CardPoster(queue=self._queue, store=self._store, chat=self._chat)
        self._intake = Intake(
            queue=self._queue, store=self._store, cards=cards, directory=directory, settings=settings.file
        )
        self._schedules = Schedules(self._redis, store=self._store)
        self._dispatcher = Dispatcher(directory=directory, desk=self._desk)
        firing = Firing(dispatcher=self._dispatcher, chat=self._chat)
        self._timekeeper = Timekeeper(self._redis, store=self._store, fire=firing.fire, missed=firing.missed)
        self._relay = Relay(queue=self._queue, store=self._store, chat=self._chat, cards=cards)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.listeners = Listeners(dispatcher=self._dispatcher, queue=self._queue, store=self._store, chat=self._chat)
        self.app = _bolt(settings, self._chat)
        self.listeners.register(self.app)

    def start(self) -> None:
        """Start the threads that render changed jobs and fire schedules."""
        for run in (lambda: self._relay.run(self._stop), self._keep_time):
            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            self._threads.append(thread)

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

    def _desk(self, invocation: Invocation) -> BotDesk:
        """Return the desk for one invocation."""
        schedules = BotScheduleDesk(
            repository=self._schedules,
            store=self._store,
            chat=self._chat,
            run_command=self._dispatcher.run_command,
            invocation=invocation,
        )
        return BotDesk(
            settings=self._settings,
            catalogue=self._catalogue,
            queue=self._queue,
            intake=self._intake,
            schedules=schedules,
            invocation=invocation,
        )

    def _keep_time(self) -> None:
        """Once a second: fire schedules, resume reserved jobs, redeliver jobs."""
        while not self._stop.wait(1.0):
            self._round(self._timekeeper.round)
            self._round(self._intake.resume)
            self._round(self._queue.deliver_due)

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
