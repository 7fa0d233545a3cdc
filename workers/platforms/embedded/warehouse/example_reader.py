"""From a model's query to training data: translate, load the tables, run the query, check the result."""

from collections.abc import Mapping
from pathlib import Path

from workers.contract.formatting import show_count
from workers.contract.settings import Model
from workers.platforms.embedded.background import ReportStage, run_in_background
from workers.platforms.embedded.warehouse.features import MAXIMUM_ROWS, Examples, choose_features, column_casts, prepare
from workers.platforms.embedded.warehouse.sql import IRIS, describe, fetch, load_tables, open_database, translate
from workers.platforms.protocols.progress import Progress


def read_examples(model: Model, *, tables: Mapping[str, Path], progress: Progress) -> Examples:
    """Run the model's query on `tables`, BigQuery names of CSV or Parquet files, and on the public irises.

    Raises PermanentError that begins with the field of the settings at fault. If the job is interrupted, the query is,
    too.
    """
    translation = translate(model, known=[IRIS, *tables])
    database = open_database()

    def read(report: ReportStage) -> Examples:
        with database as connection:
            report(0, None, "loading tables")
            load_tables(connection, translation.tables, files=tables)
            features = choose_features(model, describe(connection, translation, model=model))
            columns = column_casts(model, features)
            report(0, None, "running the query")
            rows = fetch(connection, translation, model=model, columns=columns, limit=MAXIMUM_ROWS + 1)
        return prepare(model, features, rows)

    examples = run_in_background(read, progress=progress, interrupt=database.interrupt)
    features = ", ".join(f"{feature.name} {feature.type}" for feature in examples.features)
    progress.log(f"{show_count(len(examples.labels), 'row')}; features: {features}; label: {model.label}.")
    if examples.unlabelled:
        progress.log(f"{show_count(examples.unlabelled, 'row')} without a label skipped.")
    return examples
