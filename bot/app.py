"""The bot put together: Bolt's App with its listeners, and the threads that show and fire."""

import logging
import threading
from collections.abc import Callable

from slack_bolt import App

from bot.answers import Answers, CatalogueLookup
from bot.chat import Chat, ChatError
from bot.directory import Directory
from bot.intake import Intake
from bot.listeners import Listeners
from bot.relay import Relay
from bot.schedules import Schedules, Timekeeper
from bot.settings import BotSettings
from bot.store import Store
from workers.contract.queue import Catalogue, Queue, QueueUnavailable, connect

logger = logging.getLogger(__name__)


class Bot:
    """Bolt's App in `app`; `start` begins what goes on beside it. Raises ChatError where Slack refuses the token."""

    def __init__(self, settings: BotSettings) -> None:
        self._redis = connect(settings.redis_url)
        self._queue = Queue(self._redis)
        chat, store = Chat(token=settings.bot_token, api_url=settings.api_url), Store(self._redis)
        directory = Directory(chat, team=str(chat.whoami()["team_id"]))
        facts = CatalogueLookup(settings=settings.file, catalogue=Catalogue(self._redis), queue=self._queue)
        self._intake = Intake(
            queue=self._queue,
            store=store,
            chat=chat,
            directory=directory,
            settings=settings.file,
        )
        answers = Answers(
            facts=facts,
            intake=self._intake,
            queue=self._queue,
            store=store,
            schedules=Schedules(self._redis, store=store),
            chat=chat,
        )
        listeners = Listeners(
            answers=answers,
            facts=facts,
            intake=self._intake,
            queue=self._queue,
            store=store,
            directory=directory,
            chat=chat,
        )
        self._timekeeper = Timekeeper(self._redis, store=store, fire=listeners.fire, missed=listeners.missed)
        self._relay = Relay(queue=self._queue, store=store, chat=chat)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.app = _bolt(settings, chat)
        listeners.register(self.app)

    def start(self) -> None:
        """Begin to show what changes and to fire what is due."""
        for run in (lambda: self._relay.run(self._stop), self._keep_time):
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

    def _keep_time(self) -> None:
        """Once a second: what is due, and what was left behind."""
        while not self._stop.wait(1.0):
            self._round(self._timekeeper.round)
            self._round(self._intake.resume_reserved)
            self._round(self._queue.deliver_due)

    def _round(self, work: Callable[[], object]) -> None:
        try:
            work()
        except QueueUnavailable as error:
            logger.warning("Redis is away: %s", error)
        except ChatError as error:
            logger.warning("%s", error)
        except Exception:  # the outermost loop of these threads: one schedule must not stop all others
            logger.exception("a round failed")


def _bolt(settings: BotSettings, chat: Chat) -> App:
    app = App(
        client=chat.client,
        signing_secret=settings.signing_secret or "unused-by-socket-mode",
        # Otherwise Bolt 1.30 runs a listener in another thread, and looks every 10 ms whether it has acked. The
        # listeners here ack and hand over, which is done sooner.
        process_before_response=True,
    )
    # Bolt logs the body of a request whose signature is wrong; it may hold anything.
    logging.getLogger("slack_bolt.RequestVerification").setLevel(logging.WARNING)
    return app
