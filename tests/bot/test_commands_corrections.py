"""Commands that are not understood: the problem names the mistake, and the suggestion can be typed as it stands."""

import difflib
import os
import re
from collections import Counter

import pytest
from hypothesis import assume, given, settings as settings_of_hypothesis, strategies as st

from bot.commands import read, read_command, read_mention
from bot.commands.command import UsageError
from tests.bot.lookup import LookupValues, settings
from workers.contract.settings import LoadTestDefaults

DOCS = settings(targets={"docs": "100rps"})
TWO_MODELS = LookupValues(settings=settings(models=("iris", "wine"), targets={"docs": "100rps"}))


def mistake(command: str, lookup: LookupValues | None = None) -> UsageError:
    """Return the error for `command`, and check that its suggestion, if any, is understood."""
    lookup = lookup or LookupValues(settings=DOCS)
    with pytest.raises(UsageError) as caught:
        read_command(command, lookup)
    if caught.value.nearest:
        read_command(caught.value.nearest, lookup)
    return caught.value


@pytest.mark.parametrize(
    ("command", "problem", "nearest"),
    [
        # verbs and subcommands
        ("/deply v1", "/deply", "/deploy v1"),
        ("/train iris", "/train", "/model train iris"),
        ("/model trian iris", "/model has no subcommand “trian”. Try train, check, list", "/model train iris"),
        ("/model iris", "iris", "/model show iris"),
        ("/jobs 42", "42", "/jobs show 42"),
        ("/jobs rnning", "rnning", "/jobs running"),
        ("/deploy rolback", "rolback", "/deploy rollback"),
        # names and versions
        ("/deploy v1 prod", "prod", "/deploy v1 production"),
        ("/deploy v1 to prodoction dry-rnu", "prodoction", "/deploy v1 to production dry-run"),
        ("/deploy #1", "#1", "/deploy v1"),
        ("/deploy 1 to stagin", "stagin", "/deploy v1 to staging"),
        ("/loadtest 10rps on dosc", "There is no environment or target “dosc”", "/loadtest 10rps on docs"),
        # numbers
        ("/scale 3 replcias", "replcias", "/scale 3 replicas"),
        ("/loadtest 10 for 5m", "10", "/loadtest 10rps for 5m"),
        ("/loadtest 1k for 5m", "1k", "/loadtest 1krps for 5m"),
        ("/loadtest 200 to 2000", "200..2000", "/loadtest 200..2000rps"),
        ("/loadtest find 1krps", "1krps", "/loadtest find to 1krps"),
        ("/loadtest 1000rps rmap 30s", "rmap", "/loadtest 1000rps ramp 30s"),
        # schedules
        ('/schedule add "0 2 * * *" Europe/Berln deploy v1', "Europe/Berln",
         '/schedule add "0 2 * * *" Europe/Berlin deploy v1'),
        ('/schedule add "0 2 * * *" UTC deploy v1 to stagin', "stagin",
         '/schedule add "0 2 * * *" UTC deploy v1 to staging'),
        ('/schedule add "0 2 * * *" mdel train', "mdel", '/schedule add "0 2 * * *" model train'),
    ],
)  # fmt: skip
def test_mistake_is_named_and_the_corrected_command_is_suggested(command: str, problem: str, nearest: str) -> None:
    error = mistake(command)
    assert problem in error.problem
    assert error.nearest == nearest


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("/foo", "/foo"),
        ("/deploy v1 to stag-eu", "stag-eu"),
        ("/model train wine", "wine"),
        ("/deploy v9 to stagin", "stagin"),
        ("/deploy latest", "latest"),
        ("/deploy v1 to staging production", "production"),
        ("/deploy to production", "which version"),
        ("/deploy abort", "/jobs cancel JOB"),
        ("/deploy undo", "undo"),
        ("/deploy lock production", "lock"),
        ("/deploy v1 not to production", "not"),
        ("/deploy v1 to production dry-run=false", "false"),
        ("/loadtest 10rps iris on docs", "iris"),
        ("/loadtest 10rps on <https://docs.example.com/|docs.example.com>", "“docs.example.com”"),
        ("/deploy v1 to #production", "There is no environment “#production”"),
        ("/loadtest 10rps on 10.0.0.5", "is no environment and no target"),
        ("/scale 9999999", "9999999"),
        ("/scale three", "three"),
        ("/loadtest -5", "-5"),
        ("/loadtest 1.000rps", "write 1rps or 1000rps"),
        ("/loadtest 1.500..2.000rps", "write 1.5rps or 1500rps"),
        ("/loadtest 1000rps for 1.500s", "write 1.5s or 1500s"),
        ("/loadtest 2,5krps", "2,5krps"),
        ("/loadtest from 1000rps", "from"),
        ("/loadtest 2-3krps", "write 2rps..3krps or 2krps..3krps"),
        ("/loadtest 200 500rps", "“200” is not a time"),
        ("/loadtest for 5 500rps", "“5” is not a time"),
        ("/loadtest 1.000,5rps", "is not a rate"),
        ("/scale 3 -5", "-5"),
        ("/loadtest 1000rps for 5ms", "5ms"),
        ("/loadtest 1000rps for 5", "“5” is not a time"),
        ("/loadtest 1000rps for 5months", "5months"),
        ("/loadtest 2000..200rps", "does not rise"),
        ("/loadtest 1000rps spike", "100..1000rps"),
        ("/loadtest 200..2000rps in 50 steps", "50"),
        ("/loadtest 200..2000rps spike 3s", "3 s"),
        ("/loadtest 1000rps for 50m ramp 20m", "50m"),
        ("/loadtest 10rps slo p95<200", "p95<200"),
        ("/loadtest 1krps slo errors>1%", "errors>1%"),
        ("/loadtest 9rps abort 30%", "30%"),
        ("/loadtest 9rps abort", "when to abort"),
        ("/loadtest 9rps errors>2% for 5m", "5m"),
        ("/loadtest 10..1000rps on docs", "targets.docs.max_load"),
        ("/loadtest find from 20krps", "20,000"),
        ("/loadtest find for 10m", "10m"),
        ("/loadtest find hold on docs", "cannot hold"),
        ("/loadtest compare 41 41", "which two"),
        ('/schedule add "0/5 * * * *" loadtest 10rps', "0/5"),
        ("/schedule add *5 * * * * loadtest 10rps", "*5"),
        ('/schedule add "0 0 2 * * *" *loadtest 10rps*', "five fields"),
        ('/schedule add "0, 12 2 * *" loadtest 10rps', "“0,”"),
        ("/schedule add 15, 45 2 * * loadtest 10rps", "“15,”"),
        ('/schedule add "0 2 * 1, 3" loadtest 10rps', "“1,”"),
        ('/schedule add "*5 * * * *" loadtest 10rps', "*5"),
        ('/schedule add "5* * * * *" loadtest 10rps', "5*"),
        ('/schedule add "0 2 * * *" UTC+2 loadtest 10rps', "UTC+2"),
        ("/schedule add every day at 2am loadtest 10rps", "every"),
        ("/schedule add x deploy v1", "x"),
        ('/schedule add "0 2 * * *" scale 2 dry-run', "dry run"),
        ('/schedule add "0 2 * * *" deploy status', "deploy status"),
        ('/schedule add "0 2 * * *"', "what to run"),
        ("/schedule remove all", "/schedule list"),
    ],
)
def test_mistake_without_a_certain_correction_has_no_suggestion(command: str, problem: str) -> None:
    error = mistake(command)
    assert problem in error.problem
    assert error.nearest == ""


