"""`python -m benchmarks.bare_handler PORT`: a minimal Bolt app on the bot's HTTP server, as the baseline.

It verifies and acknowledges commands only.
"""

import logging
import os
import signal
import sys
import threading
from typing import Any

from slack_bolt import App
from slack_bolt.adapter.wsgi import SlackRequestHandler
from slack_sdk import WebClient

from bot.serve import EVENTS_PATH, http_server


def main(port: int) -> None:
    """Serve until SIGTERM."""
    logging.basicConfig(level=logging.WARNING)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    client = WebClient(token=os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_URL"])
    app = App(client=client, signing_secret=os.environ["SLACK_SIGNING_SECRET"])
    app.command("/model")(_acknowledge)
    server = http_server(SlackRequestHandler(app, path=EVENTS_PATH), host="127.0.0.1", port=port)
    threading.Thread(target=server.run, daemon=True).start()
    stop.wait()


def _acknowledge(ack: Any) -> None:
    ack()


if __name__ == "__main__":
    main(int(sys.argv[1]))
