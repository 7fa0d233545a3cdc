"""Commands that are understood: every form, and its variants."""

from dataclasses import replace
from typing import Any

import pytest

from bot.commands import COMMANDS, read, read_command, read_mention
from bot.commands.command import Request, SimpleRequest, Submit, UsageError
from bot.commands.deploy import SubmitDeploy
from bot.commands.help import ShowHelp
from bot.commands.loadtest.find_capacity import SubmitSearch
from bot.commands.loadtest.load_test import SubmitLoadTest
from bot.commands.model import SubmitCheck, SubmitTraining
from bot.commands.scale import SubmitScale
from bot.commands.schedule.add import AddSchedule
from tests.bot.lookup import LookupValues, settings
from workers.contract.jobs import CheckModel, Deploy, FindCapacity, LoadTest, Scale, TrainModel
from workers.contract.load import Abort, Shape, ShapeKind, Slo, Spacing
from workers.contract.replicas import Replicas
from workers.contract.settings import Approvals, Environment

SLO = Slo(latency_ms=((95.0, 200.0),), errors_percent=1.0)
SHAPED = LoadTest(
    model="iris",
    environment="staging",
    shape=Shape(kind="ramp", lowest_rps=200.0, highest_rps=2000.0),
    duration_s=60.0,
    slo=SLO,
    abort=Abort(errors_percent=50.0, for_s=10.0),
)
SEARCH = FindCapacity(
    model="iris", environment="staging", lowest_rps=100.0, highest_rps=10_000.0, probe_s=20.0, slo=SLO
)
SETTINGS = settings(targets={"docs": "100rps", "shop": "1krps"})
LOOKUP = LookupValues(settings=SETTINGS)


def deploy(version: int = 1, environment: str = "staging", replicas: Replicas | None = None) -> SubmitDeploy:
    job = Deploy(model="iris", version=version, environment=environment, digest=f"sha256:{version}", replicas=replicas)
    return SubmitDeploy(job=job)


def load(rate_rps: float = 1000.0, duration_s: float = 60.0, ramp_s: float = 0.0, slo: Slo = SLO) -> SubmitLoadTest:
    shape = Shape(lowest_rps=rate_rps, highest_rps=rate_rps)
    return SubmitLoadTest(job=replace(SHAPED, shape=shape, duration_s=duration_s, ramp_s=ramp_s, slo=slo))


def shaped(
    kind: ShapeKind, *, steps: int = 5, duration_s: float = 60.0, spacing: Spacing = "constant"
) -> SubmitLoadTest:
    shape = Shape(kind=kind, lowest_rps=200.0, highest_rps=2000.0, step_count=steps)
    return SubmitLoadTest(job=replace(SHAPED, shape=shape, duration_s=duration_s, spacing=spacing))


def ending(abort: Abort | None, *, duration_s: float = 60.0) -> SubmitLoadTest:
    shape = Shape(lowest_rps=1000.0, highest_rps=1000.0)
    return SubmitLoadTest(job=replace(SHAPED, shape=shape, duration_s=duration_s, abort=abort))


def simple(command: str) -> SimpleRequest:
    return SimpleRequest(command, lambda desk: None)


def scale(minimum: int, maximum: int) -> SubmitScale:
    return SubmitScale(
        job=Scale(model="iris", environment="staging", replicas=Replicas(minimum=minimum, maximum=maximum))
    )


LOADTEST = (
    "/loadtest RATE|LOW..HIGH [steps [N]|spike] [poisson] [for TIME] [MODEL] [on ENV|TARGET] [ramp TIME] "
    "[slo p95<200ms,errors<1%] [abort errors>20% for 10s|never]"
)
FIND = (
    "/loadtest find [slo p95<200ms,errors<1%] [from RATE] [to RATE] [for TIME] [hold replicas] [MODEL] [on ENV|TARGET]"
)
FIVE_S = Abort(errors_percent=20.0, for_s=5.0)
ON_DOCS: Any = {"model": "", "environment": "docs", "owner": "@search"}

LOAD_ON_DOCS = SubmitLoadTest(job=replace(SHAPED, **ON_DOCS, shape=Shape(lowest_rps=50, highest_rps=50)))
TRAIN = SubmitTraining(job=TrainModel(model="iris"))

