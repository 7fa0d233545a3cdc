"""A model from SQL to a load test, typed and clicked in the local Slack. Each test builds on those before it."""

import pytest

from tests.stack import WAIT_S, Stack, ask, ephemeral, until


def test_trained_model_card_offers_to_deploy_the_version(stack: Stack) -> None:
    ada = stack.person("Ada")
    card = until(ada, ask(ada, "/model train iris"), "· done")
    for step in ("check", "train", "evaluate", "gate", "export", "package", "smoke test", "publish"):
        assert step in card.plain
    assert "no image needed on this machine" in card.plain
    assert [button.label for button in card.buttons] == ["Deploy v1"]


def test_deploy_button_uses_the_environment_without_approvals(stack: Stack) -> None:
    ada = stack.person("Ada")
    trained = ada.messages()[0]
    before = {one.ts for one in ada.messages()}
    assert ada.click_button(trained, "Deploy v1") == ""
    card = ada.wait_for(lambda: next((one for one in ada.messages() if one.ts not in before), None), WAIT_S)
    assert "v1 is live" in until(ada, card, "· done").plain.replace("*", "")


def test_deployment_waits_for_an_approver_other_than_the_asker(stack: Stack) -> None:
    """The asker, a member outside the group and a guest are refused. A lead approves, and the card names her."""
    ada, grace = stack.person("Ada"), stack.person("Grace")
    card = ask(ada, "/deploy v1 iris to production")
    assert "waits for approval" in card.plain
    for who, why in (("Ada", "another member"), ("Linus", "Only the approvers on the card"), ("Mallory", "Guests")):
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


def test_denied_deployment_does_not_run(stack: Stack) -> None:
    ada, grace = stack.person("Ada"), stack.person("Grace")
    card = ask(ada, "/deploy v1 iris to production")
    grace.click_button(card, "Deny")
    denied = until(ada, card, "denied by")
    assert [button.label for button in denied.buttons] == ["Retry"]


def test_failed_job_names_the_settings_field_and_can_be_retried(stack: Stack) -> None:
    """Repeated clicks on Retry submit one job."""
    ada = stack.person("Ada")
    card = until(ada, ask(ada, "/model train broken"), "· failed")
    assert "models.broken.label" in card.plain
    before = {one.ts for one in ada.messages()}
    ada.click_button(card, "Retry")
    again = ada.wait_for(lambda: next((one for one in ada.messages() if one.ts not in before), None), WAIT_S)
    assert "models.broken.label" in until(ada, again, "· failed").plain


def test_load_test_card_has_live_numbers_and_then_a_verdict_with_charts(stack: Stack) -> None:
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
    ada = stack.person("Ada")
    card = ask(ada, "/loadtest 60rps for 5s iris on production")
    assert "waits for approval" in card.plain
    ada.click_button(card, "Cancel")
    assert until(ada, card, "cancelled by").buttons[0].label == "Retry"


def test_stop_button_ends_a_running_load_test(stack: Stack) -> None:
    ada, grace = stack.person("Ada"), stack.person("Grace")
    card = ask(ada, "/loadtest 20rps for 60s iris on staging")
    grace.click_button(until(ada, card, "Latency"), "Stop")
    assert f"cancelled by <@{grace.id}>" in until(ada, card, "cancelled by").plain


def test_second_job_on_an_endpoint_names_the_job_it_waits_for(stack: Stack) -> None:
    ada = stack.person("Ada")
    first = until(ada, ask(ada, "/loadtest 20rps for 5s iris on staging"), "running")
    second = ask(ada, "/scale 1..2 iris on staging")
    waiting = until(ada, second, "Waits for job")
    number = first.plain.split("#")[1].split(" ")[0]
    assert f"#{number}" in waiting.plain
    assert "· done" in until(ada, second, "· took").plain


