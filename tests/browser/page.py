"""Functions that post to the local Slack and locate messages on its page."""

from typing import Any

from playwright.sync_api import Locator, Page
from slack_sdk import WebClient

ML_OPS = "C0MLOPS7X21"


def post(client: WebClient, text: str = "x", **more: Any) -> str:
    """Post in #ml-ops, and return the message's timestamp."""
    return str(client.chat_postMessage(channel=ML_OPS, text=text, **more)["ts"])


def message_on(page: Page, ts: str) -> Locator:
    """Return the message with this timestamp on the page."""
    return page.locator(f"[data-ts='{ts}']").first
