"""A kind of job is four files and a line in each of two tables; a question is a change to one file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TOY = ROOT / "tests/toy_kind"
FILES = {
    "job.py": "workers/contract/jobs/warm_up.py",
    "handler.py": "workers/jobs/warm_up.py",
    "card.py": "bot/cards/warm_up.py",
    "command.py": "bot/commands/warm_up.py",
}
QUESTION = """

def _list_slow(desk: Desk) -> Message:
    return replies.jobs([record for record in desk.recent() if record.ended_at_s], "No job has ended.")
"""


def insert(path: Path, before: str, text: str) -> None:
    """Insert `text` in front of the only occurrence of `before`."""
    source = path.read_text(encoding="utf-8")
    assert source.count(before) == 1, f"{before!r} in {path}"
    path.write_text(source.replace(before, text + before), encoding="utf-8")


def test_a_kind_of_job_is_four_files_and_two_lines_and_a_question_is_one_file(tmp_path: Path) -> None:
    for package in ("bot", "workers"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for source, target in FILES.items():
        shutil.copy(TOY / source, tmp_path / target)
    kinds, commands = tmp_path / "workers/contract/jobs/__init__.py", tmp_path / "bot/commands/__init__.py"
    insert(kinds, '    "train_model": TrainModel,\n', '    "warm_up": WarmUp,\n')
    insert(kinds, "from workers.contract.jobs.train_model import", "from workers.contract.jobs.warm_up import WarmUp\n")
    insert(commands, "loadtest.COMMAND)", "warm_up.COMMAND, ")
    insert(commands, "from bot.commands.command import", "from bot.commands import warm_up\n")

    jobs = tmp_path / "bot/commands/jobs.py"
    insert(jobs, '    "retry": Form(', '    "slow": Form(usage="/jobs slow", does="jobs that have ended"),\n')
    insert(
        jobs,
        '        case "running":\n',
        '        case "slow":\n            return SimpleRequest("/jobs slow", _list_slow)\n',
    )
    jobs.write_text(jobs.read_text(encoding="utf-8") + QUESTION, encoding="utf-8")

    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-m", "tests.toy_kind.walk"]
    walked = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120)
    assert walked.returncode == 0, walked.stderr
    assert walked.stdout.strip() == str(tmp_path / "bot/__init__.py")
