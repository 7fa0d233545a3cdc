"""The settings file: what it may hold, and what its author is told about mistakes."""

from pathlib import Path

import pytest

from workers.contract.jobs import Deploy, FindCapacity, LoadTest, Scale, TrainModel
from workers.contract.load import Abort, Shape, Slo
from workers.contract.replicas import Replicas
from workers.contract.settings import SettingsError, SettingsFile
from workers.contract.settings_reader import read_settings_file

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
url = "https://docs.example.com:8443/search?q=ships"
owner = "@search"
body = { query = "ships", pages = [1, 2] }
private = true
max_load = "100rps"
approvals = { own = true }
"""


def read_text(path: Path, text: str) -> SettingsFile:
    """The settings in `text`, from a file."""
    file = path / "seatrial.toml"
    file.write_text(text, encoding="utf-8")
    return read_settings_file(file)


def mistakes(path: Path, text: str) -> list[str]:
    """What is said about `text`, without the file's name."""
    with pytest.raises(SettingsError) as caught:
        read_text(path, text)
    return [mistake.removeprefix(f"{path / 'seatrial.toml'}:") for mistake in caught.value.mistakes]


def test_everything_that_is_set_is_read(tmp_path: Path) -> None:
    """Each key arrives in its own type and unit, and each table knows its name."""
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
    assert file.tables == {"shop.orders": "data/orders.csv"}


def test_what_is_set_of_targets_and_load_tests_is_read(tmp_path: Path) -> None:
    """A target knows its name and where it stands in the file; a load test's limits arrive in seconds and percent."""
    more = 'abort = "errors>20% for 30s"\nlongest = "2h"\nlocustfile = "own.py"\n'
    file = read_text(tmp_path, GOOD.replace('duration = "5m"\n', 'duration = "5m"\n' + more))
    docs = file.targets["docs"]
    assert (docs.name, docs.key, docs.owner) == ("docs", "targets.docs", "@search")
    assert docs.url == "https://docs.example.com:8443/search?q=ships"
    assert docs.body == {"query": "ships", "pages": (1, 2)}
    assert (docs.private, docs.max_load_rps) == (True, 100.0)
    assert docs.approvals is not None and docs.approvals.own
    assert set(file.places) == {"staging", "production", "docs"}
    assert file.place("docs") == docs and file.place("staging").key == "environments.staging"
    assert file.loadtest.abort == Abort(errors_percent=20.0, for_s=30.0)
    assert (file.loadtest.longest_s, file.loadtest.locustfile) == (7200.0, "own.py")


def test_what_is_not_set_has_its_default(tmp_path: Path) -> None:
    """An empty file is valid: no models, no environments, one machine."""
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


