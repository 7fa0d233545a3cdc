"""A real Chromium for the tests of the page. Where none is installed they are skipped; in CI that is a failure."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from slack_sdk import WebClient

from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from tests.bot.slack_app_harness import COMMANDS

# No GPU, no sandbox: as in a container. No background networking: the page must not need it.
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WAIT_MS = 60_000
"""How long a busy machine may take to draw what a test looks for."""
expect.set_options(timeout=WAIT_MS)
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The Chromium that is installed on this machine, headless."""
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
    """Open pages; the test fails where a script failed or the page asked for something that its policy forbids."""
    troubles: list[str] = []
    contexts = []

    def open_one(url: str, *, width: int = 1280, height: int = 860) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, timezone_id="Europe/Berlin")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda line: troubles.append(line.text) if line.type == "error" else None)
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    """One local Slack without an app: what is typed is refused, what is posted is shown."""
    with LocalSlack(SlackSettings(commands=COMMANDS, rate_limits=False)) as slack:
        yield slack


@pytest.fixture
def client(slack: LocalSlack) -> WebClient:
    """The app's side of that Slack."""
    return WebClient(token=slack.settings.bot_token, base_url=slack.api_url)
