"""`seatrial doctor` for the bot: checks its tokens, their scopes, the signing secret, Redis and the settings file.

The worker has a doctor of its own, which needs no Slack token.
"""

from collections.abc import Iterable, Iterator, Mapping
from http.client import HTTPException
from urllib.error import URLError

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse

from bot.chat import TIMEOUT_S, Chat, ChatError
from bot.manifest import SCOPES
from bot.settings import BotSettings, read_settings
from workers.contract.findings import Finding
from workers.contract.formatting import show_count
from workers.contract.queue.diagnosis import diagnose as diagnose_redis
from workers.contract.settings import SettingsError


class _CallFailed(Exception):
    """A call that Slack refuses (`refused`) or that does not reach Slack."""

    def __init__(self, reason: str, *, refused: bool) -> None:
        super().__init__(reason)
        self.refused = refused


def doctor(environ: Mapping[str, str]) -> int:
    """Print a line for each check. Return 0 if all are well, else 1."""
    status = 0
    for finding in findings(environ):
        print(finding, flush=True)
        status |= not finding.ok
    return status


def findings(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check the bot's settings in `environ` and every service that they name. A check takes up to about 10 s."""
    try:
        settings = read_settings(environ)
    except SettingsError as error:
        yield from (Finding(what=mistake.rstrip("."), ok=False) for mistake in error.mistakes)
        return
    file = settings.file
    places = f"environments {_list(file.environments)}; targets {_list(file.targets)}"
    yield Finding(what=f"the bot's settings: models {_list(file.models)}; {places}", ok=True)
    yield from _bot_token(settings)
    yield _app_token(settings) if settings.app_token else _signing_secret()
    yield from diagnose_redis(settings.redis_url)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "–"


def _bot_token(settings: BotSettings) -> Iterator[Finding]:
    """Check the token, its scopes, and the user groups of approvers.

    auth.test needs no scope: https://docs.slack.dev/reference/methods/auth.test. The header X-OAuth-Scopes of every
    answer lists the token's scopes: https://docs.slack.dev/authentication/installing-with-oauth.
    """
    try:
        answer = _call(settings, settings.bot_token, "auth.test")
    except _CallFailed as error:
        copy = "Copy the bot token, xoxb-…, from OAuth & Permissions of the app into SLACK_BOT_TOKEN."
        yield Finding(what=f"SLACK_BOT_TOKEN: {error}", ok=False, advice=_advice(error, copy))
        return
    yield Finding(what=f"SLACK_BOT_TOKEN belongs to {answer['user']} in {answer['team']}", ok=True)
    granted = {scope.strip() for scope in answer.headers.get("x-oauth-scopes", "").split(",")}
    missing = [scope for scope in SCOPES if scope not in granted]
    yield _scopes(missing)
    if "usergroups:read" not in missing:
        yield from _approvers(settings)


def _scopes(missing: list[str]) -> Finding:
    if not missing:
        return Finding(what=f"scopes: {', '.join(SCOPES)}", ok=True)
    advice = (
        "Add them under OAuth & Permissions of the app, or use the manifest that `seatrial manifest` prints. "
        "Then reinstall the app."
    )
    return Finding(what=f"scopes: {', '.join(missing)} missing", ok=False, advice=advice)


def _approvers(settings: BotSettings) -> Iterator[Finding]:
    """Check that each user group of approvers has members: without them, approval is impossible."""
    chat = Chat(token=settings.bot_token, api_url=settings.api_url)
    for place in settings.file.places.values():
        for handle in place.approvals.from_ if place.approvals else ():
            if not handle.startswith("@"):
                continue
            try:
                members = len(chat.group(handle.removeprefix("@")))
            except ChatError as error:
                yield Finding(what=f"{handle}: {error}", ok=False, advice="Try again in a few minutes.")
                continue
            advice = f"Create the user group {handle} in Slack and add members, or change {place.key}.approvals.from."
            what = f"{handle}, approvers for {place.name}: {show_count(members, 'member')}"
            yield Finding(what=what, ok=members > 0, advice=advice)


def _app_token(settings: BotSettings) -> Finding:
    """Request an address for Socket Mode: https://docs.slack.dev/reference/methods/apps.connections.open."""
    try:
        _call(settings, settings.app_token, "apps.connections.open")
    except _CallFailed as error:
        copy = (
            "Turn on Socket Mode of the app and copy an app-level token, xapp-…, with the scope connections:write into"
            " SLACK_APP_TOKEN."
        )
        return Finding(what=f"SLACK_APP_TOKEN: {error}", ok=False, advice=_advice(error, copy))
    return Finding(what="SLACK_APP_TOKEN opens Socket Mode", ok=True)


def _signing_secret() -> Finding:
    # Slack has no method that checks the secret. A wrong one fails at the first request.
    return Finding(what="SLACK_SIGNING_SECRET is set", ok=True)


def _advice(error: _CallFailed, if_refused: str) -> str:
    return if_refused if error.refused else "Check the network, and SLACK_API_URL if it is set."


def _call(settings: BotSettings, token: str, method: str) -> SlackResponse:
    """Return Slack's answer with its headers. Raises _CallFailed."""
    try:
        return WebClient(token=token, base_url=settings.api_url, timeout=int(TIMEOUT_S)).api_call(method)
    except SlackApiError as error:
        code = str(error.response.get("error", "")) or f"HTTP {error.response.status_code}"
        raise _CallFailed(f"Slack answers {code}", refused=error.response.status_code == 200) from error
    except (SlackClientError, URLError, HTTPException, OSError) as error:
        raise _CallFailed("Slack cannot be reached", refused=False) from error
