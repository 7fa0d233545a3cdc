"""BigQuery's REST API as far as no emulator has it: byte counts, jobs that run, cancel, ML functions, extract.

Answers have the shapes of https://cloud.google.com/bigquery/docs/reference/rest, with a link at each; what they say is
set by the test. Errors have the shape of https://cloud.google.com/bigquery/docs/error-messages.
"""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
Table = tuple[Sequence[tuple[str, str]], Sequence[Sequence[object]]]
"""Columns as (name, type), and rows."""

IRIS_SCHEMA = tuple((name, "FLOAT") for name in ("sepal_length", "sepal_width", "petal_length", "petal_width"))
IRIS_COLUMNS = (*IRIS_SCHEMA, ("species", "STRING"))
CLASSIFIER_METRICS = ("precision", "recall", "accuracy", "f1_score", "log_loss", "roc_auc")
REGRESSOR_METRICS = (
    *("mean_absolute_error", "mean_squared_error", "mean_squared_log_error"),
    *("median_absolute_error", "r2_score", "explained_variance"),
)
TAKES = {"CONFUSION_MATRIX": "LOGISTIC|CLASSIFIER", "FEATURE_IMPORTANCE": "BOOSTED_TREE"}
"""Functions that do not take every type of model, and the types that they take."""

# Documented output columns: .../standard-sql/bigqueryml-syntax-evaluate#output, …-confusion#output, …-importance#output
# and …-feature#mlfeature_info_output
CLASSIFIED: Table = ([(name, "FLOAT") for name in CLASSIFIER_METRICS], [[0.96, 0.96, 0.96, 0.96, 0.11, 0.99]])
REGRESSED: Table = ([(name, "FLOAT") for name in REGRESSOR_METRICS], [[0.14, 0.04, 0.007, 0.11, 0.94, 0.94]])
CONFUSION: Table = (
    [("expected_label", "STRING"), ("setosa", "INTEGER"), ("versicolor", "INTEGER"), ("virginica", "INTEGER")],
    [["setosa", 50, 0, 0], ["versicolor", 0, 48, 2], ["virginica", 0, 4, 46]],
)
FEATURES: Table = (
    [
        ("input", "STRING"),
        *((name, "FLOAT") for name in ("min", "max", "mean", "median", "stddev")),
        ("category_count", "INTEGER"),
        ("null_count", "INTEGER"),
        ("dimension", "INTEGER"),
    ],
    [["sepal_width", 2.0, 4.4, 3.0573, 3.0, 0.436, None, 0, None], ["colour", *[None] * 5, 3, 0, None]],
)
IMPORTANCE: Table = (
    [("feature", "STRING"), *((f"importance_{kind}", "FLOAT") for kind in ("weight", "gain", "cover"))],
    [["sepal_width", 3.0, 0.5, 10.0], ["petal_length", 45.0, 12.25, 60.0]],
)


