"""Command line of the local Slack: `python -m bot.local_slack` runs it until Ctrl-C."""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from bot.local_slack.members import slash_commands
from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack


def main(arguments: list[str] | None = None) -> int:
    """Run a local Slack until SIGINT or SIGTERM, and print its address when it listens."""
    defaults = SlackSettings()
    parser = argparse.ArgumentParser(prog="python -m bot.local_slack", description="Run a local stand-in for Slack.")
    parser.add_argument("--port", type=int, default=0, help="port of the page; 0 takes a free port")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; change it only in a container")
    parser.add_argument(
        "--request-url", default="", help="the app's address for signed requests, ending in /slack/events"
    )
    parser.add_argument("--manifest", type=Path, help="JSON file with the app's manifest, for its slash commands")
    parser.add_argument("--signing-secret", default=defaults.signing_secret)
    parser.add_argument("--bot-token", default=defaults.bot_token)
    parser.add_argument("--app-token", default=defaults.app_token)
    options = parser.parse_args(arguments)
    try:
        manifest = json.loads(options.manifest.read_bytes()) if options.manifest else {}
        commands = slash_commands(manifest)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        parser.error(f"{options.manifest} is not an app manifest in JSON ({error!r}); `seatrial manifest` prints one")
    settings = SlackSettings(
        commands=commands,
        signing_secret=options.signing_secret,
        bot_token=options.bot_token,
        app_token=options.app_token,
        request_url=options.request_url,
    )
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stopped.set())
    try:
        with LocalSlack(settings, host=options.host, port=options.port) as slack:
            print(slack.url, flush=True)
            stopped.wait()
    except OSError as error:
        parser.exit(1, f"The local Slack cannot listen on port {options.port}: {error.strerror}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
