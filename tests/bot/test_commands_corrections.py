"""Commands that are not understood: the problem names the mistake, and the suggestion can be typed as it stands."""

import pytest
from hypothesis import assume, given, strategies as st

from bot.commands import read, read_command, read_mention
from bot.commands.command import UsageError
from tests.bot.lookup import LookupValues, settings
from workers.contract.settings import LoadTestDefaults

DOCS = settings(targets={"docs": "100rps"})
TWO_MODELS = LookupValues(settings=settings(models=("iris", "wine"), targets={"docs": "100rps"}))


def mistake(command: str, lookup: LookupValues | None = None) -> UsageError:
    """Return the error for `command`, and check that its suggestion is understood."""
    lookup = lookup or LookupValues(settings=DOCS)
    with pytest.raises(UsageError) as caught:
        read_command(command, lookup)
    read_command(caught.value.nearest, lookup)
    return caught.value


@pytest.mark.parametrize(
    ("command", "problem", "nearest"),
    [
        # verbs and subcommands
        ("/deply v1", "/deply", "/deploy v1 to staging"),
        ("/train iris", "/train", "/model train iris"),
        ("/foo", "/foo", "/seatrial help"),
        ("/model trian iris", "/model has no subcommand “trian”. Try train, list", "/model train iris"),
        ("/model iris", "iris", "/model show iris"),
        ("/jobs 42", "42", "/jobs show 42"),
        ("/jobs rnning", "rnning", "/jobs running"),
        ("/deploy rolback", "rolback", "/deploy rollback"),
        # names
        ("/model train wine", "wine", "/model train iris"),
        ("/deploy v1 prod", "prod", "/deploy v1 to production"),
        ("/deploy v9 to stagin", "stagin", "/deploy v2 to staging"),
        ("/deploy latest", "latest", "/deploy v2 to staging"),
        ("/deploy v1 to staging production", "production", "/deploy v1 to staging"),
        ("/deploy to production", "which version", "/deploy v2 to production"),
        ("/loadtest 10rps on dosc", "There is no environment or target “dosc”", "/loadtest 10rps for 1m on docs"),
        ("/loadtest 10rps iris on docs", "iris", "/loadtest 10rps for 1m on docs"),
        ("/loadtest 10rps on 10.0.0.5", "is no environment and no target", "/loadtest 10rps for 1m on staging"),
        # numbers
        ("/scale 9999999", "9999999", "/scale 1000 on staging"),
        ("/scale three", "three", "/scale 1..4 on staging"),
        ("/loadtest -5", "-5", "/loadtest 5rps for 1m on staging"),
        ("/loadtest 1,000rps for 5min", "1,000rps", "/loadtest 1000rps for 5m on staging"),
        ("/loadtest 1000rps for 5ms", "5ms", "/loadtest 1000rps for 1s on staging"),
        ("/loadtest 200-2000rps", "200-2000rps", "/loadtest 200..2000rps for 1m on staging"),
        ("/loadtest 2000..200rps", "does not rise", "/loadtest 200..2000rps for 1m on staging"),
        ("/loadtest 1000rps spike", "1000rps", "/loadtest 100..1000rps spike for 1m on staging"),
        ("/loadtest 200..2000rps in 50 steps", "50", "/loadtest 200..2000rps steps 20 for 1m on staging"),
        ("/loadtest 200..2000rps spike 3s", "3 s", "/loadtest 200..2000rps spike for 5s on staging"),
        ("/loadtest 1000rps for 50m ramp 20m", "50m", "/loadtest 1000rps for 40m on staging ramp 20m"),
        ("/loadtest 10rps slo p95<200", "p95<200", "/loadtest 10rps for 1m on staging slo p95<200ms"),
        ("/loadtest 1krps slo errors>1%", "errors>1%", "/loadtest 1000rps for 1m on staging slo errors<1%"),
        ("/loadtest 9rps abort 30%", "30%", "/loadtest 9rps for 1m on staging abort errors>30% for 10s"),
        ("/loadtest 9rps errors>2% for 5m", "5m", "/loadtest 9rps for 5m on staging abort errors>2% for 10s"),
        ("/loadtest 10..1000rps on docs", "targets.docs.max_load", "/loadtest 10..100rps for 1m on docs"),
        ("/loadtest find 1krps", "1krps", "/loadtest find from 100rps to 1000rps for 20s on staging"),
        ("/loadtest find from 20krps", "20,000", "/loadtest find from 1000rps to 10000rps for 20s on staging"),
        ("/loadtest find for 10m", "10m", "/loadtest find from 100rps to 10000rps for 5m on staging"),
        ("/loadtest find hold on docs", "cannot hold", "/loadtest find from 10rps to 100rps for 20s on docs"),
        ("/loadtest compare 41 41", "which two", "/jobs"),
        # schedules
        ('/schedule add "@daily" model train', "@daily", '/schedule add "0 0 * * *" model train iris'),
        ("/schedule add x deploy v1", "x", '/schedule add "0 2 * * 1-5" deploy v1 iris to staging'),
        ('/schedule add "0 2 * * *" Europe/Berln deploy v1', "Europe/Berln",
         '/schedule add "0 2 * * *" Europe/Berlin deploy v1 iris to staging'),
        ('/schedule add "0 2 * * *" mdel train', "mdel", '/schedule add "0 2 * * *" model train iris'),
        ('/schedule add "0 2 * * *" scale 2 dry-run', "dry run", '/schedule add "0 2 * * *" scale 2 iris on staging'),
        ('/schedule add "0 2 * * *" deploy status', "deploy status",
         '/schedule add "0 2 * * *" loadtest 1000rps for 5m iris on staging'),
        ("/schedule remove all", "all", "/schedule list"),
    ],
)  # fmt: skip
def test_mistake_is_named_and_the_corrected_command_is_suggested(command: str, problem: str, nearest: str) -> None:
    error = mistake(command)
    assert problem in error.problem
    assert error.nearest == nearest


