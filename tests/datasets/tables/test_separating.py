"""`split_by` and `split: last`: no group in two splits, the last rows held out, and what is in two splits told."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.config.config import config_from_mapping
from nnscratch.config.data import Splits, encode_dataset, load_dataset, split_dataset
from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.sources.csv_table import CSVTable
from nnscratch.datasets.splits import fold_indices, hold_out
from nnscratch.errors import ConfigError, DataError
from nnscratch.results.data_text import report_text

NO_TELL: Any = lambda text: None  # noqa: E731  one line is enough


def write_patients(path: Path, patients: int = 20, visits: int = 6, first: int = 0) -> None:
    """Rows of a patient stand together; the label is the patient's, and the days of all interlock."""
    rng = np.random.default_rng(0)
    lines = ["patient,day,a,b,sick"]
    for patient in range(first, first + patients):
        for visit in range(visits):
            day = date(2020, 1, 1) + timedelta(days=visit * patients + (patient * 7) % patients)
            a, b = rng.normal(size=2)
            lines.append(f"p{patient},{day},{a:.3f},{b:.3f},{'yes' if patient % 2 else 'no'}")
    path.write_text("\n".join(lines) + "\n")


def loaded(path: Path, validation: float = 0.2, **dataset: Any) -> tuple[Dataset, Splits]:
    data = {"dataset": {"name": "csv", "target": "sick", **dataset}, "path": str(path), "validation": validation}
    config = config_from_mapping({"data": data, "model": {"hidden_layers": []}})
    found = load_dataset(config, path.parent, NO_TELL)
    return found, split_dataset(config, found)


def rows_of_file(dataset: Dataset, splits: Splits) -> dict[str, set[int]]:
    """The rows of the file in each split."""
    assert splits.validation is not None
    assert splits.test is not None
    train, test = dataset.origins["train"].rows, dataset.origins["test"].rows
    rows = {"train": train[splits.train.rows], "val": train[splits.validation.rows], "test": test[splits.test.rows]}
    return {name: set(each.tolist()) for name, each in rows.items()}


def test_no_patient_is_in_two_splits_and_every_row_is_in_one(tmp_path: Path) -> None:
    write_patients(tmp_path / "t.csv")
    dataset, splits = loaded(tmp_path / "t.csv", split_by="patient")
    rows = rows_of_file(dataset, splits)
    patients = {name: {row // 6 for row in each} for name, each in rows.items()}
    assert sum(map(len, rows.values())) == 120
    assert sum(map(len, patients.values())) == len(set.union(*patients.values())) == 20
    assert (len(patients["test"]), len(patients["val"])) == (4, 3)  # 0.2 of 20, and 0.2 of the other 16
    assert splits.report(dataset).warnings == ()
    assert dataset.schema is not None
    assert [column.name for column in dataset.schema.columns] == ["day", "a", "b"]


def test_without_it_patients_are_in_several_splits(tmp_path: Path) -> None:
    write_patients(tmp_path / "t.csv")
    dataset, splits = loaded(tmp_path / "t.csv", ignore=["patient"])
    patients = [{row // 6 for row in each} for each in rows_of_file(dataset, splits).values()]
    assert len(set.union(*patients)) < sum(map(len, patients))


def test_files_of_ones_own_with_a_patient_in_both_are_warned_of(tmp_path: Path) -> None:
    write_patients(tmp_path / "train.csv", patients=10)
    write_patients(tmp_path / "test.csv", patients=5, first=8)
    dataset, splits = loaded(tmp_path, split_by="patient")
    warnings = [each for each in splits.report(dataset).warnings if "patient" in each]
    assert warnings
    told = " ".join(warnings)
    assert "values of 'patient' are in training and in test" in told or "in validation and in test" in told
    assert "of 30 test examples" in told


def test_the_last_days_are_held_out_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    write_patients(tmp_path / "t.csv")
    days = [line.split(",")[1] for line in (tmp_path / "t.csv").read_text().splitlines()[1:]]
    dataset, splits = loaded(tmp_path / "t.csv", split="last", order_by="day", ignore=["patient"])
    rows = rows_of_file(dataset, splits)
    of_split = {name: [days[row] for row in each] for name, each in rows.items()}
    assert max(of_split["train"]) <= min(of_split["val"]) <= max(of_split["val"]) <= min(of_split["test"])
    assert {name: len(each) for name, each in rows.items()} == {"train": 77, "val": 19, "test": 24}


def test_without_a_column_the_last_rows_are_held_out(tmp_path: Path) -> None:
    write_patients(tmp_path / "t.csv")
    rows = rows_of_file(*loaded(tmp_path / "t.csv", split="last", ignore=["patient"]))
    assert rows == {"train": set(range(77)), "val": set(range(77, 96)), "test": set(range(96, 120))}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"split_by": "patint"}, "t.csv has no column 'patint'; did you mean patient"),
        ({"split": "last", "order_by": "patient"}, "order_by: 'patient' is 'p0', no number and no date"),
        ({"split": "last", "order_by": "dy"}, "t.csv has no column 'dy'; did you mean day"),
    ],
)
def test_columns_that_cannot_separate_are_refused(settings: dict[str, Any], problem: str, tmp_path: Path) -> None:
    write_patients(tmp_path / "t.csv")
    with pytest.raises(DataError) as raised:
        loaded(tmp_path / "t.csv", **settings)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    "settings", [{"split_by": "patient", "split": "last"}, {"order_by": "day"}, {"split_by": "sick"}]
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    write_patients(tmp_path / "t.csv")
    with pytest.raises(ConfigError):
        loaded(tmp_path / "t.csv", **settings)