@pytest.mark.parametrize("typed", ["prod-us", "prod-u", "prod-ek"])
def test_name_that_may_be_one_of_two_is_not_guessed(typed: str) -> None:
    places = LookupValues(settings=settings(environments={"prod-eu": False, "prod-uk": False}))
    assert mistake(f"/deploy v1 to {typed}", places).nearest == ""


@pytest.mark.parametrize(
    "command",
    [
        "/loadtest to stop 4",
        "/loadtest 10rps on hold",
        "/deploy v1 no",
        "/deploy v1 but",
        "/deploy v1 to production?",
        "/deploy v1 !production",
        "/model train iris?",
        "/jobs mine?",
        "/deploy v1 utc",
        '/schedule add "0 2 * * *" Europe/Berlin deploy v1 UTC',
        '/schedule add "0 2 * * *" local deploy v1',
    ],
)
def test_word_that_is_spelled_right_is_not_taken_for_a_name(command: str) -> None:
    """Keywords, negations, questions and time zones are meant as they stand."""
    names = {"north-eu": False, "holy": False, "butler": False, "production": True}
    near = LookupValues(settings=settings(environments=names, targets={"shop": "100rps"}), places=("production",))
    assert mistake(command, near).nearest == ""


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


RESTRAINING = ("dry-run", "slo", "abort", "never", "ramp", "hold", "replicas", "steps", "spike")
EXTRA = (
    "dry-run",
    "–dry-run",
    "dyr-run",
    "not",
    "abort never",
    "ramp 30s",
    "to production",
    "v2",
    "5m",
    "Sunday",
    "UTC+2",
)


