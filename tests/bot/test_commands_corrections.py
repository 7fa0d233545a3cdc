"""Commands that are not understood: what is said, and what is suggested instead."""

import pytest

from bot.commands import read, read_command, read_mention
from bot.commands.command import UsageError
from tests.bot.lookup import LookupValues, settings
from workers.contract.settings import LoadTestDefaults


def mistake(command: str, known: LookupValues | None = None) -> UsageError:
    """The error for `command`, whose suggestion was tried."""
    known = known or LookupValues()
    with pytest.raises(UsageError) as caught:
        read_command(command, known)
    read_command(caught.value.nearest, known)
    return caught.value


@pytest.mark.parametrize(
    ("command", "piece", "nearest"),
    [
        ("/deply v1", "/deply", "/deploy v1 to staging"),
        ("/train iris", "/train", "/model train iris"),
        ("/foo", "/foo", "/seatrial help"),
        ("/model trian iris", "trian", "/model train iris"),
        ("/model train irsi", "irsi", "/model train iris"),
        ("/model train wine", "wine", "/model train iris"),
        ("/model iris", "iris", "/model show iris"),
        ("/model show v9", "v9", "/model show iris v2"),
        ("/model compare v1", "which version", "/model compare v1 v2"),
        ("/deploy v9", "v9", "/deploy v2 to staging"),
        ("/deploy v99999999999", "v99999999999", "/deploy v2 to staging"),
        ("/deploy 2", "2", "/deploy v2 to staging"),
        ("/deploy latest", "latest", "/deploy v2 to staging"),
        ("/deploy v1 to stagin", "stagin", "/deploy v1 to staging"),
        ("/deploy v1 prod", "prod", "/deploy v1 to production"),
        ("/deploy v9 to stagin", "stagin", "/deploy v2 to staging"),
        ("/deploy v1 v2", "v2", "/deploy v1 to staging"),
        ("/deploy v1 to staging production", "production", "/deploy v1 to staging"),
        ("/deploy to production", "which version", "/deploy v2 to production"),
        ("/deploy v1 replicas 4..1", "4..1", "/deploy v1 to staging replicas 1..4"),
        ("/deploy rolback", "rolback", "/deploy rollback"),
        ("/deploy rollback stagin", "stagin", "/deploy rollback staging"),
        ("/scale 0", "0", "/scale 1 on staging"),
        ("/scale 1-4", "1-4", "/scale 1..4 on staging"),
        ("/scale three", "three", "/scale 1..4 on staging"),
        ("/scale 9999999", "9999999", "/scale 1000 on staging"),
        ("/loadtest 0", "0", "/loadtest 1000rps for 1m on staging"),
        ("/loadtest -5", "-5", "/loadtest 5rps for 1m on staging"),
        ("/loadtest 1e99", "1e99", "/loadtest 1000rps for 1m on staging"),
        ("/loadtest 1000", "1000", "/loadtest 1000rps for 1m on staging"),
        ("/loadtest 1000 rps rps", "rps", "/loadtest 1000rps for 1m on staging"),
        ("/loadtest 1000furlongs", "1000furlongs", "/loadtest 1000rps for 1m on staging"),
        ("/loadtest 1,000rps for 5min", "1,000rps", "/loadtest 1000rps for 5m on staging"),
        ("/loadtest 1000rps for 48h", "48h", "/loadtest 1000rps for 5m on staging"),
        ("/loadtest 1000rps for 5ms", "5ms", "/loadtest 1000rps for 1s on staging"),
        ("/loadtest 1000rps 2000rps", "2000rps", "/loadtest 1000rps for 1m on staging"),
        ("/loadtest 5m", "rate", "/loadtest 1000rps for 5m on staging"),
        ("/loadtest 10 to 100rps 5m", "10", "/loadtest 100rps for 5m on staging"),
        ("/loadtest 10rps slo p95<200", "p95<200", "/loadtest 10rps for 1m on staging slo p95<200ms"),
        ("/loadtest 10rps slo fast", "slo", "/loadtest 10rps for 1m on staging"),
        ("/loadtest 10rps p95<1s p95<2s", "p95<2s", "/loadtest 10rps for 1m on staging slo p95<1000ms"),
        ("/loadtest stop foo", "foo", "/loadtest stop"),
        ("/schedule ad", "ad", '/schedule add "0 2 * * 1-5" loadtest 1000rps for 5m iris on staging'),
        ("/schedule remove all", "all", "/schedule list"),
        ("/jobs 42", "42", "/jobs show 42"),
        ("/jobs cancel", "which job", "/jobs"),
        ("/jobs cancel 42 dry-run", "dry-run", "/jobs cancel 42"),
        ("/jobs rnning", "rnning", "/jobs running"),
        ("/seatrial doctor", "doctor", "/seatrial help"),
    ],
)
def test_the_nearest_command_is_suggested(command: str, piece: str, nearest: str) -> None:
    """The answer names the piece at fault and corrects the whole command."""
    error = mistake(command)
    assert piece in error.problem
    assert error.nearest == nearest


