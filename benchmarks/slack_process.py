"""`python -m benchmarks.slack_process PORT`: the local Slack in a separate process, without rate limits."""

import signal
import sys

from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack


def main(port: int) -> None:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with LocalSlack(SlackSettings(rate_limits=False), port=port):
        signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]))