def test_weights_and_what_is_held_out_are_told_before_training(tmp_path: Path) -> None:
    write_patients(tmp_path / "t.csv")
    text = (tmp_path / "t.csv").read_text().replace(",-", ",")  # weights are from 0 on
    (tmp_path / "t.csv").write_text(text)
    dataset, splits = loaded(tmp_path / "t.csv", split_by="patient", weight="b")
    told = " ".join(report_text(splits.report(dataset)).split())
    assert "weights 'b', from" in told
    assert "every loss is a weighted mean" in told
    assert "held out 20 groups by 'patient': 13 in training, 3 in validation, 4 in test; none in two splits" in told


@pytest.mark.parametrize("gap", ["", "NA"])
def test_a_row_without_a_patient_is_named(tmp_path: Path, gap: str) -> None:
    write_patients(tmp_path / "t.csv")
    text = (tmp_path / "t.csv").read_text()
    (tmp_path / "t.csv").write_text(text.replace("p3,", f"{gap},", 1))
    with pytest.raises(DataError, match=r"t\.csv:20.*split_by: 'patient' has a gap"):
        loaded(tmp_path / "t.csv", split_by="patient")


@pytest.mark.parametrize("of", [2, 3, 5])
def test_each_group_is_in_one_fold_and_folds_are_as_even_as_groups_allow(of: int) -> None:
    groups = np.repeat(np.arange(30), np.arange(30) % 4 + 1)
    seen: list[int] = []
    for number in range(1, of + 1):
        rng = np.random.default_rng(1)
        outside, inside = fold_indices(np.zeros(len(groups)), number, of, rng, True, groups)
        assert not set(groups[outside]) & set(groups[inside])
        assert abs(len(inside) - len(groups) / of) <= 4  # the largest group
        seen += inside.tolist()
    assert sorted(seen) == list(range(len(groups)))


def test_groups_and_order_hold_out_about_the_wanted_share() -> None:
    groups = np.repeat(np.arange(50), 4)
    train, held = hold_out(np.zeros(200), 0.1, np.random.default_rng(0), True, groups=groups)
    assert len(held) == 20
    assert not set(groups[train]) & set(groups[held])
    train, held = hold_out(np.zeros(10), 0.3, np.random.default_rng(0), True, order=np.arange(10)[::-1])
    assert held.tolist() == [0, 1, 2]


def test_one_group_alone_cannot_be_split() -> None:
    with pytest.raises(DataError, match="one group alone"):
        hold_out(np.zeros(10), 0.3, np.random.default_rng(0), True, groups=np.zeros(10))


def test_folds_of_an_order_are_refused(tmp_path: Path) -> None:
    write_patients(tmp_path / "t.csv")
    data = {"dataset": {"name": "csv", "target": "sick", "split": "last"}, "path": str(tmp_path / "t.csv")}
    config = config_from_mapping({"data": {**data, "fold": {"number": 1, "of": 3}}, "model": {"hidden_layers": []}})
    with pytest.raises(ConfigError, match="trained on what comes after them"):
        split_dataset(config, load_dataset(config, tmp_path, NO_TELL))


