"""A model from SQL to a tested endpoint, typed and clicked in the local Slack. Each test builds on those before it."""

import pytest

from tests.stack import WAIT_S, Stack, ask, post_ephemeral, until


def test_a_model_is_trained_and_its_card_offers_to_deploy_it(stack: Stack) -> None:
    """Every step is on the card, the version too, and a button for what comes next."""
    ada = stack.person("Ada")
    card = until(ada, ask(ada, "/model train iris"), "· done")
    for step in ("train", "evaluate", "gate", "export", "package", "smoke test", "publish"):
        assert step in card.plain
    assert "no image needed on this machine" in card.plain
    assert [button.label for button in card.buttons] == ["Deploy v1"]


def test_the_button_deploys_to_the_environment_that_needs_no_approval(stack: Stack) -> None:
    """One click, one card, one endpoint."""
    ada = stack.person("Ada")
    trained = ada.messages()[0]
    before = {one.ts for one in ada.messages()}
    assert ada.click_button(trained, "Deploy v1") == ""
    card = ada.wait_for(lambda: next((one for one in ada.messages() if one.ts not in before), None), WAIT_S)
    assert "v1 is live" in until(ada, card, "· done").plain.replace("*", "")


def test_a_deployment_waits_for_somebody_else_who_may_approve(stack: Stack) -> None:
    """The asker, a stranger to the group and a guest are refused; a lead approves, and the card names her."""
    ada, grace = stack.person("Ada"), stack.person("Grace")
    card = ask(ada, "/deploy v1 iris to production")
    assert "waits for approval" in card.plain
    for who, why in (("Ada", "somebody else"), ("Linus", "Only those whom its card names"), ("Mallory", "Guests")):
        person = stack.person(who)
        before = len(person.ephemerals())
        person.click_button(card, "Approve")
        refusal = person.wait_for(lambda p=person, b=before: next(iter(p.ephemerals()[b:]), None), WAIT_S)
        assert why in refusal.plain
    assert stack.queue.recent(1)[0].state == "awaiting_approval"
    grace.click_button(card, "Approve")
    done = until(ada, card, "· done")
    assert f"approved by <@{grace.id}>" in done.plain
    assert "Approve" not in [button.label for button in done.buttons]


def test_a_denied_deployment_does_not_run(stack: Stack) -> None:
    """The card says who denied it, and offers to ask again."""
    ada, grace = stack.person("Ada"), stack.person("Grace")
    card = ask(ada, "/deploy v1 iris to production")
    grace.click_button(card, "Deny")
    denied = until(ada, card, "denied by")
    assert [button.label for button in denied.buttons] == ["Retry"]


def test_a_failed_job_says_which_field_is_wrong_and_can_be_retried(stack: Stack) -> None:
    """The failure names the settings' field; Retry asks for the same again, once however often it is clicked."""
    ada = stack.person("Ada")
    card = until(ada, ask(ada, "/model train broken"), "· failed")
    assert "models.broken.label" in card.plain
    before = {one.ts for one in ada.messages()}
    ada.click_button(card, "Retry")
    again = ada.wait_for(lambda: next((one for one in ada.messages() if one.ts not in before), None), WAIT_S)
    assert "models.broken.label" in until(ada, again, "· failed").plain


def test_a_load_test_is_shown_while_it_runs_and_reports_with_a_chart(stack: Stack) -> None:
    """Rate and latency on the card, a verdict at the end, the chart and the numbers in the thread."""
    ada = stack.person("Ada")
    card = ask(ada, "/loadtest 40rps for 8s iris on staging")
    assert "rps" in until(ada, card, "Latency").plain
    done = until(ada, card, "· took")
    assert any(verdict in done.plain for verdict in ("· PASS", "· FAIL", "· INVALID"))
    assert "320, 0 failed" in done.plain
    names = ada.wait_for(
        lambda: found if len(found := [file.name for one in ada.thread(card) for file in one.files]) == 4 else None,
        WAIT_S,
    )
    assert names == ["chart.png", "report.html", "report.json", "locust.html"]
    chart = next(file for one in ada.thread(card) for file in one.files if file.name == "chart.png")
    assert ada.download(chart).startswith(b"\x89PNG")


def test_load_above_the_cap_waits_for_approval(stack: Stack) -> None:
    """production is capped at 50 rps; above it a lead must agree."""
    ada = stack.person("Ada")
    card = ask(ada, "/loadtest 60rps for 5s iris on production")
    assert "waits for approval" in card.plain
    ada.click_button(card, "Cancel")
    assert until(ada, card, "cancelled by").buttons[0].label == "Retry"


def test_a_running_load_test_is_stopped_by_its_button(stack: Stack) -> None:
    """The card says who stopped it."""
    ada, grace = stack.person("Ada"), stack.person("Grace")
    card = ask(ada, "/loadtest 20rps for 60s iris on staging")
    grace.click_button(until(ada, card, "Latency"), "Stop")
    assert f"cancelled by <@{grace.id}>" in until(ada, card, "cancelled by").plain


def test_the_second_job_on_a_target_says_for_whom_it_waits(stack: Stack) -> None:
    """And runs when the first has ended."""
    ada = stack.person("Ada")
    first = ask(ada, "/loadtest 20rps for 5s iris on staging")
    second = ask(ada, "/scale 1..2 iris on staging")
    waiting = until(ada, second, "Waits for job")
    number = first.plain.split("#")[1].split(" ")[0]
    assert f"#{number}" in waiting.plain
    assert "· done" in until(ada, second, "· took").plain


