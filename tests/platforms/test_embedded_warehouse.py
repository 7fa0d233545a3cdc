"""What only the warehouse on this machine promises: what its SQL cannot reach, and that ONNX says what was learned."""
# ruff: noqa: S608  queries are what these tests are about, and are made of parts.

import json
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread, Timer
from threading import enumerate as threads
from time import monotonic, sleep
from typing import Any

import duckdb
import numpy as np
import onnxruntime
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.platforms.recorded_progress import RecordedProgress
from workers.contract.settings import Model
from workers.errors import Cancelled, PermanentError
from workers.platforms.embedded.background import in_background
from workers.platforms.embedded.evaluation import classification_metrics, evaluation, regression_metrics
from workers.platforms.embedded.features import Examples, Feature, is_classifier
from workers.platforms.embedded.onnx_export import run_onnx, to_onnx
from workers.platforms.embedded.sql import IRIS, open_warehouse
from workers.platforms.embedded.training import fit, split
from workers.platforms.embedded.warehouse import KEPT_TRAININGS, EmbeddedWarehouse

TYPES = ["linear_reg", "logistic_reg", "boosted_tree_classifier", "boosted_tree_regressor"]
ORDERS = """\
amount,channel,returning,day,status
10.5,web,true,2026-01-01,kept
3.25,shop,false,2026-01-02,returned
,web,true,2026-01-03,kept
7.0,,,2026-01-04,returned
8.0,phone,false,2026-01-05,
2.0,shop,false,2026-01-06,returned
"""


def model(**changes: Any) -> Model:
    return Model(
        **{
            "name": "orders",
            "type": "logistic_reg",
            "label": "status",
            "query": "SELECT * EXCEPT(day) FROM shop.orders",
            "sample": ({"amount": 1.0},),
            **changes,
        }
    )


@pytest.fixture
def warehouse(tmp_path: Path) -> EmbeddedWarehouse:
    """One with a table of orders, as CSV and as Parquet, and others that cannot be read."""
    csv, parquet = tmp_path / "orders.csv", tmp_path / "orders.parquet"
    csv.write_text(ORDERS)
    duckdb.sql(f"COPY (FROM read_csv('{csv}')) TO '{parquet}'")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "binary.parquet").write_bytes(b"PAR0 and no more")
    tables = {
        "shop.orders": csv,
        "my-project.shop.orders": parquet,
        "shop.empty": tmp_path / "empty.csv",
        "shop.gone": tmp_path / "gone.csv",
        "shop.binary": tmp_path / "binary.parquet",
    }
    return EmbeddedWarehouse(home=tmp_path / "home", tables=tables)


def exported(warehouse: EmbeddedWarehouse, trained: Model, to: Path) -> tuple[dict[str, Any], bytes]:
    """Train, export, and read both files."""
    warehouse.train(model=trained, version=1, progress=RecordedProgress())
    assert warehouse.export(model=trained, version=1, to=str(to), progress=RecordedProgress()) == "onnx"
    assert {path.name for path in to.iterdir()} == {"model.onnx", "signature.json"}
    return json.loads((to / "signature.json").read_text()), (to / "model.onnx").read_bytes()


