"""Load test of the tour: 1,000 requests a second for 30 s, on the machine that also runs everything else."""

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.stack import stack
from benchmarks.table import Row, show
from workers.contract.jobs import Tested

COMMANDS = ("/model train iris", "/deploy v1 to staging", "/loadtest 1000rps for 30s on staging")
GOAL_SHARE = 0.99


def run() -> None:
    """Measure and print a table."""
    with (
        TemporaryDirectory() as name,
        stack(
            Path(name), config=Path("seatrial.toml").absolute(), slack="benchmarks.slack_process", worker=True
        ) as seatrial,
    ):
        ended = [seatrial.done(command)[1] for command in COMMANDS][-1]
    outcome = ended.outcome
    if not isinstance(outcome, Tested):
        print(f"\ntour: {COMMANDS[-1]} {ended.state}: {ended.reason}\n", flush=True)
        return
    share = outcome.achieved_rps / outcome.asked_rps
    latency = outcome.latency_ms
    scaled = f"{outcome.replicas_before} → {outcome.replicas_most}"
    after = f", first after {outcome.scaled_after_s:.0f} s" if outcome.scaled_after_s is not None else ""
    show(
        f"tour: {COMMANDS[-1]}: {outcome.verdict}",
        [
            Row(
                what="achieved",
                measured=f"{outcome.achieved_rps:,.1f} rps",
                compared=f"asked {outcome.asked_rps:,.0f} rps",
                ratio=share,
                goal=f"≥ {GOAL_SHARE:g}",
                reached=share >= GOAL_SHARE,
            ),
            Row(
                what="failed",
                measured=f"{outcome.failures:,}",
                compared=f"{outcome.requests:,} requests",
                ratio=outcome.failures / max(outcome.requests, 1),
                goal="0",
                reached=outcome.failures == 0,
            ),
            *(Row(what=f"p{percent:g}", measured=f"{latency[percent]:.1f} ms") for percent in (50.0, 95.0, 99.0)),
            Row(what="replicas", measured=scaled + after),
        ],
    )