def test_the_last_examples_of_arrays_are_held_out(tmp_path: Path) -> None:
    x = np.arange(100, dtype=np.float32).reshape(100, 1)
    np.savez(tmp_path / "series.npz", x_train=x, y_train=x * 2 + 0.5)
    dataset = {"name": "npz", "split": "last", "task": "regression"}
    data = {"dataset": dataset, "path": str(tmp_path / "series.npz"), "validation": 0.25}
    config = config_from_mapping({"data": data, "model": {"hidden_layers": []}, "loss": "mean_squared_error"})
    found = load_dataset(config, tmp_path, NO_TELL)
    splits = split_dataset(config, found)
    assert splits.validation is not None
    assert splits.test is not None
    parts = [each.inputs[each.rows].ravel().tolist() for each in (splits.train, splits.validation, splits.test)]
    assert parts == [list(range(60)), list(range(60, 80)), list(range(80, 100))]


@pytest.mark.parametrize("validation", [0.0, 0.2])
def test_rows_that_are_alike_in_two_splits_are_named_by_their_lines(tmp_path: Path, validation: float) -> None:
    lines = ["a,b,sick", *(f"{row // 2}.5,{row // 2 % 7},{'yes' if row % 3 else 'no'}" for row in range(80))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    dataset, splits = loaded(tmp_path / "t.csv", validation)
    warnings = [each for each in splits.report(dataset).warnings if " are in training and in " in each]
    assert len(warnings) == (2 if validation else 1)
    for warning in warnings:
        alike = re.search(r"such as t\.csv:(\d+) and t\.csv:(\d+): ", warning)
        assert alike is not None
        first, second = (lines[int(line) - 1].rpartition(",")[0] for line in alike.groups())
        assert first == second


def test_numbers_of_groups_are_the_same_in_a_long_file_and_in_a_short_one(tmp_path: Path) -> None:
    for name, rows in (("train", 1500), ("test", 300)):
        lines = [f"{row % 97 + 1},{row * 7 % 50},{'yes' if row % 3 else 'no'}" for row in range(rows)]
        (tmp_path / f"{name}.csv").write_text("patient,a,sick\n" + "\n".join(lines) + "\n")
    dataset, splits = loaded(tmp_path, validation=0, split_by="patient")
    told = " ".join(splits.report(dataset).warnings)
    assert "97 values of 'patient' are in training and in test (300 of 300 test examples)" in told


@pytest.mark.parametrize("field", ["order_by", "split_by"])
def test_the_column_that_separates_is_not_taken_for_the_target(tmp_path: Path, field: str) -> None:
    lines = [f"{row % 7}.5,{row * 2.5},{row // 2}" for row in range(60)]
    (tmp_path / "a.csv").write_text("x,demand,hour\n" + "\n".join(lines) + "\n")
    settings: dict[str, Any] = {field: "hour"} | ({"split": "last"} if field == "order_by" else {})
    dataset = CSVTable(**settings).load(tmp_path, tmp_path / "a.csv", print)
    assert dataset.target_names == ("demand",)
    ignored = CSVTable(columns={"hour": "ignore"}).load(tmp_path, tmp_path / "a.csv", print)
    assert ignored.target_names == ("demand",)


def test_the_digest_of_a_table_is_that_of_its_rows_whatever_the_split(tmp_path: Path) -> None:
    lines = [f"{1_700_000_000 + row * 37},{'yes' if row % 2 else 'no'}" for row in range(120)]
    (tmp_path / "a.csv").write_text("time,sick\n" + "\n".join(lines) + "\n")
    digests = set()
    for seed in (1, 2, 3):
        data = {"dataset": {"name": "csv"}, "path": str(tmp_path / "a.csv"), "validation": 0.2}
        config = config_from_mapping({"data": data, "model": {"hidden_layers": []}, "seed": seed})
        dataset, _ = encode_dataset(config, load_dataset(config, tmp_path, NO_TELL), None)
        digests.add(dataset.digest())
    assert len(digests) == 1
