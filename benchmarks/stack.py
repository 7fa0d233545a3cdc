"""Running Seatrial for benchmarks: Redis, a stand-in for Slack, the bot and optionally a worker, as processes."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.slash_commands import SlashClient, SlashConnection
from bot.demo.processes import await_port, free_port, process, python, redis
from bot.local_slack.members import ADA
from bot.local_slack.server import SlackSettings
from bot.local_slack.workspace import Workspace
from workers.contract.queue import Queue, connect
from workers.contract.record import Record

_SLACK = SlackSettings()
_CHANNEL = Workspace(clock=_SLACK.clock).channel_named("ml-ops").id
_PATIENCE_S = 180.0


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkStack:
    """Handles of a running stack: the queue, a client for commands, and the bot's environment."""

    queue: Queue
    redis_url: str
    slash: SlashClient
    for_bot: Mapping[str, str]

    def done(self, command: str) -> tuple[float, Record]:
        """Send a command and wait for its job's end. Return the sending time in Unix seconds, and the job's record."""
        connection = SlashConnection(self.slash.port)
        sent_at_s = time.time()
        connection.exchange(self.slash.request(command))
        connection.close()
        deadline_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline_s:
            for record in self.queue.recent(1):
                if record.final and record.asked.at_s > sent_at_s:
                    return sent_at_s, record
            time.sleep(0.02)
        raise TimeoutError(f"{command} did not end within {_PATIENCE_S:g} s.")


def on_one_core(*words: str) -> list[str]:
    """Return a command that runs this Python on the first core, or on any core without `taskset` of util-linux.

    One process of threads that share the GIL loses a third of its throughput when the threads change cores.
    """
    return [*(["taskset", "--cpu-list", "0"] if shutil.which("taskset") else []), *python(*words)]


@contextmanager
def stack(folder: Path, *, config: Path, slack: str, worker: bool) -> Iterator[BenchmarkStack]:
    """Start all processes, with their files in `folder`; stop them at the end. Raises DidNotStart.

    `slack` is the module of the stand-in for Slack.
    """
    with ExitStack() as exit_stack:
        redis_url = exit_stack.enter_context(redis(folder))
        slack_port, bot_port = free_port(), free_port()
        shared = {name: value for name, value in os.environ.items() if not name.startswith(("SLACK_", "SEATRIAL_"))}
        shared |= {"REDIS_URL": redis_url, "SEATRIAL_CONFIG": str(config)}
        for_bot = shared | {
            "SLACK_BOT_TOKEN": _SLACK.bot_token,
            "SLACK_SIGNING_SECRET": _SLACK.signing_secret,
            "SLACK_API_URL": f"http://127.0.0.1:{slack_port}/api/",
            "HOST": "127.0.0.1",
            "PORT": str(bot_port),
        }
        started = exit_stack.enter_context(
            process("slack", python("-m", slack, str(slack_port)), folder=folder, environ=shared)
        )
        await_port(started, slack_port, name="slack", folder=folder)
        if worker:
            for_worker = shared | {"SEATRIAL_HOME": str(folder)}
            down = python("-m", "workers", "down")
            exit_stack.callback(subprocess.run, down, env=for_worker, check=False, capture_output=True)
            exit_stack.enter_context(process("worker", python("-m", "workers"), folder=folder, environ=for_worker))
        bot = exit_stack.enter_context(process("bot", on_one_core("-m", "bot"), folder=folder, environ=for_bot))
        await_port(bot, bot_port, name="bot", folder=folder)
        client = connect(redis_url)
        exit_stack.callback(client.close)
        slash = SlashClient(port=bot_port, signing_secret=_SLACK.signing_secret, user=ADA.id, channel=_CHANNEL)
        yield BenchmarkStack(queue=Queue(client), redis_url=redis_url, slash=slash, for_bot=for_bot)
