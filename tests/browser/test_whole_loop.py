"""The whole loop in a browser: train, deploy, approve and load test, with a chart in the thread."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from bot.commands import COMMANDS
from tests.stack import Stack

pytestmark = pytest.mark.chromium

DOCS = Path(__file__).parent.parent.parent / "docs"
JOB_MS = 90_000


def run(page: Page, text: str) -> Locator:
    """Type a command into the channel, and return its card."""
    # If Slack delays a card, its author gets an ephemeral message first.
    cards = page.locator("#list article").filter(has_not_text="Only visible to you")
    before = cards.count()
    field = page.locator("#composer textarea")
    field.fill(text)
    field.press("Enter")
    expect(cards).to_have_count(before + 1, timeout=JOB_MS)
    return cards.nth(before)


def test_two_members_take_a_model_to_production_in_the_browser(
    stack: Stack, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    """Ada runs the commands, Grace approves in a second window, and the chart is in the thread of the load test."""
    ada = open_page(stack.slack.url + "?as=ada", height=1440)
    expect(run(ada, "/model train iris")).to_contain_text("v1 is in the registry", timeout=JOB_MS)
    card = run(ada, "/deploy v1 iris to production")
    expect(card).to_contain_text("waits for approval")

    grace = open_page(stack.slack.url + "?as=grace")
    grace.get_by_role("button", name="Approve", exact=True).click()
    expect(card).to_contain_text("v1 is live", timeout=JOB_MS)
    expect(card).to_contain_text("approved by @Grace")
    expect(card.get_by_role("button", name="Approve")).to_have_count(0)

    expect(run(ada, "/deploy v1 iris to staging")).to_contain_text("v1 is live", timeout=JOB_MS)
    load = run(ada, "/loadtest 200rps for 12s iris on staging")
    expect(load).to_contain_text("CPU", timeout=JOB_MS)
    expect(load).to_contain_text(re.compile("PASS|FAIL|INVALID"), timeout=JOB_MS)
    expect(load).to_contain_text(re.compile("1 → [23]"))
    load.get_by_role("button", name=re.compile("repl")).click(timeout=JOB_MS)
    chart = ada.locator("#thread-list img:not(.avatar)").first
    expect(chart).to_be_visible(timeout=JOB_MS)
    expect(chart).to_have_js_property("complete", True)
    expect(chart).to_have_js_property("naturalWidth", 1600)
    picture = ada.screenshot(path=tmp_path / "local-slack.png")
    assert picture.startswith(b"\x89PNG")
    if os.environ.get("UPDATE_GOLDEN"):
        (DOCS / "local-slack.png").write_bytes(picture)


def test_every_offered_command_is_answered(stack: Stack, open_page: Callable[..., Page]) -> None:
    """This includes commands without arguments."""
    page = open_page(stack.slack.url + "?as=ada")
    page.locator("#composer textarea").press_sequentially("/")
    offered = page.locator(".suggestion b").all_text_contents()
    assert set(offered) - {"/invite"} == set(COMMANDS)
    ada = stack.person("Ada")
    assert {command: ada.type(command) for command in COMMANDS} == dict.fromkeys(COMMANDS, "")
