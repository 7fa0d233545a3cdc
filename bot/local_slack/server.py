"""HTTP server of the local Slack: the Web API and Socket Mode for the app, the page and `/local/…` for people."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.local_slack.arguments import parse_multipart
from bot.local_slack.change_signal import ChangeSignal
from bot.local_slack.clicks import Clicks
from bot.local_slack.composer import Composer
from bot.local_slack.delivery import DEADLINE_S, EVENT_RETRIES_S, Delivery
from bot.local_slack.faults import Faults
from bot.local_slack.local_api import LocalApi
from bot.local_slack.members import SlashCommand
from bot.local_slack.methods import MethodContext
from bot.local_slack.modals import Views
from bot.local_slack.rate_limits import RateLimits
from bot.local_slack.refusal import SlackRefusal
from bot.local_slack.responses import Responses
from bot.local_slack.socket_mode import SocketMode
from bot.local_slack.tickets import Tickets
from bot.local_slack.web_api import SCOPES, WebApi, encode
from bot.local_slack.workspace import Workspace

_PAGE = Path(__file__).parent / "page"
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackSettings:
    """Settings of a local Slack.

    `request_url` is the app's address for deliveries; empty until it is known. `commands` are the app's slash
    commands, from its manifest; Slack refuses any other. Tests that flood it
    switch `rate_limits` off. `unknown_blocks` are types of blocks that this workspace refuses because Slack has not
    enabled them there yet, such as data_visualization. `clock` returns Unix seconds for message timestamps, rate limits
    and expiry. Delivery deadlines and event retries use real seconds.
    """

    signing_secret: str = "local-signing-secret"
    bot_token: str = "xoxb-local"
    app_token: str = "xapp-local"
    request_url: str = ""
    commands: tuple[SlashCommand, ...] = ()
    scopes: tuple[str, ...] = SCOPES
    rate_limits: bool = True
    unknown_blocks: frozenset[str] = frozenset()
    deadline_s: float = DEADLINE_S
    event_retries_s: tuple[float, ...] = EVENT_RETRIES_S
    clock: Callable[[], float] = time.time


class SlackServer:
    """The parts of one local Slack and the ASGI application over them."""

    def __init__(self, settings: SlackSettings) -> None:
        clock = settings.clock
        self.url = ""
        self.workspace = Workspace(clock=clock)
        self.faults = Faults()
        self.tickets = Tickets(clock=clock)
        self.views = Views(workspace=self.workspace, tickets=self.tickets)
        self.responses = Responses(workspace=self.workspace, tickets=self.tickets)
        self.socket_mode = SocketMode(app_id=self.workspace.app.app_id)
        self.changes = ChangeSignal()
        self.workspace.on_change = self.changes.notify
        self.delivery = Delivery(
            signing_secret=settings.signing_secret,
            socket_mode=self.socket_mode,
            request_url=settings.request_url,
            deadline_s=settings.deadline_s,
            event_retries_s=settings.event_retries_s,
        )
        self.composer = Composer(
            workspace=self.workspace,
            delivery=self.delivery,
            tickets=self.tickets,
            responses=self.responses,
            commands=settings.commands,
        )
        self.clicks = Clicks(workspace=self.workspace, delivery=self.delivery, tickets=self.tickets, views=self.views)
        self.web_api = WebApi(
            context=MethodContext(
                workspace=self.workspace,
                views=self.views,
                open_socket=self._open_socket,
                url=lambda: self.url,
                unknown_blocks=settings.unknown_blocks,
            ),
            faults=self.faults,
            bot_token=settings.bot_token,
            app_token=settings.app_token,
            scopes=settings.scopes,
            rate_limits=RateLimits(clock=clock) if settings.rate_limits else None,
        )

    def listen_at(self, url: str) -> None:
        """Set the server's own address, from which the parts build URLs."""
        self.url = self.composer.url = self.clicks.url = url

    def asgi(self) -> ASGIApp:
        """Return the ASGI application."""
        local = LocalApi(
            workspace=self.workspace, views=self.views, composer=self.composer, clicks=self.clicks, changes=self.changes
        )
        routes = [
            Route("/api/{method}", self._call, methods=["GET", "POST"]),
            Route("/upload/v1/{file_id}", self._upload, methods=["POST"]),
            Route("/commands/{team}/{secret}", self._respond, methods=["POST"]),
            Route("/actions/{team}/{secret}", self._respond, methods=["POST"]),
            WebSocketRoute("/link/", self.socket_mode.serve),
            *local.routes(),
            Route("/", lambda _request: FileResponse(_PAGE / "index.html")),
            Mount("/page", StaticFiles(directory=_PAGE)),
        ]
        hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])
        return Starlette(routes=routes, middleware=[hosts, Middleware(_SecurityHeaders)], lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        yield
        await self.delivery.close()

    async def _call(self, request: Request) -> Response:
        reply = self.web_api.call(
            request.path_params["method"],
            body=await request.body(),
            content_type=request.headers.get("content-type", ""),
            query=request.url.query,
            authorization=request.headers.get("authorization", ""),
        )
        headers = {**reply.headers, "Content-Type": "application/json; charset=utf-8"}
        return Response(encode(reply), status_code=reply.status, headers=headers)

    async def _upload(self, request: Request) -> Response:
        file = self.workspace.files.get(request.path_params["file_id"])
        if file is None:
            return PlainTextResponse("file not found", status_code=404)
        content, content_type = await request.body(), request.headers.get("content-type", "")
        if content_type.startswith("multipart/form-data"):
            content = next(iter(parse_multipart(content, content_type).values()), b"")
        self.workspace.store_file(replace(file, content=content))
        return PlainTextResponse(f"OK - {len(content)}")

    async def _respond(self, request: Request) -> Response:
        try:
            answer = json.loads(await request.body())
            self.responses.by_response_url(request.path_params["secret"], answer if isinstance(answer, dict) else {})
        except SlackRefusal as refusal:
            is_gone = refusal.error in ("expired_url", "used_url")
            return JSONResponse(refusal.as_json(), status_code=404 if is_gone else 400)
        except ValueError:
            return JSONResponse(SlackRefusal("invalid_payload").as_json(), status_code=400)
        return PlainTextResponse("ok")

    def _open_socket(self) -> str:
        return f"{self.url.replace('http', 'ws', 1)}/link/?ticket={self.socket_mode.new_ticket()}"


class _SecurityHeaders:
    """Middleware that adds a Content-Security-Policy and related headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [
                    (b"content-security-policy", _POLICY),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                    (b"cache-control", b"no-store"),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers)
