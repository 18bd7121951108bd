from __future__ import annotations

from dataclasses import replace

import pytest

from nnscratch.report.tables import (
    Column,
    Table,
    differences,
    leaderboard,
    most_confused,
    per_class_table,
    plain_table,
    runs_table,
)
from nnscratch.report.values import ClassScores, RunSummary, TrialSummary


def test_plain_tables_align_text_left_and_numbers_right() -> None:
    table = Table((Column("class"), Column("F1", is_number=True)), (("cat", "7 %"), ("airplane", "100 %")))
    assert plain_table(table) == "class        F1\ncat         7 %\nairplane  100 %\n"


def test_wide_letters_take_two_places() -> None:
    table = Table((Column("class"), Column("n", is_number=True)), (("猫", "1"), ("cats", "2")))
    assert plain_table(table).splitlines()[1:] == ["猫     1", "cats   2"]


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells in a table of 1 column"):
        Table((Column("class"),), (("cat", "dog"),))


def test_control_characters_in_cells_are_shown_and_not_obeyed() -> None:
    table = Table((Column("class\x1b[1m"),), (("\x1b[31mdog",),))
    assert "[31mdog" in plain_table(table)
    assert "\x1b" not in plain_table(table)


def test_the_per_class_table_ends_with_the_unweighted_mean_of_the_classes_that_are_there() -> None:
    there = [ClassScores("cat", 0.5, 0.25, 1 / 3, 900), ClassScores("dog", 1.0, 0.75, 1.0, 1100)]
    scores = [*there, ClassScores("emu", 0.0, 0.0, 0.0, 0)]
    table = per_class_table(scores)
    assert table.rows[0] == ("cat", "50.00 %", "25.00 %", "33.33 %", "900")
    assert table.rows[2] == ("emu", "-", "-", "-", "0")
    assert table.rows[-1] == ("mean of 2", "75.00 %", "50.00 %", "66.67 %", "2,000")
    assert per_class_table(there).rows[-1][0] == "mean"


def test_most_confused_classes_come_largest_first_without_the_diagonal() -> None:
    table = most_confused([[90, 10, 0], [30, 50, 20], [0, 0, 7]], ["cat", "dog", "ship"])
    assert table.rows == (
        ("dog", "cat", "30", "30.0 %"),
        ("dog", "ship", "20", "20.0 %"),
        ("cat", "dog", "10", "10.0 %"),
    )


def test_the_leaderboard_puts_the_best_first_and_keeps_those_without_a_value() -> None:
    trials = [
        TrialSummary(0, "completed", 0.5, {"optimizer.name": "adam"}),
        TrialSummary(1, "diverged", None, {"optimizer.name": "sgd"}),
        TrialSummary(2, "completed", 0.6, {"optimizer.name": "adam", "l2": 0.001}, note="collapsed"),
        TrialSummary(3, "pruned", 0.9),
    ]
    table = leaderboard(trials, goal="maximize", metric="val_accuracy")
    assert [column.title for column in table.columns] == ["trial", "val_accuracy", "status", "optimizer", "l2", "note"]
    assert [row[0] for row in table.rows] == ["2", "0", "1", "3"]
    assert table.rows[0] == ("2", "60.00 %", "completed", "adam", "0.001", "collapsed")
    assert table.rows[2] == ("1", "-", "diverged", "sgd", "-", "")
    smallest = leaderboard(trials, goal="minimize", metric="val_loss")
    assert smallest.rows[0][:2] == ("0", "0.5")


def test_the_runs_table_shows_a_dash_for_what_is_not_known_yet() -> None:
    runs = [
        RunSummary("a", "cifar10", "completed", "accuracy", 1707274, 41, 50, 0.574, 0.5712, 185.0, 60),
        RunSummary("b", "houses", "running", "loss"),
    ]
    rows = runs_table(runs).rows
    assert rows[0] == ("a", "cifar10", "1,707,274", "50 of 60", "41", "57.40 %", "57.12 %", "3 min 05 s", "completed")
    assert rows[1] == ("b", "houses", "-", "-", "-", "-", "-", "-", "running")


def test_what_is_no_accuracy_is_called_by_its_name_in_the_runs_table() -> None:
    houses = RunSummary("a", "houses.csv", "completed", "loss", validation=0.0123, test=0.0057)
    rows = runs_table([houses, replace(houses, test_r2=0.993), replace(houses, test_deviation=0.0021)]).rows
    assert [row[5:7] for row in rows] == [
        ("loss 0.0123", "loss 0.0057"),
        ("loss 0.0123", "R2 0.993"),
        ("loss 0.0123", "loss 0.006 ± 0.002"),
    ]


def test_differences_of_configs_are_dotted_paths_whose_values_differ() -> None:
    table = differences(
        {
            "a": {"seed": 1, "optimizer": {"name": "adam", "learning_rate": 0.001}, "layers": [{"units": 5}]},
            "b": {"seed": 1, "optimizer": {"name": "sgd", "learning_rate": 0.001}, "layers": [{"units": 6}], "l2": 0.1},
        }
    )
    assert [column.title for column in table.columns] == ["setting", "a", "b"]
    assert table.rows == (("optimizer.name", "adam", "sgd"), ("layers.0.units", "5", "6"), ("l2", "-", "0.1"))


def test_a_mapping_that_one_run_leaves_empty_is_told_by_what_another_has_in_it() -> None:
    a: dict[str, object] = {"columns": {}, "early_stopping": None, "layers": ["relu"]}
    b = {"columns": {"OBS": "ignore", "": "number"}, "early_stopping": {"patience": 5}, "layers": [{"units": 5}]}
    assert differences({"a": a, "b": b}).rows == (
        ("layers", "[relu]", "-"),
        ("columns.OBS", "-", "ignore"),
        ("columns.''", "-", "number"),
        ("early_stopping.patience", "-", "5"),
        ("layers.0.units", "-", "5"),
    )
