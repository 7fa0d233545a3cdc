"""A target for load tests: a raw ASGI application that counts its predictions and behaves as it is told.

`GET /count` answers how many predictions were asked for; `PUT /behaviour` takes one of BEHAVIOURS from then on.
"""

import asyncio

PREDICTIONS = b'{"predictions": [{"predicted_species": "versicolor"}]}'
BEHAVIOURS = {
    "right": (200, PREDICTIONS, 0.0),
    "slow": (200, PREDICTIONS, 1.0),
    "refusing": (503, b'{"error": "no room"}', 0.0),
    "mistaken": (200, b'{"error": "what?"}', 0.0),
    "garbled": (200, b"<html>", 0.0),
}

state = {"count": 0, "behaviour": "right"}


async def app(scope, receive, send):
    """The application."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    status, answer, after_s = 200, b"", 0.0
    match scope["path"]:
        case "/count":
            answer = str(state["count"]).encode()
        case "/behaviour":
            state["behaviour"] = body.decode()
        case _:
            state["count"] += 1
            status, answer, after_s = BEHAVIOURS[state["behaviour"]]
    await asyncio.sleep(after_s)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
