"""The tour: train, deploy, approve, load test, played through the local Slack by signed commands and clicks."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bot.demo.processes import DidNotStart, await_port, free_port, last_words, process, python, redis
from bot.local_slack.members import slash_commands
from bot.local_slack.person import Message, Person
from bot.local_slack.running import LocalSlack
from bot.local_slack.server import SlackSettings
from bot.manifest import manifest

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STEP_S = 120.0
"""The longest that a step of the tour may take, on a slow and busy machine."""
TRIES = 3
"""How often the load test is tried. INVALID tells of a machine too busy to measure, not of the endpoint."""


class StepFailed(Exception):
    """A step of the tour did not end as it should; the message says how it ended."""


def demo(*, once: bool) -> int:
    """Start everything, play the tour, then stay up until Ctrl-C (or end at once); 1 where a step failed."""
    for number in ENDING:
        signal.signal(number, _as_interrupt)
    root = Path(".seatrial")
    root.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=root)).absolute()
    ended_well = False
    try:
        with _house(folder) as slack:
            ended_well = _play(slack, folder)
            if ended_well and not once:
                print(f"\nEverything is up. Go on by hand: {slack.url}  (Ctrl-C ends it)", flush=True)
                signal.pause()
    except KeyboardInterrupt:
        print("\nStopping.", flush=True)
    except DidNotStart as error:
        print(error, file=sys.stderr)
    if ended_well:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"The logs are in {folder}", file=sys.stderr)
    return 0 if ended_well else 1


@contextmanager
def _house(folder: Path) -> Iterator[LocalSlack]:
    """Redis, the local Slack, the bot and a worker; and at the end nothing of them, endpoints included."""
    with ExitStack() as stack:
        redis_url = stack.enter_context(redis(folder))
        commands = slash_commands(manifest(request_url=None))
        slack = stack.enter_context(LocalSlack(SlackSettings(commands=commands)))
        port = free_port()
        slack.request_url = f"http://127.0.0.1:{port}/slack/events"
        shared = {name: value for name, value in os.environ.items() if not name.startswith(("SLACK_", "SEATRIAL_"))}
        shared |= {"REDIS_URL": redis_url, "SEATRIAL_CONFIG": os.environ.get("SEATRIAL_CONFIG", "seatrial.toml")}
        for_worker = shared | {"SEATRIAL_HOME": str(folder)}
        for_bot = shared | {
            "SLACK_BOT_TOKEN": slack.settings.bot_token,
            "SLACK_SIGNING_SECRET": slack.settings.signing_secret,
            "SLACK_API_URL": slack.api_url,
            "HOST": "127.0.0.1",
            "PORT": str(port),
        }
        stack.callback(
            subprocess.run, python("-m", "workers", "down"), env=for_worker, check=False, capture_output=True
        )
        stack.enter_context(process("worker", python("-m", "workers"), folder=folder, environ=for_worker))
        bot = stack.enter_context(process("bot", python("-m", "bot"), folder=folder, environ=for_bot))
        await_port(bot, port, name="bot", folder=folder)
        yield slack


def _play(slack: LocalSlack, folder: Path) -> bool:
    """The steps, each with its outcome; whether all went well."""
    ada, grace = slack.person("Ada"), slack.person("Grace")
    print(f"The local Slack is at {slack.url}\n", flush=True)
    steps: list[tuple[str, Callable[[], str]]] = [
        ("/model train iris", lambda: _train(ada)),
        ("/deploy v1 to staging", lambda: _deploy(ada, "v1 is live")),
        ("/deploy v1 to production", lambda: _deploy_with_approval(ada, grace)),
        ("/loadtest 1000rps for 30s on staging", lambda: _load(ada)),
        ("/jobs", lambda: _jobs(ada)),
    ]
    for typed, play in steps:
        print(f"  Ada types  {typed}", flush=True)
        began_s = time.monotonic()
        try:
            outcome = play()
        except (StepFailed, TimeoutError, LookupError) as error:
            print(f"  ✗ {error}\n", file=sys.stderr)
            for name in ("bot", "worker"):
                print(f"{name}'s last words:\n{last_words(folder, name)}\n", file=sys.stderr)
            return False
        print(f"  ✓ {outcome}  ({time.monotonic() - began_s:.1f} s)\n", flush=True)
    return True


def _train(ada: Person) -> str:
    card = _ask(ada, "/model train iris", until=("· done",))
    return _line(card, "evaluate") + "; " + _line(card, "publish")


def _deploy(ada: Person, wanted: str) -> str:
    card = _ask(ada, "/deploy v1 to staging", until=("· done",))
    return _line(card, wanted)


def _deploy_with_approval(ada: Person, grace: Person) -> str:
    card = _ask(ada, "/deploy v1 to production", until=("waits for approval",))
    ada.click_button(card, "Approve")
    ada.wait_for(lambda: any("another member must approve" in one.plain for one in ada.ephemerals()), STEP_S)
    print("    Ada's own click on Approve is refused; Grace approves", flush=True)
    grace.click_button(card, "Approve")
    card = _follow(ada, card, until=("· done",))
    if grace.id not in next(line for line in card.plain.splitlines() if "approved by" in line):
        raise StepFailed(f"The card does not say who approved:\n{card.plain}")
    return _line(card, "v1 is live") + " Approved by Grace"


def _load(ada: Person) -> str:
    seen: list[str] = []

    def watch(card: Message) -> None:
        if "· running" not in card.plain:
            return
        replicas = _line(card, r"^\d+( → \d+)*( \(|$)").partition(" (")[0]
        pieces = (_line(card, "of 1,000 rps"), _line(card, "^p95"), replicas and f"replicas {replicas}")
        line = " · ".join(piece for piece in pieces if piece)
        if line and line not in seen:
            seen.append(line)
            print(f"    {line}", flush=True)

    until = ("· PASS", "· INVALID")
    cards = [_ask(ada, "/loadtest 1000rps for 30s on staging", until=until, watch=watch)]
    while "· INVALID" in cards[-1].plain and len(cards) < TRIES:
        print(f"    INVALID: {_line(cards[-1], '^•')}\n    Ada clicks Run again", flush=True)
        again = partial(ada.click_button, cards[-1], "Run again")
        cards.append(_card_of(ada, again, until=until, watch=watch))
    card = cards[-1]
    if "· INVALID" in card.plain:
        raise StepFailed(card.plain)
    chart = ada.wait_for(
        lambda: next((file for one in ada.thread(card) for file in one.files if file.name == "chart.png"), None), STEP_S
    )
    grown = next((found for one in cards if (found := re.search(r"(\d+) → (\d+)", one.plain))), None)
    if grown is None or int(grown[2]) < 2:
        raise StepFailed(f"The replicas did not grow:\n{card.plain}")
    numbers = "; ".join(_line(card, pattern) for pattern in ("of 1,000 rps", r"\d failed", "^p50"))
    return f"PASS; {numbers}; {grown[0]}; {chart.name} ({chart.size_bytes:,} bytes) is in the thread"


def _jobs(ada: Person) -> str:
    before = len(ada.ephemerals())
    ada.type("/jobs")
    answer = ada.wait_for(lambda: next(iter(ada.ephemerals()[before:]), None), STEP_S)
    lines = answer.plain.splitlines()
    if len(lines) < 4:
        raise StepFailed(f"/jobs should show at least four jobs:\n{answer.plain}")
    return f"{len(lines)} jobs"


def _ask(ada: Person, typed: str, *, until: tuple[str, ...], watch: Callable[[Message], None] | None = None) -> Message:
    """Type, and follow the card that appears."""
    return _card_of(ada, lambda: ada.type(typed), until=until, watch=watch)


def _card_of(
    ada: Person,
    deed: Callable[[], str],
    *,
    until: tuple[str, ...],
    watch: Callable[[Message], None] | None = None,
) -> Message:
    """Do it, and follow the card that appears."""
    before = {one.ts for one in ada.messages()}
    whispered = len(ada.ephemerals())
    if failure := deed():
        raise StepFailed(f"Slack shows: {failure}")

    def appeared() -> Message | None:
        # Slack takes about one post a second in a channel: on a quick machine a card may have to wait its turn.
        refused = [one.plain for one in ada.ephemerals()[whispered:] if "once its card is posted" not in one.plain]
        if refused:
            raise StepFailed(refused[-1])
        return next((one for one in ada.messages() if one.ts not in before and one.buttons), None)

    return _follow(ada, ada.wait_for(appeared, STEP_S), until=until, watch=watch)


def _follow(
    ada: Person, card: Message, *, until: tuple[str, ...], watch: Callable[[Message], None] | None = None
) -> Message:
    """Wait for a card to say one of `until` in its first line. Raises StepFailed where it ends otherwise."""

    def ended() -> Message | None:
        now = ada.message(card.ts)
        if now is None:
            raise StepFailed("The card is gone.")
        if watch:
            watch(now)
        first = now.plain.splitlines()[0]
        if any(word in first for word in until):
            return now
        if any(
            f"· {word}" in first for word in ("failed", "cancelled", "denied", "expired", "lost", "FAIL", "INVALID")
        ):
            raise StepFailed(now.plain)
        return None

    return ada.wait_for(ended, STEP_S)


def _line(card: Message, pattern: str) -> str:
    """The first line of a card in which `pattern` is found, as one reads it: without mark-up and marks."""
    lines = (re.sub(r"<[@!][^>]*>|:\w+:|[*`✓]", "", line).strip() for line in card.plain.splitlines())
    return next((line for line in lines if re.search(pattern, line)), "")


def _as_interrupt(*_: object) -> None:
    """End in order; a second Ctrl-C must not leave half of it running."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