EXAMPLES: dict[str, list[tuple[str, Request]]] = {
    "/model train MODEL": [("/model train iris", TRAIN)],
    "/model check MODEL": [("/model check iris", SubmitCheck(job=CheckModel(model="iris")))],
    "/model list": [("/model list", simple("/model list"))],
    "/model show MODEL [vN]": [
        ("/model show iris", simple("/model show iris")),
        ("/model show iris v2", simple("/model show iris v2")),
    ],
    "/model compare vA vB [MODEL]": [
        ("/model compare v2 v1 iris", simple("/model compare v2 v1 iris")),
        ("/model compare v1 v2", simple("/model compare v1 v2 iris")),
    ],
    "/deploy vN [MODEL] [to ENV] [replicas MIN..MAX]": [
        ("/deploy v1", deploy()),
        ("/deploy v2 iris to production", deploy(2, "production")),
        ("/deploy v1 to staging replicas 2..4", deploy(replicas=Replicas(minimum=2, maximum=4))),
    ],
    "/deploy status": [("/deploy status", simple("/deploy status"))],
    "/deploy history [ENV]": [
        ("/deploy history", simple("/deploy history")),
        ("/deploy history production", simple("/deploy history production")),
    ],
    "/deploy rollback [to vN] [MODEL] [ENV]": [
        ("/deploy rollback", deploy(1)),
        ("/deploy rollback to v2 iris production", deploy(2, "production")),
    ],
    "/scale N [MODEL] [on ENV]": [("/scale 3 iris on staging", scale(3, 3))],
    "/scale MIN..MAX [MODEL] [on ENV]": [("/scale 1..4", scale(1, 4))],
    LOADTEST: [
        ("/loadtest 1000rps", load()),
        (
            "/loadtest 60/s for 30m iris on staging ramp 30s slo p99.9<1s",
            load(60.0, 1800.0, 30.0, Slo(latency_ms=((99.9, 1000.0),))),
        ),
        ("/loadtest 200..2000rps for 5m", shaped("ramp", duration_s=300.0)),
        ("/loadtest 200..2000rps steps", shaped("steps")),
        ("/loadtest 200..2000rps steps 10 poisson", shaped("steps", steps=10, spacing="poisson")),
        ("/loadtest 200..2000rps spike", shaped("spike")),
        (
            "/loadtest 50rps on docs",
            SubmitLoadTest(job=replace(SHAPED, **ON_DOCS, shape=Shape(lowest_rps=50, highest_rps=50))),
        ),
        (
            "/loadtest 1000rps abort errors>20% for 5s for 5m",
            ending(Abort(errors_percent=20.0, for_s=5.0), duration_s=300.0),
        ),
        ("/loadtest 1000rps abort never", ending(None)),
    ],
    FIND: [
        ("/loadtest find", SubmitSearch(job=SEARCH)),
        (
            "/loadtest find slo p95<100ms from 200rps to 2krps for 30s hold replicas iris on staging",
            SubmitSearch(
                job=replace(
                    SEARCH,
                    lowest_rps=200.0,
                    highest_rps=2000.0,
                    probe_s=30.0,
                    hold_replicas=True,
                    slo=Slo(latency_ms=((95.0, 100.0),)),
                )
            ),
        ),
        ("/loadtest find on docs", SubmitSearch(job=replace(SEARCH, **ON_DOCS, lowest_rps=10.0, highest_rps=100.0))),
    ],
    "/loadtest compare JOB JOB": [("/loadtest compare 41 #42", simple("/loadtest compare 41 42"))],
    "/loadtest stop [JOB]": [
        ("/loadtest stop", simple("/loadtest stop")),
        ("/loadtest stop #42", simple("/loadtest stop 42")),
    ],
    "/loadtest last [ENV|TARGET]": [
        ("/loadtest last", simple("/loadtest last")),
        ("/loadtest last staging", simple("/loadtest last staging")),
        ("/loadtest last docs", simple("/loadtest last docs")),
    ],
    '/schedule add "CRON" [TIMEZONE] COMMAND…': [
        (
            '/schedule add "0 2 * * 1-5" loadtest 1000rps 5m',
            AddSchedule(cron="0 2 * * 1-5", time_zone="UTC", submit=load(duration_s=300.0)),
        ),
        (
            '/schedule add "0 2 * * mon" Europe/Berlin /model train iris',
            AddSchedule(cron="0 2 * * mon", time_zone="Europe/Berlin", submit=TRAIN),
        ),
        ('/schedule add "0 2 * * *", *model train iris*', AddSchedule(cron="0 2 * * *", time_zone="UTC", submit=TRAIN)),
    ],
    "/schedule list": [("/schedule list", simple("/schedule list"))],
    "/schedule pause ID": [("/schedule pause s1", simple("/schedule pause s1"))],
    "/schedule resume ID": [("/schedule resume S2", simple("/schedule resume s2"))],
    "/schedule run ID": [("/schedule run 3", simple("/schedule run s3"))],
    "/schedule remove ID": [("/schedule remove s4", simple("/schedule remove s4"))],
    "/jobs [running|mine]": [
        ("/jobs", simple("/jobs")),
        ("/jobs running", simple("/jobs running")),
        ("/jobs mine", simple("/jobs mine")),
    ],
    "/jobs show JOB": [("/jobs show 42", simple("/jobs show 42"))],
    "/jobs cancel JOB": [("/jobs cancel #42", simple("/jobs cancel 42"))],
    "/jobs retry JOB": [("/jobs retry 042", simple("/jobs retry 42"))],
    "/seatrial help": [("/seatrial help", ShowHelp())],
    "/seatrial status": [("/seatrial status", simple("/seatrial status"))],
}
COMMAND_EXAMPLES = [example for examples in EXAMPLES.values() for example in examples]