# --------------------------------------------------------------------------------------------------- the SQL


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT (SELECT content FROM read_text('/etc/passwd')) AS status, 1 AS one",
        "SELECT * FROM glob('*')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM `/etc/passwd`",
        "SELECT read_text('/etc/passwd') AS status, 1 AS one",
        "SELECT getenv('HOME') AS status, 1 AS one",
        "WITH leak AS (SELECT * FROM read_csv('/etc/passwd')) SELECT * FROM leak",
        "COPY (SELECT 1) TO '/tmp/leak.csv'",
        "ATTACH '/tmp/leak.db' AS leak",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "SET memory_limit = '1TB'",
        "CREATE TABLE leak AS SELECT 1",
        "EXPORT DATA OPTIONS(uri='gs://leak') AS SELECT 1",
        "SELECT * FROM shop.orders; COPY shop.orders TO '/tmp/leak.csv'",
        "SELECT * FROM EXTERNAL_QUERY('connection', 'SELECT 1')",
        "SELECT * FROM information_schema.tables",
        "SELECT " + "(" * 3000 + "1" + ")" * 3000 + " AS status",
    ],
)
def test_sql_that_reaches_beyond_the_tables_is_refused(warehouse: EmbeddedWarehouse, query: str) -> None:
    """Whatever is not one query on known tables gets a sentence that names the query's setting."""
    with pytest.raises(PermanentError, match=r"^models\.orders\.query: ") as caught:
        warehouse.train(model=model(query=query), version=1, progress=RecordedProgress())
    assert caught.value.advice


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_csv('/etc/passwd')",
        "FROM read_text('/etc/passwd')",
        "FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '{tmp}/leak.csv'",
        "ATTACH '{tmp}/leak.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '1TB'",
        "FROM duckdb_secrets_of_python",
    ],
)
def test_duckdb_itself_is_locked(tmp_path: Path, sql: str) -> None:
    """Were the translation to let something pass, the database could still not reach files, network or settings."""
    duckdb_secrets_of_python = pd.DataFrame({"secret": [1]})
    with open_warehouse(frozenset({IRIS}), files={}) as connection:
        counted = connection.execute('SELECT COUNT(*) FROM "bigquery-public-data".ml_datasets.iris').fetchone()
        assert counted == (150,)
        with pytest.raises(duckdb.Error):
            connection.execute(sql.format(tmp=tmp_path)).fetchall()
    assert len(duckdb_secrets_of_python) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "table",
    [
        "`my-project.shop.orders`",
        "my-project.shop.orders",
        "`my-project`.shop.orders",
        "`my-project`.`shop`.`orders`",
        "`my-project.shop`.orders",
        "shop.orders",
        "`shop.orders`",
    ],
)
def test_a_table_may_be_quoted_in_every_way_of_bigquery(warehouse: EmbeddedWarehouse, table: str) -> None:
    """The same table is found, and its last name is its alias."""
    query = f"SELECT orders.* EXCEPT(day) FROM {table}"
    assert warehouse.train(model=model(query=query), version=1, progress=RecordedProgress()).rows == 5


def test_bigquery_functions_run(warehouse: EmbeddedWarehouse) -> None:
    """What BigQuery writes otherwise than DuckDB is translated: IF, SAFE_DIVIDE, EXTRACT, EXCEPT, a comma join."""
    query = """
        WITH o AS (SELECT *, EXTRACT(DAYOFWEEK FROM day) AS weekday FROM shop.orders)
        SELECT IF(amount > 5, 'much', 'little') AS size, SAFE_DIVIDE(amount, weekday - 5) AS ratio, status
        FROM o, UNNEST([1, 2]) AS twice;
    """
    assert warehouse.train(model=model(query=query), version=1, progress=RecordedProgress()).rows == 10


@pytest.mark.parametrize("table", ["empty", "gone", "binary"])
def test_a_table_whose_file_is_no_table_is_named(warehouse: EmbeddedWarehouse, table: str) -> None:
    """The message has the setting and the file."""
    with pytest.raises(PermanentError, match=rf'^tables\."shop\.{table}": .*{table}\.(csv|parquet)') as caught:
        warehouse.train(model=model(query=f"SELECT * FROM shop.{table}"), version=1, progress=RecordedProgress())
    assert caught.value.advice


def test_an_unknown_table_lists_the_known_ones(warehouse: EmbeddedWarehouse) -> None:
    """Someone who mistyped a table sees what there is, and how a file becomes a table."""
    with pytest.raises(PermanentError, match=r'"shop\.order".*iris.*my-project\.shop\.orders') as caught:
        warehouse.train(model=model(query="SELECT * FROM shop.order"), version=1, progress=RecordedProgress())
    assert "[tables]" in caught.value.advice


def test_a_query_that_would_run_for_years_can_be_cancelled(warehouse: EmbeddedWarehouse) -> None:
    """The job leaves the running query, and the query is stopped, not left behind."""
    many = "UNNEST(GENERATE_ARRAY(1, 100000))"
    query = f"SELECT SUM(a * b * c * d) AS status, 1 AS one FROM {many} a, {many} b, {many} c, {many} d"
    progress = RecordedProgress()
    timer = Timer(0.5, progress.cancelled.set)
    timer.start()
    try:
        with pytest.raises(Cancelled):
            warehouse.train(model=model(query=query), version=1, progress=progress)
    finally:
        timer.cancel()
    deadline = monotonic() + 20
    while any(thread.name == "warehouse" for thread in threads()):
        assert monotonic() < deadline, "the query still runs"
        sleep(0.05)


