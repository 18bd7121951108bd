"""The report on data fits a screen, whatever the data are."""

from __future__ import annotations

import numpy as np

from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.description import ColumnDescription, Description, Guess
from nnscratch.datasets.report import DataReport, data_report
from nnscratch.results.data_text import whole_report_text


def report(columns: int, classes: int) -> DataReport:
    described = [
        ColumnDescription(
            f"a column with a rather long name {number}",
            "category" if number % 2 else "number",
            levels=tuple((f"level {level}", 100 - level) for level in range(30)) if number % 2 else (),
            gaps=7 * (number % 3),
            filled_with="median 28",
        )
        for number in range(columns)
    ]
    rows = np.arange(10 * classes)
    dataset = Dataset(
        "csv", np.random.default_rng(0).random((len(rows), columns), np.float32), rows % classes, None, None,
        tuple(f"class {number}" for number in range(classes)), "a/file.csv",
        description=Description(
            (Guess("separator", ";", "it cuts every line", "data.dataset.delimiter"), Guess("task", "classification")),
            tuple(described), {"hidden files": 3, ".tif": 2}, ("one thing looks wrong " * 10,), {"sizes": "28x28"},
        ),
    )  # fmt: skip
    return data_report(dataset, {"training": (dataset.train_inputs, dataset.train_targets, rows)})


def test_the_report_of_a_wide_table_with_many_classes_is_one_screen_of_80_columns() -> None:
    for columns, classes in ((14, 5), (500, 200)):
        lines = whole_report_text(report(columns, classes)).splitlines()
        assert max(map(len, lines)) <= 80
        assert len(lines) <= 50


def test_many_classes_of_equally_many_examples_are_told_as_so_many_each() -> None:
    assert "20 of 10 each; always saying class 0: 5.0 %" in " ".join(whole_report_text(report(3, 20)).split())


def test_few_columns_have_a_line_each_and_many_are_named_by_kind() -> None:
    few, many = whole_report_text(report(3, 2)), whole_report_text(report(40, 2))
    assert "category: level 0 100, level 1 99, level 2 98" in " ".join(few.split())
    assert "7 gaps, filled with median 28" in " ".join(few.split())
    assert "20 number: a column with a rat" in many
    assert "and 12 more" in many


def test_what_was_left_out_and_how_a_guess_is_overruled_are_said() -> None:
    text = whole_report_text(report(2, 2)).replace(" ", "")
    assert "leftout3hiddenfiles,2.tif" in text
    assert "tooverruledata.dataset.delimiter" in text
    assert "separator;:itcutseveryline" in text
