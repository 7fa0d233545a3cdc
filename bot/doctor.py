"""`seatrial doctor`, the bot's side: its tokens, their scopes, the signing secret, Redis, the settings file."""

from collections.abc import Iterable, Iterator, Mapping
from http.client import HTTPException
from urllib.error import URLError

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse

from bot.chat import TIMEOUT_S, Chat, ChatError
from bot.manifest import SCOPES
from bot.settings import BotSettings, read_settings
from workers.contract.findings import Finding, tell
from workers.contract.formatting import show_count
from workers.contract.queue.diagnosis import diagnose as diagnose_redis
from workers.contract.settings import SettingsError


class _NoAnswer(Exception):
    """Slack refuses, in its own word for why, or cannot be reached; `refused` tells which."""

    def __init__(self, words: str, *, refused: bool) -> None:
        super().__init__(words)
        self.refused = refused


def doctor(environ: Mapping[str, str]) -> int:
    """Print what is found, a line each; 0 when all is well, else 1."""
    return tell(findings(environ))


def findings(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check the bot's settings in `environ` and everything they name; no check takes more than some 10 s."""
    try:
        settings = read_settings(environ)
    except SettingsError as error:
        yield from (Finding(what=mistake.rstrip("."), ok=False) for mistake in error.mistakes)
        return
    file = settings.file
    can_be_loaded = f"environments {_listed(file.environments)}; targets {_listed(file.targets)}"
    yield Finding(what=f"the bot's settings: models {_listed(file.models)}; {can_be_loaded}", ok=True)
    yield from _bot_token(settings)
    yield _app_token(settings) if settings.app_token else _signing_secret()
    yield from diagnose_redis(settings.redis_url)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _bot_token(settings: BotSettings) -> Iterator[Finding]:
    """The token, its scopes, and the user groups that may approve.

    auth.test needs no scope itself: https://docs.slack.dev/reference/methods/auth.test; every answer's header
    X-OAuth-Scopes has the token's: https://docs.slack.dev/authentication/installing-with-oauth.
    """
    try:
        answer = _call(settings, settings.bot_token, "auth.test")
    except _NoAnswer as error:
        copy = "Copy the bot token, xoxb-…, from OAuth & Permissions of the app into SLACK_BOT_TOKEN."
        yield Finding(what=f"SLACK_BOT_TOKEN: {error}", ok=False, advice=_advice(error, copy))
        return
    yield Finding(what=f"SLACK_BOT_TOKEN is {answer['user']}'s in {answer['team']}", ok=True)
    have = {scope.strip() for scope in answer.headers.get("x-oauth-scopes", "").split(",")}
    missing = [scope for scope in SCOPES if scope not in have]
    yield _scopes(missing)
    if "usergroups:read" not in missing:
        yield from _approvers(settings)


def _scopes(missing: list[str]) -> Finding:
    if not missing:
        return Finding(what=f"scopes: {', '.join(SCOPES)}", ok=True)
    advice = "Add them under OAuth & Permissions of the app, or take the manifest of `seatrial manifest`; reinstall it."
    return Finding(what=f"scopes: {', '.join(missing)} missing", ok=False, advice=advice)


def _approvers(settings: BotSettings) -> Iterator[Finding]:
    """Each user group that a place's approvals name: one without members lets nobody approve."""
    chat = Chat(token=settings.bot_token, api_url=settings.api_url)
    for place in settings.file.places.values():
        for handle in place.approvals.from_ if place.approvals else ():
            if not handle.startswith("@"):
                continue
            try:
                members = len(chat.group(handle.removeprefix("@")))
            except ChatError as error:
                yield Finding(what=f"{handle}: {error}", ok=False, advice="Try again in a while.")
                continue
            advice = f"Make the user group {handle} in Slack, or change {place.key}.approvals.from."
            what = f"{handle}, who approve for {place.name}: {show_count(members, 'member')}"
            yield Finding(what=what, ok=members > 0, advice=advice)


def _app_token(settings: BotSettings) -> Finding:
    """Opens no connection, only asks for the address of one: https://docs.slack.dev/reference/methods/apps.connections.open"""
    try:
        _call(settings, settings.app_token, "apps.connections.open")
    except _NoAnswer as error:
        copy = (
            "Turn on Socket Mode of the app and put an app-level token, xapp-…, with the scope connections:write into"
            " SLACK_APP_TOKEN."
        )
        return Finding(what=f"SLACK_APP_TOKEN: {error}", ok=False, advice=_advice(error, copy))
    return Finding(what="SLACK_APP_TOKEN opens Socket Mode", ok=True)


def _signing_secret() -> Finding:
    # Whether it is the right one shows at the first request: Slack tells it to nobody.
    return Finding(what="SLACK_SIGNING_SECRET is set", ok=True)


def _advice(error: _NoAnswer, otherwise: str) -> str:
    return otherwise if error.refused else "Check the way to slack.com, and SLACK_API_URL if it is set."


def _call(settings: BotSettings, token: str, method: str) -> SlackResponse:
    """Slack's whole answer with its headers. Raises _NoAnswer."""
    try:
        return WebClient(token=token, base_url=settings.api_url, timeout=int(TIMEOUT_S)).api_call(method)
    except SlackApiError as error:
        said = str(error.response.get("error", "")) or f"HTTP {error.response.status_code}"
        raise _NoAnswer(f"Slack says {said}", refused=error.response.status_code == 200) from error
    except (SlackClientError, URLError, HTTPException, OSError) as error:
        raise _NoAnswer("Slack cannot be reached", refused=False) from error