def test_the_file_that_comes_with_seatrial_is_valid() -> None:
    """The settings of the demo, which are the manual of the settings too."""
    file = read_settings_file(Path(__file__).parents[2] / "seatrial.toml")
    assert set(file.environments) == {"staging", "production"}


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    """Some editors begin every file with one."""
    assert read_text(tmp_path, "\ufeff" + GOOD) == read_text(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("label = ", "lable = ", "3: models.iris.lable: there is no such setting."),
        ("label = ", "# ", "1: models.iris.label: it is missing and has no default."),
        ('"logistic_reg"', '"logreg"', "2: models.iris.type: Input should be 'linear_reg'"),
        ('"species"', '"the species"', "3: models.iris.label: a column's name has letters"),
        ("[models.iris]", "[models.Iris]", "1: models.Iris.NAME: a name has lower-case letters"),
        ("[models.iris]\n", '[models.iris]\nname = "x"\n', "2: models.iris.name: there is no such setting."),
        ('">= 0.9"', '"0.9"', '9: models.iris.gate.accuracy: write the bound like ">= 0.9", found'),
        ("5.0", "nan", "8: models.iris.sample.0.sepal_length: it must be a text, a finite number"),
        ("5.0", "{ deep = 1 }", "8: models.iris.sample.0.sepal_length: it must be a text, a finite number"),
        ('{ sepal_length = 5.0, colour = "red", wild = true }', "", "8: models.iris.sample: it must hold at least one"),
        ('"1..4"', '"4..1"', "12: environments.staging.replicas: “4..1” is out of range"),
        ('"1..4"', "{ minimum = 1 }", '12: environments.staging.replicas: it must be a text, like "1..4"'),
        ('"1..4"', "true", "12: environments.staging.replicas: it must be a text"),
        ('"250m"', '"0m"', "16: environments.production.cpu_request: write more than no CPU"),
        ("count = 2", "count = 0", "17: environments.production.approvals.count: Input should be greater"),
        ("from =", "from_ =", "17: environments.production.approvals.from_: there is no such setting."),
        ('["@ml-leads"]', '"@ml-leads"', "17: environments.production.approvals.from: it must be an array"),
        ('"1h"', '"1 parsec"', "17: environments.production.approvals.expires: “1 parsec” is not a time"),
        ('"2krps"', "2000", "18: environments.production.max_load: “2000” is not a rate"),
        ('"2krps"', "inf", "18: environments.production.max_load: “inf” is not a rate"),
        ('"p99<1s"', '"p99"', "21: loadtest.slo: “p99” is not an objective"),
        ('"5m"', "300.0", "22: loadtest.duration: “300.0” is not a time"),
        ("orders.csv", "orders.xlsx", "25: tables.shop.orders: it must be a .csv or .parquet file"),
        ("[tables]", "[tabels]", "24: tabels: there is no such setting."),
        ('"5m"', '"2h"', "20: loadtest: duration must not be longer than longest."),
        ('slo = "p99<1s"', 'abort = "errors<20%"', "21: loadtest.abort: “errors<20%” does not say when to give up"),
        ('slo = "p99<1s"', 'abort = "errors>100%"', "21: loadtest.abort: “errors>100%” is out of range"),
        ('slo = "p99<1s"', 'abort = "errors>20% for 500ms"', "21: loadtest.abort: “500ms” is too short"),
        ('slo = "p99<1s"', 'longest = "25h"', "21: loadtest.longest: “25h” is out of range"),
        ('"https://docs', '"ftp://docs', "28: targets.docs.url: write the whole address"),
        ('"https://docs', '"https://ada:secret@docs', "28: targets.docs.url: write the whole address"),
        ('owner = "@search"', 'owner = ""', "29: targets.docs.owner: String should have at least 1 character"),
        ('owner = "@search"', "", "27: targets.docs.owner: it is missing and has no default."),
        ("private = true", 'private = "yes"', "31: targets.docs.private: Input should be a valid boolean"),
        ('"100rps"', '"100"', "32: targets.docs.max_load: “100” is not a rate"),
        ("[targets.docs]", "[targets.staging]", "1: environments and targets must have different names"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_field(tmp_path: Path, before: str, after: str, said: str) -> None:
    """Line, field, what was expected and what was found; and nothing else is blamed."""
    assert before in GOOD
    found = mistakes(tmp_path, GOOD.replace(before, after))
    assert any(mistake.startswith(said) for mistake in found), found
    assert len(found) == 1 + (after == "lable = ")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Nobody repairs a file one start at a time."""
    broken = GOOD.replace('"species"', "3").replace('"250m"', '"lots"').replace('"5m"', '"soon"')
    assert [mistake.split(":")[0] for mistake in mistakes(tmp_path, broken)] == ["3", "16", "22"]


def test_dotted_keys_are_found_too(tmp_path: Path) -> None:
    """Tables may be written in one line a key."""
    assert mistakes(tmp_path, '# nothing\nloadtest.duration = "soon"\n')[0].startswith("2: loadtest.duration: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"models = [", "not valid TOML"),
        (b"a = " + b"[" * 5000, "not valid TOML"),
        (b"\xff\xfe", "byte 0 is not UTF-8"),
        (None, "set SEATRIAL_CONFIG"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_settings_error(tmp_path: Path, content: bytes | None, said: str) -> None:
    """No other exception leaves the reader."""
    file = tmp_path / "seatrial.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=said):
        read_settings_file(file)


def test_jobs_need_their_environment_s_approvals(tmp_path: Path) -> None:
    """What changes a protected environment needs approval, a load test only above the cap, training never."""
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
    for free in (
        TrainModel(model="iris"),
        Deploy(model="iris", version=1, environment="staging", digest="sha256:1"),
        load(2000.0),
        load(1e6, "staging"),
        search(2000.0),
        load(100.0, "docs"),
    ):
        assert free.approvals_needed(file) is None
    for job in (load(100.1, "docs"), search(100.1, "docs")):
        assert job.approvals_needed(file) == file.targets["docs"].approvals
