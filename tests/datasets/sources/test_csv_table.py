from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.sources.csv_table import CSVTable
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.errors import ConfigError, DataError


def load(tmp_path: Path, text: str, source: CSVTable | None = None, encoding: str = "utf-8") -> Dataset:
    file = tmp_path / "mine.csv"
    file.write_bytes(text.encode(encoding))
    return (source or CSVTable(test=0)).load(tmp_path, file, print)


IRIS = "length,width,species\n5.1,3.5,setosa\n7.0,3.2,versicolor\n6.3,3.3,virginica\n4.9,3.0,setosa\n"


def guessed(dataset: Dataset, what: str) -> tuple[str, str]:
    """What was taken, and why."""
    (guess,) = (each for each in dataset.description.guesses if each.what == what)
    return guess.taken, guess.why


def test_text_labels_become_sorted_classes(tmp_path: Path) -> None:
    dataset = load(tmp_path, IRIS)
    assert dataset.classes == ("setosa", "versicolor", "virginica")
    assert dataset.train_targets.tolist() == [0, 1, 2, 0]
    assert dataset.train_inputs.dtype == np.float64
    assert dataset.train_inputs.tolist()[1] == [7.0, 3.2]
    assert dataset.feature_names == ("length", "width")
    assert dataset.test_inputs is None
    assert guessed(dataset, "task") == ("classification", "as it holds text (3 classes)")


def test_a_column_called_label_is_the_target_wherever_it_stands(tmp_path: Path) -> None:
    dataset = load(tmp_path, "a,Label,b\n1,0,2\n3,1,4\n")
    assert dataset.feature_names == ("a", "b")
    assert dataset.train_targets.tolist() == [0, 1]


def test_whole_number_labels_are_numbered_in_their_order(tmp_path: Path) -> None:
    dataset = load(tmp_path, "a,y\n1,10\n2,9\n3,10.0\n")
    assert dataset.classes == ("9", "10")
    assert dataset.train_targets.tolist() == [1, 0, 1]


def test_a_quantity_is_regression(tmp_path: Path) -> None:
    dataset = load(tmp_path, "a,price\n1,10.5\n2,9.25\n3,7\n")
    assert dataset.task == "regression"
    assert dataset.train_targets.tolist() == [[10.5], [9.25], [7.0]]
    assert dataset.target_names == ("price",)


def test_many_distinct_whole_numbers_are_regression_unless_told_otherwise(tmp_path: Path) -> None:
    text = "a,y\n" + "".join(f"{row},{row}\n" for row in range(30))
    assert load(tmp_path, text).task == "regression"
    assert load(tmp_path, text, CSVTable(test=0, task="classification")).outputs == 30


def test_several_targets_are_regression_in_the_order_asked_for(tmp_path: Path) -> None:
    dataset = load(tmp_path, "a,b,c\n1,2,3\n4,5,6\n", CSVTable(target=("c", "a"), test=0))
    assert dataset.train_targets.tolist() == [[3, 1], [6, 4]]
    assert dataset.feature_names == ("b",)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("1,2,0\n3,4,1\n", 2),  # no header: numbers from the first row on
        ("5.1,3.5,setosa\n7,3,virginica\n", 2),  # text labels are no header
        ("a,b,c\n1,2,0\n3,4,1\n", 2),
        ("label,1x1,1x2\n0,2,3\n1,4,5\n", 2),
        ("kind,0,1\n0,2,3\n1,4,5\n", 2),  # column names that are numbers
        ('"a","b","y"\n1,2,0\n3,4,1\n', 2),
        ("a;b;y\n1;2;0\n3;4;1\n", 2),
        ("a\tb\ty\n1\t2\t0\n3\t4\t1\n", 2),
        ("a,b,y\r\n1,2,0\r\n\r\n3,4,1", 2),
        ("\ufeffa,b,y\n1,2,0\n3,4,1\n", 2),
    ],
)
def test_header_delimiter_line_ends_and_byte_order_mark_are_detected(tmp_path: Path, text: str, rows: int) -> None:
    dataset = load(tmp_path, text)
    assert dataset.train_inputs.shape == (rows, 2)
    assert dataset.outputs == 2


@pytest.mark.parametrize("gap", ["?", "NA", "n/a"])
def test_a_gap_in_the_first_row_makes_no_header_of_it(tmp_path: Path, gap: str) -> None:
    dataset = load(tmp_path, f"5.1,{gap},setosa\n7,3,virginica\n")
    assert dataset.feature_names == ("column1", "column2")
    assert np.isnan(dataset.train_inputs[0, 1])


