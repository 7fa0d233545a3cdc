"""`python -m benchmarks.slack_stand_in PORT`: as little of Slack's Web API as the bot can do with.

One answer to every call. The local Slack checks and keeps what it is sent, which costs as much as the bot's own work
on a command: on a machine of two cores it would be what is measured.
"""

import itertools
import json
import sys
from typing import Any

import uvicorn

from bot.local_slack.members import ADA, TEAM_ID

_MICROS = itertools.count(1_000_000)


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """All that auth.test, users.info, chat.postMessage and chat.update are asked for; ASGI 3, HTTP only."""
    while (await receive()).get("more_body"):
        pass
    said = {
        "ok": True,
        "team_id": TEAM_ID,
        "user": ADA.as_slack(),
        "channel": "C0MLOPS7X21",
        "ts": f"1.{next(_MICROS)}",
    }
    body = json.dumps(said).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main(port: int) -> None:
    """Serve until SIGTERM."""
    uvicorn.run(answer, host="127.0.0.1", port=port, lifespan="off", access_log=False, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
