"""Answers to the person who typed a command or clicked a button. Pure."""

from collections.abc import Sequence

from bot.blocks import Button, Message, actions, code, context, date, escape, message, paragraphs, person, section
from bot.cards.card import card_of, required_approvals, status as job_status
from bot.cards.number_format import change, ms, replicas, table
from workers.contract.catalogue import Served, Version
from workers.contract.formatting import show_duration, show_means, show_number, show_percentile, show_share
from workers.contract.jobs import Job, Tested
from workers.contract.record import Record
from workers.contract.settings import Approvals, SettingsFile

MOST_JOBS = 15
_MOST_METRICS = 4
_MOST_WORKERS = 5
RUN_SUGGESTION = "run_suggestion"
"""The action of a button whose value is a whole command."""
_MINUS = str.maketrans("-", "−")


def plain(text: str) -> Message:
    """Return a message of one paragraph."""
    return message([section(text)])


def usage(problem: str, *, nearest: str, usage: str) -> Message:
    """Return the mistake in a command, the nearest valid command with a button that runs it, and a line of usage."""
    blocks = [section(escape(problem))]
    if nearest:
        blocks.append(section(f"Did you mean {code(nearest)}?"))
        blocks.append(actions([Button(text="Run this", action=RUN_SUGGESTION, value=nearest)]))
    blocks.append(context(f"Usage: {code(usage)}"))
    return message(blocks)


def refused(reason: str) -> Message:
    """Return the sentence of a rule's refusal."""
    return plain(f":no_entry: {escape(reason)}")


MENTIONED = plain(
    "Nothing was started. A mention is a command if it opens the message, like `@seatrial deploy v1`; "
    "`@seatrial help` lists the commands."
)
FAILED = plain(
    ":warning: Seatrial itself failed at this. Look at `/jobs` before you try again; the bot's log has the reason."
)
BUTTON_OUTDATED = refused("This button is out of date. Nothing was changed.")
REDIS_AWAY = plain(
    ":warning: Seatrial cannot reach its queue (Redis). Unless a card appears, nothing was changed. "
    "Try again in a minute."
)
"""The request may have been stored just before."""
REDIS_FULL = plain(
    ":warning: Seatrial's queue (Redis) is full and takes nothing new. Nothing was changed. Give Redis more memory; "
    "jobs that run go on."
)
TOKEN_REJECTED = plain(
    ":warning: Slack rejects Seatrial's token. Nothing was changed. On the bot's machine, `seatrial doctor` "
    "finds the cause. Install the app again if its token was revoked."
)
SLACK_AWAY = plain(":warning: Slack did not respond. Nothing was changed; try again in a minute.")


def slack_refuses(error: str) -> Message:
    """Return the answer after a call that Slack refused, because of a scope or an unknown user."""
    if error in ("user_not_found", "user_not_visible"):
        return plain(":warning: Slack does not know you as a member of this workspace, so nothing was changed.")
    return plain(
        f":warning: Slack refused a request of Seatrial ({code(error)}). Nothing was changed. "
        "To find the cause, run `seatrial doctor` where the bot runs."
    )


def no_card(channel: str, error: str) -> Message:
    """Return the answer if the bot may not post in the channel."""
    if error == "channel_not_found" and channel.startswith("D"):
        return plain(
            "Seatrial is not part of this direct message, so nothing was started. Use a channel that it is in, or its "
            "own direct message."
        )
    if error in ("not_in_channel", "channel_not_found"):
        invite = "Invite it with `/invite @seatrial` and try again."
        return plain(f"Seatrial is not in <#{channel}>, so nothing was started. {invite}")
    why = f"Slack accepts no message in <#{channel}> ({code(error)}), so nothing was started."
    content = error in ("msg_too_long", "msg_blocks_too_long", "invalid_blocks", "no_text")
    advice = "The fault is Seatrial's: report it with this code." if content else "Try another channel."
    return plain(f"{why} {advice}")