def test_a_gap_under_a_header_is_no_reason_to_lose_the_header(tmp_path: Path) -> None:
    dataset = load(tmp_path, "a,b,y\n?,1,cat\n2,3,dog\n")
    assert dataset.feature_names == ("a", "b")
    assert dataset.train_inputs.tolist()[1] == [2, 3]


def test_a_row_of_gaps_is_no_header(tmp_path: Path) -> None:
    assert load(tmp_path, "?,NA\n1,0\n2,1\n").feature_names == ("column1",)


def test_an_empty_corner_of_numbered_columns_is_read(tmp_path: Path) -> None:
    dataset = load(tmp_path, ",0,1\n0,5,6\n1,7,8\n")
    assert (dataset.feature_names, dataset.train_inputs.tolist()) == (("0",), [[5], [7]])
    assert [(each.name, each.kind) for each in dataset.description.columns] == [("", "left out"), ("0", "number")]


def test_a_header_with_numbers_is_told_with_its_reason_or_as_configured(tmp_path: Path) -> None:
    text = "kind,0,1\n0,2,3\n1,4,5\n"
    taken, why = guessed(load(tmp_path, text), "header")
    assert taken == "yes"
    assert why
    assert guessed(load(tmp_path, text, CSVTable(test=0, header=True)), "header") == ("yes", "as configured")


def test_the_header_can_be_told(tmp_path: Path) -> None:
    assert load(tmp_path, "1,2\n3,4\n5,6\n", CSVTable(test=0, header=True)).train_inputs.shape == (2, 1)


def test_the_held_out_test_split_is_stratified_and_repeatable(tmp_path: Path) -> None:
    text = "a,y\n" + "".join(f"{row},{row % 2}\n" for row in range(20))
    first, again = (load(tmp_path, text, CSVTable(test=0.2)) for _ in range(2))
    other = load(tmp_path, text, CSVTable(test=0.2, seed=1))
    assert first.test_targets is not None
    assert sorted(first.test_targets.tolist()) == [0, 0, 1, 1]
    assert first.digest() == again.digest() != other.digest()


def test_a_test_file_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "held.csv").write_text("a,y\n7,cat\n")
    dataset = load(tmp_path, "a,y\n1,dog\n2,cat\n", CSVTable(test_path="held.csv"))
    assert len(dataset.train_inputs) == 2
    assert dataset.test_targets is not None
    assert dataset.test_targets.tolist() == [0]


