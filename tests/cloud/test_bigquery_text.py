"""SQL, labels, prices, charts and errors of the BigQuery warehouse."""

import math
import re

import pytest
from google.api_core.exceptions import BadRequest, Forbidden, RetryError, ServiceUnavailable
from google.auth.exceptions import RefreshError, TransportError
from hypothesis import given, strategies as st

from workers.contract.settings import Model
from workers.errors import JobCancelled, PermanentError, TemporaryError
from workers.platforms.cloud.bigquery import sql
from workers.platforms.cloud.bigquery.errors import JobFailed, translated_errors
from workers.platforms.cloud.bigquery.query import show_bytes, show_price
from workers.platforms.cloud.bigquery.results import (
    LINES,
    Row,
    chart,
    confusion,
    evaluation,
    training_losses,
    training_note,
)

PLACE = sql.Place(project="demo", dataset="sales", location="EU")


def model(**changes: object) -> Model:
    iris = {"name": "iris", "type": "logistic_reg", "label": "species", "query": "SELECT 1", "sample": ({"a": 1.0},)}
    return Model.model_validate({**iris, **changes})


def test_model_names_in_bigquery_are_unique() -> None:
    names = {PLACE.model_id(model(name=name), version) for name in ("a", "a-v1", "a-v1-v1") for version in (1, 11)}
    assert len(names) == 6
    assert PLACE.model_id(model(name="a-v1"), 2) == "demo.sales.a_v1_v2"


@given(name=st.text(max_size=12), label=st.text(max_size=12))
def test_names_are_quoted_or_refused(name: str, label: str) -> None:
    made = Model.model_construct(name=name, type="linear_reg", label=label, query="SELECT 1", options={})
    try:
        statement = sql.create_model(PLACE.model_id(made, 1), made)
    except ValueError:
        return
    shape = r"CREATE OR REPLACE MODEL `demo\.sales\.[a-z0-9_]+`\n"
    options = r"OPTIONS\(model_type = 'linear_reg', input_label_cols = \['[A-Za-z0-9_]+'\]\)\nAS\nSELECT 1"
    assert re.fullmatch(shape + options, statement)


def test_options_are_written_as_literals_of_their_types() -> None:
    options = {"l2_reg": 0.5, "early_stop": False, "max_iterations": 5, "data_split_method": "NO_SPLIT"}
    statement = sql.create_model("p.d.m_v1", model(options={**options, "class_weights": {"yes": 2.0, "n'o": 1.0}}))
    assert (
        "l2_reg = 0.5, early_stop = FALSE, max_iterations = 5, data_split_method = 'NO_SPLIT', "
        "class_weights = [STRUCT('yes', 2.0), STRUCT('n\\U00000027o', 1.0)])\nAS\n"
    ) in statement


@given(text=st.text(max_size=30))
def test_text_of_an_option_stays_inside_its_literal(text: str) -> None:
    made = Model.model_construct(
        name="m", type="logistic_reg", label="y", query="SELECT 1", options={"class_weights": {text: 1.0}}
    )
    statement = sql.create_model("p.d.m_v1", made)
    assert re.search(r"class_weights = \[STRUCT\('([A-Za-z0-9 _.-]|\\U[0-9a-f]{8})*', 1\.0\)\]\)\nAS\n", statement)


@pytest.mark.parametrize("options", [{"l2_reg = 1, x": 1.0}, {"l2_reg": float("nan")}, {"l2_reg": ["x"]}])
def test_option_without_a_literal_is_refused(options: dict[str, object]) -> None:
    made = Model.model_construct(name="m", type="linear_reg", label="y", query="SELECT 1", options=options)
    with pytest.raises(ValueError, match="cannot be"):
        sql.create_model("p.d.m_v1", made)


def test_query_that_ends_in_a_comment_keeps_its_meaning() -> None:
    assert sql.count_rows(model(query="SELECT 1 -- all")).endswith("SELECT 1 -- all\n)")