def test_every_form_of_the_manual_has_an_example() -> None:
    assert {form.usage for command in COMMANDS.values() for form in command.forms} == set(EXAMPLES)


@pytest.mark.parametrize(("command", "expected"), COMMAND_EXAMPLES, ids=[command for command, _ in COMMAND_EXAMPLES])
def test_example_is_parsed_to_its_request(command: str, expected: Request) -> None:
    assert read_command(command, LOOKUP) == expected


@pytest.mark.parametrize("models", [("iris",), ("iris", "wine")])
@pytest.mark.parametrize(("command", "expected"), COMMAND_EXAMPLES, ids=[command for command, _ in COMMAND_EXAMPLES])
def test_spelled_request_is_parsed_to_itself(command: str, expected: Request, models: tuple[str, ...]) -> None:
    lookup = replace(LOOKUP, settings=settings(models=models, targets={"docs": "100rps"}))
    assert read_command(expected.spelled(lookup.settings), lookup) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/deploy IRIS V1 ON Staging", deploy()),
        ("/deploy to staging v1", deploy()),
        ("/deploy v1 with 2 replicas please", deploy(replicas=Replicas(minimum=2, maximum=2))),
        ("/deploy v1 1 .. 4", deploy(replicas=Replicas(minimum=1, maximum=4))),
        ("/deploy iris to v1 on “staging”", deploy()),
        ("/deploy\u00a0v1\nto\tstaging", deploy()),
        ("/deploy `v1` \u200bto staging", deploy()),
        ('/deploy v1 to "staging', deploy()),
        ("/scale iris to 1…4", scale(1, 4)),
        ("/scale on staging 3 replicas", scale(3, 3)),
        ("/loadtest 1k rps 5 m", load(1000.0, 300.0)),
        ("/loadtest 1000 rps, 30 m 30 s", load(1000.0, 1830.0)),
        ("/loadtest for 5m at 1000rps on iris", load(1000.0, 300.0)),
        ("/loadtest 90 /min 5m", load(1.5, 300.0)),
        ("/loadtest 1000rps slo p95 &lt; 200 ms, errors &lt; 1 %", load()),
        ("/loadtest 200 rps .. 2k rps in 5 steps", shaped("steps")),
        ("/loadtest steps 200…2000 rps", shaped("steps")),
        ("/loadtest 4 steps at 200rps..2krps 5 m", shaped("steps", steps=4, duration_s=300.0)),
        ("/loadtest from 200..2000rps Poisson arrivals", shaped("ramp", spacing="poisson")),
        ("/loadtest 12000..120000/min", shaped("ramp")),
        ("/loadtest for 5m 1000rps abort errors &gt; 20 % for 5 s", ending(FIVE_S, duration_s=300.0)),
        ("/loadtest 1000rps errors>20% for 5s 5m", ending(FIVE_S, duration_s=300.0)),
        ("/loadtest 1000rps slo p95<200ms,errors<1% abort error>20% for 5s", ending(FIVE_S)),
        ("/loadtest find 100..10000rps for 20 s on staging", SubmitSearch(job=SEARCH)),
        ("/loadtest find to 50rps", SubmitSearch(job=replace(SEARCH, lowest_rps=5.0, highest_rps=50.0))),
        ("/loadtest find replicas held", SubmitSearch(job=replace(SEARCH, hold_replicas=True))),
        ("/loadtest compare job 41 and job 42", simple("/loadtest compare 41 42")),
        ("/deploy v 1 to staging", deploy()),
        ("/deploy version 1 of the iris model into staging, thanks!", deploy()),
        ("/deploy *v1* to _staging_.", deploy()),
        ("/deploy (v1) to ~staging~;", deploy()),
        ("/deploy *v1 to staging*!", deploy()),
        ("/deploy *_v1_* (to *staging*)", deploy()),
        ("/deploy model=iris v1 to:staging", deploy()),
        ("/deploy iris:v1", deploy()),
        ("/loadtest 1000rps on <http://staging|staging>", load()),
        ("/deploy v1 –– —replicas=2", deploy(replicas=Replicas(minimum=2, maximum=2))),
        ("/deploy v1 —to=staging replicas 2 – 4", deploy(replicas=Replicas(minimum=2, maximum=4))),
        ("/scale *3*", scale(3, 3)),
        ("/scale 1 to 4", scale(1, 4)),
        ("/scale 1 replica pls", scale(1, 1)),
        ("/scale 1–4 on staging", scale(1, 4)),
        ("/scale between 1 and 4 replicas", scale(1, 4)),
        ("/loadtest 1000 requests per second for 5 minutes 30 sec", load(duration_s=330.0)),
        ("/loadtest 1k req/sec", load()),
        ("/loadtest 60 000 per minute ramp up 30 seconds", load(ramp_s=30.0)),
        ("/loadtest 1000/second ramp=30s", load(ramp_s=30.0)),
        ("/loadtest 1000rps slo p99 below 1 second", load(slo=Slo(latency_ms=((99.0, 1000.0),)))),
        ("/loadtest 1000rps abort if errors over 20% for 5 s", ending(FIVE_S)),
        ("/loadtest compare 41 vs 42", simple("/loadtest compare 41 42")),
        ("/loadtest 1000rps SLO P95 BELOW 200ms, error rate < 1%", load()),
        ("/loadtest compare jobs 41 & 42", simple("/loadtest compare 41 42")),
        ("/loadtest compare 41, 42", simple("/loadtest compare 41 42")),
        ("/loadtest compare 4, 42", simple("/loadtest compare 4 42")),
        ("/loadtest 200 to 2000rps", shaped("ramp")),
        ("/loadtest 200\u20132000 rps", shaped("ramp")),
        ("/loadtest from 200 rps up to 2k rps", shaped("ramp")),
        ("/loadtest between 200 and 2\u202f000rps", shaped("ramp")),
        ("/loadtest 1 000rps", load()),
        ("/loadtest 1\u00a0000 rps for 1 min", load()),
        ("/loadtest 1'000rps", load()),
        ("/loadtest 1’000rps", load()),
        ("/loadtest 1,000rps for 5min", load(duration_s=300.0)),
        ("/loadtest １０００rps", load()),
        ("/loadtest 1000rps slo p95 under 200ms errors below 1%", load()),
        ("/loadtest find from 100 to 10 000rps", SubmitSearch(job=SEARCH)),
        ("/model compare v1..v2", simple("/model compare v1 v2 iris")),
        ("/model compare v1 vs v2", simple("/model compare v1 v2 iris")),
        ("/loadtest 1000rps errors<2% p99<1s", load(slo=Slo(latency_ms=((99.0, 1000.0),), errors_percent=2.0))),
    ],
)
def test_order_case_spaces_quotes_and_fillers_do_not_matter(command: str, expected: Request) -> None:
    assert read_command(command, LookupValues()) == expected