def test_a_folder_with_train_and_test_files(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,y\n1,dog\n2,cat\n")
    (tmp_path / "test.csv").write_text("a,y\n7,bird\n")
    with pytest.raises(DataError, match=r"test\.csv:2: the class 'bird' is not in the training file"):
        CSVTable().load(tmp_path, tmp_path, print)
    (tmp_path / "test.csv").write_text("b,y\n7,cat\n")
    with pytest.raises(DataError, match=r"test\.csv has no column 'a', which .*train\.csv has"):
        CSVTable().load(tmp_path, tmp_path, print)


def test_a_test_file_without_the_target_is_there_to_be_predicted(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,y\n" + "1,dog\n2,cat\n" * 10)
    (tmp_path / "test.csv").write_text("a\n7\n")
    dataset = CSVTable().load(tmp_path, tmp_path, print)
    assert dataset.test_targets is not None
    assert len(dataset.test_targets) == 4
    assert guessed(dataset, "test") == ("held out of train.csv", "test.csv has no column 'y': it can be predicted")


def test_a_test_file_may_have_its_columns_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,b,y\n1,2,dog\n2,3,cat\n")
    (tmp_path / "test.csv").write_text("y,note,b,a\ncat,x,8,7\n")
    dataset = CSVTable().load(tmp_path, tmp_path, print)
    assert dataset.test_inputs is not None
    assert dataset.test_inputs.tolist() == [[7, 8]]


def test_the_training_file_decides_whether_labels_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,y\n1,01\n2,02\n3,A1\n")
    (tmp_path / "test.csv").write_text("a,y\n7,02\n8,01\n")
    dataset = CSVTable().load(tmp_path, tmp_path, print)
    assert dataset.classes == ("01", "02", "A1")
    assert dataset.test_targets is not None
    assert dataset.test_targets.tolist() == [1, 0]


def test_a_text_among_the_test_labels_leaves_the_numbers_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,y\n1,01\n2,02\n")
    (tmp_path / "test.csv").write_text("a,y\n7,02\n8,A1\n")
    with pytest.raises(DataError, match=r"test\.csv:3: the class 'A1' is not in the training file"):
        CSVTable().load(tmp_path, tmp_path, print)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("a,b,y\n", "no rows below its header"),
        ("a,b,y\n1,2,cat\n1,2\n", r"mine\.csv:3: 2 columns, but the header has 3"),
        ("a,b,y\n1,2,cat\n1,2,dog,9\n", r"mine\.csv:3: 4 columns"),
        (
            "a,b,y\n1,2,cat\n1,1e99,dog\n",
            r"mine\.csv:3: column 'b' is '1e\+?99', not a number between -3\.4e\+38 and 3\.4e",
        ),
        ("a,b,y\n1,2,cat\n1,-inf,dog\n", r"mine\.csv:3: column 'b' is '-inf', not a number"),
        ("a,b,y\n1,2,cat\n1,2,cat\n", "every row has the class 'cat'"),
        ("y\n1\n2\n", "no column is left to learn from"),
        (
            "a,b,c,y\n1,x,,2\n1,x,,3\n1,x,,4\n",
            r"mine\.csv: no column is left to learn from \('a': one value in every row; 'b': one value in every row; "
            r"'c': every cell is a gap\)",
        ),
        ("a,a,y\n1,2,3\n", "two columns are called 'a'"),
        ('a,b,y\n1,"2,cat\n', r"mine\.csv:2: not valid CSV: a quote opens and is never closed"),
        ("a,y\n1,\n2,?\n", "every cell of the target 'y' is a gap"),
    ],
)
def test_a_bad_table_is_an_error_that_says_where(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        load(tmp_path, text)
    assert caught.value.exit_code == 4


def test_a_million_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1,000,000 columns; at most 100,000"):
        load(tmp_path, "1," * 999_999 + "1\n")


def test_a_file_without_line_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a line of more than"):
        load(tmp_path, "1" * 17_000_000)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (CSVTable(target="spieces"), r"no column 'spieces'; did you mean species\?"),
        (CSVTable(ignore=("colour",)), "has no column 'colour'"),
        (CSVTable(task="regression"), r"mine\.csv:2: the target 'species' is 'setosa', not a number"),
        (CSVTable(target=("length", "species"), task="classification"), "classification has one target column"),
        (CSVTable(test=0.99), "leaves the training split empty"),
        (CSVTable(test_path="none.csv"), r"none\.csv does not exist"),
    ],
)
def test_settings_that_do_not_fit_the_table_are_errors(tmp_path: Path, source: CSVTable, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        load(tmp_path, IRIS, source)


@pytest.mark.parametrize("delimiter", ["\\t", "", "||", '"', "\n", "é"])
def test_a_delimiter_is_one_character(delimiter: str) -> None:
    ((field, message),) = CSVTable(delimiter=delimiter).contradictions()
    assert field == "delimiter"
    assert r'a tab is "\t", in double quotes' in message


def test_a_list_of_targets_names_at_least_one() -> None:
    assert [field for field, _ in CSVTable(target=()).contradictions()] == ["target"]
    assert not list(CSVTable(target=("a",), delimiter="\t").contradictions())


def test_a_missing_path_is_a_config_error_and_a_missing_file_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.path: is missing"):
        CSVTable().load(tmp_path, None, print)
    with pytest.raises(DataError, match="does not exist"):
        CSVTable().load(tmp_path, tmp_path / "none.csv", print)


CELLS = st.sampled_from(["1", "2.5", "", "cat", "nan", "1e999", '"', "a b", "-0", "\x00", "é", "\r"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(st.lists(st.lists(CELLS, max_size=4), max_size=5), st.sampled_from([",", ";"]))
@example([["1", '"', "1e999"], ["é"]], ",")
def test_any_table_gives_a_dataset_or_a_data_error(tmp_path: Path, rows: list[list[str]], delimiter: str) -> None:
    try:
        dataset = load(tmp_path, "\n".join(delimiter.join(row) for row in rows), CSVTable(test=0.3))
    except DataError:
        return
    assert not np.isinf(dataset.train_inputs).any()
    assert dataset.schema is not None
    encoding = TableEncoding.fit(dataset.schema, dataset.train_inputs)
    assert np.isfinite(dataset.encoded(encoding).train_inputs).all()
    assert TableEncoding.from_dict(json.loads(json.dumps(encoding.to_dict()))) == encoding


@pytest.mark.parametrize("rows", [4, 60])
def test_a_column_that_names_pictures_is_said_to_be_no_pictures(tmp_path: Path, rows: int) -> None:
    text = "file,label\n" + "".join(f"a/{row}.PNG,{'cat' if row % 2 else 'dog'}\n" for row in range(rows))
    (tmp_path / "mine.csv").write_text(text)
    try:
        said = "\n".join(CSVTable().load(tmp_path, tmp_path / "mine.csv", print).description.warnings)
    except DataError as error:
        said = str(error)
    assert "'file' names pictures, which no table is read with: to learn from them, lay each into a folder" in said