@st.composite
def mistaken(draw: st.DrawFn) -> str:
    """A valid command with one to three mistakes: letters, marks, dashes, units, numbers, words and their order."""
    words = draw(st.sampled_from(VALID))[0].split()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(words) - 1))
        word = words[at]
        letter = draw(st.integers(0, len(word) - 1))
        match draw(
            st.sampled_from(["drop", "double", "swap", "letter", "mark", "dash", "unit", "digit", "word", "order"])
        ):
            case "drop":
                words[at] = word[:letter] + word[letter + 1 :]
            case "double":
                words[at] = word[:letter] + word[letter] + word[letter:]
            case "swap":
                words[at] = word[:letter] + word[letter + 1 : letter + 2] + word[letter] + word[letter + 2 :]
            case "letter":
                words[at] = word[:letter] + draw(st.sampled_from("aeinorst018.,'-")) + word[letter + 1 :]
            case "mark":
                mark = draw(st.sampled_from(["*", "_", "~", "`", "“", "!", ".", ";"]))
                words[at] = f"{mark}{word}{mark}"
            case "dash":
                words[at] = draw(st.sampled_from("-–—‑−")) + word
            case "unit":
                words[at] = word.translate(str.maketrans("", "", draw(st.sampled_from(["rps", "ms", "v", "m", "%"]))))
            case "digit":
                words[at] = word.replace(draw(st.sampled_from("0125")), draw(st.sampled_from("0379")))
            case "word":
                words.insert(at + 1, draw(st.sampled_from(EXTRA)))
            case "order":
                other = draw(st.integers(1, len(words) - 1)) if at else 0
                words[at], words[other] = words[other], words[at]
        words = [word for word in words if word] or ["/deploy"]
    return " ".join(words)


def numbers(text: str) -> Counter[str]:
    """Return the numbers in a text, with its thousands joined."""
    joined = re.sub(r"(?<=[0-9])[,' ’](?=[0-9]{3}(?:rps|\.\.))", "", text)
    return Counter(re.findall(r"[0-9]+", joined))


