"""The report of a load test as one self-contained HTML page: reasons, numbers, chart, every second. Pure."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from string import Template

from workers.contract.formatting import show_count, show_duration, show_ms, show_number, show_percentile, show_share
from workers.contract.jobs import LoadTest, Tested
from workers.contract.load import Sample
from workers.reports.drawing import GREEN, ORANGE, RED
from workers.reports.timeline import ReplicaChanges, replicas_at

_ALT_TEXT = "Rates, latencies, failures and replicas during the test. The table of seconds below has the same numbers."
COLOURS = {"PASS": GREEN, "FAIL": RED, "INVALID": ORANGE}

_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$verdict: $summary</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; line-height: 1.25 } h2 { font-size: 1.15rem; margin-top: 2rem }
h1 span { background: $colour; color: #000; border-radius: .3rem; padding: .1rem .5rem }
img { width: 100%; height: auto } small { color: #666 }
div { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }
th:first-child, td:first-child, .words td { text-align: left }
th:first-child, td:first-child { padding-left: 0 }
.words td { white-space: normal }
@media (max-width: 30rem) { table { font-size: .85rem } th, td { padding: .2rem .4rem } th { white-space: normal } }
</style>
<h1><span>$verdict</span> $summary</h1>
<p><small>Job #$job_id, $when UTC</small></p>
<ul>$reasons</ul>
$chart
<h2>Numbers</h2>
<div class="words">$numbers</div>
<h2>Latency</h2>
<p><small>From the time at which a request was due. Service time counts from when the request left, and send lag is the
delay until it left.</small></p>
<div>$latency</div>
$against
<h2>Failures</h2>
<div class="words">$failures</div>
<h2>Second by second</h2>
<p><small>Each row covers the time since the row before.</small></p>
<details><summary>$rows</summary><div>$seconds</div></details>
</html>
""")


def render_page(
    *,
    job_id: str,
    at_s: float,
    job: LoadTest,
    tested: Tested,
    against: str,
    seconds: Sequence[Sample],
    replicas: ReplicaChanges,
    chart: bytes,
) -> bytes:
    """Return the page in UTF-8. `at_s`: Unix seconds. `against`: the comparison, or "". `chart`: a PNG."""
    picture = f'<img alt="{_ALT_TEXT}" src="data:image/png;base64,{b64encode(chart).decode()}">' if chart else ""
    kinds = sorted(tested.failures_by_kind.items(), key=lambda kind: -kind[1])
    filled = _PAGE.substitute(
        verdict=tested.verdict,
        summary=escape(job.summary[0].upper() + job.summary[1:]),
        colour=COLOURS[tested.verdict],
        job_id=escape(job_id),
        when=f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M}",
        reasons="".join(f"<li>{escape(reason)}" for reason in tested.reasons),
        chart=picture,
        numbers=_table((), _numbers(job, tested)),
        latency=_latency(tested),
        against=f"<p>{escape(against)}." if against else "",
        failures=_table((), [(words, f"{count:,}") for words, count in kinds]) if kinds else "none",
        rows=show_count(len(seconds), "row"),
        seconds=_seconds(tested, seconds, replicas),
    )
    return filled.encode()


def _numbers(job: LoadTest, tested: Tested) -> list[tuple[str, str]]:
    failed = f"{tested.failures:,} ({show_share(tested.failures, tested.requests)})"
    rows = [
        ("Asked", f"{show_number(tested.asked_rps)} rps, {job.spacing} arrivals"),
        ("Achieved", f"{show_number(tested.achieved_rps)} rps"),
        ("Requests", f"{tested.requests:,}"),
        ("Failed", f"{failed}, {tested.dropped:,} of them dropped" if tested.dropped else failed),
        ("Objectives", str(job.slo) or "none"),
    ]
    if tested.replicas_most:
        rows.append(("Replicas", f"{tested.replicas_before} at the start, {tested.replicas_most} at most"))
    if tested.scaled_after_s is not None and tested.settled_after_s is not None:
        began, settled = show_duration(tested.scaled_after_s), show_duration(tested.settled_after_s)
        rows.append(("Scaling", f"began after {began}, settled after {settled}"))
    if tested.aborted_after_s is not None:
        rows.append(("Ended early", f"after {show_duration(tested.aborted_after_s)}"))
    return rows


def _latency(tested: Tested) -> str:
    before = tested.earlier.latency_ms if tested.earlier else {}
    columns = [("Latency", tested.latency_ms), ("Service time", tested.service_ms), ("Send lag", tested.send_lag_ms)]
    columns = [(name, values) for name, values in [*columns, ("Earlier runs' median", before)] if values]
    rows = [
        (
            show_percentile(percentile),
            *(show_ms(values[percentile]) if percentile in values else "" for _, values in columns),
        )
        for percentile in sorted(tested.latency_ms)
    ]
    return _table(("", *(name for name, _ in columns)), rows) if rows else "No request was answered."


def _seconds(tested: Tested, seconds: Sequence[Sample], replicas: ReplicaChanges) -> str:
    names = ("Time", "Asked", "Achieved", "Failed", "Dropped", "p50 ms", "p95 ms", "p99 ms", "Send lag ms", "Replicas")
    rows = [
        (
            f"{second.at_s:.6g} s",
            show_number(second.asked_rps),
            show_number(second.achieved_rps),
            show_number(second.failures_per_s),
            show_number(second.dropped_per_s),
            *("" if value is None else show_number(value) for value in (second.p50_ms, second.p95_ms, second.p99_ms)),
            show_number(second.send_lag_ms) if tested.send_lag_ms else "",
            str(replicas_at(second.at_s, replicas) or ""),
        )
        for second in seconds
    ]
    return _table(names, rows)


def _table(names: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(name)}" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) for row in rows)
    return f"<table>{head and f'<tr>{head}'}{body}</table>"
