"""Arbitrary text: every command is a request or a UsageError, whose suggestion is understood."""

from hypothesis import given, settings, strategies as st

from bot.commands import COMMANDS, read, read_command, read_mention
from bot.commands.command import UsageError
from tests.bot.lookup import LookupValues, settings as seatrial_settings

VOCABULARY = """
train list show compare status history rollback stop last add pause resume run remove running mine cancel retry help
to on for with ramp slo replicas in at dry-run dry v0 v1 v2 v9 iris wine staging production stagin 3 0 -5 1..4 4..1
1000rps 1krps 60/s 1000 rps k 5m 1h30m 90 s p95<200ms errors<1% p95<1 < , #42 42 s1 UTC Europe/Berlin Europe/X @daily
200..2000rps 200 .. 2krps 2000..200rps steps 5 50 spike poisson abort never errors>20% p95>1s find from hold replicas
compare docs dosc 2h > model deploy /loadtest scale schedule " “ ` 0 2 * * 1-5 "0 1-5" "*/5 <!channel> 🚢 مرحبا
"""
WORDS = [*VOCABULARY.split(), '"0 2 * * 1-5"', "\x00", "\n"]

LIKE_WORDS = [
    seatrial_settings(models=("show", "to", "v1"), environments={"on": False, "v1": True}),
    seatrial_settings(models=("find", "steps"), environments={"from": False}, targets={"abort": "10rps"}),
]
"""Settings with names that are also words of commands."""
LOOKUPS = st.builds(
    LookupValues,
    settings=st.sampled_from(
        [
            seatrial_settings(),
            seatrial_settings(models=("iris", "wine"), environments={"staging": False, "canary": False}),
            seatrial_settings(models=(), environments={}),
            seatrial_settings(targets={"docs": "100rps", "shop": "0.001rps"}),
            seatrial_settings(models=(), environments={}, targets={"docs": "1krps"}),
            *LIKE_WORDS,
        ]
    ),
    newest=st.integers(0, 3),
    places=st.sampled_from([(), ("staging",), ("staging", "production")]),
    before=st.sampled_from([None, 1, 9]),
)
VERBS = st.sampled_from(list(COMMANDS))
JUMBLED = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
CLOSE = st.sampled_from(
    [
        "train iris",
        "v2 iris to production replicas 2..4 dry-run",
        "rollback to v1 staging",
        "3 iris on staging",
        "1000rps for 5m iris on staging ramp 30s slo p95<200ms,errors<1%",
        'add "0 2 * * 1-5" Europe/Berlin loadtest 1000rps for 5m',
        "200..2000rps steps 5 poisson for 5m on staging abort errors>20% for 10s",
        "200..2000rps spike on docs ramp 30s abort never",
        "find from 100rps to 2000rps for 20s hold replicas iris on staging slo p95<100ms",
        "compare 41 42",
        "cancel 42",
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A valid command with a few characters replaced, dropped or added."""
    text = draw(CLOSE)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.text(max_size=2)) + text[at + draw(st.integers(0, 2)) :]
    return text


TEXTS = st.one_of(st.text(max_size=200), st.text(st.characters(), max_size=20), JUMBLED, mutated())


def check(error: UsageError, lookup: LookupValues) -> None:
    """Check that the suggestion, if any, is understood, and that the answer is short and on one line."""
    if error.nearest:
        read_command(error.nearest, lookup)
    assert error.problem.endswith(".") and error.usage.startswith("/")
    assert (
        error.problem.isprintable() and f"{error.nearest}.".isprintable() and "`" not in error.problem + error.nearest
    )
    assert len(error.problem) < 400 and len(error.nearest) < 400


@settings(max_examples=200)
@given(verb=VERBS, text=TEXTS, lookup=LOOKUPS)
def test_any_text_is_a_request_or_a_usage_error(verb: str, text: str, lookup: LookupValues) -> None:
    """The request can be spelled; the suggestion is understood as it stands."""
    try:
        request = read(verb, text, lookup)
    except UsageError as error:
        check(error, lookup)
    else:
        if lookup.settings not in LIKE_WORDS:
            assert read_command(request.spelled(lookup.settings), lookup) == request


@settings(max_examples=200)
@given(
    text=st.one_of(TEXTS, st.tuples(VERBS, TEXTS).map(" ".join)), job_id=st.sampled_from([None, "7"]), lookup=LOOKUPS
)
def test_any_mention_is_a_request_or_a_usage_error(text: str, job_id: str | None, lookup: LookupValues) -> None:
    """Verbs may be unknown."""
    try:
        read_mention(text, lookup, job_id)
    except UsageError as error:
        check(error, lookup)