@pytest.mark.parametrize(
    ("text", "piece", "nearest"),
    [
        ("200..2000", "200..2000", "200..2000rps for 1m on staging"),
        ("2000..200rps", "does not rise", "200..2000rps for 1m on staging"),
        ("5..5rps", "does not rise", "200..2000rps for 1m on staging"),
        ("200-2000rps", "200-2000rps", "200..2000rps for 1m on staging"),
        ("0..5rps", "0rps", "200..2000rps for 1m on staging"),
        ("1000rps steps", "1000rps", "100..1000rps steps 5 for 1m on staging"),
        ("0.001rps spike", "0.001rps", "200..2000rps spike for 1m on staging"),
        ("200..2000rps steps 1", "“1”", "200..2000rps steps 2 for 1m on staging"),
        ("200..2000rps in 50 steps", "“50”", "200..2000rps steps 20 for 1m on staging"),
        ("200..2000rps steps 2.5", "“2.5”", "200..2000rps steps 2 for 1m on staging"),
        ("200..2000rps steps 10 for 5s", "5 s", "200..2000rps steps 10 for 10s on staging"),
        ("200..2000rps spike 3s", "3 s", "200..2000rps spike for 5s on staging"),
        ("200..2000rps steps spike", "spike", "200..2000rps steps 5 for 1m on staging"),
        ("200..2000rps stepz", "stepz", "200..2000rps steps 5 for 1m on staging"),
        ("1000rps for 2h", "“2h”", "1000rps for 1h on staging"),
        ("1000rps for 50m ramp 20m", "“50m”", "1000rps for 40m on staging ramp 20m"),
        ("1000rps for 5m ramp 2h", "“2h”", "1000rps for 5m on staging ramp 55m"),
        ("1000rps abort", "when to abort", "1000rps for 1m on staging abort errors>20% for 10s"),
        ("1000rps abort 30%", "“30%”", "1000rps for 1m on staging abort errors>30% for 10s"),
        ("1000rps abort errors>100%", "errors>100%", "1000rps for 1m on staging abort errors>10% for 10s"),
        ("1000rps abort errors>20% for 10ms", "10ms", "1000rps for 1m on staging abort errors>20% for 1s"),
        ("1000rps abort errors>20% for 5m", "“5m”", "1000rps for 5m on staging abort errors>20% for 10s"),
        ("1000rps abort errors>20% for 0s", "“0s”", "1000rps for 1m on staging abort errors>20% for 10s"),
        ("1000rps slo errors>1%", "errors>1%", "1000rps for 1m on staging slo errors<1%"),
        ("1000rps p95>1s", "p95>1s", "1000rps for 1m on staging slo p95<1000ms"),
        ("1000rps on docs", "targets.docs.max_load", "100rps for 1m on docs"),
        ("10..1000rps on docs", "targets.docs.max_load", "10..100rps for 1m on docs"),
        ("10rps iris on docs", "iris", "10rps for 1m on docs"),
        ("10rps on dosc", "There is no environment or target “dosc”", "10rps for 1m on docs"),
        ("10rps on 10.0.0.5", "“10.0.0.5” is no environment and no target", "10rps for 1m on staging"),
        ("on 10.0.0.5:80 10rps", "“10.0.0.5:80” is no environment and no target", "10rps for 1m on staging"),
        ("10rps dosc", "dosc", "10rps for 1m on docs"),
        ("last dosc", "dosc", "last docs"),
        ("find 1000rps", "1000rps", "find from 100rps to 1000rps for 20s on staging"),
        ("find to 2krps 1000rps", "1000rps", "find from 100rps to 2000rps for 20s on staging"),
        ("find fro 50rps", "fro", "find from 50rps to 10000rps for 20s on staging"),
        ("find from 100rps to 50rps", "100 rps", "find from 5rps to 50rps for 20s on staging"),
        ("find from 20krps", "20,000 rps", "find from 1000rps to 10000rps for 20s on staging"),
        ("find to 0.001rps", "0.001 rps", "find from 100rps to 10000rps for 20s on staging"),
        ("find for 1s", "1s", "find from 100rps to 10000rps for 5s on staging"),
        ("find for 10m", "10m", "find from 100rps to 10000rps for 5m on staging"),
        ("find slo fast", "slo", "find from 100rps to 10000rps for 20s on staging"),
        ("find to 1krps on docs", "targets.docs.max_load", "find from 10rps to 100rps for 20s on docs"),
        ("find from 500rps on docs", "targets.docs.max_load", "find from 10rps to 100rps for 20s on docs"),
        ("find on docs hold replicas", "replicas", "find from 10rps to 100rps for 20s on docs"),
        ("find on production", "not served on production", "/deploy v2 to production"),
        ("compare 41", "which two", "/jobs"),
        ("compare 41 41", "which two", "/jobs"),
        ("compare 41 vs 42", "vs", "compare 41 42"),
        ("compare 41 42 43", "43", "compare 41 42"),
    ],
)
def test_the_nearest_load_is_suggested(text: str, piece: str, nearest: str) -> None:
    """Rates, shapes, times, limits and places of load tests and searches, each with a command that does."""
    error = mistake(f"/loadtest {text}", LookupValues(settings=settings(targets={"docs": "100rps"})))
    assert piece in error.problem
    assert error.nearest == (nearest if nearest.startswith("/") else f"/loadtest {nearest}")


