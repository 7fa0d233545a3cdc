"""Checks of a model that need no training: its query is translated and described, and not run."""

from collections.abc import Mapping

from workers.contract.settings import Model
from workers.platforms.embedded.background import ReportStage, run_in_background
from workers.platforms.embedded.warehouse.features import Feature, choose_features
from workers.platforms.embedded.warehouse.options import check_options
from workers.platforms.embedded.warehouse.sql import columns, read_model_query
from workers.platforms.embedded.warehouse.tables import StoredTable, open_database
from workers.platforms.protocols import Checked, JsonType, Progress

_JSON_TYPES: Mapping[str, JsonType] = {"STRING": "string", "BOOL": "boolean"}


def check(model: Model, *, tables: Mapping[str, StoredTable], progress: Progress) -> Checked:
    """Return the types of the query's features. Raises PermanentError that begins with the field at fault."""
    check_options(model)
    database = open_database()

    def read(report: ReportStage) -> tuple[Feature, ...]:
        with database as connection:
            report(0, None, "loading tables")
            return choose_features(model, columns(read_model_query(connection, model, files=tables)))

    features = run_in_background(read, progress=progress, interrupt=database.interrupt)
    return Checked(features={item.name: _JSON_TYPES.get(item.type, "number") for item in features}, cost="no cost")
