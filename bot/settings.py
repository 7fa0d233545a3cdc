"""Settings of the bot: its environment variables and the settings file."""

import os
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from workers.contract.process_settings import ProcessSettings
from workers.contract.validators import matching

_BOT_TOKEN = matching("xoxb-.+", "write the app's bot token, xoxb-…; Slack shows it under OAuth & Permissions")
_APP_TOKEN = matching("(xapp-.+)?", "write an app-level token, xapp-…, with the scope connections:write")


class BotSettings(ProcessSettings):
    """The variables of the bot, beside those of ProcessSettings."""

    bot_token: Annotated[str, _BOT_TOKEN] = Field("", alias="SLACK_BOT_TOKEN", validate_default=True, repr=False)
    app_token: Annotated[str, _APP_TOKEN] = Field("", alias="SLACK_APP_TOKEN", repr=False)
    """With it the bot uses Socket Mode. Default: HTTP."""
    signing_secret: str = Field("", alias="SLACK_SIGNING_SECRET", validate_default=True, repr=False)
    """Required without an app token."""
    api_url: Annotated[str, AfterValidator(lambda url: url.rstrip("/") + "/")] = Field(
        "https://slack.com/api/", alias="SLACK_API_URL"
    )
    host: str = "0.0.0.0"
    port: int = Field(3000, ge=0, le=65535)
    """Default: 3000, as in Bolt. 0 takes a free port."""

    @field_validator("signing_secret")
    @classmethod
    def _check_signing_secret(cls, secret: str, others: ValidationInfo) -> str:
        if not secret and others.data.get("app_token") == "":
            raise ValueError("it is missing; Slack shows it under Basic Information (or set SLACK_APP_TOKEN)")
        return secret


def read_settings(environ: Mapping[str, str] = os.environ) -> BotSettings:
    """Read `environ` and the settings file that it names. Raises SettingsError with every mistake."""
    return BotSettings.read(environ)
