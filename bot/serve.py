"""The bot's server: signed HTTP, or Socket Mode, and a health check in both modes."""

import logging
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
LARGEST_REQUEST_BYTES = 1024 * 1024
"""Slack's requests have some kilobytes, those with a modal's state some dozens."""
SERVER_THREADS = 16


class CannotServe(Exception):
    """A server that cannot start or connect. The message gives the reason and the setting to check."""


Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
"""WSGI, PEP 3333."""


def serve(settings: BotSettings, stop: threading.Event) -> None:
    """Run the bot until `stop`. Raises CannotServe, and ChatError if Slack rejects the token."""
    bot = Bot(settings)
    # In Socket Mode no request is signed, so the server answers the health check only.
    server = http_server(wsgi(bot, signed=not settings.app_token), host=settings.host, port=settings.port)
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


def _serve_sockets(bot: Bot, settings: BotSettings, stop: threading.Event) -> None:
    handler = SocketModeHandler(bot.app, settings.app_token)
    try:
        handler.connect()  # type: ignore[no-untyped-call]  # Bolt 1.30 leaves it out
    except SlackApiError as error:
        code = error.response.get("error")
        raise CannotServe(f"Slack refuses Socket Mode: {code}. Check SLACK_APP_TOKEN.") from error
    except OSError as error:
        raise CannotServe(
            "Slack cannot be reached for Socket Mode. Check the network, and SLACK_API_URL if it is set."
        ) from error
    logger.info("connected by Socket Mode")
    stop.wait()
    handler.close()  # type: ignore[no-untyped-call]


def http_server(application: Application, *, host: str, port: int) -> Any:
    """Return a listening Waitress server. Its `run()` serves. Raises CannotServe."""
    # Waitress warns about every request that waits for a thread.
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
        raise CannotServe(f"The bot cannot listen on {host}:{port} ({error}). Check HOST and PORT.") from error


def wsgi(bot: Bot, *, signed: bool) -> Application:
    """Return an application for GET /healthz, and for `signed` POST /slack/events.

    The health check returns 200 while the bot works, with a line for each warning, otherwise 503. Other paths are not
    found.
    """
    slack = SlackRequestHandler(bot.app, path=EVENTS_PATH)

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == EVENTS_PATH and signed:
            if environ.get("HTTP_X_SLACK_REQUEST_TIMESTAMP", "").isdecimal():
                return slack(environ, start_response)
            # slack-sdk 3.47 raises ValueError for another timestamp, and Bolt would answer 500.
            status, text = "401 Unauthorized", "not signed"
        elif path != HEALTH_PATH:
            status, text = "404 Not Found", "not found"
        elif bot.healthy():
            status, text = "200 OK", "\n".join(["ok", *bot.warnings()])
        else:
            status = "503 Service Unavailable"
            text = "Redis is away, or a thread of the bot has ended. See the bot's log."
        start_response(status, [("content-type", "text/plain")])
        return [f"{text}\n".encode()]

    return application
