"""API of the page and of `Person` under `/local/…`: a member's view of the workspace, and a member's actions.

There is no login: a request names the member as which it acts. The server therefore listens on loopback only, refuses
foreign host names (against DNS rebinding), and accepts JSON only (against forms on other sites).
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bot.local_slack.change_signal import ChangeSignal
from bot.local_slack.clicks import Clicks
from bot.local_slack.composer import Composer
from bot.local_slack.members import TEAM_NAME, WorkspaceMember
from bot.local_slack.modals import Views
from bot.local_slack.refusal import JSON, SlackRefusal
from bot.local_slack.workspace import StoredMessage, Workspace

_LONGEST_WAIT_S = 20.0
# Regular events let the browser notice a lost server, and the server a closed browser.
_HEARTBEAT_S = 10.0


@dataclass(kw_only=True)
class LocalApi:
    """The routes under `/local/`."""

    workspace: Workspace
    views: Views
    composer: Composer
    clicks: Clicks
    changes: ChangeSignal

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/local/state", self._state),
            Route("/local/events", self._events),
            Route("/local/files/{file_id}/{name}", self._file),
            *(
                Route(f"/local/{name}", _json_endpoint(action), methods=["POST"])
                for name, action in (
                    ("type", self._type),
                    ("click", self._click),
                    ("submit", self._submit),
                    ("close", self._close),
                    ("home", self._home),
                )
            ),
        ]

    async def _state(self, request: Request) -> Response:
        """Return the changes after revision `since`; wait up to `wait_s` for the next change."""
        query = request.query_params
        try:
            member = self.workspace.member(query.get("member", ""))
            since, wait_s = int(query.get("since", "0")), float(query.get("wait_s", "0"))
        except SlackRefusal as refusal:
            return JSONResponse(refusal.as_json())
        except ValueError:
            return JSONResponse(SlackRefusal("invalid_arguments").as_json())
        if self.workspace.revision <= since and wait_s > 0:
            await self.changes.wait(min(wait_s, _LONGEST_WAIT_S))
        return JSONResponse({"ok": True, **self._view_of(member, since)})

    def _view_of(self, member: WorkspaceMember, since: int) -> JSON:
        channels = [one for one in self.workspace.channels.values() if member.id in one.members]
        visible = {channel.id for channel in channels}
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
                self._as_json(one)
                for one in self.workspace.messages(since=since)
                if one.channel in visible and one.only_for in ("", member.id)
            ],
            "modal": self.views.top(member.id),
            "home": self.views.homes.get(member.id),
        }

    def _as_json(self, message: StoredMessage) -> JSON:
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
            while not self.changes.is_closed:
                sent = self.workspace.revision
                yield f"data: {sent}\n\n"
                if self.workspace.revision == sent:
                    await self.changes.wait(_HEARTBEAT_S)

        return StreamingResponse(revisions(), media_type="text/event-stream")

    async def _file(self, request: Request) -> Response:
        file = self.workspace.files.get(request.path_params["file_id"])
        if file is None or not file.content:
            return Response("file_not_found", status_code=404)
        # Pictures open in the page. Other files are downloaded: an uploaded page must not run in this origin.
        is_picture = file.mimetype in ("image/png", "image/jpeg", "image/gif", "image/webp")
        headers = {"Content-Disposition": "inline" if is_picture else "attachment"}
        return Response(file.content, media_type=file.mimetype, headers=headers)

    async def _type(self, action: JSON) -> JSON:
        channel = self.workspace.channel_named(str(action.get("channel", "")))
        text, thread_ts = str(action.get("text", "")), str(action.get("thread_ts") or "")
        return {"failure": await self.composer.submit(self._member(action), channel, text, thread_ts)}

    async def _click(self, action: JSON) -> JSON:
        member = self._member(action)
        ids = {"block_id": str(action.get("block_id", "")), "action_id": str(action.get("action_id", ""))}
        if view_id := action.get("view_id"):
            view = self.views.find(member.id, str(view_id))
            values = action.get("values") or {}
            return {"failure": await self.clicks.on_view(member, view, **ids, value=action.get("value"), values=values)}
        message = self.workspace.message(str(action.get("channel", "")), str(action.get("ts", "")))
        if message.only_for not in ("", member.id):
            raise SlackRefusal("message_not_found")
        return {"failure": await self.clicks.on_message(member, message, **ids, value=action.get("value"))}

    async def _submit(self, action: JSON) -> JSON:
        member = self._member(action)
        view = self.views.find(member.id, str(action.get("view_id", "")))
        failure, errors = await self.clicks.submit(member, view, action.get("values") or {})
        return {"failure": failure, "errors": errors}

    async def _close(self, action: JSON) -> JSON:
        return {"failure": await self.clicks.close(self._member(action))}

    async def _home(self, action: JSON) -> JSON:
        self.clicks.open_home(self._member(action))
        return {"failure": ""}

    def _member(self, action: JSON) -> WorkspaceMember:
        return self.workspace.member(str(action.get("member", "")))


def _json_endpoint(action: Callable[[JSON], Awaitable[JSON]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("application/json"):
            return JSONResponse(SlackRefusal("invalid_post_type").as_json(), status_code=415)
        try:
            body: Any = json.loads(await request.body())
            answer = await action(body if isinstance(body, dict) else {})
        except SlackRefusal as refusal:
            return JSONResponse(refusal.as_json())
        except ValueError:
            return JSONResponse(SlackRefusal("invalid_json").as_json())
        return JSONResponse({"ok": True, **answer})

    return endpoint
