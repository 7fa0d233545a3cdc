"""What the page and `Person` talk to: `/local/…`, a member's view of the workspace and a member's deeds.

There is no login: whoever reaches the port is whichever member they say. So it listens on loopback only, refuses
names that are not loopback's (a page elsewhere must not reach it by DNS), and takes JSON only (nor by a form).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bot.local_slack.clicks import Clicks
from bot.local_slack.composer import Composer
from bot.local_slack.members import TEAM_NAME, Member
from bot.local_slack.modals import Views
from bot.local_slack.refusal import JSON, Refusal
from bot.local_slack.watch import Watch
from bot.local_slack.workspace import Message, Workspace

_LONGEST_WAIT_S = 20.0
# A comment line now and then: a browser notices a server that is gone, and the server a browser.
_HEARTBEAT_S = 10.0


@dataclass(kw_only=True)
class LocalApi:
    """The routes under `/local/`."""

    workspace: Workspace
    views: Views
    composer: Composer
    clicks: Clicks
    watch: Watch

    def routes(self) -> list[Route]:
        """Returns Starlette's routes."""
        return [
            Route("/local/state", self._state),
            Route("/local/events", self._events),
            Route("/local/files/{file_id}/{name}", self._file),
            *(
                Route(f"/local/{name}", _answering(deed), methods=["POST"])
                for name, deed in (
                    ("type", self._type),
                    ("click", self._click),
                    ("submit", self._submit),
                    ("close", self._close),
                    ("home", self._home),
                )
            ),
        ]

    async def _state(self, request: Request) -> Response:
        """Answers what changed after revision `since`; with `wait_s`, waits that long for something to change."""
        query = request.query_params
        try:
            member = self.workspace.member(query.get("member", ""))
            since, wait_s = int(query.get("since", "0")), float(query.get("wait_s", "0"))
        except Refusal as refusal:
            return JSONResponse(refusal.as_json())
        except ValueError:
            return JSONResponse(Refusal("invalid_arguments").as_json())
        if self.workspace.revision <= since and wait_s > 0:
            await self.watch.wait(min(wait_s, _LONGEST_WAIT_S))
        return JSONResponse({"ok": True, **self._seen_by(member, since)})

    def _seen_by(self, member: Member, since: int) -> JSON:
        channels = [one for one in self.workspace.channels.values() if member.id in one.members]
        seen = {channel.id for channel in channels}
        return {
            "revision": self.workspace.revision,
            "team": {"name": TEAM_NAME},
            "me": member.id,
            "bot": self.workspace.bot.id,
            "members": [one.as_slack() for one in self.workspace.members()],
            "people": [one.id for one in self.workspace.people],
            "groups": [{"id": one.id, "handle": one.handle, "members": one.members} for one in self.workspace.groups],
            "channels": [one.as_slack() | {"members": sorted(one.members)} for one in channels],
            "commands": [asdict(one) for one in self.composer.commands],
            "messages": [
                self._as_seen(one)
                for one in self.workspace.messages(since=since)
                if one.channel in seen and one.only_for in ("", member.id)
            ],
            "modal": self.views.top(member.id),
            "home": self.views.homes.get(member.id),
        }

    def _as_seen(self, message: Message) -> JSON:
        return {
            "channel": message.channel,
            "ts": message.ts,
            "user": message.user,
            "text": message.text,
            "blocks": message.blocks,
            "thread_ts": message.thread_ts,
            "is_edited": message.is_edited,
            "is_ephemeral": bool(message.only_for),
            "is_deleted": message.is_deleted,
            "files": [file.as_slack() for file in message.files],
        }

    async def _events(self, _request: Request) -> Response:
        async def revisions() -> AsyncIterator[str]:
            while not self.watch.is_closed:
                told = self.workspace.revision
                yield f"data: {told}\n\n"
                if self.workspace.revision == told:
                    await self.watch.wait(_HEARTBEAT_S)

        return StreamingResponse(revisions(), media_type="text/event-stream")

    async def _file(self, request: Request) -> Response:
        file = self.workspace.files.get(request.path_params["file_id"])
        if file is None or not file.content:
            return Response("file_not_found", status_code=404)
        # Pictures are shown; everything else is downloaded, so that no uploaded page runs in this origin.
        shown = file.mimetype in ("image/png", "image/jpeg", "image/gif", "image/webp")
        headers = {"Content-Disposition": "inline" if shown else "attachment"}
        return Response(file.content, media_type=file.mimetype, headers=headers)

    async def _type(self, deed: JSON) -> JSON:
        channel = self.workspace.channel_named(str(deed.get("channel", "")))
        text, thread_ts = str(deed.get("text", "")), str(deed.get("thread_ts") or "")
        return {"failure": await self.composer.submit(self._member(deed), channel, text, thread_ts)}

    async def _click(self, deed: JSON) -> JSON:
        member = self._member(deed)
        where = {"block_id": str(deed.get("block_id", "")), "action_id": str(deed.get("action_id", ""))}
        if view_id := deed.get("view_id"):
            view = self.views.find(member.id, str(view_id))
            values = deed.get("values") or {}
            return {"failure": await self.clicks.on_view(member, view, **where, value=deed.get("value"), values=values)}
        message = self.workspace.message(str(deed.get("channel", "")), str(deed.get("ts", "")))
        if message.only_for not in ("", member.id):
            raise Refusal("message_not_found")
        return {"failure": await self.clicks.on_message(member, message, **where, value=deed.get("value"))}

    async def _submit(self, deed: JSON) -> JSON:
        member = self._member(deed)
        view = self.views.find(member.id, str(deed.get("view_id", "")))
        failure, complaints = await self.clicks.submit(member, view, deed.get("values") or {})
        return {"failure": failure, "errors": complaints}

    async def _close(self, deed: JSON) -> JSON:
        return {"failure": await self.clicks.close(self._member(deed))}

    async def _home(self, deed: JSON) -> JSON:
        self.clicks.open_home(self._member(deed))
        return {"failure": ""}

    def _member(self, deed: JSON) -> Member:
        return self.workspace.member(str(deed.get("member", "")))


def _answering(deed: Callable[[JSON], Awaitable[JSON]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("application/json"):
            return JSONResponse(Refusal("invalid_post_type").as_json(), status_code=415)
        try:
            sent: Any = json.loads(await request.body())
            answer = await deed(sent if isinstance(sent, dict) else {})
        except Refusal as refusal:
            return JSONResponse(refusal.as_json())
        except ValueError:
            return JSONResponse(Refusal("invalid_json").as_json())
        return JSONResponse({"ok": True, **answer})

    return endpoint