def test_work_that_cannot_be_interrupted_is_left_behind() -> None:
    """A job that is to stop does not wait for the stage under way; the stage's end ends the thread."""
    release, ended, progress = Event(), Event(), RecordedProgress()

    def stage(tell: Any) -> None:
        progress.cancelled.set()
        release.wait(60)
        try:
            tell(1, 1, "nobody listens any more")
        finally:
            ended.set()

    try:
        with pytest.raises(Cancelled):
            in_background(stage, progress=progress)
        assert not ended.is_set()
    finally:
        release.set()
    assert ended.wait(20)
    assert progress.reports == []


def test_what_the_work_raises_is_raised_where_the_job_runs() -> None:
    """An error in the background thread is the caller's error, and its earlier stages were reported."""
    progress = RecordedProgress()

    def work(tell: Any) -> None:
        tell(1, 2, "half")
        raise PermanentError("Nothing doing.")

    with pytest.raises(PermanentError, match="Nothing doing"):
        in_background(work, progress=progress)
    assert progress.reports == [(1, 2, "half")]


# --------------------------------------------------------------------------------------------------- features


def test_missing_values_do_not_stop_a_training(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    """Rows without a label are left out and counted; missing numbers, strings and booleans are learned around."""
    progress = RecordedProgress()
    training = warehouse.train(model=model(), version=1, progress=progress)
    assert training.rows == 5
    assert "1 rows without a label left out" in training.note
    signature, _ = exported(warehouse, model(), tmp_path / "out")
    assert signature == {
        "label": "status",
        "task": "classification",
        "inputs": [
            {"name": "amount", "type": "FLOAT"},
            {"name": "channel", "type": "STRING"},
            {"name": "returning", "type": "BOOL"},
        ],
        "classes": ["kept", "returned"],
    }


@pytest.mark.parametrize(
    ("label", "classes"),
    [("n > 10", ["false", "true"]), ("MOD(n, 3)", ["0", "1", "2"]), ("IF(n > 10, 'b', 'a')", ["a", "b"])],
)
def test_labels_may_be_booleans_integers_or_strings(
    warehouse: EmbeddedWarehouse, tmp_path: Path, label: str, classes: list[str]
) -> None:
    """A served class is always a string, as BigQuery ML's are."""
    query = f"SELECT n, {label} AS status FROM UNNEST(GENERATE_ARRAY(1, 30)) AS n"
    signature, graph = exported(warehouse, model(query=query), tmp_path / "out")
    assert signature["classes"] == classes
    predicted, probabilities = onnxruntime.InferenceSession(graph).run(None, {"n": np.array([[1.0]], np.float32)})
    assert predicted[0] in classes
    assert probabilities.shape == (1, len(classes))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT NULL AS nothing, status FROM shop.orders", '"nothing" is NULL'),
        ("SELECT amount + 1, status FROM shop.orders", "no name"),
        ("SELECT amount AS predicted_status, status FROM shop.orders", "predicted_status"),
        ("SELECT 1e300 AS huge, status FROM shop.orders", '"huge"'),
        ("SELECT CAST(n AS STRING) AS id, n > 5 AS status FROM UNNEST(GENERATE_ARRAY(1, 1001)) AS n", '"id" has 1,001'),
        ("SELECT n, n AS status FROM UNNEST(GENERATE_ARRAY(1, 51)) AS n", "51 different"),
        ("SELECT n, n > 5 AS status FROM UNNEST(GENERATE_ARRAY(1, 1000001)) AS n", "1,000,000 rows"),
    ],
)
def test_data_that_cannot_be_learned_from_is_named(warehouse: EmbeddedWarehouse, query: str, words: str) -> None:
    """The message names the column and what is wrong with it."""
    with pytest.raises(PermanentError, match=words) as caught:
        warehouse.train(model=model(query=query), version=1, progress=RecordedProgress())
    assert caught.value.advice


# --------------------------------------------------------------------------------------------------- the split


