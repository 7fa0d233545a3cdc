"""Tests of the settings file: its values, defaults and mistakes."""

from pathlib import Path

import pytest

from workers.contract.gate import live_environment
from workers.contract.jobs import Deploy, FindCapacity, LoadTest, Scale, TrainModel
from workers.contract.load import Abort, Shape, Slo
from workers.contract.replicas import Replicas
from workers.contract.settings import SettingsError, SettingsFile
from workers.contract.settings_reader import read_settings_file
from workers.contract.table_files import TableFile

GOOD = """\
[models.iris]
type = "logistic_reg"
label = "species"
query = \"\"\"
SELECT *
label = not a setting
\"\"\"
sample = [{ sepal_length = 5.0, colour = "red", wild = true }]
gate = { accuracy = ">= 0.9" }

[environments.staging]
replicas = "1..4"

[environments.production]
replicas = 3
cpu_request = "250m"
approvals = { count = 2, from = ["@ml-leads"], expires = "1h" }
max_load = "2krps"

[loadtest]
slo = "p99<1s"
duration = "5m"

[tables]
"shop.orders" = "data/orders.csv"

[targets.docs]
url = "https://docs.example.com:8443/search?q=laptops"
owner = "@search"
body = { query = "laptops", pages = [1, 2] }
private = true
max_load = "100rps"
approvals = { own = true }
"""


def read_text(folder: Path, text: str) -> SettingsFile:
    """Write `text` to a file in `folder` and read it."""
    file = folder / "seatrial.toml"
    file.write_text(text, encoding="utf-8")
    return read_settings_file(file)


def read_mistakes(folder: Path, text: str) -> list[str]:
    """Return the mistakes in `text`, without the path of the file."""
    with pytest.raises(SettingsError) as caught:
        read_text(folder, text)
    return [mistake.removeprefix(f"{folder / 'seatrial.toml'}:") for mistake in caught.value.mistakes]


def test_settings_are_read_in_their_types_and_units(tmp_path: Path) -> None:
    file = read_text(tmp_path, GOOD)
    assert file.models["iris"].name == "iris"
    assert file.models["iris"].sample == ({"sepal_length": 5.0, "colour": "red", "wild": True},)
    production = file.environments["production"]
    assert production.name == "production"
    assert production.replicas == Replicas(minimum=3, maximum=3)
    assert production.cpu_request_cores == 0.25
    assert production.max_load_rps == 2000.0
    assert production.approvals is not None
    assert (production.approvals.count, production.approvals.from_) == (2, ("@ml-leads",))
    assert (production.approvals.expires_s, production.approvals.own) == (3600.0, False)
    assert (file.loadtest.slo, file.loadtest.duration_s) == (Slo(latency_ms=((99.0, 1000.0),)), 300.0)
    assert file.tables == {"shop.orders": TableFile(file="data/orders.csv")}


def test_load_target_and_limits_of_load_tests_are_read(tmp_path: Path) -> None:
    more = 'abort = "errors>20% for 30s"\nlongest = "2h"\nlocustfile = "own.py"\n'
    file = read_text(tmp_path, GOOD.replace('duration = "5m"\n', 'duration = "5m"\n' + more))
    docs = file.targets["docs"]
    assert (docs.name, docs.key, docs.owner) == ("docs", "targets.docs", "@search")
    assert docs.url == "https://docs.example.com:8443/search?q=laptops"
    assert docs.body == {"query": "laptops", "pages": (1, 2)}
    assert (docs.private, docs.max_load_rps) == (True, 100.0)
    assert docs.approvals is not None and docs.approvals.own
    assert set(file.places) == {"staging", "production", "docs"}
    assert file.place("docs") == docs and file.place("staging").key == "environments.staging"
    assert file.loadtest.abort == Abort(errors_percent=20.0, for_s=30.0)
    assert (file.loadtest.longest_s, file.loadtest.locustfile) == (7200.0, "own.py")


