"""Serves the bot: signed HTTP with a health check, or Socket Mode. Until it is told to stop."""

import logging
import os
import random
import threading
from collections.abc import Callable, Iterable
from typing import Any

from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.adapter.wsgi import SlackRequestHandler
from slack_sdk.errors import SlackApiError
from waitress.server import create_server

from bot.app import Bot
from bot.settings import BotSettings

logger = logging.getLogger(__name__)

EVENTS_PATH = "/slack/events"
HEALTH_PATH = "/healthz"
_PLAIN = [("content-type", "text/plain")]
_STAMP = "HTTP_X_SLACK_REQUEST_TIMESTAMP"
LARGEST_REQUEST_BYTES = 1024 * 1024
"""Slack's own requests are of some kilobytes; a modal's state may be of some dozens."""
SERVER_THREADS = 16


class CannotServe(Exception):
    """Slack cannot reach the bot as the settings say; the message says why, and what to check."""


Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
"""WSGI's, PEP 3333."""


def serve(settings: BotSettings, stop: threading.Event) -> None:
    """Run the bot until `stop`. Raises CannotServe, and ChatError where Slack refuses the token."""
    stay_on_one_core()
    bot = Bot(settings)
    # Under Socket Mode nothing is signed, so that no request but the health check's is listened to.
    application = health(bot) if settings.app_token else wsgi(bot)
    server = http_server(application, host=settings.host, port=settings.port)
    threading.Thread(target=server.run, daemon=True, name="http").start()
    bot.start()
    try:
        if settings.app_token:
            _serve_sockets(bot, settings, stop)
        else:
            logger.info("listening on http://%s:%s%s", settings.host, server.effective_port, EVENTS_PATH)
            stop.wait()
    finally:
        server.close()
        server.task_dispatcher.shutdown()
        bot.stop()


def stay_on_one_core() -> None:
    """Keep this process, with every thread it will start, on one of the cores it may use.

    Its threads share one interpreter lock, so that they never use more than one core's time; spread over several, they
    lose a third of it in handing the lock from core to core. Where the system has no affinity, nothing happens.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})


def _serve_sockets(bot: Bot, settings: BotSettings, stop: threading.Event) -> None:
    handler = SocketModeHandler(bot.app, settings.app_token)
    try:
        handler.connect()  # type: ignore[no-untyped-call]  # Bolt 1.30 leaves it out
    except SlackApiError as error:
        why = f"Slack refuses Socket Mode: {error.response.get('error')}. Check SLACK_APP_TOKEN."
        raise CannotServe(why) from error
    except OSError as error:
        raise CannotServe("Slack cannot be reached for Socket Mode. Check the way to it, and SLACK_API_URL.") from error
    logger.info("connected by Socket Mode")
    stop.wait()
    handler.close()  # type: ignore[no-untyped-call]


def http_server(application: Application, *, host: str, port: int) -> Any:
    """Waitress around `application`, listening; `run()` serves. Raises CannotServe."""
    # It warns of every request that waits for a thread.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    try:
        return create_server(
            application,
            host=host,
            port=port,
            threads=SERVER_THREADS,
            max_request_body_size=LARGEST_REQUEST_BYTES,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
    except (OSError, ValueError) as error:
        raise CannotServe(f"Nothing can listen on {host}:{port} ({error}). Check HOST and PORT.") from error


def health(bot: Bot) -> Application:
    """GET /healthz: 200 while the bot does its work, 503 while it cannot; anything else is not found."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] != HEALTH_PATH:
            start_response("404 Not Found", _PLAIN)
            return [b"not found\n"]
        healthy = bot.healthy()
        start_response("200 OK" if healthy else "503 Service Unavailable", _PLAIN)
        return [b"ok\n" if healthy else b"Redis is away, or a thread of the bot has ended; see its log.\n"]

    return application


def wsgi(bot: Bot) -> Application:
    """POST /slack/events, signed; and `health`."""
    slack, otherwise = SlackRequestHandler(bot.app, path=EVENTS_PATH), health(bot)

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] != EVENTS_PATH:
            return otherwise(environ, start_response)
        if not environ.get(_STAMP, "").isdecimal():
            # slack-sdk 3.47 takes a timestamp that is no number for a fault of its own, and Bolt answers 500.
            start_response("401 Unauthorized", _PLAIN)
            return [b"not signed\n"]
        return slack(environ, start_response)

    return application
