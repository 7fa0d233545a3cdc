"""Answers to the person who typed or clicked: short, and with what to do next. Pure."""

from collections.abc import Sequence

from bot.blocks import Message, code, context, date, escape, message, paragraphs, person, section
from bot.cards import load_test
from bot.cards.card import approvals_wanted, word
from workers.contract.catalogue import Served, Version
from workers.contract.formatting import show_duration
from workers.contract.jobs import Deploy, FindCapacity, Job, LoadTest
from workers.contract.record import Record
from workers.contract.settings import Approvals, SettingsFile


def plain(text: str) -> Message:
    """One paragraph."""
    return message([section(text)])


def usage(problem: str, *, nearest: str, usage: str) -> Message:
    """Return the mistake in a command, the nearest valid command, and one line of usage."""
    blocks = [section(escape(problem))]
    if nearest:
        blocks.append(section(f"Did you mean {code(nearest)}?"))
    blocks.append(context(f"Usage: {code(usage)}"))
    return message(blocks)


def refused(reason: str) -> Message:
    """A rule's sentence."""
    return plain(f":no_entry: {escape(reason)}")


def redis_away() -> Message:
    """What was asked may just have been noted, so that only a card tells whether it was."""
    return plain(
        ":warning: Seatrial cannot reach its queue (Redis) right now. Unless a card says otherwise, nothing was done: "
        "try again in a minute."
    )


def slack_away() -> Message:
    """Something had to be asked of Slack, and Slack did not answer."""
    return plain(":warning: Slack did not answer a question of Seatrial's, so nothing was done. Try again in a minute.")


def slack_refuses(error: str) -> Message:
    """Something had to be asked of Slack, and Slack will not answer: a matter of tokens and scopes."""
    return plain(
        f":warning: Slack does not let Seatrial look something up ({code(error)}), so nothing was done. "
        "`seatrial doctor`, run where the bot runs, tells what is missing."
    )


def already(job_id: str) -> Message:
    """The same request came before."""
    return plain(f"That is job #{job_id} already; nothing new was started.")


def no_card(channel: str, error: str) -> Message:
    """The channel takes no card."""
    if error in ("not_in_channel", "channel_not_found"):
        return plain(
            f"Seatrial is not in <#{channel}>, so nothing was started. "
            "Invite it there with `/invite @seatrial` and try again."
        )
    return plain(
        f"Slack takes no message in <#{channel}> ({code(error)}), so nothing was started. Try another channel."
    )


def card_follows(record: Record) -> Message:
    """Slack is slow."""
    return plain(f"Heard: job #{record.id}. Slack is slow right now; the card follows, and then the job starts.")


def decided_before(record: Record) -> Message:
    """Somebody else was first."""
    return plain(f"Job #{record.id} does not wait for approval any more.")


def ended_before(record: Record) -> Message:
    """Too late to cancel."""
    return plain(f"Job #{record.id} has ended already.")


def stopping(record: Record) -> Message:
    """It has been told before."""
    return plain(f"Job #{record.id} has been asked to stop already and is cleaning up.")


def dry_run(job: Job, approvals: Approvals | None) -> Message:
    """What would happen, and who would have to agree."""
    lines = [f"*Dry run:* {escape(job.summary)}. Nothing was started.", "Steps: " + " → ".join(job.steps)]
    if isinstance(job, Deploy):
        lines.append(f"Content: {code(job.digest[:19])}")
    if isinstance(job, LoadTest | FindCapacity):
        lines.append(f"Load: {escape(load_test.amount(job))}.")
        lines += filter(None, [load_test.ownership(job)])
    if approvals is None:
        lines.append("No approval is needed. It would start at once, or after the jobs that are ahead of it.")
    else:
        lines.append(f"It would {waiting(approvals)}")
    return plain("\n".join(lines))


def waiting(approvals: Approvals) -> str:
    """What a job that needs approvals does first, as the rest of a sentence."""
    asked = approvals_wanted(approvals.count, approvals.from_, own=approvals.own)
    return f"wait up to {show_duration(approvals.expires_s)} for {asked}."


def models(settings: SettingsFile, versions: dict[str, list[Version]]) -> Message:
    """`/model list`."""
    lines = []
    for name, model in settings.models.items():
        found = versions[name]
        newest = (
            f"newest v{found[-1].version}, {_metrics(found[-1])}"
            if found
            else f"no version yet: {code(f'/model train {name}')}"
        )
        lines.append(f"*{name}* ({model.type}): {newest}")
    return message(paragraphs(lines or ["The settings name no model. Add one under [models.NAME] in seatrial.toml."]))


def model(name: str, found: Sequence[Version], served: Sequence[Served]) -> Message:
    """`/model show`."""
    if not found:
        return plain(f"*{name}* has no version yet. Train one: {code(f'/model train {name}')}")
    lines = []
    for version in reversed(found):
        places = [item.environment for item in served if item.model == name and item.version == version.version]
        where = f" · live on {', '.join(places)}" if places else ""
        by = escape(version.trained_by)
        lines.append(
            f"*v{version.version}* {_metrics(version)} · {version.size_bytes / 1024:.1f} kB · by {by} "
            f"{date(version.created_at_s)}, job #{version.job_id}{where}"
        )
    return message(paragraphs(lines))


def comparison(first: Version, second: Version) -> Message:
    """`/model compare`."""
    lines = [f"*{first.model}* v{first.version} → v{second.version}"]
    for name in sorted(first.metrics.keys() | second.metrics.keys()):
        before, after = first.metrics.get(name), second.metrics.get(name)
        change = f" ({after - before:+.4f})" if before is not None and after is not None else ""
        lines.append(f"{name}: {_number(before)} → {_number(after)}{change}")
    return plain("\n".join(lines))


def deployments(served: Sequence[Served], settings: SettingsFile) -> Message:
    """`/deploy status`."""
    lines = []
    for environment in settings.environments:
        here = [item for item in served if item.environment == environment]
        lines += [
            f"*{environment}*: {item.model} v{item.version} · {item.ready} ready (bounds {item.replicas})"
            f" · {item.address} · since {date(item.since_s)}"
            for item in here
        ] or [f"*{environment}*: nothing"]
    return message(paragraphs(lines or ["The settings name no environment."]))


def jobs(records: Sequence[Record], nothing: str) -> Message:
    """A line a job, newest first."""
    return message(paragraphs([_job_line(record) for record in records] or [nothing]))


def status(*, workers: Sequence[str], running: int, waiting: int) -> Message:
    """`/seatrial status`."""
    count = (
        f"{len(workers)} alive ({', '.join(map(escape, workers[:5]))})"
        if workers
        else "*none alive*: start one with `seatrial worker`"
    )
    return plain(f"Redis: reachable\nWorkers: {count}\nJobs: {running} running, {waiting} waiting")


def _job_line(record: Record) -> str:
    took = ""
    if record.started_at_s and record.ended_at_s:
        took = f" in {show_duration(record.ended_at_s - record.started_at_s)}"
    asked = f"{person(record.asked.by)} {date(record.asked.at_s)}"
    return f"*#{record.id}* {escape(record.job.summary)} · {word(record)}{took} · {asked}"


def _metrics(version: Version) -> str:
    return " · ".join(f"{name} {value:.3f}" for name, value in list(version.metrics.items())[:4])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