def test_missing_settings_have_their_defaults(tmp_path: Path) -> None:
    file = read_text(tmp_path, "[environments.dev]\n")
    assert (file.models, file.warehouse, file.artifacts) == ({}, "local", "local")
    assert file.loadtest.slo == Slo(latency_ms=((95.0, 200.0),), errors_percent=1.0)
    dev = file.environments["dev"]
    assert (dev.cluster, dev.replicas, dev.cpu_target) == ("local", Replicas(minimum=1, maximum=1), 60)
    assert (dev.approvals, dev.max_load_rps, dev.cpu_request_cores) == (None, None, 0.5)
    assert (file.loadtest.duration_s, file.loadtest.longest_s) == (60.0, 3600.0)
    assert file.loadtest.abort == Abort(errors_percent=50.0, for_s=10.0)
    docs = read_text(tmp_path, '[targets.docs]\nurl = "http://docs"\nowner = "U1"\n').targets["docs"]
    assert (docs.body, docs.private, docs.approvals, docs.max_load_rps) == (None, False, None, None)


def test_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    assert read_text(tmp_path, "\ufeff" + GOOD) == read_text(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ("label = ", "# ", "1: models.iris.label: it is missing"),
        ('"logistic_reg"', '"logreg"', "2: models.iris.type"),
        ('"species"', '"the species"', "3: models.iris.label"),
        ("[models.iris]", "[models.Iris]", "1: models.Iris.NAME"),
        ("[models.iris]\n", '[models.iris]\nname = "x"\n', "2: models.iris.name: there is no such setting"),
        ('">= 0.9"', '"0.9"', "9: models.iris.gate.accuracy"),
        ('">= 0.9"', "0.9", "9: models.iris.gate.accuracy"),
        ('">= 0.9"', '"< 1e999"', "9: models.iris.gate.accuracy"),
        (
            "accuracy =",
            "Accuracy =",
            "9: models.iris.gate: logistic_reg has no metric “Accuracy”; did you mean accuracy?",
        ),
        ("accuracy =", "r2_score =", "9: models.iris.gate: logistic_reg has no metric “r2_score”. It has precision,"),
        ("5.0", "nan", "8: models.iris.sample.0.sepal_length"),
        ('{ sepal_length = 5.0, colour = "red", wild = true }', "", "8: models.iris.sample"),
        ('"1..4"', '"4..1"', "12: environments.staging.replicas"),
        ('"1..4"', "{ minimum = 1 }", "12: environments.staging.replicas"),
        ('"1..4"', "true", "12: environments.staging.replicas"),
        ('"250m"', '"0m"', "16: environments.production.cpu_request"),
        ("count = 2", "count = 0", "17: environments.production.approvals.count"),
        ("from =", "from_ =", "17: environments.production.approvals.from_"),
        ('["@ml-leads"]', '"@ml-leads"', "17: environments.production.approvals.from: it must be an array"),
        ('"1h"', '"1 parsec"', "17: environments.production.approvals.expires"),
        ('"2krps"', "2000", "18: environments.production.max_load"),
        ('"p99<1s"', '"p99"', "21: loadtest.slo"),
        ('"5m"', "300.0", "22: loadtest.duration"),
        ('"5m"', '"2h"', "20: loadtest: duration must not be longer than longest"),
        ('slo = "p99<1s"', 'abort = "errors<20%"', "21: loadtest.abort"),
        ('slo = "p99<1s"', 'longest = "25h"', "21: loadtest.longest"),
        ("[tables]", "[tabels]", "24: tabels: there is no such setting"),
        ("orders.csv", "orders.xlsx", "25: tables.shop.orders"),
        ('"https://docs', '"ftp://docs', "28: targets.docs.url"),
        ('"https://docs', '"https://ada:secret@docs', "28: targets.docs.url"),
        ('owner = "@search"', 'owner = ""', "29: targets.docs.owner"),
        ("private = true", 'private = "yes"', "31: targets.docs.private"),
        ("[targets.docs]", "[targets.staging]", "1: environments and targets must have different names"),
    ],
)
def test_mistake_is_reported_with_its_line_and_field(tmp_path: Path, before: str, after: str, place: str) -> None:
    assert before in GOOD
    [mistake] = read_mistakes(tmp_path, GOOD.replace(before, after))
    assert mistake.startswith(place) and mistake.endswith(".")