DASHES = "‐‑‒–—―−－﹣⁃"


@pytest.mark.parametrize(
    "flag",
    ["dry-run", "dry run", "--dry-run", "DRY-RUN", "dry_run", "-dry-run", "——dry-run", "`--dry-run`"]
    + [f"{dash}dry-run" for dash in DASHES]
    + [f"dry{dash}run" for dash in DASHES],
)
@pytest.mark.parametrize(
    "command", ["/model train iris", "/deploy v1", "/deploy rollback", "/scale 3", "/loadtest 10rps", "/loadtest find"]
)
def test_every_command_for_a_job_takes_dry_run(command: str, flag: str) -> None:
    asked, dry = read_command(command, LookupValues()), read_command(f"{command} {flag}", LookupValues())
    assert isinstance(asked, Submit) and dry == replace(asked, dry_run=True)


@pytest.mark.parametrize("verb", list(COMMANDS))
@pytest.mark.parametrize("word", ["help", "HELP", "?", "--help", "—help", "-h", "help find"])
def test_help_is_understood_after_a_verb_or_a_subcommand(verb: str, word: str) -> None:
    assert read(verb, word, LookupValues()) == ShowHelp(verb="" if verb == "/seatrial" else verb)


@pytest.mark.parametrize("verb", [verb for verb in COMMANDS if verb != "/jobs"])
def test_verb_alone_shows_its_help(verb: str) -> None:
    """Only /jobs has a better answer."""
    assert read(verb, " \n", LookupValues()) == read(verb, "help", LookupValues())