VALID = (
    ("/model train iris", ("iris", "train")),
    ("/model show wine v2", ("wine", "v2", "show")),
    ("/deploy v1 iris to staging replicas 2..4", ("v1", "iris", "staging", "2..4")),
    ("/deploy history production", ("production", "history")),
    ("/scale 1..4 wine on staging", ("1..4", "wine", "staging")),
    ("/loadtest 1000rps for 5m iris on staging ramp 30s", ("1000rps", "5m", "iris", "staging", "30s")),
    ("/loadtest 200..2000rps steps 5 poisson for 5m iris on staging", ("200..2000rps", "steps", "5", "staging")),
    ("/loadtest 10rps for 5m on docs slo p95<100ms", ("10rps", "docs", "p95<100ms")),
    ("/loadtest find from 100rps to 2000rps for 20s hold replicas iris on staging", ("100rps", "2000rps", "iris")),
    ("/loadtest compare 41 42", ("compare",)),
    ("/jobs cancel 42", ("cancel",)),
    ('/schedule add "0 2 * * *" Europe/Berlin loadtest 1000rps for 5m iris on staging', ("1000rps", "staging")),
)
"""Commands in full, each with the words to misspell."""


MAY_GO_WITH_ITS_VALUE = ("ramp", "replicas", "slo")
"""Keywords that a suggestion may omit together with their wrong value."""


@st.composite
def misspelled(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A valid command with one misspelled word, and the other words."""
    command, spellable = draw(st.sampled_from(VALID))
    word = draw(st.sampled_from(spellable))
    at = draw(st.integers(0, len(word) - 1))
    replacement = draw(st.sampled_from(["", 2 * word[at], "x" + word[at]]))
    words = command.split()
    place = words.index(word)
    right = words[: place - 1 if words[place - 1] in MAY_GO_WITH_ITS_VALUE else place] + words[place + 1 :]
    return " ".join([*words[:place], word[:at] + replacement + word[at + 1 :], *words[place + 1 :]]), right


@given(misspelling=misspelled())
def test_suggestion_is_understood_and_keeps_every_word_that_was_right(misspelling: tuple[str, list[str]]) -> None:
    command, right = misspelling
    try:
        read_command(command, TWO_MODELS)
    except UsageError:
        suggestion = mistake(command, TWO_MODELS).nearest
        assert [word for word in right if word not in suggestion.split()] == [], f"{command} → {suggestion}"
    else:
        assume(False)


@pytest.mark.parametrize(
    ("command", "lookup", "nearest"),
    [
        ("/deploy v1", LookupValues(newest=0, places=()), "/model train iris"),
        ("/scale 3", LookupValues(newest=0, places=()), "/model train iris"),
        ("/scale 3", LookupValues(places=()), "/deploy v2 to staging"),
        ("/loadtest 10rps on production", LookupValues(), "/deploy v2 to production"),
        ("/deploy rollback", LookupValues(before=None), "/deploy history staging"),
        ("/deploy rollback", LookupValues(before=9), "/model show iris"),
    ],
)
def test_command_that_must_come_first_is_suggested(command: str, lookup: LookupValues, nearest: str) -> None:
    assert mistake(command, lookup).nearest == nearest


def test_problem_names_both_mistakes_if_the_suggestion_is_another_command() -> None:
    error = mistake("/loadtest 1000", LookupValues(places=()))
    assert "“1000” is not a rate" in error.problem and "not served on staging" in error.problem
    assert error.nearest == "/deploy v2 to staging"


def test_search_that_exceeds_the_longest_load_suggests_help() -> None:
    """Twelve rates of at least five seconds take a minute."""
    short = settings().model_copy(update={"loadtest": LoadTestDefaults(duration_s="10s", longest_s="50s")})
    error = mistake("/loadtest find", LookupValues(settings=short))
    assert "loadtest.longest" in error.problem
    assert error.nearest == "/loadtest help"


def test_ambiguous_model_or_environment_is_listed() -> None:
    several = LookupValues(settings=settings(models=("iris", "wine"), environments={"blue": False, "green": False}))
    assert "iris and wine" in mistake("/model train", several).problem
    error = mistake("/deploy v1 iris", several)
    assert "blue and green" in error.problem
    assert error.nearest == "/deploy v1 iris to blue"


@pytest.mark.parametrize("command", ["/model train", "/deploy v1", "/scale 3", "/loadtest 10rps", "/schedule add"])
def test_empty_settings_suggest_help(command: str) -> None:
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
def test_repeated_text_has_no_mark_up_and_is_short(verb: str, text: str) -> None:
    """The answer is short and printable, without mentions and code marks."""
    error = mistake(f"{verb} {text}")
    for part in (error.problem, error.nearest, error.usage):
        assert part.isprintable() and "`" not in part
        assert "<!" not in part and "<@" not in part
        assert len(part) < 300


def test_mention_without_a_command_suggests_the_manual() -> None:
    with pytest.raises(UsageError) as caught:
        read_mention("<@U1> good morning", LookupValues(), None)
    assert caught.value.nearest == "/seatrial help"


def test_unknown_verb_is_a_usage_error() -> None:
    """Slack may know a slash command that Seatrial does not know."""
    with pytest.raises(UsageError, match="/frobnicate"):
        read("/frobnicate", "", LookupValues())
