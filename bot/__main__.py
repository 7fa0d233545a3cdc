"""The `seatrial` command; `python -m bot` is the same.

seatrial bot                 serve Slack: by Socket Mode if SLACK_APP_TOKEN is set, otherwise by HTTP on PORT
seatrial worker              run jobs
seatrial down                stop the endpoints that this machine serves
seatrial doctor              check tokens, permissions and services, and print how to repair them
seatrial manifest [URL]      print the Slack app's manifest, for HTTP at URL or for Socket Mode
                             --commands umbrella: its only command is /seatrial; --prefix ml: /ml-deploy
seatrial query "SELECT …"    run a query in the warehouse of this machine and print the answer as JSON
                             --file PATH: the query in a file; --explain: print its translation
seatrial explain "COMMAND"   print as JSON how a command is understood, or why not; nothing is started
                             --mention: a message that mentions the bot; --versions iris=1,2: without Redis
seatrial demo [--once]       run everything on this machine, with a local Slack
"""

import argparse
import importlib.util
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading

from workers.contract.settings import SettingsError

USAGE = (__doc__ or "").split("\n\n", 1)[1]


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Return 0 on success, 1 on failure, and 2 if the command or the settings are invalid."""
    words = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "apscheduler"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        match words:
            case [] | ["bot"]:
                return _bot()
            case ["worker"] | ["down"]:
                # A program of its own, without the bot's modules and credentials.
                command = ["-m", "workers", "down"] if words == ["down"] else ["-m", "workers"]
                os.execv(sys.executable, [sys.executable, *command])
            case ["query", *_]:
                os.execv(sys.executable, [sys.executable, "-m", "workers", *words])
            case ["doctor"]:
                return _doctor()
            case ["manifest", *rest]:
                return _manifest(rest)
            case ["explain", *rest]:
                return _explain(rest)
            case ["demo", *rest] if set(rest) <= {"--once"}:
                from bot.demo.tour import demo

                return demo(once=bool(rest))
            case ["help" | "--help" | "-h"]:
                print(USAGE)
                return 0
            case _:
                print(f"seatrial has no command “{' '.join(words)}”. Its commands:\n\n{USAGE}", file=sys.stderr)
                return 2
    except SettingsError as error:
        print("The settings are invalid:", *error.mistakes, sep="\n  ", file=sys.stderr)
        return 2


def _bot() -> int:
    from bot.chat import ChatError
    from bot.serve import CannotServe, serve
    from bot.settings import read_settings

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = read_settings()
        # Bolt reads the same variables and would treat them differently.
        for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"):
            os.environ.pop(name, None)
        serve(settings, stop)
        return 0
    except ChatError as error:
        print(f"{error}. Check SLACK_BOT_TOKEN, and SLACK_API_URL if it is set.", file=sys.stderr)
    except CannotServe as error:
        print(error, file=sys.stderr)
    return 1


def _manifest(words: list[str]) -> int:
    from bot.manifest import manifest

    parser = argparse.ArgumentParser(prog="seatrial manifest", description="Print the Slack app's manifest.")
    parser.add_argument("url", nargs="?", help="where Slack sends requests; without it, Socket Mode")
    parser.add_argument("--commands", choices=("each", "umbrella"), default="each")
    parser.add_argument("--prefix", default="", help="for names that the workspace has already: /PREFIX-deploy")
    given = parser.parse_args(words)
    if not re.fullmatch(r"([a-z0-9_-]{1,20})?", given.prefix):
        parser.error("a prefix has at most 20 lower-case letters, digits, - and _")
    umbrella = given.commands == "umbrella"
    print(json.dumps(manifest(request_url=given.url, umbrella=umbrella, prefix=given.prefix), indent=2))
    return 0


def _explain(words: list[str]) -> int:
    from bot.explain import InvalidVersions, explain
    from workers.contract.queue import QueueUnavailable

    parser = argparse.ArgumentParser(prog="seatrial explain", description="Print how a command is understood.")
    parser.add_argument("text", help="a command, or with --mention a message")
    parser.add_argument("--mention", action="store_true", help="the text is a message that mentions the bot")
    parser.add_argument("--versions", action="append", default=[], metavar="MODEL=1,2", help="published versions")
    given = parser.parse_args(words)
    try:
        print(explain(given.text, mention=given.mention, versions=given.versions, environ=os.environ))
        return 0
    except InvalidVersions as error:
        parser.error(str(error))
    except QueueUnavailable as error:
        advice = "Set REDIS_URL, or name the versions: --versions iris=1,2."
        print(f"Redis, which knows the versions, is away: {error}. {advice}", file=sys.stderr)
    return 1


def _doctor() -> int:
    """Check the bot and the worker. A side without its extra is reported as not installed."""
    status = 0
    if importlib.util.find_spec("slack_bolt"):
        from bot.doctor import doctor

        status = doctor(os.environ)
    else:
        print("– the bot is not installed here: pip install 'seatrial[bot]'", flush=True)
    # Only the worker's extra installs matplotlib. The bot's image has no `workers.__main__`.
    if importlib.util.find_spec("matplotlib") and importlib.util.find_spec("workers.__main__"):
        status |= subprocess.run([sys.executable, "-m", "workers", "doctor"], check=False).returncode != 0
    else:
        print("– the worker is not installed here: pip install 'seatrial[worker,load]'", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
