"""SQL, labels, prices, charts and errors of the BigQuery warehouse."""

import math
import re

import pytest
import requests
from google.api_core.exceptions import BadRequest, Forbidden, GatewayTimeout, RetryError, ServiceUnavailable
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
from hypothesis import given
from hypothesis import strategies as st

from workers.contract.settings import Model
from workers.errors import JobCancelled, PermanentError, TemporaryError
from workers.platforms.cloud.bigquery import sql
from workers.platforms.cloud.bigquery.costs import show_bytes, show_price
from workers.platforms.cloud.bigquery.errors import JobFailed, translated_errors
from workers.platforms.cloud.bigquery.results import LINES, Row, chart, confusion, evaluation, iterations

PLACE = sql.Place(project="demo", dataset="ships", location="EU")


def model(**changes: object) -> Model:
    iris = {"name": "iris", "type": "logistic_reg", "label": "species", "query": "SELECT 1", "sample": ({"a": 1.0},)}
    return Model.model_validate({**iris, **changes})


def test_model_names_in_bigquery_are_unique() -> None:
    names = {PLACE.model_id(model(name=name), version) for name in ("a", "a-v1", "a-v1-v1") for version in (1, 11)}
    assert len(names) == 6
    assert PLACE.model_id(model(name="a-v1"), 2) == "demo.ships.a_v1_v2"


@given(name=st.text(max_size=12), label=st.text(max_size=12))
def test_names_are_quoted_or_refused(name: str, label: str) -> None:
    made = Model.model_construct(name=name, type="linear_reg", label=label, query="SELECT 1")
    try:
        statement = sql.create_model(PLACE.model_id(made, 1), made)
    except ValueError:
        return
    shape = r"CREATE OR REPLACE MODEL `demo\.ships\.[a-z0-9_]+`\n"
    options = r"OPTIONS\(model_type = 'linear_reg', input_label_cols = \['[A-Za-z0-9_]+'\]\)\nAS\nSELECT 1"
    assert re.fullmatch(shape + options, statement)


def test_query_that_ends_in_a_comment_keeps_its_meaning() -> None:
    assert sql.count_rows(model(query="SELECT 1 -- all")).endswith("SELECT 1 -- all\n)")


@given(value=st.text(max_size=100))
def test_labels_follow_the_rules_of_bigquery(value: str) -> None:
    """Lower-case letters, digits, _ and -, at most 63. Empty ones are left out."""
    found = sql.labels(model(), 3, seatrial_job=value)
    assert found["model"] == "iris" and found["version"] == "3"
    assert ("seatrial-job" in found) == bool(value)
    assert all(re.fullmatch(r"[a-z0-9_-]{1,63}", text) for text in found.values())


@pytest.mark.parametrize(
    ("type_", "read_bytes", "words"),
    [
        ("logistic_reg", 2**40, "about $312.50"),
        ("linear_reg", 2**30, "about $0.31"),
        ("logistic_reg", 5_000, "under $0.01"),
        ("boosted_tree_regressor", 2**40, "about $6.25 plus Vertex AI's training"),
    ],
)
def test_price_depends_on_the_model_type(type_: str, read_bytes: int, words: str) -> None:
    assert show_price(model(type=type_), read_bytes) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (2 * 10**15, "2,000.0 TB")]
)
def test_bytes_are_shown_in_powers_of_1000(count: int, words: str) -> None:
    assert show_bytes(count) == words


def test_iterations_are_sorted() -> None:
    """ML.TRAINING_INFO promises no order. Rows without a loss are skipped."""
    rows: list[Row] = [{"iteration": 2, "loss": None}, {"iteration": 1, "loss": 0.5}, {"iteration": 0, "loss": 1.0}]
    assert iterations(rows).losses == [1.0, 0.5]
    assert iterations(rows).note == "2 iterations, final loss 0.5 █▁"
    assert iterations(rows[2:]).note == "1 iteration, final loss 1 ▁"


@given(losses=st.lists(st.floats(), max_size=60))
def test_chart_has_one_bar_per_finite_loss(losses: list[float]) -> None:
    """Only the last twenty are drawn."""
    bars = chart([loss for loss in losses if abs(loss) < 1e300])
    finite = [loss for loss in losses if abs(loss) < 1e300][-20:]
    assert len(bars) == len(finite)
    assert not finite or bars[finite.index(min(finite))] == "▁"


def test_undefined_metrics_are_named_in_the_note() -> None:
    found = evaluation({"r2_score": 0.5, "a": math.nan, "b": math.inf, "c": None}, held_out=True)
    assert found.metrics == {"r2_score": 0.5}
    assert found.note.endswith("; a, b, c undefined on them")


def test_long_matrix_is_cut() -> None:
    lines = confusion({"expected_label": f"c{row}", **{f"c{row}": 1}} for row in range(50))
    assert len(lines) == LINES + 1
    assert lines[-1] == "… and 30 more"


@pytest.mark.parametrize(
    ("error", "wanted", "words"),
    [
        (ServiceUnavailable("down"), TemporaryError, "BigQuery could not train: down."),  # type: ignore[no-untyped-call]
        (GatewayTimeout("slow"), TemporaryError, "slow"),  # type: ignore[no-untyped-call]
        (RetryError("30 s", ServiceUnavailable("down")), TemporaryError, "down"),  # type: ignore[no-untyped-call]
        (RetryError("30 s", requests.ConnectionError("gone")), TemporaryError, "gone"),  # type: ignore[no-untyped-call]
        (requests.ConnectionError("gone"), TemporaryError, "gone"),
        (TransportError("gone"), TemporaryError, "gone"),  # type: ignore[no-untyped-call]
        (DefaultCredentialsError("none found"), PermanentError, "none found"),  # type: ignore[no-untyped-call]
        (RefreshError("revoked"), PermanentError, "revoked"),  # type: ignore[no-untyped-call]
        (BadRequest("odd"), PermanentError, "odd"),  # type: ignore[no-untyped-call]
        (Forbidden("no"), PermanentError, "no"),  # type: ignore[no-untyped-call]
        (JobFailed(reason="quotaExceeded", words="Quota exceeded"), TemporaryError, "Quota exceeded"),
        (JobFailed(reason="notFound", words="Table x"), PermanentError, "models.iris.query: Table x."),
        (JobFailed(reason="billingNotEnabled", words="Billing"), PermanentError, "Billing"),
    ],
)
def test_sdk_errors_become_permanent_or_temporary(error: Exception, wanted: type[Exception], words: str) -> None:
    with pytest.raises(wanted) as caught, translated_errors("train", model=model()):
        raise error
    assert words in str(caught.value)
    assert caught.value.__cause__ is error
    assert not isinstance(caught.value, PermanentError) or caught.value.advice


def test_interruption_passes_unchanged() -> None:
    with pytest.raises(JobCancelled), translated_errors("train"):
        raise JobCancelled("A test wished it.")