def test_where_no_search_fits_the_hard_limit_help_is_suggested() -> None:
    """Twelve rates of at least five seconds do not fit into less than a minute."""
    short = settings().model_copy(update={"loadtest": LoadTestDefaults(duration_s="10s", longest_s="50s")})
    error = mistake("/loadtest find", LookupValues(settings=short))
    assert "loadtest.longest" in error.problem
    assert error.nearest == "/loadtest help"


@pytest.mark.parametrize(
    ("text", "piece", "nearest"),
    [
        ('"nonsense" loadtest 10rps', "nonsense", '"0 2 * * 1-5" loadtest 10rps for 1m iris on staging'),
        ("nonsense loadtest 10rps", "nonsense", '"0 2 * * 1-5" loadtest 10rps for 1m iris on staging'),
        ("loadtest 10rps", "when", '"0 2 * * 1-5" loadtest 10rps for 1m iris on staging'),
        ('"@daily" model train', "@daily", '"0 0 * * *" model train iris'),
        ('"0 25 * * *" model train', "25", '"0 2 * * *" model train iris'),
        ('"0 0 31 2 *" model train', "31", '"0 0 28 2 *" model train iris'),
        ('"0 0 13 * 5" model train', "weekday", '"0 0 * * 5" model train iris'),
        ('"0 2 * * *" Europe/Berln model train', "Europe/Berln", '"0 2 * * *" Europe/Berlin model train iris'),
        ('"0 2 * * *" mdel train', "mdel", '"0 2 * * *" model train iris'),
        ('"0 2 * * *" Portugal mdel train', "mdel", '"0 2 * * *" Portugal model train iris'),
        ('"0 2 * * *" UTC 0', "“0”", '"0 2 * * *" loadtest 1000rps for 5m iris on staging'),
        ('"0 2 * * *" model trian', "trian", '"0 2 * * *" model train iris'),
        ('"0 2 * * *" model train dry-run', "dry run", '"0 2 * * *" model train iris'),
        ('"0 2 * * *" deploy status', "deploy status", '"0 2 * * *" loadtest 1000rps for 5m iris on staging'),
        ('"0 2 * * *"', "what to run", '"0 2 * * *" loadtest 1000rps for 5m iris on staging'),
        ("", "when", '"0 2 * * 1-5" loadtest 1000rps for 5m iris on staging'),
    ],
)
def test_the_nearest_schedule_is_suggested(text: str, piece: str, nearest: str) -> None:
    """Times, zones and commands of schedules are corrected alike."""
    error = mistake(f"/schedule add {text}")
    assert piece in error.problem
    assert error.nearest == f"/schedule add {nearest}"


