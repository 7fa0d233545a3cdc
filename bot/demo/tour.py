"""The demo's tour: train, deploy, approve and load test through signed commands and clicks in the local Slack."""

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

from bot.demo.processes import DidNotStart, await_port, free_port, log_tail, process, python, redis
from bot.local_slack.members import slash_commands
from bot.local_slack.person import Person, VisibleMessage
from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from bot.manifest import manifest

Words = tuple[str, ...]
Watch = Callable[[VisibleMessage], None]
_DONE = ("· done",)
_FAILURES = ("failed", "cancelled", "denied", "expired", "lost", "FAIL", "INVALID")
_END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STEP_S = 120.0
"""Time limit of a step on a slow and busy machine."""
MOST_TRIES = 3
"""Attempts at the load test. INVALID means that the machine was too busy to measure."""


class StepFailed(Exception):
    """A step of the tour with another end than expected, which the message shows."""


def demo(*, once: bool) -> int:
    """Start everything, play the tour, and run until Ctrl-C unless `once`. Return 1 if a step failed."""
    for number in _END_SIGNALS:
        signal.signal(number, _as_interrupt)
    root = Path(".seatrial")
    root.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=root)).absolute()
    passed = False
    try:
        with _processes(folder) as slack:
            passed = _play(slack, folder)
            if passed and not once:
                print(f"\nEverything is running. Try it yourself: {slack.url}  (Ctrl-C stops it)", flush=True)
                signal.pause()
    except KeyboardInterrupt:
        print("\nStopping.", flush=True)
    except DidNotStart as error:
        print(error, file=sys.stderr)
    if passed:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"The logs are in {folder}", file=sys.stderr)
    return 0 if passed else 1


@contextmanager
def _processes(folder: Path) -> Iterator[LocalSlack]:
    """Run Redis, the local Slack, the bot and a worker, and stop them all at the end, endpoints included."""
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
        down = python("-m", "workers", "down")
        stack.callback(subprocess.run, down, env=for_worker, check=False, capture_output=True)
        stack.enter_context(process("worker", python("-m", "workers"), folder=folder, environ=for_worker))
        bot = stack.enter_context(process("bot", python("-m", "bot"), folder=folder, environ=for_bot))
        await_port(bot, port, name="bot", folder=folder)
        yield slack


def _play(slack: LocalSlack, folder: Path) -> bool:
    """Play the steps and print their outcomes. Return False at the first failure."""
    ada, grace = slack.person("Ada"), slack.person("Grace")
    print(f"The local Slack is at {slack.url}\n", flush=True)
    steps: list[tuple[str, Callable[[], str]]] = [
        ("/model train iris", lambda: _train(ada)),
        ("/deploy v1 to staging", lambda: _line(_ask(ada, "/deploy v1 to staging"), "v1 is live")),
        ("/deploy v1 to production", lambda: _deploy_with_approval(ada, grace)),
        ("/loadtest 1000rps for 30s on staging", lambda: _load(ada)),
        ("/jobs", lambda: _jobs(ada)),
    ]
    for command, play in steps:
        print(f"  Ada types  {command}", flush=True)
        started_s = time.monotonic()
        try:
            outcome = play()
        except (StepFailed, TimeoutError, LookupError) as error:
            print(f"  ✗ {error}\n", file=sys.stderr)
            for name in ("bot", "worker"):
                print(f"End of {name}.log:\n{log_tail(folder, name)}\n", file=sys.stderr)
            return False
        print(f"  ✓ {outcome}  ({time.monotonic() - started_s:.1f} s)\n", flush=True)
    return True


def _train(ada: Person) -> str:
    card = _ask(ada, "/model train iris")
    return _line(card, "evaluate") + "; " + _line(card, "publish")