def examples(labels: "np.ndarray[Any, Any]") -> Examples:
    frame = pd.DataFrame({"x": np.arange(len(labels), dtype=float)})
    return Examples(features=(Feature(name="x", type="FLOAT"),), frame=frame, labels=labels, unlabelled=0)


@pytest.mark.parametrize(("rows", "held"), [(499, 0), (500, 100), (50_000, 10_000), (100_000, 10_000)])
def test_rows_are_held_out_as_auto_split_does(rows: int, held: int) -> None:
    """None under 500 rows, a fifth up to 50,000, 10,000 above; the same ones every time."""
    chosen = split(examples(np.arange(rows, dtype=float)), classify=False)
    again = split(examples(np.arange(rows, dtype=float)), classify=False)
    assert np.array_equal(chosen.evaluate, again.evaluate)
    if held:
        assert len(chosen.evaluate) == held
        assert sorted({*chosen.train, *chosen.evaluate}) == list(range(rows))
        assert "held out" in chosen.note
    else:
        assert np.array_equal(chosen.train, chosen.evaluate)
        assert "none are held out" in chosen.note


def test_no_class_is_missing_from_the_training() -> None:
    """A class of a single row is trained on, not held out."""
    labels = np.array(["common"] * 999 + ["rare"])
    chosen = split(examples(labels), classify=True)
    assert set(labels[chosen.train]) == {"common", "rare"}
    assert len(chosen.evaluate) == 199


# --------------------------------------------------------------------------------------------------- the metrics


def test_two_classes_are_judged_by_the_greater_one() -> None:
    """Of 9 and 10, 10 is what is looked for, as a number and not as text: one of two found, one of three right."""
    labels = np.array(["10", "10", "9", "9", "9"])
    predicted = np.array(["10", "9", "10", "10", "9"])
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6], [0.7, 0.3], [0.6, 0.4], [0.1, 0.9]])
    metrics = classification_metrics(labels, predicted, probabilities, ["10", "9"])
    assert metrics["precision"] == pytest.approx(1 / 3)
    assert metrics["recall"] == pytest.approx(1 / 2)
    assert metrics["f1_score"] == pytest.approx(2 / 5)
    assert metrics["accuracy"] == pytest.approx(2 / 5)
    assert metrics["roc_auc"] == pytest.approx(4 / 6)
    assert metrics["log_loss"] == pytest.approx(-np.log([0.8, 0.4, 0.3, 0.4, 0.9]).mean())