@given(value=st.text(max_size=100))
def test_labels_follow_the_rules_of_bigquery(value: str) -> None:
    """Lower-case letters, digits, _ and -, at most 63. Empty ones are left out."""
    found = sql.labels(model(), 3, seatrial_job=value)
    assert found["model"] == "iris" and found["version"] == "3"
    assert ("seatrial-job" in found) == bool(value)
    assert all(re.fullmatch(r"[a-z0-9_-]{1,63}", text) for text in found.values())


def test_bytes_are_shown_in_powers_of_1000_and_prices_in_cents() -> None:
    assert [show_bytes(count) for count in (999, 1_500, 2 * 10**15)] == ["999 B", "1.5 kB", "2,000.0 TB"]
    assert show_price(model(), 2**40) == "about $312.50"
    assert show_price(model(type="boosted_tree_regressor"), 5_000) == "under $0.01 plus Vertex AI's training"


def test_iterations_are_sorted() -> None:
    """ML.TRAINING_INFO promises no order. Rows without a loss are skipped."""
    rows: list[Row] = [{"iteration": 2, "loss": None}, {"iteration": 1, "loss": 0.5}, {"iteration": 0, "loss": 1.0}]
    assert training_losses(rows) == [1.0, 0.5]
    assert training_note([1.0, 0.5]) == "2 iterations, final loss 0.5 █▁"
    assert training_note([]) == "iterations unknown"


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


def refused(reason: str, message: str) -> Forbidden:
    return Forbidden(message, errors=[{"reason": reason, "message": message}])  # type: ignore[no-untyped-call]


ERRORS: tuple[tuple[Exception, str, str], ...] = (
    # the error, the message, and the advice of a permanent one ("": it is temporary)
    (RetryError("30 s", ServiceUnavailable("down")), "BigQuery could not train: down.", ""),  # type: ignore[no-untyped-call]
    (TransportError("gone"), "BigQuery could not train: gone.", ""),  # type: ignore[no-untyped-call]
    (JobFailed(reason="quotaExceeded", words="Quota"), "BigQuery could not train: Quota.", ""),
    (RefreshError("revoked"), "BigQuery could not train: revoked.", "gcloud auth"),  # type: ignore[no-untyped-call]
    (refused("accessDenied", "No bigquery.jobs.create here"), "No bigquery.jobs.create", "roles/bigquery.jobUser"),
    (refused("accessDenied", "Table a:b.c: denied"), "Table a:b.c", "roles/bigquery.dataViewer"),
    (refused("accessDenied", "no"), "no.", "/docs/access-control."),
    (refused("billingNotEnabled", "no"), "no.", "Enable billing"),
    (JobFailed(reason="stopped", words="a\n b"), "The job was cancelled in BigQuery: a b.", "Run the command"),
    (JobFailed(reason="bytesBilledLimitExceeded", words="9"), "models.iris.max_bytes: 9.", "models.iris.max_bytes"),
    (JobFailed(reason="notFound", words="Table x"), "models.iris.query: Table x.", "models.iris in seatrial.toml"),
    (BadRequest("odd"), "BigQuery could not train: odd.", "/docs/error-messages"),  # type: ignore[no-untyped-call]
)


@pytest.mark.parametrize(("error", "words", "advice"), ERRORS)
def test_sdk_errors_become_permanent_or_temporary(error: Exception, words: str, advice: str) -> None:
    with (
        pytest.raises(PermanentError if advice else TemporaryError) as caught,
        translated_errors("train", model=model()),
    ):
        raise error
    assert words in str(caught.value)
    assert caught.value.__cause__ is error
    assert advice in getattr(caught.value, "advice", "")


def test_interruption_passes_unchanged() -> None:
    with pytest.raises(JobCancelled), translated_errors("train"):
        raise JobCancelled("A test wished it.")