def dry_run(job: Job, approvals: Approvals | None) -> Message:
    """Return what the job would do, and the approvals that it would need."""
    kind = card_of(job)
    lines = [f"*Dry run:* {escape(job.summary)}. Nothing was started.", "Steps: " + " → ".join(job.steps)]
    if facts := kind.approval_facts(job):
        lines.append(f"Would run: {facts}.")
    if owner := kind.owner(job):
        lines.append(owner)
    at_once = "It needs no approval. It would start at once, or after the jobs ahead of it."
    lines.append(f"It would {waiting(approvals)}" if approvals else at_once)
    return plain("\n".join(lines))


def waiting(approvals: Approvals) -> str:
    """Return what a job does that needs approvals, as the rest of a sentence."""
    needed = required_approvals(approvals.count, approvals.from_, own=approvals.own)
    return f"wait up to {show_duration(approvals.expires_s)} for {needed}."


def models(settings: SettingsFile, versions: dict[str, list[Version]]) -> Message:
    """Return the answer to `/model list`."""
    lines = []
    for name, model in settings.models.items():
        newest = f"no version yet: {code(f'/model train {name}')}"
        if found := versions[name]:
            newest = f"newest v{found[-1].version}, {_metrics(found[-1])}"
        lines.append(f"*{name}* ({model.type}): {newest}")
    return message(paragraphs(lines or ["The settings have no model. Add one under [models.NAME] in seatrial.toml."]))


def model(name: str, found: Sequence[Version], served: Sequence[Served]) -> Message:
    """Return the answer to `/model show`."""
    if not found:
        return plain(f"*{name}* has no version yet. Train one: {code(f'/model train {name}')}")
    lines = []
    for version in reversed(found):
        places = [item.environment for item in served if item.model == name and item.version == version.version]
        live = f" · live on {', '.join(places)}" if places else ""
        size = f"{version.size_bytes / 1024:.1f} kB"
        trained = f"by {escape(version.trained_by)} {date(version.created_at_s)}, job #{version.job_id}"
        probe = f"\nProbe: {escape(version.probe)}." if version.probe else ""
        means = f"\nMeans: {escape(show_means(version.means))}" if version.means else ""
        lines.append(f"*v{version.version}* {_metrics(version)} · {size} · {trained}{live}{probe}{means}")
    return message(paragraphs(lines))


def comparison(first: Version, second: Version) -> Message:
    """Return the answer to `/model compare`."""
    lines = [f"*{first.model}* v{first.version} → v{second.version}"]
    for name in sorted(first.metrics.keys() | second.metrics.keys()):
        before, after = first.metrics.get(name), second.metrics.get(name)
        difference = f" ({after - before:+.4f})" if before is not None and after is not None else ""
        lines.append(f"{name}: {_number(before)} → {_number(after)}{difference}")
    return plain("\n".join(lines))


def load_comparison(first: Record, second: Record, before: Tested, after: Tested) -> Message:
    """Return the answer to `/loadtest compare`: the reports `before` and `after` of two jobs, side by side."""
    title = f"Load tests #{first.id} and #{second.id}"
    jobs = [f"#{one.id} {escape(one.job.summary)} · {_requested(one)}" for one in (first, second)]
    blocks = [section("\n".join([f"*{title}*", *jobs]))]
    if first.job != second.job:
        blocks.append(section("They ran with different parameters: compare with care."))
    blocks.append(table([["", f"#{first.id}", f"#{second.id}", "change"], *_compared(before, after)]))
    for record, tested in ((first, before), (second, after)):
        if tested.verdict != "PASS" and tested.reasons:
            blocks.append(context(f"#{record.id} {tested.verdict}: {escape(tested.reasons[0])}"))
    return message(blocks)


