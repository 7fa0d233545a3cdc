"""Takes a toy job from its command to its card, and asks a toy question, in a copy of the packages that has both."""

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from workers.contract.jobs.warm_up import WarmedUp, WarmUp

import bot
from bot.cards.card import render
from bot.commands import UsageError, read_command
from bot.manifest import manifest
from tests.bot.lookup import LookupValues
from workers.contract.events import Queued, Started, Succeeded
from workers.contract.jobs import Asked
from workers.contract.record import Record, fold
from workers.contract.wire import EVENT, JOB
from workers.jobs import HANDLERS

LOOKUP = LookupValues()
ASKED = Asked(by="U1", by_name="Ada", where="C1", at_s=1_790_000_000.0)


@contextmanager
def step(name: str) -> Any:
    yield SimpleNamespace(fact="")


def main() -> None:
    job = WarmUp(model="iris", environment="staging")
    request: Any = read_command("/warmup now iris on staging", LOOKUP)
    assert request.job == job
    assert request.spelled(LOOKUP.settings) == "/warmup now on staging"
    scheduled: Any = read_command('/schedule add "0 2 * * *" warmup now', LOOKUP)
    assert scheduled.submit == request
    try:
        read_command("/warmpu now", LOOKUP)
    except UsageError as error:
        assert error.nearest == "/warmup now"
    else:
        raise AssertionError("a misspelled verb was understood")
    assert "/warmup" in str(manifest(request_url=None))

    assert JOB.decode(JOB.encode(job)) == job
    outcome = HANDLERS["warm_up"](job, SimpleNamespace(step=step))  # type: ignore[arg-type]
    assert outcome == WarmedUp(requests=3)
    ended = Succeeded(at_s=3.0, outcome=outcome)
    assert EVENT.decode(EVENT.encode(ended)) == ended

    record = Record(id="42", job=job, asked=ASKED)
    assert "Warm up iris on staging" in render(record).text
    done = fold(record, [Queued(at_s=1.0), Started(at_s=2.0, worker="w", attempt=1), ended])
    assert "The endpoint answered 3 requests." in render(done).text

    question = read_command("/jobs slow", LOOKUP)
    desk: Any = SimpleNamespace(recent=lambda: [done])
    reply = question.answer(desk)
    assert reply is not None and "#42" in reply.text
    print(bot.__file__)


if __name__ == "__main__":
    main()
