"""All of Seatrial as people use it: a local Slack, a bot and a worker as processes, and a real Redis."""

import subprocess
from contextlib import ExitStack
from pathlib import Path

from bot.demo import processes
from bot.local_slack.members import slash_commands
from bot.local_slack.person import Person, VisibleMessage
from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from bot.manifest import manifest
from workers.contract.queue import Queue, connect

WAIT_S = 90.0
SETTINGS = """
[models.iris]
type = "logistic_reg"
label = "species"
query = "SELECT * FROM `bigquery-public-data.ml_datasets.iris`"
sample = [{ sepal_length = 5.0, sepal_width = 2.0, petal_length = 3.5, petal_width = 1.0 }]

[models.broken]
type = "linear_reg"
label = "price"
query = "SELECT * FROM `bigquery-public-data.ml_datasets.iris`"
sample = [{ sepal_length = 5.0 }]

[environments.staging]
replicas = "1..3"
cpu_request = "20m"

[environments.production]
approvals = { count = 1, from = ["@ml-leads"] }
max_load = "50rps"
"""


class Stack:
    """The processes of one Seatrial, and the actions of tests on them."""

    def __init__(self, *, url: str, folder: Path, environ: dict[str, str], exit_stack: ExitStack) -> None:
        commands = slash_commands(manifest(request_url=None))
        self.slack = exit_stack.enter_context(LocalSlack(SlackSettings(deadline_s=60, commands=commands)))
        self.folder = folder
        client = connect(url)
        exit_stack.callback(client.close)
        self.queue = Queue(client)
        self._exit_stack = exit_stack
        (folder / "seatrial.toml").write_text(SETTINGS)
        self._port = processes.free_port()
        self.slack.request_url = f"http://127.0.0.1:{self._port}/slack/events"
        shared = environ | {"REDIS_URL": url, "SEATRIAL_CONFIG": str(folder / "seatrial.toml")}
        self.for_worker = shared | {"SEATRIAL_HOME": str(folder / "home"), "SEATRIAL_LEASE_S": "2"}
        self.for_bot = shared | {
            "SLACK_BOT_TOKEN": self.slack.settings.bot_token,
            "SLACK_SIGNING_SECRET": self.slack.settings.signing_secret,
            "SLACK_API_URL": self.slack.api_url,
            "HOST": "127.0.0.1",
            "PORT": str(self._port),
        }
        down = processes.python("-m", "workers", "down")
        exit_stack.callback(subprocess.run, down, env=self.for_worker, check=False, capture_output=True)

    @property
    def bot_url(self) -> str:
        """Return the base URL of the bot."""
        return f"http://127.0.0.1:{self._port}"

    def start_bot(self) -> "subprocess.Popen[bytes]":
        """Start a bot and wait until it listens."""
        bot = self._exit_stack.enter_context(
            processes.process("bot", processes.python("-m", "bot"), folder=self.folder, environ=self.for_bot)
        )
        processes.await_port(bot, self._port, name="bot", folder=self.folder)
        return bot

    def start_worker(self, name: str = "worker") -> "subprocess.Popen[bytes]":
        """Start a worker. Jobs wait until it is ready."""
        return self._exit_stack.enter_context(
            processes.process(name, processes.python("-m", "workers"), folder=self.folder, environ=self.for_worker)
        )

    def person(self, name: str) -> Person:
        """Return a member of the workspace."""
        return self.slack.person(name)

    def logs(self) -> str:
        """Return the logs of all processes."""
        return "\n".join(path.read_text(errors="replace") for path in self.folder.glob("*.log"))


def ask(person: Person, command: str, channel: str = "ml-ops") -> VisibleMessage:
    """Type a command and return the card that appears."""
    before = {one.ts for one in person.messages(channel)}
    assert person.type(command, channel) == ""
    return person.wait_for(
        lambda: next((one for one in person.messages(channel) if one.ts not in before), None), WAIT_S
    )


def ephemeral(person: Person, command: str, channel: str = "ml-ops") -> str:
    """Type a command and return the answer that only its author sees."""
    before = len(person.ephemerals())
    assert person.type(command, channel) == ""
    return person.wait_for(lambda: next(iter(person.ephemerals()[before:]), None), WAIT_S).plain


def until(person: Person, card: VisibleMessage, words: str) -> VisibleMessage:
    """Return the card once it contains `words`."""

    def look() -> VisibleMessage | None:
        now = person.message(card.ts)
        return now if now is not None and words in now.plain else None

    return person.wait_for(look, WAIT_S)
