"""A pasted CREATE MODEL statement as the settings of a model."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from workers.contract.create_model import settings_of
from workers.contract.settings import SettingsError
from workers.contract.settings_reader import read_settings_file

QUERY = "SELECT * EXCEPT(day), 'AS OPTIONS(' AS odd -- the end\nFROM `p.d.t`"


@pytest.mark.parametrize(
    "head",
    [
        "CREATE MODEL `p.d.m`",
        "create or replace model my-project.d.m_1",
        "CREATE MODEL IF NOT EXISTS d.m",
        "/* why */ CREATE\nMODEL m -- a name",
        "CREATE OR REPLACE MODEL `p`.d.`m`",
    ],
)
def test_statement_is_read(head: str) -> None:
    options = "model_type = 'LOGISTIC_REG', INPUT_LABEL_COLS = ['species'], l2_reg = 0.5, max_iterations=5"
    read = settings_of(f"{head}\nOPTIONS ({options}, early_stop = FALSE) AS\n{QUERY};\n")
    assert read == {
        "type": "logistic_reg",
        "label": "species",
        "query": QUERY,
        "options": {"L2_REG": 0.5, "MAX_ITERATIONS": 5, "EARLY_STOP": False},
    }


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("CLASS_WEIGHTS = [STRUCT('yes', 2.0), ('no', .5)]", {"yes": 2.0, "no": 0.5}),
        ("CLASS_WEIGHTS = [STRUCT('a' AS label, 1 AS weight)]", {"a": 1}),
        ('data_split_col = "day"', "day"),
        (r"data_split_col = r'd\d'", r"d\d"),
        ("data_split_col = '''d'ay'''", "d'ay"),
        ("l1_reg = -1e-3", -0.001),
    ],
)
def test_values_of_options_are_read(option: str, value: Any) -> None:
    read = settings_of(f"CREATE MODEL m OPTIONS(MODEL_TYPE='linear_reg', {option}) AS SELECT 1 AS label")
    assert read["label"] == "label"
    assert list(read["options"].values()) == [value]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SELECT 1", "line 1 of the statement: expected CREATE, found “SELECT 1”"),
        ("CREATE MODEL m\nAS SELECT 1", "line 2 of the statement: expected OPTIONS"),
        ("CREATE MODEL m TRANSFORM(a) OPTIONS() AS SELECT 1", "TRANSFORM is not available"),
        ("CREATE MODEL m OPTIONS(l1_reg=1) AS SELECT 1", "MODEL_TYPE"),
        ("CREATE MODEL m OPTIONS(model_type='x', input_label_cols=['a', 'b']) AS SELECT 1", "one column"),
        ("CREATE MODEL m OPTIONS(model_type='x', l1_reg=HPARAM_RANGE(0, 1)) AS SELECT 1", "a constant value of L1_REG"),
        ("CREATE MODEL m OPTIONS(model_type='x', model_type='y') AS SELECT 1", "MODEL_TYPE is given twice"),
        ("CREATE MODEL m OPTIONS(model_type='x') AS ;", "a query must follow AS"),
        ("CREATE MODEL m OPTIONS(model_type=b'x') AS SELECT 1", "BYTES"),
        ("CREATE MODEL m OPTIONS(model_type='x'", "expected ,, found “its end”"),
        ("CREATE MODEL m OPTIONS(model_type='x', class_weights=[1]) AS SELECT 1", "CLASS_WEIGHTS must be like"),
    ],
)
def test_what_was_expected_is_named(statement: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        settings_of(statement)
    assert words in str(caught.value)


@given(st.text(alphabet="CREATEMODLm ()[]='\"`,.;-/*#\n\\rb01ASOPTIN_", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        settings_of("CREATE MODEL m " + text)
    except ValueError:
        return


def test_settings_take_a_statement_instead_of_the_keys(tmp_path: Path) -> None:
    statement = "CREATE MODEL m OPTIONS(MODEL_TYPE='BOOSTED_TREE_REGRESSOR', MAX_TREE_DEPTH=3) AS SELECT 1 AS label"
    file = tmp_path / "seatrial.toml"
    text = f'[models.tip]\nsql = """{statement}"""\nsample = [{{ x = 1 }}]\n'
    file.write_text(text)
    model = read_settings_file(file).models["tip"]
    assert (model.type, model.label, model.query) == ("boosted_tree_regressor", "label", "SELECT 1 AS label")
    assert model.options == {"max_tree_depth": 3}
    for changed, words in (
        (text + 'label = "y"\n', "sql has label already"),
        (text.replace("MAX_TREE_DEPTH", "L1"), "there is no option “l1”"),
        (text.replace("OPTIONS", "OPTION"), "expected OPTIONS, found “OPTION(MODEL_TYPE='B”"),
    ):
        file.write_text(changed)
        with pytest.raises(SettingsError) as caught:
            read_settings_file(file)
        assert words in str(caught.value)