def test_all_mistakes_are_reported_together(tmp_path: Path) -> None:
    broken = GOOD.replace('"species"', "3").replace('"250m"', '"lots"').replace('"5m"', '"soon"')
    assert [mistake.split(":")[0] for mistake in read_mistakes(tmp_path, broken)] == ["3", "16", "22"]


def test_mistake_under_a_dotted_key_has_its_line(tmp_path: Path) -> None:
    assert read_mistakes(tmp_path, '# comment\nloadtest.duration = "soon"\n')[0].startswith("2: loadtest.duration: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"models = [", "not valid TOML"),
        (b"a = " + b"[" * 5000, "not valid TOML"),
        (b"\xff\xfe", "byte 0 is not UTF-8"),
        (None, "SEATRIAL_CONFIG"),
    ],
)
def test_unreadable_file_is_a_settings_error(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "seatrial.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        read_settings_file(file)


def test_changes_and_loads_above_the_cap_need_the_approvals_of_their_place(tmp_path: Path) -> None:
    file = read_text(tmp_path, GOOD)
    replicas = Replicas(minimum=1, maximum=1)

    def load(rate_rps: float, environment: str = "production") -> LoadTest:
        shape = Shape(kind="spike", lowest_rps=1.0, highest_rps=rate_rps)
        return LoadTest(model="iris", environment=environment, shape=shape, duration_s=60.0, slo=Slo())

    def search(highest_rps: float, environment: str = "production") -> FindCapacity:
        return FindCapacity(
            model="iris", environment=environment, lowest_rps=1.0, highest_rps=highest_rps, probe_s=20.0, slo=Slo()
        )

    approvals = file.environments["production"].approvals
    assert approvals is not None
    for job in (
        Deploy(model="iris", version=1, environment="production", digest="sha256:1"),
        Scale(model="iris", environment="production", replicas=replicas),
        load(2000.1),
        search(2000.1),
    ):
        assert job.approvals_needed(file) == approvals
    for job in (
        TrainModel(model="iris"),
        Deploy(model="iris", version=1, environment="staging", digest="sha256:1"),
        load(2000.0),
        load(1e6, "staging"),
        search(2000.0),
        load(100.0, "docs"),
    ):
        assert job.approvals_needed(file) is None
    for job in (load(100.1, "docs"), search(100.1, "docs")):
        assert job.approvals_needed(file) == file.targets["docs"].approvals


@pytest.mark.parametrize(
    ("environments", "gate", "live"),
    [
        (("staging",), '{ accuracy = ">= live - 0.01" }', "staging"),
        (("staging", "production"), '{ accuracy = ">= live(production)", log_loss = "< 1" }', "production"),
        (("staging", "production"), '{ accuracy = ">= live" }', "write live(staging), live(production)."),
        (("staging",), '{ accuracy = ">= live(prod)" }', "write live(staging)."),
        (("a", "b"), '{ accuracy = ">= live(a)", recall = ">= live(b)" }', "“live” must be one environment"),
        ((), '{ accuracy = ">= live" }', "there are no environments."),
        ((), '{ accuracy = ">= 0.5" }', None),
    ],
)
def test_live_version_of_a_gate_is_of_one_environment(
    tmp_path: Path, environments: tuple[str, ...], gate: str, live: str | None
) -> None:
    text = GOOD.partition("gate =")[0] + f"gate = {gate}\n" + "".join(f"[environments.{one}]\n" for one in environments)
    if live is None or live in environments:
        file = read_text(tmp_path, text)
        assert live_environment("iris", file.models["iris"].gate, environments=environments) == live
    else:
        [mistake] = read_mistakes(tmp_path, text)
        assert mistake.startswith("1: models.iris.gate: ") and live in mistake
