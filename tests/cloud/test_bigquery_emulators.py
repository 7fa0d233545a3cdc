"""BigQuery warehouse against two independent emulators.

bqemulator has datasets, loads, queries, dry runs, CREATE MODEL and the models API, but no ML functions or extract.
crucible-emulator refuses a repeated job id.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud.bigquery import Client, Dataset, LoadJobConfig, SourceFormat

from tests.cloud.bigquery_peers import bqemulator, crucible
from tests.platforms.progress import RecordedProgress
from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.cloud.bigquery.jobs import BigQueryJobs, open_client
from workers.platforms.cloud.bigquery.warehouse import BigQueryWarehouse

# The first run on a machine installs the emulators.
pytestmark = pytest.mark.timeout(600)

ORDERS = b"""\
amount,channel,status
10.5,web,kept
3.25,shop,returned
,web,kept
8.0,phone,
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield a bqemulator with a table of orders."""
    with bqemulator(tmp_path_factory.mktemp("bqemulator")) as url:
        with open_client(project="demo", location="US", endpoint=url) as client:
            _load_orders(client)
        yield url


def _load_orders(client: Client) -> None:
    from io import BytesIO

    client.create_dataset(Dataset("demo.shop"), timeout=120)
    config = LoadJobConfig(source_format=SourceFormat.CSV, autodetect=True, skip_leading_rows=1)
    client.load_table_from_file(BytesIO(ORDERS), "demo.shop.orders", job_config=config).result(timeout=120)


def warehouse(url: str, dataset: str = "sales", location: str = "US") -> BigQueryWarehouse:
    return BigQueryWarehouse(
        project="demo", dataset=dataset, location=location, bucket="models", endpoint=url, poll_s=0.05
    )


def orders(query: str = "SELECT * FROM `demo.shop.orders`\n-- all of them", **changes: str) -> Model:
    settings = {"name": "order-status", "type": "logistic_reg", "label": "status", **changes}
    return Model.model_validate({**settings, "query": query, "sample": ({"amount": 1.0, "channel": "web"},)})


def test_training_creates_a_model_with_the_columns_of_the_query(emulator: str) -> None:
    progress = RecordedProgress()
    training = warehouse(emulator).train(model=orders(), version=2, progress=progress)
    assert training.rows == 3
    assert training.identity == progress.identities["training"]
    assert "Left out 1 row without a label." in progress.lines
    with open_client(project="demo", location="US", endpoint=emulator) as client:
        made = client.get_model("demo.sales.order_status_v2", timeout=120)
    assert made.model_type.lower() == "logistic_reg"
    assert [column.name for column in made.label_columns] == ["status"]
    assert {column.name for column in made.feature_columns} == {"amount", "channel"}


def test_check_runs_nothing(emulator: str) -> None:
    adapter = warehouse(emulator, dataset="checked")
    checked = adapter.check(model=orders(), live=None, progress=RecordedProgress())
    assert dict(checked.features) == {"amount": "number", "channel": "string"}
    with open_client(project="demo", location="US", endpoint=emulator) as client:
        assert "checked" not in [found.dataset_id for found in client.list_datasets("demo", timeout=120)]


def test_second_attempt_returns_the_training_of_the_first(emulator: str) -> None:
    """Another job trains again."""
    first = RecordedProgress()
    training = warehouse(emulator).train(model=orders(), version=3, progress=first)
    again = RecordedProgress(identities=first.identities)
    assert warehouse(emulator).train(model=orders(), version=3, progress=again).identity == training.identity
    assert any("Resuming BigQuery job" in line for line in again.lines)
    other = warehouse(emulator).train(model=orders(), version=3, progress=RecordedProgress())
    assert other.identity != training.identity


@pytest.mark.parametrize(
    ("model", "field", "words"),
    [
        (orders("SELEC * FROM x"), "query", "Syntax error"),
        (orders("SELECT * FROM `demo.shop.gone`"), "query", "Not found: Table demo"),
        (orders("SELECT nope FROM `demo.shop.orders`"), "query", "nope"),
        (orders("SELECT 1 AS a; SELECT 2 AS b"), "query", "it must be a single SELECT"),
        (orders("DROP TABLE `demo.shop.orders`"), "query", "it must be a single SELECT"),
        (orders(label="state"), "label", 'no column "state"'),
        (orders(type="linear_reg"), "label", '"status" is STRING'),
        (orders("SELECT * FROM `demo.shop.orders` WHERE FALSE"), "query", "it returns 0 rows"),
    ],
)
def test_mistake_in_the_settings_names_the_field(emulator: str, model: Model, field: str, words: str) -> None:
    with pytest.raises(PermanentError) as caught:
        warehouse(emulator).train(model=model, version=9, progress=RecordedProgress())
    assert str(caught.value).startswith(f"models.order-status.{field}: ")
    assert words in str(caught.value)
    with pytest.raises(PermanentError, match="order-status v9 has no finished training"):
        warehouse(emulator).evaluate(model=model, version=9, progress=RecordedProgress())


def test_dataset_in_another_location_is_refused(emulator: str) -> None:
    warehouse(emulator, dataset="fleet", location="EU").train(model=orders(), version=1, progress=RecordedProgress())
    with pytest.raises(PermanentError, match=r"demo\.fleet is in EU, but the settings say US"):
        warehouse(emulator, dataset="fleet").train(model=orders(), version=2, progress=RecordedProgress())


def test_untrained_version_is_not_exported(emulator: str) -> None:
    with pytest.raises(PermanentError, match="order-status v7"):
        warehouse(emulator).export(model=orders(), version=7, to="gs://models/a", progress=RecordedProgress())


def test_repeated_job_id_returns_the_existing_job(tmp_path: Path) -> None:
    with crucible(tmp_path) as url, open_client(project="demo", location="US", endpoint=url) as client:
        jobs = BigQueryJobs(client=client, poll_s=0.05)
        started = [
            jobs.start(f"SELECT {number} AS n", job_id="seatrial-once", labels={"model": "iris"}, max_bytes=10**9)
            for number in (1, 2)
        ]
        done = [jobs.finish(job, progress=RecordedProgress()) for job in started]
        assert [job.query for job in done] == ["SELECT 1 AS n"] * 2
        assert jobs.find("seatrial-never") is None
