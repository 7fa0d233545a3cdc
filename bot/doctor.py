"""`seatrial doctor` for the bot: checks its tokens, their scopes, the signing secret, Redis and the settings file.

The worker has a doctor of its own, which needs no Slack token.
"""

from collections.abc import Iterator, Mapping
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
    models, environments, targets = (
        ", ".join(names) or "–" for names in (settings.file.models, settings.file.environments, settings.file.targets)
    )
    places = f"environments {environments}; targets {targets}"
    yield Finding(what=f"the bot's settings: models {models}; {places}", ok=True)
    yield from _bot_token(settings)
    # Slack has no method that checks the signing secret. A wrong one fails at the first request.
    yield _app_token(settings) if settings.app_token else Finding(what="SLACK_SIGNING_SECRET is set", ok=True)
    yield from diagnose_redis(settings.redis_url)


def _bot_token(settings: BotSettings) -> Iterator[Finding]:
    """Check the token, its scopes, and the user groups of approvers.

    auth.test needs no scope: https://docs.slack.dev/reference/methods/auth.test. The header X-OAuth-Scopes of every
    answer lists the token's scopes: https://docs.slack.dev/authentication/installing-with-oauth.
    """
    copy = "Copy the bot token, xoxb-…, from OAuth & Permissions of the app into SLACK_BOT_TOKEN."
    answer = _call(settings, "SLACK_BOT_TOKEN", settings.bot_token, "auth.test", if_refused=copy)
    if isinstance(answer, Finding):
        yield answer
        return
    yield Finding(what=f"SLACK_BOT_TOKEN belongs to {answer['user']} in {answer['team']}", ok=True)
    granted = {scope.strip() for scope in answer.headers.get("x-oauth-scopes", "").split(",")}
    if missing := [scope for scope in SCOPES if scope not in granted]:
        advice = (
            "Add them under OAuth & Permissions of the app, or use the manifest that `seatrial manifest` prints. "
            "Then reinstall the app."
        )
        yield Finding(what=f"scopes: {', '.join(missing)} missing", ok=False, advice=advice)
    else:
        yield Finding(what=f"scopes: {', '.join(SCOPES)}", ok=True)
    if "usergroups:read" not in missing:
        yield from _approvers(settings)


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
    copy = (
        "Turn on Socket Mode of the app and copy an app-level token, xapp-…, with the scope connections:write into "
        "SLACK_APP_TOKEN."
    )
    answer = _call(settings, "SLACK_APP_TOKEN", settings.app_token, "apps.connections.open", if_refused=copy)
    return answer if isinstance(answer, Finding) else Finding(what="SLACK_APP_TOKEN opens Socket Mode", ok=True)


def _call(settings: BotSettings, name: str, token: str, method: str, *, if_refused: str) -> SlackResponse | Finding:
    """Return Slack's answer with its headers, or the failed check of the token `name`."""
    advice = "Check the network, and SLACK_API_URL if it is set."
    try:
        return WebClient(token=token, base_url=settings.api_url, timeout=int(TIMEOUT_S)).api_call(method)
    except SlackApiError as error:
        status = error.response.status_code
        why = f"Slack answers {error.response.get('error') or f'HTTP {status}'}"
        advice = if_refused if status == 200 else advice
    except (SlackClientError, URLError, HTTPException, OSError):
        why = "Slack cannot be reached"
    return Finding(what=f"{name}: {why}", ok=False, advice=advice)