class ApiError(Exception):
    """Error response of the API."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


@dataclass
class ScriptedFault:
    """A response to the next `times` requests with method and path like `pattern`. "drop" closes the connection."""

    pattern: str
    status: int = 503
    reason: str = "backendError"
    message: str = "The service is unavailable."
    times: int = 1
    after: bool = False
    """True: the request is processed, and only its response is replaced."""
    drop: bool = False


@dataclass
class BigQueryStandIn:
    """The scripted answers, and the received requests. Each poll of a training job reveals one of `losses`."""

    location: str = "EU"
    read_bytes: int = 4_864
    billed_bytes: int = 10 * 2**20
    schema: Sequence[tuple[str, str]] = IRIS_COLUMNS
    statement_type: str = "SELECT"
    labelled: int = 150
    unlabelled: int = 0
    losses: Sequence[float] = (1.1, 0.7, 0.4, 0.2)
    endless: bool = False
    held_out: bool = False
    training_failure: tuple[str, str] | None = None
    tables: dict[str, Table] = field(default_factory=dict)
    """Results of ML functions that replace the tables above, by "FUNCTION" or "FUNCTION MODEL"."""
    run: Callable[[str], tuple[str, Table]] | None = None
    """Runs a query that reads tables: statement type and answer, or ApiError. None: `schema`, `labelled` and so on."""
    faults: list[ScriptedFault] = field(default_factory=list)
    on_extract: Callable[[str, str], None] = lambda model, uri: None

    def __post_init__(self) -> None:
        self.requests: list[tuple[str, str, Json]] = []
        self.datasets: dict[str, Json] = {}
        self.models: dict[str, Json] = {}
        self.jobs: dict[str, Json] = {}
        self.url = ""
        self._looks: dict[str, int] = {}
        self._answers: dict[str, Table] = {}
        self._lock = threading.Lock()

    def submitted(self, kind: str) -> list[Json]:
        """Return the accepted jobs.insert bodies of `kind`: "CREATE", "COUNT", "ML." or "extract"."""
        bodies = [body for method, path, body in self.requests if method == "POST" and path.endswith("/jobs")]
        accepted = [body for body in bodies if not body["configuration"].get("dryRun")]
        if kind == "extract":
            return [body for body in accepted if "extract" in body["configuration"]]
        return [body for body in accepted if kind in body["configuration"].get("query", {}).get("query", "")]

    def answer(self, method: str, target: str, body: Json) -> Json:
        """Return the response to one request. Raises ApiError."""
        url = urlsplit(target)
        path = url.path.removeprefix("/bigquery/v2")
        with self._lock:
            self.requests.append((method, path, body))
            for pattern, reply in self._routes():
                if match := re.fullmatch(pattern, f"{method} {path}"):
                    return reply(*match.groups(), body, parse_qs(url.query))
        raise ApiError(404, "notFound", f"No such method: {method} {path}")

    def fault(self, method: str, target: str) -> ScriptedFault | None:
        """Return the fault for this request, and count it down."""
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, f"{method} {target}"):
                    fault.times -= 1
                    return fault
        return None

    def _routes(self) -> list[tuple[str, Callable[..., Json]]]:
        project = "/projects/([^/]+)"
        return [
            (f"GET {project}/datasets/([^/]+)", self._get_dataset),
            (f"POST {project}/datasets", self._insert_dataset),
            (f"GET {project}/datasets/([^/]+)/models/([^/]+)", self._get_model),
            (f"PATCH {project}/datasets/([^/]+)/models/([^/]+)", self._patch_model),
            (f"POST {project}/jobs", self._insert_job),
            (f"GET {project}/jobs/([^/]+)", self._get_job),
            (f"POST {project}/jobs/([^/]+)/cancel", self._cancel_job),
            (f"GET {project}/queries/([^/]+)", self._get_query_results),
        ]

    def _get_dataset(self, project: str, name: str, body: Json, query: Json) -> Json:
        """https://cloud.google.com/bigquery/docs/reference/rest/v2/datasets/get"""
        if name not in self.datasets:
            raise ApiError(404, "notFound", f"Not found: Dataset {project}:{name}")
        return self.datasets[name]

    def _insert_dataset(self, project: str, body: Json, query: Json) -> Json:
        """https://cloud.google.com/bigquery/docs/reference/rest/v2/datasets/insert"""
        name = body["datasetReference"]["datasetId"]
        if name in self.datasets:
            raise ApiError(409, "duplicate", f"Already Exists: Dataset {project}:{name}")
        self.datasets[name] = {"kind": "bigquery#dataset", "id": f"{project}:{name}", **body}
        return self.datasets[name]

    def _get_model(self, project: str, dataset: str, name: str, body: Json, query: Json) -> Json:
        """https://cloud.google.com/bigquery/docs/reference/rest/v2/models/get"""
        if name not in self.models:
            raise ApiError(404, "notFound", f"Not found: Model {project}:{dataset}.{name}")
        return self.models[name]

    def _patch_model(self, project: str, dataset: str, name: str, body: Json, query: Json) -> Json:
        """https://cloud.google.com/bigquery/docs/reference/rest/v2/models/patch: null takes a field away"""
        patched = {**self._get_model(project, dataset, name, body, query), **body}
        self.models[name] = {key: value for key, value in patched.items() if value is not None}
        return self.models[name]

    def _insert_job(self, project: str, body: Json, query: Json) -> Json:
        """https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/insert"""
        reference, configuration = body["jobReference"], body["configuration"]
        if configuration.get("dryRun"):
            return self._dry_run(reference, configuration)
        identity = reference["jobId"]
        if identity in self.jobs:
            raise ApiError(409, "duplicate", f"Already Exists: Job {project}:{self.location}.{identity}")
        job: Json = {
            "kind": "bigquery#job",
            "id": f"{project}:{self.location}.{identity}",
            "jobReference": {**reference, "projectId": project, "location": self.location},
            "configuration": configuration,
            "statistics": {"creationTime": "1790000000000", "startTime": "1790000000001"},
            "status": {"state": "RUNNING"},
        }
        sql = configuration.get("query", {}).get("query", "")
        if "extract" not in configuration and "CREATE OR REPLACE MODEL" not in sql:
            self._answers[identity] = self._table(project, sql)
            self._end(job)
        self.jobs[identity] = job
        return job

    def _dry_run(self, reference: Json, configuration: Json) -> Json:
        """https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#jobstatistics2, for configuration.dryRun"""
        statement_type, schema = self.statement_type, self.schema
        if "CREATE OR REPLACE MODEL" in configuration["query"]["query"]:
            statement_type, schema = "CREATE_MODEL", ()
        elif self.run:
            statement_type, (schema, _) = self.run(configuration["query"]["query"])
        statistics = {
            "statementType": statement_type,
            "totalBytesProcessed": str(self.read_bytes),
            "schema": {"fields": [column(name, kind) for name, kind in schema]},
        }
        return {
            "kind": "bigquery#job",
            "jobReference": {**reference, "location": self.location},
            "configuration": configuration,
            "statistics": {"query": statistics, "totalBytesProcessed": str(self.read_bytes)},
            "status": {"state": "DONE"},
        }

    def _get_job(self, project: str, identity: str, body: Json, query: Json) -> Json:
        """https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/get"""
        if identity not in self.jobs:
            raise ApiError(404, "notFound", f"Not found: Job {project}:{identity}")
        job = self.jobs[identity]
        if job["status"]["state"] != "DONE":
            looks = self._looks[identity] = self._looks.get(identity, 0) + 1
            if looks > len(self.losses) and not self.endless:
                self._finish(job)
        return job

    def _finish(self, job: Json) -> None:
        configuration = job["configuration"]
        if "extract" in configuration:
            extract = configuration["extract"]
            self.on_extract(extract["sourceModel"]["modelId"], extract["destinationUris"][0])
            return self._end(job)
        if self.training_failure:
            return self._end(job, *self.training_failure)
        made = r"MODEL `([^.]+)\.([^.]+)\.([^`]+)`\nOPTIONS\(model_type = '(\w+)'"
        names = re.search(made, configuration["query"]["query"])
        assert names
        # https://cloud.google.com/bigquery/docs/reference/rest/v2/models#trainingrun, #modeltype
        split = {
            name: {"projectId": "demo", "datasetId": "_0f1e2d", "tableId": f"anon{name}"}
            for name in ("evaluationTable", "trainingTable")
        }
        run: Json = {"trainingOptions": {"inputLabelColumns": ["species"], "dataSplitMethod": "AUTO_SPLIT"}}
        self.models[names[3]] = {
            "modelReference": dict(zip(("projectId", "datasetId", "modelId"), names.groups()[:3], strict=True)),
            "modelType": re.sub("_REG$", "_REGRESSION", names[4].upper()),
            "featureColumns": [{"name": name} for name, _ in self.schema if name != "species"],
            "labelColumns": [{"name": "species"}],
            "trainingRuns": [run | ({"dataSplitResult": split} if self.held_out else {})],
        }
        bytes_ = {"totalBytesProcessed": str(self.read_bytes), "totalBytesBilled": str(self.billed_bytes)}
        job["statistics"]["query"] = {"statementType": "CREATE_MODEL"} | bytes_
        return self._end(job)

    def _cancel_job(self, project: str, identity: str, body: Json, query: Json) -> Json:
        """https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/cancel"""
        if identity not in self.jobs:
            raise ApiError(404, "notFound", f"Not found: Job {project}:{identity}")
        job = self.jobs[identity]
        if job["status"]["state"] != "DONE":
            self._end(job, "stopped", "Job execution was cancelled: User requested cancellation")
        return {"kind": "bigquery#jobCancelResponse", "job": job}

    @staticmethod
    def _end(job: Json, reason: str = "", message: str = "") -> None:
        """https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#jobstatus"""
        error = {"reason": reason, "message": message, "location": "query"}
        job["status"] = {"state": "DONE"} | ({"errorResult": error, "errors": [error]} if reason else {})
        job["statistics"]["endTime"] = "1790000000002"

    def _table(self, project: str, sql: str) -> Table:
        """Return the rows of a query about rows or a model."""
        if "COUNT(" in sql:
            if self.run:
                return self.run(sql)[1]
            return [("labelled", "INTEGER"), ("unlabelled", "INTEGER")], [[self.labelled, self.unlabelled]]
        match = re.match(r"SELECT \* FROM ML\.([A-Z_]+)\(MODEL `([^`]+)`[,)]", sql)
        assert match, sql
        if match[1] == "TRAINING_INFO":
            return self._training_info(match[2])
        return self._of_model(match[1], match[2])

    def _of_model(self, function: str, name: str) -> Table:
        project, dataset, model = name.split(".")
        kind = self._get_model(project, dataset, model, {}, {})["modelType"]
        if not re.search(TAKES.get(function, ""), kind):
            raise ApiError(400, "invalidQuery", f"ML.{function} does not support {kind} models.")
        metrics = REGRESSED if re.search("LINEAR|REGRESSOR", kind) else CLASSIFIED
        known = {
            "EVALUATE": metrics,
            "CONFUSION_MATRIX": CONFUSION,
            "FEATURE_IMPORTANCE": IMPORTANCE,
            "FEATURE_INFO": FEATURES,
        }
        return self.tables.get(f"{function} {model}") or {**known, **self.tables}[function]

    def _training_info(self, model: str) -> Table:
        """https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-train"""
        columns = [("training_run", "INTEGER"), ("iteration", "INTEGER"), ("loss", "FLOAT"), ("eval_loss", "FLOAT")]
        trainings = [key for key, job in self.jobs.items() if f"MODEL `{model}`\nOPTIONS" in str(job_sql(job))]
        known = min(self._looks.get(trainings[-1], 0), len(self.losses)) if trainings else 0
        if not known:
            raise ApiError(404, "notFound", f"Not found: Model {model}")
        # The newest first: no order is promised.
        return columns, [[0, number, self.losses[number], None] for number in reversed(range(known))]

    def _get_query_results(self, project: str, identity: str, body: Json, query: Json) -> Json:
        """https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/getQueryResults"""
        columns, rows = self._answers[identity]
        answer: Json = {
            "kind": "bigquery#getQueryResultsResponse",
            "jobReference": {"projectId": project, "jobId": identity, "location": self.location},
            "schema": {"fields": [{"name": name, "type": kind, "mode": "NULLABLE"} for name, kind in columns]},
            "totalRows": str(len(rows)),
            "jobComplete": True,
        }
        if query.get("maxResults") != ["0"]:
            answer["rows"] = [{"f": [{"v": None if value is None else str(value)} for value in row]} for row in rows]
        return answer


def column(name: str, kind: str) -> Json:
    """Return a column of the API, of the type T for `kind` T, or of an array of T for T[].

    The name "s{a,b}" makes a STRUCT of numbers.
    """
    if name.endswith("}"):
        name, _, parts = name[:-1].partition("{")
        return {"name": name, "type": "RECORD", "fields": [column(part, "FLOAT") for part in parts.split(",")]}
    of, repeated, _ = kind.partition("[]")
    return {"name": name, "type": of, "mode": "REPEATED" if repeated else "NULLABLE"}


def job_sql(job: Json) -> str | None:
    """Return the SQL of a job's resource, or None."""
    sql: str | None = job["configuration"].get("query", {}).get("query")
    return sql