def test_a_mention_in_a_cards_thread_is_about_that_job(stack: Stack) -> None:
    """`@seatrial cancel` in the thread cancels the job of the card."""
    ada = stack.person("Ada")
    card = ask(ada, "/loadtest 20rps for 60s iris on staging")
    until(ada, card, "Latency")
    ada.type("@seatrial cancel", thread_ts=card.ts)
    assert "cancelled by" in until(ada, card, "cancelled by").plain


def test_a_schedule_fires_once_and_its_card_says_so(stack: Stack) -> None:
    """Run now asks for the job at once; the list shows the next times; removing is final."""
    ada = stack.person("Ada")
    added = ask(ada, '/schedule add "*/5 * * * *" Europe/Berlin loadtest 10rps for 1s iris on staging')
    assert "next:" in added.plain
    assert "s1" in post_ephemeral(ada, "/schedule list")
    card = ask(ada, "/schedule run s1")
    assert "10 rps" in until(ada, card, "· took").plain
    assert "is removed" in post_ephemeral(ada, "/schedule remove s1")
    assert "There is no schedule" in post_ephemeral(ada, "/schedule list")


def test_a_schedule_whose_jobs_would_wait_for_approval_says_so(stack: Stack) -> None:
    """Nobody finds out in the morning that the night's load test was over the cap."""
    ada = stack.person("Ada")
    added = ask(ada, '/schedule add "0 2 * * *" loadtest 60rps for 5s iris on production')
    assert "Each time it will wait up to 30 m for one approval" in added.plain
    assert "is removed" in post_ephemeral(ada, "/schedule remove s2")


def test_a_deployment_is_rolled_back_by_its_button(stack: Stack) -> None:
    """v2 takes v1's place, and one click brings v1 back."""
    ada = stack.person("Ada")
    until(ada, ask(ada, "/model train iris"), "v2")
    card = until(ada, ask(ada, "/deploy v2 iris to staging"), "· done")
    assert "in place of v1" in card.plain
    before = {one.ts for one in ada.messages()}
    ada.click_button(card, "Roll back to v1")
    back = ada.wait_for(lambda: next((one for one in ada.messages() if one.ts not in before), None), WAIT_S)
    assert "v1 is live" in until(ada, back, "· done").plain.replace("*", "")
    assert "v1" in post_ephemeral(ada, "/deploy status")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("/model list", "logistic_reg"),
        ("/model show iris", "v1"),
        ("/deploy status", "staging"),
        ("/deploy history staging", "deploy iris v1 to staging"),
        ("/loadtest last staging", "Load test iris"),
        ("/jobs", "train iris"),
        ("/jobs mine", "train iris"),
        ("/jobs show 1", "Train iris"),
        ("/seatrial status", "1 alive"),
        ("/seatrial help", "/deploy"),
        ("/deploy v1 iris to production dry-run", "Nothing was started"),
    ],
)
def test_a_question_is_answered_to_its_author_alone(stack: Stack, typed: str, shown: str) -> None:
    """Nothing is posted for all to see."""
    ada = stack.person("Ada")
    before = len(ada.messages())
    assert shown in post_ephemeral(ada, typed)
    assert len(ada.messages()) == before


BAD = [
    "/model trian iris",
    "/model train irsi",
    "/deploy v99 iris",
    "/deploy v1 iris to stagin",
    "/loadtest 0rps iris",
    "/loadtest -5rps iris",
    "/loadtest 1e99rps iris",
    "/loadtest 1000 rps rps",
    "/loadtest 1000furlongs iris",
    '/schedule add "61 * * * *" loadtest 10rps iris',
    "/model " + "x" * 10_000,
    "/model train 🚀",
    "/model train \u05d0\u05d9\u05e8\u05d5\u05e1",
    "/model train <!channel>",
    "/model train `rm -rf`",
    "/model train iris\n/model train iris",
    '/schedule add "unbalanced loadtest',
    "/scale 3..1 iris",
    "/jobs show 99999",
    "/jobs cancel nothing",
]


@pytest.mark.parametrize("typed", BAD, ids=range(len(BAD)))
def test_what_cannot_be_understood_is_told_to_its_author_alone(stack: Stack, typed: str) -> None:
    """An answer that helps; nothing is queued, nothing is posted."""
    ada = stack.person("Ada")
    jobs, posts = stack.queue.recent(1)[0].id, len(ada.messages())
    answer = post_ephemeral(ada, typed)
    assert len(answer) < 1000
    assert "<!channel>" not in answer
    assert stack.queue.recent(1)[0].id == jobs
    assert len(ada.messages()) == posts


def test_a_guest_is_refused_with_a_sentence(stack: Stack) -> None:
    """Nobody is refused silently."""
    assert "Guests may not" in post_ephemeral(stack.person("Mallory"), "/jobs")


def test_where_the_bot_is_not_invited_nothing_starts(stack: Stack) -> None:
    """The answer says how to invite it."""
    ada = stack.person("Ada")
    newest = stack.queue.recent(1)[0].id
    assert "/invite" in post_ephemeral(ada, "/loadtest 10rps for 1s iris on staging", channel="random")
    assert stack.queue.recent(1)[0].id == newest


def test_after_all_this_no_process_has_shown_a_traceback(stack: Stack) -> None:
    """The logs hold no stack trace, and no body of a request."""
    assert "Traceback" not in stack.logs()
