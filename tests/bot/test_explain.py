"""`seatrial explain`: understood commands, problems, mentions, versions, and mistakes in its own arguments."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.explain import InvalidVersions, explain
from workers.contract.queue import QueueUnavailable

ROOT = Path(__file__).parents[2]
SETTINGS = {"SEATRIAL_CONFIG": str(ROOT / "seatrial.toml")}


def meaning(text: str, *, mention: bool = False, versions: str = "iris=1,2") -> Any:
    return json.loads(explain(text, mention=mention, versions=[versions], environ=SETTINGS))


@pytest.mark.parametrize(
    ("text", "understood", "kind"),
    [
        ("/deploy v1 to production –dry-run", "/deploy v1 iris to production dry-run", "deploy"),
        ("deploy v1", "/deploy v1 iris to staging", "deploy"),
        ("/deploy rollback", "/deploy v1 iris to staging", "deploy"),
        ("/model train", "/model train iris", "train_model"),
        ("/scale 1 to 4", "/scale 1..4 iris on staging", "scale"),
        ("/loadtest 200 to 2000rps", "/loadtest 200..2000rps for 1m iris on staging", "load_test"),
        ("/loadtest find", "/loadtest find from 100rps to 10000rps for 20s iris on staging", "find_capacity"),
        (
            '/schedule add "@daily" Europe/Berlin model train',
            '/schedule add "0 0 * * *" Europe/Berlin model train iris',
            "schedule add",
        ),
        ("/seatrial jobs cancel 42", "/jobs cancel 42", "jobs cancel"),
        ("/jobs", "/jobs", "jobs"),
        ("/deploy help", "/deploy help", "help"),
    ],
)
def test_understood_command_is_spelled_in_full_with_its_kind(text: str, understood: str, kind: str) -> None:
    assert meaning(text) == {"understood": understood, "kind": kind}


def test_problem_has_a_suggestion_only_if_it_is_certain() -> None:
    assert meaning("/deploy v1 to stagin")["suggestion"] == "/deploy v1 to staging"
    assert meaning("/deploy latest") == {"problem": "“latest” is not understood here.", "suggestion": None}
    assert meaning("/deploy v1", versions="iris=")["suggestion"] is None


@pytest.mark.parametrize(
    ("text", "understood"),
    [
        ("@seatrial deploy v1", "/deploy v1 iris to staging"),
        ("hi <@U012ABC>, deploy v1", "/deploy v1 iris to staging"),
        ("do not run @seatrial deploy v1 to staging", None),
    ],
)
def test_mention_is_a_command_if_it_opens_the_message(text: str, understood: str | None) -> None:
    assert meaning(text, mention=True).get("understood", "") == understood


@pytest.mark.parametrize("versions", ["iris", "iris=one", "wine=1"])
def test_wrong_versions_are_refused(versions: str) -> None:
    with pytest.raises(InvalidVersions, match=versions.partition("=")[0]):
        meaning("/jobs", versions=versions)


def test_versions_come_from_redis_unless_they_are_given() -> None:
    away = SETTINGS | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    with pytest.raises(QueueUnavailable):
        explain("/deploy v1", mention=False, versions=[], environ=away)


@pytest.mark.parametrize(
    ("words", "status", "printed"),
    [
        (["/deploy v2", "--versions", "iris=1,2"], 0, '"understood": "/deploy v2 iris to staging"'),
        (["/deploy v2", "--versions", "wine=1"], 2, "no model wine"),
        (["/deploy v2"], 1, "--versions iris=1,2"),
    ],
)
def test_command_line_prints_the_meaning_or_the_reason(words: list[str], status: int, printed: str) -> None:
    environ = {**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0"}
    command = [sys.executable, "-m", "bot", "explain", *words]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status
    assert printed in done.stdout + done.stderr
