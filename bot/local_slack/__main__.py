"""`python -m bot.local_slack`: a local Slack by itself, until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from bot.local_slack.members import slash_commands
from bot.local_slack.running import LocalSlack
from bot.local_slack.server import SlackSettings


def main(arguments: list[str] | None = None) -> int:
    """Runs a local Slack until SIGINT or SIGTERM; prints its address when it listens."""
    defaults = SlackSettings()
    parser = argparse.ArgumentParser(prog="python -m bot.local_slack", description="Slack's stand-in on loopback.")
    parser.add_argument("--port", type=int, default=0, help="the page's port; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; loopback unless in a container")
    parser.add_argument("--request-url", default="", help="where the app takes signed requests, /slack/events")
    parser.add_argument("--manifest", type=Path, help="the app's manifest as JSON; its slash commands are offered")
    parser.add_argument("--signing-secret", default=defaults.signing_secret)
    parser.add_argument("--bot-token", default=defaults.bot_token)
    parser.add_argument("--app-token", default=defaults.app_token)
    given = parser.parse_args(arguments)
    try:
        manifest = json.loads(given.manifest.read_bytes()) if given.manifest else {}
        commands = slash_commands(manifest)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        parser.error(f"{given.manifest} is not an app manifest in JSON: {error!r}")
    settings = SlackSettings(
        commands=commands,
        signing_secret=given.signing_secret,
        bot_token=given.bot_token,
        app_token=given.app_token,
        request_url=given.request_url,
    )
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stopped.set())
    try:
        with LocalSlack(settings, host=given.host, port=given.port) as slack:
            print(slack.url, flush=True)
            stopped.wait()
    except OSError as error:
        parser.exit(1, f"The local Slack cannot listen on port {given.port}: {error.strerror}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
