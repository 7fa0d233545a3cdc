"""What the bot is told by its environment, beside `seatrial.toml`. Read once, at its start; secrets are never shown."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from redis import ConnectionPool

from workers.contract.settings import SettingsError, SettingsFile
from workers.contract.settings_reader import read_settings_file

SLACK_API_URL = "https://slack.com/api/"


@dataclass(frozen=True, kw_only=True, slots=True)
class BotSettings:
    """The bot's settings.

    * `bot_token` (SLACK_BOT_TOKEN): xoxb-…; needed.
    * `signing_secret` (SLACK_SIGNING_SECRET): needed without an app token.
    * `app_token` (SLACK_APP_TOKEN): xapp-…; where it is set, the bot is served by Socket Mode.
    * `api_url` (SLACK_API_URL): where Slack's Web API is; default Slack's own.
    * `redis_url` (REDIS_URL): default redis://127.0.0.1:6379/0.
    * `host` (HOST), `port` (PORT): where HTTP is served; default 0.0.0.0 and 3000, as Bolt's. Port 0 takes a free one.
    * `config` (SEATRIAL_CONFIG): the settings file; default seatrial.toml in the working folder.
    """

    bot_token: str = field(repr=False)
    signing_secret: str = field(repr=False)
    app_token: str = field(repr=False)
    api_url: str
    redis_url: str = field(repr=False)
    host: str
    port: int
    file: SettingsFile


def read_settings(environ: Mapping[str, str] = os.environ) -> BotSettings:
    """The settings in `environ` and in the file that it names. Raises SettingsError with every mistake."""
    mistakes: list[str] = []
    bot_token, app_token = environ.get("SLACK_BOT_TOKEN", ""), environ.get("SLACK_APP_TOKEN", "")
    signing_secret = environ.get("SLACK_SIGNING_SECRET", "")
    if not bot_token.startswith("xoxb-"):
        mistakes.append(
            "SLACK_BOT_TOKEN: wanted the app's bot token, xoxb-…; Slack shows it under OAuth & Permissions."
        )
    if app_token and not app_token.startswith("xapp-"):
        mistakes.append("SLACK_APP_TOKEN: wanted an app-level token, xapp-…, with the scope connections:write.")
    if not app_token and not signing_secret:
        mistakes.append(
            "SLACK_SIGNING_SECRET: it is missing; Slack shows it under Basic Information (or set SLACK_APP_TOKEN)."
        )
    port_text = environ.get("PORT") or "3000"
    if not (port_text.isdecimal() and int(port_text) < 65536):
        mistakes.append(f"PORT: wanted a number from 0 to 65535, found {port_text!r}.")
    redis_url = environ.get("REDIS_URL") or "redis://127.0.0.1:6379/0"
    try:
        ConnectionPool.from_url(redis_url)
    except ValueError:  # its words may have the password in them
        mistakes.append("REDIS_URL: wanted an address like redis://127.0.0.1:6379/0, or rediss:// for TLS.")
    file = SettingsFile()
    try:
        file = read_settings_file(Path(environ.get("SEATRIAL_CONFIG") or "seatrial.toml"))
    except SettingsError as error:
        mistakes.extend(error.mistakes)
    if mistakes:
        raise SettingsError(tuple(mistakes))
    return BotSettings(
        bot_token=bot_token,
        signing_secret=signing_secret,
        app_token=app_token,
        api_url=(environ.get("SLACK_API_URL") or SLACK_API_URL).rstrip("/") + "/",
        redis_url=redis_url,
        host=environ.get("HOST") or "0.0.0.0",
        port=int(port_text),
        file=file,
    )