@settings_of_hypothesis(max_examples=int(os.environ.get("SEATRIAL_TEST_MISTAKES", "300")))
@given(command=mistaken())
def test_suggestion_never_wants_more_than_was_typed(command: str) -> None:
    """No number, place, model, verb or day is new, and no restraining word is gone."""
    try:
        read_command(command, TWO_MODELS)
    except UsageError:
        suggestion = mistake(command, TWO_MODELS).nearest
    else:
        assume(False)
    if not suggestion:
        return
    typed, offered = command.lower(), suggestion.lower().split()
    assert numbers(suggestion) == numbers(command), f"{command} → {suggestion}"
    for name in (*TWO_MODELS.settings.places, *TWO_MODELS.settings.models, "berlin", "train", "rollback", "cancel"):
        if any(name in word for word in offered):
            assert difflib.get_close_matches(name, re.findall("[a-z]+", typed), 1, 0.4), f"{command} → {suggestion}"
    for word in re.findall("[a-z][a-z-]*[a-z]", typed):
        if word in RESTRAINING:
            assert word in offered, f"{command} → {suggestion}"
        assert difflib.get_close_matches(word, re.findall("[a-z]+[a-z-]*", " ".join(offered)), 1, 0.4) or len(word) < 4


@pytest.mark.parametrize(
    ("command", "lookup"),
    [
        ("/deploy v1", LookupValues(newest=0, places=())),
        ("/scale 3", LookupValues(newest=0, places=())),
        ("/scale 3", LookupValues(places=())),
        ("/loadtest 10rps on production", LookupValues()),
        ("/deploy rollback", LookupValues(before=None)),
        ("/deploy rollback", LookupValues(before=9)),
    ],
)
def test_command_that_must_come_first_is_named_but_not_suggested(command: str, lookup: LookupValues) -> None:
    error = mistake(command, lookup)
    assert error.nearest == ""
    assert error.problem


def test_search_that_exceeds_the_longest_load_is_refused() -> None:
    """Twelve rates of at least five seconds take a minute."""
    short = settings().model_copy(update={"loadtest": LoadTestDefaults(duration_s="10s", longest_s="50s")})
    assert "loadtest.longest" in mistake("/loadtest find", LookupValues(settings=short)).problem


def test_ambiguous_model_or_environment_is_listed() -> None:
    several = LookupValues(settings=settings(models=("iris", "wine"), environments={"blue": False, "green": False}))
    assert "iris and wine" in mistake("/model train", several).problem
    assert "blue and green" in mistake("/deploy v1 iris", several).problem


@pytest.mark.parametrize("command", ["/model train", "/deploy v1", "/scale 3", "/loadtest 10rps", "/schedule add"])
def test_empty_settings_have_no_suggestion(command: str) -> None:
    empty = LookupValues(settings=settings(models=(), environments={}), places=())
    assert mistake(command, empty).nearest == ""


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
        assert (part.isprintable() or not part) and "`" not in part
        assert "<!" not in part and "<@" not in part
        assert len(part) < 300


def test_mention_without_a_command_lists_the_verbs() -> None:
    with pytest.raises(UsageError) as caught:
        read_mention("<@U1> good morning", LookupValues(), None)
    assert "deploy" in caught.value.usage


def test_unknown_verb_is_a_usage_error() -> None:
    """Slack may know a slash command that Seatrial does not know."""
    with pytest.raises(UsageError, match="/frobnicate"):
        read("/frobnicate", "", LookupValues())


WITH_A_MEANING = """
not no never don't without except or if until wrong 7 v7 7rps 7% -7 1.000 ٧ ½ 🚫 ! && | sunday UTC+2 production
<#C1|docs> <@U2> <https://docs.example.com> p90<7ms errors>7% nicht <7
"""


@settings_of_hypothesis(max_examples=300)
@given(
    command=st.sampled_from([command for command, _ in VALID]),
    word=st.sampled_from(WITH_A_MEANING.split()),
    place=st.floats(0, 1),
)
def test_word_is_never_ignored(command: str, word: str, place: float) -> None:
    """With any other word, neither the command nor its suggestion has the meaning that it has without the word."""
    words = command.split()
    at = 1 + round(place * (len(words) - 1))
    longer = " ".join([*words[:at], word, *words[at:]])
    try:
        read_command(longer, TWO_MODELS)
    except UsageError:
        longer = mistake(longer, TWO_MODELS).nearest
    assert not longer or read_command(longer, TWO_MODELS) != read_command(command, TWO_MODELS)