def test_mention_in_a_card_thread_refers_to_that_job(stack: Stack) -> None:
    ada = stack.person("Ada")
    card = ask(ada, "/loadtest 20rps for 60s iris on staging")
    until(ada, card, "Latency")
    ada.type("@seatrial cancel", thread_ts=card.ts)
    assert "cancelled by" in until(ada, card, "cancelled by").plain


def test_schedule_runs_now_lists_its_next_times_and_is_removed(stack: Stack) -> None:
    ada = stack.person("Ada")
    added = ask(ada, '/schedule add "*/5 * * * *" Europe/Berlin loadtest 10rps for 1s iris on staging')
    assert "next:" in added.plain
    assert "s1" in ephemeral(ada, "/schedule list")
    card = ask(ada, "/schedule run s1")
    assert "10 rps" in until(ada, card, "· took").plain
    assert "is removed" in ephemeral(ada, "/schedule remove s1")
    assert "There is no schedule" in ephemeral(ada, "/schedule list")


def test_schedule_above_the_cap_says_that_each_job_needs_approval(stack: Stack) -> None:
    ada = stack.person("Ada")
    added = ask(ada, '/schedule add "0 2 * * *" loadtest 60rps for 5s iris on production')
    assert "Each job will wait up to 30 m for one approval" in added.plain
    assert "is removed" in ephemeral(ada, "/schedule remove s2")


def test_roll_back_button_deploys_the_version_before(stack: Stack) -> None:
    ada = stack.person("Ada")
    until(ada, ask(ada, "/model train iris"), "v2")
    card = until(ada, ask(ada, "/deploy v2 iris to staging"), "· done")
    assert "in place of v1" in card.plain
    before = {one.ts for one in ada.messages()}
    ada.click_button(card, "Roll back to v1")
    back = ada.wait_for(lambda: next((one for one in ada.messages() if one.ts not in before), None), WAIT_S)
    assert "v1 is live" in until(ada, back, "· done").plain.replace("*", "")
    assert "v1" in ephemeral(ada, "/deploy status")


def test_check_trains_nothing_and_offers_the_training(stack: Stack) -> None:
    ada = stack.person("Ada")
    card = until(ada, ask(ada, "/model check iris"), "· done")
    assert "logistic_reg can predict species from 4 features: sepal_length number" in card.plain
    assert [button.label for button in card.buttons] == ["Train"]
    before = {one.ts for one in ada.messages()}
    ada.click_button(card, "Train")
    trained = ada.wait_for(lambda: next((one for one in ada.messages() if one.ts not in before), None), WAIT_S)
    assert [button.label for button in until(ada, trained, "· done").buttons] == ["Deploy v3"]


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
def test_question_is_answered_to_its_author_only(stack: Stack, typed: str, shown: str) -> None:
    ada = stack.person("Ada")
    before = len(ada.messages())
    assert shown in ephemeral(ada, typed)
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
def test_mistake_is_explained_to_its_author_only(stack: Stack, typed: str) -> None:
    """No job is queued and no message is posted."""
    ada = stack.person("Ada")
    jobs, posts = stack.queue.recent(1)[0].id, len(ada.messages())
    answer = ephemeral(ada, typed)
    assert len(answer) < 1000
    assert "<!channel>" not in answer
    assert stack.queue.recent(1)[0].id == jobs
    assert len(ada.messages()) == posts


def test_guest_is_refused_with_a_sentence(stack: Stack) -> None:
    assert "Guests may not" in ephemeral(stack.person("Mallory"), "/jobs")


def test_job_does_not_start_in_a_channel_without_the_bot(stack: Stack) -> None:
    """The answer says how to invite it."""
    ada = stack.person("Ada")
    newest = stack.queue.recent(1)[0].id
    assert "/invite" in ephemeral(ada, "/loadtest 10rps for 1s iris on staging", channel="random")
    assert stack.queue.recent(1)[0].id == newest


def test_logs_of_the_module_hold_no_traceback_and_no_request_body(stack: Stack) -> None:
    assert "Traceback" not in stack.logs()