def test_default_environment_is_the_only_one_without_approvals() -> None:
    """A protected environment is the default only if it is the only environment."""
    for environments, expected in (
        ({"staging": False, "production": True}, "staging"),
        ({"production": True}, "production"),
    ):
        request = read("/deploy", "v1", LookupValues(settings=settings(environments=environments)))
        assert isinstance(request, Submit) and isinstance(request.job, Deploy)
        assert request.job.environment == expected


@pytest.mark.parametrize(
    ("text", "job_id", "expected"),
    [
        ("<@U1> cancel", "7", simple("/jobs cancel 7")),
        ("<@U1> stop", "7", simple("/jobs cancel 7")),
        ("<@U1> STOP!", "7", simple("/jobs cancel 7")),
        ("<@U1> *cancel*, please", "7", simple("/jobs cancel 7")),
        ("hey <@U1>, please cancel", "7", simple("/jobs cancel 7")),
        ("Good morning, <@U1|seatrial>: retry", "7", simple("/jobs retry 7")),
        ("*<@U1> show*", "7", simple("/jobs show 7")),
        ("<@U1> jobs cancel", "7", simple("/jobs cancel 7")),
        ("<@U1> cancel #12", "7", simple("/jobs cancel 12")),
        ("<@U1> cancel this", "7", simple("/jobs cancel 7")),
        ("<@U1>! Stop the test, please!", "7", simple("/jobs cancel 7")),
        ("*Good morning <@U1>! show it*", "7", simple("/jobs show 7")),
        ("<@U1>\ncancel 12", None, simple("/jobs cancel 12")),
        ("<@U1>: deploy v1", "7", deploy()),
        ("<@U1> /deploy v1", None, deploy()),
        ("<@U1> /ml-deploy v1", None, deploy()),
        ("<@U1> `deploy v1`", None, deploy()),
        ("<@U1> loadtest 1000rps slo p95&lt;200ms,errors&lt;1%", None, load()),
        ("<@U1> status", None, simple("/seatrial status")),
        ("<@U1>", "7", ShowHelp()),
        ("hi <@U1> help", None, ShowHelp()),
    ],
)
def test_mention_is_parsed_like_a_command(text: str, job_id: str | None, expected: Request) -> None:
    """Words about a job refer to the thread's job."""
    assert read_mention(text, LookupValues(), job_id, bot_user="U1") == expected


@pytest.mark.parametrize(
    "text",
    [
        "do not run <@U1> deploy v1 to staging",
        "nobody touch <@U1> cancel",
        "cancel <@U1>",
        "yesterday I typed <@U1> deploy v1",
        "&gt; <@U1> deploy v1",
        "~<@U1> deploy v1~",
        "<@U2> please ask <@U1> deploy v1",
        "<@U2> <@U1> deploy v1",
        "deploy v1",
    ],
)
def test_message_that_a_mention_of_the_bot_does_not_open_is_no_command(text: str) -> None:
    assert read_mention(text, LookupValues(), "7", bot_user="U1") is None