def _deploy_with_approval(ada: Person, grace: Person) -> str:
    card = _ask(ada, "/deploy v1 to production", until=("waits for approval",))
    ada.click_button(card, "Approve")
    ada.wait_for(lambda: any("another member must approve" in one.plain for one in ada.ephemerals()), STEP_S)
    print("    Ada may not approve her own request; Grace approves it", flush=True)
    grace.click_button(card, "Approve")
    card = _follow(ada, card)
    if grace.id not in next(line for line in card.plain.splitlines() if "approved by" in line):
        raise StepFailed(f"The card does not say who approved:\n{card.plain}")
    return _line(card, "v1 is live") + " Approved by Grace"


def _load(ada: Person) -> str:
    printed: list[str] = []

    def watch(card: VisibleMessage) -> None:
        if "· running" not in card.plain:
            return
        replicas = _line(card, r"^\d+( → \d+)*( \(|$)").partition(" (")[0]
        parts = [_line(card, "of 1,000 rps"), _line(card, "^p95"), replicas and f"replicas {replicas}"]
        line = " · ".join(filter(None, parts))
        if line and line not in printed:
            printed.append(line)
            print(f"    {line}", flush=True)

    until = ("· PASS", "· INVALID")
    card = _ask(ada, "/loadtest 1000rps for 30s on staging", until=until, watch=watch)
    cards = [card]
    while "· INVALID" in card.plain and len(cards) < MOST_TRIES:
        print(f"    INVALID: {_line(card, '^•')}\n    Ada clicks Run again", flush=True)
        card = _card_of(ada, partial(ada.click_button, card, "Run again"), until=until, watch=watch)
        cards.append(card)
    if "· INVALID" in card.plain:
        raise StepFailed(card.plain)
    chart = ada.wait_for(
        lambda: next((file for one in ada.thread(card) for file in one.files if file.name == "chart.png"), None), STEP_S
    )
    grown = next((found for one in cards if (found := re.search(r"(\d+) → (\d+)", one.plain))), None)
    if grown is None or int(grown[2]) < 2:
        raise StepFailed(f"The endpoint was not scaled up:\n{card.plain}")
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


def _ask(ada: Person, command: str, *, until: Words = _DONE, watch: Watch | None = None) -> VisibleMessage:
    """Type a command, and follow the card that appears."""
    return _card_of(ada, lambda: ada.type(command), until=until, watch=watch)


def _card_of(ada: Person, action: Callable[[], str], *, until: Words, watch: Watch | None) -> VisibleMessage:
    """Do `action`, and follow the card that appears."""
    before, ephemerals = {one.ts for one in ada.messages()}, len(ada.ephemerals())
    if failure := action():
        raise StepFailed(f"Slack shows: {failure}")

    def appeared() -> VisibleMessage | None:
        # Slack accepts about one post a second in a channel, so a card may be late on a fast machine.
        refused = [one.plain for one in ada.ephemerals()[ephemerals:] if "once its card is posted" not in one.plain]
        if refused:
            raise StepFailed(refused[-1])
        return next((one for one in ada.messages() if one.ts not in before and one.buttons), None)

    return _follow(ada, ada.wait_for(appeared, STEP_S), until=until, watch=watch)


def _follow(ada: Person, card: VisibleMessage, *, until: Words = _DONE, watch: Watch | None = None) -> VisibleMessage:
    """Wait until the first line of a card has one of `until`. Raises StepFailed if the job ends otherwise."""

    def ended() -> VisibleMessage | None:
        now = ada.message(card.ts)
        if now is None:
            raise StepFailed("The card was deleted.")
        if watch:
            watch(now)
        first = now.plain.splitlines()[0]
        if any(word in first for word in until):
            return now
        if any(f"· {word}" in first for word in _FAILURES):
            raise StepFailed(now.plain)
        return None

    return ada.wait_for(ended, STEP_S)


def _line(card: VisibleMessage, pattern: str) -> str:
    """Return the first line of a card that matches `pattern`, without mark-up."""
    lines = (re.sub(r"<[@!][^>]*>|:\w+:|[*`✓]", "", line).strip() for line in card.plain.splitlines())
    return next((line for line in lines if re.search(pattern, line)), "")


def _as_interrupt(*_: object) -> None:
    """Stop in order. A second Ctrl-C must not leave processes running."""
    for number in _END_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
