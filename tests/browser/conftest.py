"""Chromium for the tests of the page. Without one the tests are skipped; in CI they fail."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from slack_sdk import WebClient

from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from tests.bot.slack_app_harness import COMMANDS

# Containers have no GPU and no sandbox. The page must work without background networking.
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WAIT_MS = 60_000
"""The longest wait for an element, on a busy machine."""
expect.set_options(timeout=WAIT_MS)
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Yield the installed Chromium, headless."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        reason = "no Chromium on PATH: " + ", ".join(_NAMES)
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Yield a function that opens pages. The test fails after a script error or a violation of the page's policy."""
    errors: list[str] = []
    contexts = []

    def open_one(url: str, *, width: int = 1280, height: int = 860) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, timezone_id="Europe/Berlin")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    """Yield a local Slack without an app."""
    with LocalSlack(SlackSettings(commands=COMMANDS, rate_limits=False)) as slack:
        yield slack


@pytest.fixture
def client(slack: LocalSlack) -> WebClient:
    """Return the app's client."""
    return WebClient(token=slack.settings.bot_token, base_url=slack.api_url)