@pytest.mark.parametrize(
    "text",
    [
        "<@U1> un-deploy v1",
        "<@U1> no-deploy v1",
        "<@U1> don't cancel",
        "<@U1> cancel the meeting",
        "<@U1> ~deploy v1~",
        "<@U1> deploy v1 ~to production~",
        "<@U1> ~cancel~",
        "<@U1> do not deploy v1",
        "<@U1> deploy v1 to staging? not yet",
        "<@U1> never cancel",
        "<@U1> deploy not v1",
    ],
)
def test_talk_about_a_command_after_a_mention_has_no_suggestion(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_mention(text, LookupValues(), "7", bot_user="U1")
    assert caught.value.nearest == ""


def test_cancel_outside_a_thread_asks_for_the_job() -> None:
    with pytest.raises(UsageError, match="which job"):
        read_mention("<@U1> cancel", LookupValues(), None)


@pytest.mark.parametrize(
    ("verb", "text", "expected"),
    [
        ("/seatrial", "deploy v1", deploy()),
        ("/seatrial", "/deploy v1", deploy()),
        ("/seatrial", "jobs", simple("/jobs")),
        ("/seatrial", "deploy", ShowHelp(verb="/deploy")),
        ("/seatrial", "status", simple("/seatrial status")),
        ("/ml-deploy", "v1", deploy()),
        ("/ml-ops-seatrial", "loadtest 1000rps", load()),
    ],
)
def test_umbrella_and_prefixed_commands_take_every_verb(verb: str, text: str, expected: Request) -> None:
    assert read(verb, text, LookupValues()) == expected


@pytest.mark.parametrize(
    ("verb", "text", "nearest"),
    [
        ("/seatrial", "deply v1", "/seatrial deploy v1"),
        ("/seatrial", "deploy v1 stagin", "/seatrial deploy v1 staging"),
        ("/ml-deploy", "1", "/ml-deploy v1"),
        ("/ml-seatrial", "cancel 42", "/ml-seatrial jobs cancel 42"),
        ("/seatrial", "sttus", "/seatrial status"),
    ],
)
def test_suggestion_is_spelled_like_the_typed_command(verb: str, text: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(verb, text, LookupValues())
    assert caught.value.nearest == nearest
    assert caught.value.usage.startswith(nearest.split(maxsplit=1)[0])
    read_command(nearest, LookupValues())


@pytest.mark.parametrize(
    ("command", "understood"),
    [
        ("/loadtest on eu-1 100rps for 5m", "/loadtest 100rps for 5m on eu-1"),
        ("/loadtest on eu-1, 100 000rps", "/loadtest 100000rps for 1m on eu-1"),
        ("/loadtest eu-1 10-20rps", "/loadtest 10..20rps for 1m on eu-1"),
        ("/scale eu-1 to 3", "/scale 3 on eu-1"),
        ("/scale on eu-1 1 to 3", "/scale 1..3 on eu-1"),
    ],
)
def test_number_at_the_end_of_a_name_is_no_part_of_the_next_one(command: str, understood: str) -> None:
    lookup = LookupValues(settings=settings(environments={"eu-1": False}), places=("eu-1",))
    assert read_command(command, lookup).spelled(lookup.settings) == understood


def test_default_place_is_the_only_target_if_there_is_no_environment() -> None:
    """Several targets must be named."""
    one = LookupValues(settings=settings(models=(), environments={}, targets={"docs": "100rps"}))
    request = read("/loadtest", "50rps", one)
    assert isinstance(request, Submit) and isinstance(request.job, LoadTest)
    assert (request.job.environment, request.job.model, request.job.owner) == ("docs", "", "@search")
    two = LookupValues(settings=settings(models=(), environments={}, targets={"docs": "100rps", "shop": "1krps"}))
    with pytest.raises(UsageError, match="docs and shop") as caught:
        read("/loadtest", "50rps", two)
    assert caught.value.nearest == ""


def test_rate_above_a_cap_with_approvers_is_parsed() -> None:
    """The card then asks for the approval."""
    capped = Environment.model_validate({"name": "staging", "max_load": "100rps", "approvals": Approvals()})
    lifted = settings().model_copy(update={"environments": {"staging": capped}})
    assert isinstance(read("/loadtest", "200rps", LookupValues(settings=lifted)), Submit)


def test_scheduled_command_keeps_its_request_under_new_settings() -> None:
    """It names its model and environment."""
    added = read("/schedule", 'add "0 2 * * *" deploy v1', LookupValues())
    assert isinstance(added, AddSchedule)
    grown = settings(models=("iris", "wine"), environments={"staging": False, "canary": False})
    assert read_command(added.command(settings()), LookupValues(settings=grown)) == deploy()


def test_manual_fits_into_a_slack_manifest() -> None:
    """Limits: https://docs.slack.dev/reference/app-manifest."""
    for verb, command in COMMANDS.items():
        assert command.verb == verb and verb.startswith("/") and len(verb) <= 32
        assert all(form.usage.startswith(verb) and form.does for form in command.forms)
        assert len(" | ".join(form.usage for form in command.forms)) <= 1000