@pytest.mark.parametrize(
    ("command", "known", "nearest"),
    [
        ("/deploy v1", LookupValues(newest=0, places=()), "/model train iris"),
        ("/scale 3", LookupValues(newest=0, places=()), "/model train iris"),
        ("/scale 3", LookupValues(places=()), "/deploy v2 to staging"),
        ("/loadtest 10rps on production", LookupValues(), "/deploy v2 to production"),
        ("/loadtest 10rps", LookupValues(places=()), "/deploy v2 to staging"),
        ("/deploy rollback", LookupValues(before=None), "/deploy history staging"),
        ("/deploy rollback", LookupValues(before=9), "/model show iris"),
    ],
)
def test_what_must_come_first_is_said(command: str, known: LookupValues, nearest: str) -> None:
    """Where something is lacking, the answer is the command that provides it."""
    assert mistake(command, known).nearest == nearest


def test_a_correction_that_needs_something_else_first_says_why() -> None:
    """A mistyped rate where nothing is served names both, because the suggestion is about the second."""
    error = mistake("/loadtest 1000", LookupValues(places=()))
    assert "“1000” is not a rate" in error.problem and "not served on staging" in error.problem
    assert error.nearest == "/deploy v2 to staging"


def test_several_models_or_environments_must_be_named() -> None:
    """What is ambiguous is asked for, with what there is."""
    many = LookupValues(settings=settings(models=("iris", "wine"), environments={"blue": False, "green": False}))
    assert "iris and wine" in mistake("/model train", many).problem
    error = mistake("/deploy v1 iris", many)
    assert "blue and green" in error.problem
    assert error.nearest == "/deploy v1 iris to blue"


@pytest.mark.parametrize("command", ["/model train", "/deploy v1", "/scale 3", "/loadtest 10rps", "/schedule add"])
def test_empty_settings_are_told_apart_from_mistakes(command: str) -> None:
    """With nothing in the settings the answer says what to add there, and suggests help."""
    empty = LookupValues(settings=settings(models=(), environments={}), places=())
    assert mistake(command, empty).nearest == f"{command.split(maxsplit=1)[0]} help"


@pytest.mark.parametrize(
    "text",
    [
        "<!channel>",
        "&lt;!channel&gt;",
        "<<!here>>",
        "<@U123|ada>",
        "v1 `rm -rf /`",
        "v1\x00to\x1bnowhere",
        "🚢👩‍🚀 v1",
        "إلى مرحبا",
        "\u202egnigats ot 1v",
        "no\ud800where",
        "“v9",
        "v1 ” to ‘nowhere",
        "nowhere" * 50,
        "x " * 5000,
        "v" * 10_240,
    ],
)
@pytest.mark.parametrize("verb", ["/deploy", "/loadtest", "/schedule add", "/jobs", "/nothing"])
def test_what_is_repeated_is_harmless(verb: str, text: str) -> None:
    """Whatever was typed, the answer is one short line without mentions, code marks or invisible signs."""
    error = mistake(f"{verb} {text}")
    for said in (error.problem, error.nearest, error.usage):
        assert said.isprintable() and "`" not in said
        assert "<!" not in said and "<@" not in said
        assert len(said) < 300


def test_a_mention_of_nothing_known_gets_the_manual() -> None:
    """Small talk is answered with what can be typed."""
    with pytest.raises(UsageError) as caught:
        read_mention("<@U1> good morning", LookupValues(), None)
    assert caught.value.nearest == "/seatrial help"


def test_an_unknown_verb_is_a_mistake_too() -> None:
    """A slash command that Slack knows and Seatrial does not is answered, not dropped."""
    with pytest.raises(UsageError, match="/frobnicate"):
        read("/frobnicate", "", LookupValues())
