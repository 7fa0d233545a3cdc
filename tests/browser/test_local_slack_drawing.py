"""Drawing of messages, blocks and charts on the local Slack's page, in a browser."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from slack_sdk import WebClient

from bot.local_slack.members import ADA, GRACE
from bot.local_slack.server_thread import LocalSlack
from tests.browser.page import message_on, post

pytestmark = pytest.mark.chromium
OpenPage = Callable[..., Page]

MRKDWN = {
    "bold": ("*bold* 2*3*4", "<b>bold</b> 2*3*4"),
    "nested": ("_it *b* ~s~_", "<i>it <b>b</b> <s>s</s></i>"),
    "code": ("`a *b*`", "<code>a *b*</code>"),
    "entities": ("&lt;b&gt; &amp;amp;", "&lt;b&gt; &amp;amp;"),
    "no html": ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
    "no javascript": ("<javascript:alert(1)|click>", "click (javascript:alert(1))"),
    "link": (
        "<https://e.org/?a=1&amp;b=2|docs>",
        '<a href="https://e.org/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer">docs</a>',
    ),
    "user": (f"<@{GRACE.id}>", '<span class="mention ">@Grace Hopper</span>'),
    "oneself": (f"<@{ADA.id}>", '<span class="mention me">@Ada Lovelace</span>'),
    "group": ("<!subteam^S0MLLEADS01>", '<span class="mention ">@ml-leads</span>'),
    "broadcast": ("<!channel>", '<span class="mention me">@channel</span>'),
    "channel": ("<#C0RANDOM4K8>", '<a class="mention" href="#/archives/C0RANDOM4K8">#random</a>'),
    "unknown emoji": (":no_such_thing:", ":no_such_thing:"),
}


def test_mrkdwn_becomes_html_elements(slack: LocalSlack, client: WebClient, open_page: OpenPage) -> None:
    """Text that looks like HTML stays text."""
    stamps = {name: post(client, text) for name, (text, _) in MRKDWN.items()}
    page = open_page(slack.url)
    message_on(page, stamps["unknown emoji"]).wait_for()
    drawn = {name: message_on(page, ts).locator(".line").inner_html() for name, ts in stamps.items()}
    assert drawn == {name: html for name, (_, html) in MRKDWN.items()}


def test_lines_quotes_and_preformatted_text_are_drawn(
    slack: LocalSlack, client: WebClient, open_page: OpenPage
) -> None:
    ts = post(client, "one\n&gt; quoted *b*\n&gt; more\n• point\n```a  < b\n  c```\nlast :rocket:")
    message = message_on(open_page(slack.url), ts)
    expect(message.locator("blockquote .line")).to_have_text(["quoted b", "more"])
    assert message.locator("pre").inner_text() == "a  < b\n  c"
    expect(message.locator(".bullet")).to_have_text("• point")
    expect(message.locator(".emoji")).to_have_attribute("title", ":rocket:")


DATES = {
    "{date_num} {time_secs}": r"2023-11-14 11:13:20\sPM",
    "{date}": "November 14th, 2023",
    "{date_short_pretty} at {time}": r"Nov 14, 2023 at 11:13\sPM",
    "{date_long}": "Tuesday, November 14th, 2023",
    "{nonsense}": r"\{nonsense\}",
}


def test_dates_are_drawn_in_the_time_zone_of_the_reader(
    slack: LocalSlack, client: WebClient, open_page: OpenPage
) -> None:
    """1,700,000,000 is 23:13 in Berlin. An invalid date shows its fallback."""
    stamps = {pattern: post(client, f"<!date^1700000000^{pattern}|later>") for pattern in DATES}
    broken = post(client, "<!date^soon^{time}|later>")
    page = open_page(slack.url)
    for pattern, text in DATES.items():
        expect(message_on(page, stamps[pattern]).locator(".line")).to_have_text(re.compile(f"^{text}$"))
    expect(message_on(page, broken).locator(".line")).to_have_text("later")


def test_every_type_of_block_is_drawn(slack: LocalSlack, client: WebClient, open_page: OpenPage) -> None:

    def plain(text: str) -> dict[str, str]:
        return {"type": "plain_text", "text": text}

    option = {"text": plain("one option"), "value": "1"}
    rich = {"type": "rich_text_section", "elements": [{"type": "text", "text": "rich", "style": {"bold": True}}]}
    blocks = [
        {"type": "header", "text": plain("A header")},
        {"type": "divider"},
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": "*text*"},
            "fields": [plain("field 1"), plain("field 2")],
        },
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "context"}]},
        {
            "type": "actions",
            "elements": [
                {"type": "button", "text": plain("Approve"), "style": "primary"},
                {"type": "static_select", "options": [option], "placeholder": plain("Pick")},
                {"type": "overflow", "options": [option]},
                {"type": "checkboxes", "options": [option]},
            ],
        },
        {"type": "image", "image_url": "https://far.example/x.png", "alt_text": "a far picture"},
        {"type": "rich_text", "elements": [rich, {"type": "rich_text_list", "style": "bullet", "elements": [rich]}]},
        {"type": "table", "rows": [[{"type": "raw_text", "text": "p95"}], [{"type": "raw_text", "text": "12 ms"}]]},
    ]
    message = message_on(open_page(slack.url), post(client, blocks=blocks))
    expect(message.locator("h3")).to_have_text("A header")
    expect(message.locator(".field")).to_have_text(["field 1", "field 2"])
    expect(message.locator(".context")).to_have_text("context")
    expect(message.get_by_role("button", name="Approve")).to_have_class("button primary")
    expect(message.locator("select option")).to_have_text(["Pick", "one option"])
    expect(message.get_by_role("checkbox")).to_have_count(1)
    expect(message.get_by_role("link", name="a far picture")).to_have_count(1)
    expect(message.locator("li b")).to_have_text("rich")
    expect(message.locator("th")).to_have_text("p95")
    expect(message.locator(".unknown-block")).to_have_count(0)


def chart(kind: str, *series: dict[str, float]) -> dict[str, object]:
    """Return a chart block with one series per argument."""
    all_series = [
        {"name": f"series {index}", "data": [{"label": label, "value": value} for label, value in one.items()]}
        for index, one in enumerate(series)
    ]
    axes = {"categories": list(series[0]), "y_label": "ms"}
    return {
        "type": "data_visualization",
        "title": f"A {kind} chart",
        "chart": {"type": kind, "series": all_series, "axis_config": axes},
    }


def test_chart_has_axes_legend_and_tooltips(slack: LocalSlack, client: WebClient, open_page: OpenPage) -> None:
    """The ticks are round numbers, and each value has a tooltip."""
    night = {"Mon": 1200.0, "Tue": 900.0, "Wed": 40.0}
    page = open_page(slack.url)
    for kind, shape in (("line", "polyline"), ("area", "polygon"), ("bar", "rect")):
        message = message_on(page, post(client, blocks=[chart(kind, night, night)]))
        expect(message.locator("figcaption")).to_have_text(f"A {kind} chart")
        expect(message.get_by_role("img", name=f"A {kind} chart")).to_have_count(1)
        expect(message.locator(".legend li")).to_have_text(["series 0", "series 1"])
        expect(message.locator("text.tick")).to_have_text(["0", "500", "1,000", "1,500", "Mon", "Tue", "Wed"])
        expect(message.locator("svg title").first).to_have_text("series 0, Mon: 1,200")
        expect(message.locator(f"svg {shape}")).to_have_count(6 if kind == "bar" else 2)
        expect(message.locator("svg title")).to_have_count(6)


def test_pie_chart_shows_shares(slack: LocalSlack, client: WebClient, open_page: OpenPage) -> None:
    """A single segment is a full circle."""
    slices = [{"label": "timeout", "value": 3}, {"label": "503", "value": 1}]
    blocks = [
        {"type": "data_visualization", "title": "Failures", "chart": {"type": "pie", "segments": segments}}
        for segments in (slices, slices[:1])
    ]
    message = message_on(open_page(slack.url), post(client, blocks=blocks))
    expect(message.locator("svg title")).to_have_text(["timeout: 3 (75 %)", "503: 1 (25 %)", "timeout: 3 (100 %)"])
    expect(message.locator(".chart svg").last.locator("circle")).to_have_count(1)


def test_chart_fits_a_phone(slack: LocalSlack, client: WebClient, open_page: OpenPage) -> None:
    """It is as narrow as its message, and its labels stay readable."""
    ts = post(client, blocks=[chart("line", {f"{minute} m 30 s": 100.0 * minute for minute in range(20)})])
    page = open_page(slack.url, width=360, height=700)
    figure = message_on(page, ts).locator(".chart")
    expect(figure).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    heights = figure.locator("text.tick").evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert min(heights) > 9


def test_message_text_is_not_covered_by_buttons_on_a_phone(
    slack: LocalSlack, client: WebClient, open_page: OpenPage
) -> None:
    """This includes a compact message, which has no line with a name."""
    page = open_page(slack.url, width=390, height=844)
    for _ in range(2):
        message = message_on(
            page, post(client, blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": "word " * 40}}])
        )
    expect(message).to_have_class(re.compile("compact"))
    words, tools = message.locator(".section-text").bounding_box(), message.locator(".row-tools").bounding_box()
    assert words
    assert tools
    assert words["x"] + words["width"] <= tools["x"]