def test_more_classes_are_judged_by_their_mean() -> None:
    """Precision and recall are means over the classes: 1, 1 and 0 each here."""
    labels = np.array(["a", "b", "c"])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.5, 0.3]])
    metrics = classification_metrics(labels, np.array(["a", "b", "b"]), probabilities, ["a", "b", "c"])
    assert metrics["precision"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert metrics["recall"] == pytest.approx((1 + 1 + 0) / 3)
    assert metrics["roc_auc"] == pytest.approx(1.0)


def test_a_metric_that_is_undefined_is_left_out_and_named() -> None:
    """There is no ROC curve of a single class, and no logarithm of a value below -1."""
    one = classification_metrics(np.array(["a"]), np.array(["a"]), np.array([[0.9, 0.1]]), ["a", "b"])
    judged = evaluation(one, rows="on 1 row")
    assert "roc_auc" not in judged.metrics
    assert judged.note == "on 1 row; roc_auc undefined on them"
    numbers = regression_metrics(np.array([-2.0, 3.0]), np.array([1.0, 2.0]))
    judged = evaluation(numbers, rows="on 2 rows")
    assert "mean_squared_log_error" not in judged.metrics
    assert judged.metrics["mean_absolute_error"] == 2.0


# --------------------------------------------------------------------------------------------------- ONNX

FEATURES = (
    Feature(name="seen_at_s", type="FLOAT"),
    Feature(name="label", type="FLOAT"),
    Feature(name="channel", type="STRING"),
    Feature(name="probabilities", type="BOOL"),
)
"""A large number with small differences; and columns that are called what the converter calls things of its own."""


def learned_rows() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    count = 300
    return pd.DataFrame(
        {
            "seen_at_s": (1.7e9 + rng.normal(size=count) * 3000).astype(np.float32).astype(float),
            "label": rng.normal(size=count).astype(np.float32).astype(float),
            "channel": rng.choice(["web", "shop", "télé ☎", ""], count).astype(object),
            "probabilities": rng.integers(0, 2, count).astype(float),
        }
    )


@pytest.fixture(scope="module", params=TYPES)
def learned(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A fitted scikit-learn pipeline, and a function that asks the ONNX graph made of it."""
    rows = learned_rows()
    score = rows["label"] + (rows["channel"] == "web") + rows["probabilities"] + (rows["seen_at_s"] - 1.7e9) / 3000
    trained = model(type=request.param)
    classes = np.where(score > 2, "high", np.where(score > 0, "mid", "low"))
    labels = classes if is_classifier(trained) else score.to_numpy()
    given_rows = Examples(features=FEATURES, frame=rows, labels=labels, unlabelled=0)
    fitted = fit(trained, given_rows, np.arange(len(rows)), tell=lambda *_: None)
    graph = to_onnx(fitted.pipeline, FEATURES, "status", classify=is_classifier(trained))
    return fitted.pipeline, lambda frame: run_onnx(graph, FEATURES, frame)


def assert_same(learned: tuple[Any, Any], frame: pd.DataFrame) -> None:
    """Equal to float32's precision; the label is that of the greatest probability."""
    pipeline, ask = learned
    answer = ask(frame)
    if not hasattr(pipeline, "classes_"):
        np.testing.assert_allclose(answer[0][:, 0], pipeline.predict(frame), rtol=1e-5, atol=1e-5)
        return
    probabilities = pipeline.predict_proba(frame)
    np.testing.assert_allclose(answer[1], probabilities, rtol=1e-4, atol=1e-6)
    sure = np.ptp(np.sort(probabilities, axis=1)[:, -2:], axis=1) > 1e-5
    assert (answer[0][sure] == pipeline.predict(frame)[sure]).all()


def test_the_graph_predicts_what_scikit_learn_does_on_every_row(learned: tuple[Any, Any]) -> None:
    """On all rows of the training."""
    assert_same(learned, learned_rows())


@settings(max_examples=60, deadline=None)
@given(
    seen=st.floats(1.69e9, 1.71e9, width=32),
    number=st.floats(-1e6, 1e6, width=32) | st.sampled_from(learned_rows()["label"].tolist()),
    channel=st.sampled_from(["web", "shop", "", "télé ☎"])
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    flag=st.booleans(),
)
def test_the_graph_predicts_what_scikit_learn_does_on_any_request(
    learned: tuple[Any, Any], seen: float, number: float, channel: str, flag: bool
) -> None:
    """On any number, boolean and string, whether the category was ever seen or not."""
    row = {"seen_at_s": [seen], "label": [number], "channel": [channel], "probabilities": [float(flag)]}
    assert_same(learned, pd.DataFrame(row).astype({"channel": object}))


@pytest.mark.parametrize("type_", TYPES)
def test_inputs_and_outputs_are_those_of_the_signature(type_: str, tmp_path: Path) -> None:
    """One [N, 1] input a column, typed; a classifier answers with labels and probabilities, a regressor with [N, 1]."""
    csv = tmp_path / "rows.csv"
    learned_rows().assign(probabilities=lambda rows: rows["probabilities"] > 0).to_csv(csv, index=False)
    warehouse = EmbeddedWarehouse(home=tmp_path / "home", tables={"rows": csv})
    target = "channel IS NULL" if "reg" not in type_ or type_ == "logistic_reg" else "label * 2"
    trained = model(type=type_, query=f"SELECT *, {target} AS status FROM `rows`")
    signature, graph = exported(warehouse, trained, tmp_path / "out")
    session = onnxruntime.InferenceSession(graph)
    types = {"FLOAT": "tensor(float)", "STRING": "tensor(string)", "BOOL": "tensor(bool)"}
    assert signature["inputs"] == [{"name": feature.name, "type": feature.type} for feature in FEATURES]
    assert [(given.name, given.type, given.shape[1:]) for given in session.get_inputs()] == [
        (feature.name, types[feature.type], [1]) for feature in FEATURES
    ]
    outputs = [(answer.name, answer.type) for answer in session.get_outputs()]
    feed = {
        "seen_at_s": np.full((3, 1), 1.7e9, np.float32),
        "label": np.zeros((3, 1), np.float32),
        "channel": np.full((3, 1), "never seen", object),
        "probabilities": np.array([[True], [False], [True]]),
    }
    answers = session.run(None, feed)
    if is_classifier(trained):
        assert (signature["task"], signature["classes"]) == ("classification", ["false", "true"])
        assert outputs == [("predicted_status", "tensor(string)"), ("status_probs", "tensor(float)")]
        assert [answer.shape for answer in answers] == [(3,), (3, 2)]
    else:
        assert signature["task"] == "regression" and "classes" not in signature
        assert outputs == [("predicted_status", "tensor(float)")]
        assert answers[0].shape == (3, 1)


# --------------------------------------------------------------------------------------------------- the folder


def test_the_same_rows_give_the_same_files(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    """Two trainings of one query export the same bytes, though the query's order is not its own."""
    query = f"SELECT * FROM `{IRIS}` ORDER BY RAND()"
    for type_ in ("logistic_reg", "boosted_tree_classifier"):
        trained = model(type=type_, label="species", query=query)
        assert exported(warehouse, trained, tmp_path / "a") == exported(warehouse, trained, tmp_path / "b")


def test_only_the_newest_trainings_are_kept(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    """What the store has published needs no second copy; the training just made always stays."""
    for version in range(KEPT_TRAININGS + 3, 1, -1):
        warehouse.train(model=model(type="linear_reg", label="amount"), version=version, progress=RecordedProgress())
    left = {path.name for path in (tmp_path / "home/warehouse/orders").iterdir()}
    assert left == {f"v{version}" for version in range(2, KEPT_TRAININGS + 2)}


@pytest.mark.parametrize("damage", [b"", b"{", b'{"training": 1}', b"\xff"])
def test_a_damaged_record_counts_as_no_training(warehouse: EmbeddedWarehouse, tmp_path: Path, damage: bytes) -> None:
    """It is neither evaluated nor trusted by the next attempt, which trains again."""
    progress = RecordedProgress()
    first = warehouse.train(model=model(), version=1, progress=progress)
    (tmp_path / "home/warehouse/orders/v1/training.json").write_bytes(damage)
    with pytest.raises(PermanentError, match="no finished training"):
        warehouse.evaluate(model=model(), version=1, progress=progress)
    assert warehouse.train(model=model(), version=1, progress=progress).identity != first.identity


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The message has the path, and is no traceback."""
    (tmp_path / "home").write_text("a file, not a folder")
    warehouse = EmbeddedWarehouse(home=tmp_path / "home", tables={})
    with pytest.raises(PermanentError, match="home"):
        warehouse.train(
            model=model(label="species", query=f"SELECT * FROM `{IRIS}`"), version=1, progress=RecordedProgress()
        )


def test_an_address_in_the_cloud_is_refused(warehouse: EmbeddedWarehouse) -> None:
    """This warehouse writes to folders, and says so."""
    warehouse.train(model=model(), version=1, progress=RecordedProgress())
    with pytest.raises(PermanentError, match="gs://bucket/x"):
        warehouse.export(model=model(), version=1, to="gs://bucket/x", progress=RecordedProgress())


def test_two_trainings_at_once_do_not_disturb_each_other(warehouse: EmbeddedWarehouse) -> None:
    """Jobs run in threads of one process: each training ends with its own model."""
    models = [model(name=f"m{i}", label="species", query=f"SELECT * FROM `{IRIS}` LIMIT {130 + i}") for i in range(3)]
    rows: dict[str, int] = {}

    def train(trained: Model) -> None:
        rows[trained.name] = warehouse.train(model=trained, version=1, progress=RecordedProgress()).rows

    running = [Thread(target=train, args=(trained,)) for trained in models]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    assert rows == {"m0": 130, "m1": 131, "m2": 132}


def test_importing_the_adapter_imports_no_library() -> None:
    """A worker starts without scikit-learn, DuckDB and their like; they come with the first training."""
    program = (
        "import sys, workers.platforms.embedded.warehouse, workers.platforms.embedded.artifacts;"
        "print([name for name in ('sklearn', 'duckdb', 'sqlglot', 'skl2onnx', 'onnx', 'onnxruntime', 'pandas', 'numpy')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
