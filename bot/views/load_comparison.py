"""The answer to `/loadtest compare`: two reports side by side. Pure."""

from bot.blocks import Message, context, date, escape, message, person, section
from bot.cards.number_format import change, ms, replicas, table
from workers.contract.formatting import show_number, show_percentile, show_share
from workers.contract.jobs import Tested
from workers.contract.record import Record

_MINUS = str.maketrans("-", "−")


def load_comparison(first: Record, second: Record, before: Tested, after: Tested) -> Message:
    """Return the comparison of the reports `before` and `after`, of the jobs `first` and `second`."""
    title = f"Load tests #{first.id} and #{second.id}"
    blocks = [section(f"*{title}*\n{_job_line(first)}\n{_job_line(second)}")]
    if first.job != second.job:
        blocks.append(section("They ran with different parameters: compare with care."))
    blocks.append(table([["", f"#{first.id}", f"#{second.id}", "change"], *_rows(before, after)]))
    for record, tested in ((first, before), (second, after)):
        if tested.verdict != "PASS" and tested.reasons:
            blocks.append(context(f"#{record.id} {tested.verdict}: {escape(tested.reasons[0])}"))
    return message(blocks)


def _job_line(record: Record) -> str:
    return f"#{record.id} {escape(record.job.summary)} · {person(record.asked.by)} {date(record.asked.at_s)}"


def _rows(before: Tested, after: Tested) -> list[list[str]]:
    both = (before, after)
    rows = [
        ["verdict", before.verdict, after.verdict, ""],
        ["asked rps", *(show_number(one.asked_rps) for one in both), change(before.asked_rps, after.asked_rps)],
        ["achieved", *(show_number(one.achieved_rps) for one in both), change(before.achieved_rps, after.achieved_rps)],
        ["requests", *(f"{one.requests:,}" for one in both), change(before.requests, after.requests)],
        ["failed", *(show_share(one.failures, one.requests) for one in both), _points(before, after)],
    ]
    if before.dropped or after.dropped:
        rows.append(["dropped", *(f"{one.dropped:,}" for one in both), change(before.dropped, after.dropped)])
    for key in sorted(before.latency_ms.keys() | after.latency_ms.keys()):
        was, now = before.latency_ms.get(key), after.latency_ms.get(key)
        rows.append([show_percentile(key), ms(was), ms(now), change(was, now)])
    if before.replicas_most or after.replicas_most:
        rows.append(["replicas", *(replicas(one.replicas_before, one.replicas_most) for one in both), ""])
    return rows


def _points(before: Tested, after: Tested) -> str:
    """Return the change of the failure rate in percentage points."""
    was, now = (100 * one.failures / max(one.requests, 1) for one in (before, after))
    return f"{now - was:+.2f} pp".translate(_MINUS) if abs(now - was) >= 0.005 else "±0 pp"
