"""`python -m benchmarks.slack_stand_in PORT`: the least of Slack's Web API that the bot needs.

Every call gets the same response. The local Slack checks and stores calls, which costs as much CPU as the bot's own
work on a command and would distort the result on two cores.
"""

import itertools
import json
import sys
from typing import Any

import uvicorn

from bot.local_slack.members import ADA, TEAM_ID

_MICROS = itertools.count(1_000_000)


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Return the fields of auth.test, users.info, chat.postMessage and chat.update at once; ASGI 3, HTTP only."""
    while (await receive()).get("more_body"):
        pass
    fields = {
        "ok": True,
        "team_id": TEAM_ID,
        "user": ADA.as_slack(),
        "channel": "C0MLOPS7X21",
        "ts": f"1.{next(_MICROS)}",
    }
    body = json.dumps(fields).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main(port: int) -> None:
    """Serve until SIGTERM."""
    uvicorn.run(answer, host="127.0.0.1", port=port, lifespan="off", access_log=False, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