def _compared(before: Tested, after: Tested) -> list[list[str]]:
    both = (before, after)
    rows = [
        ["verdict", before.verdict, after.verdict, ""],
        ["asked rps", *(show_number(one.asked_rps) for one in both), change(before.asked_rps, after.asked_rps)],
        ["achieved", *(show_number(one.achieved_rps) for one in both), change(before.achieved_rps, after.achieved_rps)],
        ["requests", *(f"{one.requests:,}" for one in both), change(before.requests, after.requests)],
        ["failed", *(show_share(one.failures, one.requests) for one in both), _failure_change(before, after)],
    ]
    if before.dropped or after.dropped:
        rows.append(["dropped", *(f"{one.dropped:,}" for one in both), change(before.dropped, after.dropped)])
    for key in sorted(before.latency_ms.keys() | after.latency_ms.keys()):
        was, now = before.latency_ms.get(key), after.latency_ms.get(key)
        rows.append([show_percentile(key), ms(was), ms(now), change(was, now)])
    if before.replicas_most or after.replicas_most:
        rows.append(["replicas", *(replicas(one.replicas_before, one.replicas_most) for one in both), ""])
    return rows


def _failure_change(before: Tested, after: Tested) -> str:
    """Return the change of the failure rate in percentage points."""
    was, now = (100 * one.failures / max(one.requests, 1) for one in (before, after))
    return f"{now - was:+.2f} pp".translate(_MINUS) if abs(now - was) >= 0.005 else "±0 pp"


def deployments(served: Sequence[Served], settings: SettingsFile) -> Message:
    """Return the answer to `/deploy status`."""
    lines = []
    for environment in settings.environments:
        here = [item for item in served if item.environment == environment]
        lines += [
            f"*{environment}*: {item.model} v{item.version} · {item.ready} ready (bounds {item.replicas})"
            f" · {item.address} · since {date(item.since_s)}"
            for item in here
        ] or [f"*{environment}*: no endpoint"]
    return message(paragraphs(lines or ["The settings have no environment."]))


def jobs(records: Sequence[Record], if_empty: str) -> Message:
    """Return a line for each of the newest jobs; `records` are newest first."""
    return message(paragraphs(map(_job_line, records[:MOST_JOBS]) if records else [if_empty]))


def status(*, workers: Sequence[str], running: int, waiting: int, unreadable: Sequence[str] = ()) -> Message:
    """Return the answer to `/seatrial status`. `unreadable` are ids of jobs."""
    alive = f"{len(workers)} alive ({', '.join(map(escape, workers[:_MOST_WORKERS]))})"
    count = alive if workers else "*0 alive*: start one with `seatrial worker`"
    lines = ["Redis: reachable", f"Workers: {count}", f"Jobs: {running} running, {waiting} waiting"]
    if unreadable:
        lines.append(f"Written by another release: {_numbered(unreadable)}. This bot cannot read them.")
    return plain("\n".join(lines))


def late_card(job_id: str) -> Message:
    """Return the answer to a request whose card is not posted yet."""
    return plain(f"Accepted as job #{job_id}. Slack does not take its card yet; the job starts once it is posted.")


def asked_again(record: Record) -> Message:
    """Return the answer to a decision about a request that was made under another rule for approvals."""
    return plain(
        f"The rule for approvals has changed since job #{record.id} was requested. Earlier approvals do not count: "
        "they were requested again under the new rule. The card has new buttons."
    )


def unreadable(record: Record) -> Message:
    """Return the answer to a request to change a job that this release cannot read."""
    return refused(f"Job #{record.id} was written by another release; this bot cannot read it. Nothing was changed.")


def _numbered(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - MOST_JOBS} more" if len(ids) > MOST_JOBS else ""
    return ", ".join(f"#{job_id}" for job_id in ids[:MOST_JOBS]) + more


def _job_line(record: Record) -> str:
    duration = ""
    if record.started_at_s and record.ended_at_s:
        duration = f" in {show_duration(record.ended_at_s - record.started_at_s)}"
    return f"*#{record.id}* {escape(record.job.summary)} · {job_status(record)}{duration} · {_requested(record)}"


def _requested(record: Record) -> str:
    return f"{person(record.asked.by)} {date(record.asked.at_s)}"


def _metrics(version: Version) -> str:
    return " · ".join(f"{name} {value:.3f}" for name, value in list(version.metrics.items())[:_MOST_METRICS])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
