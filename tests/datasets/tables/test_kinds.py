"""What the cells of a column are taken for, and the numbers that they become."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.sources.csv_table import CSVTable
from nnscratch.datasets.tables.columns import Boolean, Category, Date, Number
from nnscratch.datasets.tables.encoding import Schema, TableEncoding
from nnscratch.errors import DataError

NAN = float("nan")


def column(tmp_path: Path, cells: list[str], separator: str = ";", **settings: Any) -> Dataset:
    """A table with these cells in its column x, beside a column of numbers and a target of two classes."""
    rows = [separator.join([cell, str(row * 7), "ab"[row % 2]]) for row, cell in enumerate(cells)]
    (tmp_path / "mine.csv").write_text("\n".join([separator.join(["x", "other", "y"]), *rows]) + "\n")
    return CSVTable(test=0, **settings).load(tmp_path, tmp_path / "mine.csv", print)


def kind_of(dataset: Dataset) -> str:
    return next(each.kind for each in dataset.description.columns if each.name == "x")


def values(dataset: Dataset) -> list[float]:
    raw: list[float] = dataset.train_inputs[:, 0].tolist()
    return raw


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2.5", "-3e2"], [1, 2.5, -300]),
        ([" 1 ", "+2", ".5"], [1, 2, 0.5]),
        (["−5", "−1.5", "3"], [-5, -1.5, 3]),
        (["12 %", "5%", "7.5 %"], [12, 5, 7.5]),
        (["1,234", "12,345,678", "5"], [1234, 12345678, 5]),
        (["1,234.50", "2,000.25", "1.5"], [1234.5, 2000.25, 1.5]),
        (["1 234", "12 345", "5"], [1234, 12345, 5]),
        (["1'234", "12'345", "5"], [1234, 12345, 5]),
        (["$1,234.50", "-$5", "$ 7"], [1234.5, -5, 7]),
        (["5 €", "€7", "8 EUR"], [5, 7, 8]),
        (["1,5", "2,25", "3"], [1.5, 2.25, 3]),
        (["1.234,5", "2.000", "3,25"], [1234.5, 2000, 3.25]),
        (["0,123", "0,456", "0,789"], [0.123, 0.456, 0.789]),
        (["1,5", "0.123", "2,5"], None),
        (["1,23,456", "12,34,567", "9,999"], [123456, 1234567, 9999]),
        (["1\u2009234", "12\u202f345", "5"], [1234, 12345, 5]),
        (["(5)", "($1,234.5)", "7"], [-5, -1234.5, 7]),
        (["–5", "$–7", "3"], [-5, -7, 3]),
        (["1", "", "3"], [1, NAN, 3]),
        *[(["1", gap, "3"], [1, NAN, 3]) for gap in ("NA", "N/A", "NaN", "nan", "null", "None", "?", "-", ".", "#N/A")],
        *[(["1", gap, "3"], [1, NAN, 3]) for gap in ("..", ":", "\\N", "missing", "(null)", "#NULL!")],
        *[(["1", gap, "3"], [1, NAN, 3]) for gap in ("k.A.", "k. A.", "Keine Angabe", "n. v.", "n.d.", "s/d")],
    ],
)
def test_numbers_as_people_write_them(tmp_path: Path, cells: list[str], expected: list[float] | None) -> None:
    dataset = column(tmp_path, cells)
    assert kind_of(dataset) == ("number" if expected is not None else "category")
    if expected is not None:
        np.testing.assert_allclose(values(dataset), expected)


def test_a_column_may_have_another_decimal_mark_than_the_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b,c,y\n1.5,"1,5",2.5,k\n2.5,"2,5",0.5,l\n')
    dataset = CSVTable(test=0).load(tmp_path, tmp_path / "a.csv", print)
    assert dataset.train_inputs.tolist() == [[1.5, 1.5, 2.5], [2.5, 2.5, 0.5]]


def test_a_decimal_mark_can_be_told(tmp_path: Path) -> None:
    assert values(column(tmp_path, ["1.234", "2.345"], decimal=",")) == [1234, 2345]
    assert values(column(tmp_path, ["1,234", "2,345"], decimal=".")) == [1234, 2345]
    assert values(column(tmp_path, ["1,234", "2,345"], decimal=",")) == [1.234, 2.345]


@pytest.mark.parametrize(
    ("cells", "separator", "meant", "said"),
    [
        (
            ["1,234", "2,345"],
            ";",
            [1.234, 2.345],
            "1,234 could be either, and is taken for 1.234 (decimal: '.' overrules)",
        ),
        (
            ["1,234", "2,345"],
            "\t",
            [1234, 2345],
            "1,234 could be either, and is taken for 1234 (decimal: ',' overrules)",
        ),
        (
            ["1.234", "2.345"],
            ";",
            [1234, 2345],
            "1.234 could be either, and is taken for 1234 (decimal: '.' overrules)",
        ),
        (["1.234", "2.345"], "\t", [1.234, 2.345], "1.234 could be either, and is taken for 1.234 (decimal: ',' "),
        (["1.234", "532"], ";", [1234, 532], "1.234 could be either, and is taken for 1234 (decimal: '.' overrules)"),
        (["3.456 €", "-2.345 €"], ";", [3456, -2345], "-2.345 € could be either, and is taken for -2345 € (decimal: "),
    ],
)
def test_a_number_that_could_be_two_is_said(
    tmp_path: Path, cells: list[str], separator: str, meant: list[float], said: str
) -> None:
    dataset = column(tmp_path, cells, separator)
    assert values(dataset) == meant
    (mark,) = (each for each in dataset.description.guesses if each.what == "decimal mark")
    assert mark.why.startswith(said)
    assert mark.field == "data.dataset.decimal"
    assert values(column(tmp_path, cells, separator, decimal="." if mark.taken == "," else ",")) != meant


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1.234", "0.567"], [1.234, 0.567]),
        (["1.234", "2.50"], [1.234, 2.5]),
        (["1.234e2", "2.345e2"], [123.4, 234.5]),
        (["1.234", "1.234.567"], [1234, 1234567]),
    ],
)
def test_a_number_of_three_digits_behind_the_point_is_what_the_others_say(
    tmp_path: Path, cells: list[str], expected: list[float]
) -> None:
    dataset = column(tmp_path, cells)
    np.testing.assert_allclose(values(dataset), expected)
    (mark,) = (each for each in dataset.description.guesses if each.what == "decimal mark")
    assert "either" not in mark.why


@pytest.mark.parametrize("rows", [3, 1500])
def test_a_table_means_the_same_long_or_short(tmp_path: Path, rows: int) -> None:
    own = [("0,5", "1.234", "2.5", "1,5"), ("1,5", "2.345", "3", "2"), ("2,5", "3.456", "4.25", "3")]
    lines = [";".join([*own[row % 3], "ab"[row % 2]]) for row in range(rows)]
    (tmp_path / "a.csv").write_text("a;b;c;d;y\n" + "\n".join(lines) + "\n")
    dataset = CSVTable(test=0).load(tmp_path, tmp_path / "a.csv", print)
    assert dataset.train_inputs[:3].tolist() == [[0.5, 1234, 2.5, 1.5], [1.5, 2345, 3, 2], [2.5, 3456, 4.25, 3]]
    assert dataset.schema is not None
    assert [each.decimal for each in dataset.schema.columns if isinstance(each, Number)] == [",", ",", ".", ","]


@pytest.mark.parametrize("rows", [3, 1500])
@pytest.mark.parametrize(
    "cells", [["1.10", "1.1", "2"], ["1", "1.5", "2"], ["123456789012345678", "123456789012345679", "5"]]
)
def test_numbers_that_are_meant_as_categories_stay_as_they_are_written(
    tmp_path: Path, cells: list[str], rows: int
) -> None:
    (tmp_path / "a.csv").write_text(
        "x,b,y\n" + "".join(f"{cells[row % 3]},{row}.5,{'ab'[row % 2]}\n" for row in range(rows))
    )
    dataset = CSVTable(test=0, columns={"x": "category"}).load(tmp_path, tmp_path / "a.csv", print)
    assert {level for level, _ in dataset.description.columns[0].levels} == set(cells)


@pytest.mark.parametrize("rows", [3, 1500])
def test_numbers_of_so_many_digits_that_they_would_be_one_are_text(tmp_path: Path, rows: int) -> None:
    (tmp_path / "a.csv").write_text(
        "x,b,y\n" + "".join(f"12345678901234567{row % 3},{row}.5,{'ab'[row % 2]}\n" for row in range(rows))
    )
    dataset = CSVTable(test=0).load(tmp_path, tmp_path / "a.csv", print)
    assert len(dataset.description.columns[0].levels) == 3
    assert "more digits" in dataset.description.columns[0].why


@pytest.mark.parametrize(
    ("cells", "warning"),
    [
        (["12 %", "0.12", "15 %"], "with a percent sign and without"),
        ([*(f"{number} %" for number in range(30)), "$7", "0.5", "3"], r"12 % is read as 12, \$7 as it stands"),
        (["$5", "€7", "$9"], r"amounts in \$, €"),
        (["Male", "male", "Female"], "differ in capitals alone.*'Male', 'male'"),
        (["2024-02-30", "2024-03-01", "2024-04-01"], "category, as '2024-02-30' is no date"),
        (["01/02/68", "13/02/70", "31/12/05"], "read up to 2068"),
        (
            [f"{2000 + row}-01-{row:02d}" if row % 2 else f"{row:02d}.01.2020" for row in range(1, 30)],
            r"column 'x' is left out, as it has dates in 2 notations, such as '2001-01-01', '02\.01\.2020'; "
            "write them all alike, such as 2024-12-31",
        ),
        (
            ["2023-12-31", "Dec 5 2023", "31/12/2023"] * 9,
            r"a category, as it has dates in 3 notations, such as '2023-12-31', '31/12/2023', 'Dec 5 2023'; ",
        ),
    ],
)
def test_what_is_odd_about_a_column_is_said(tmp_path: Path, cells: list[str], warning: str) -> None:
    (said,) = column(tmp_path, cells).description.warnings
    assert re.search(warning, said)


@pytest.mark.parametrize(
    "cells",
    [
        [f"{1 + row % 9}-{row * 7 % 12 + 1}" for row in range(90)],
        [f"{1 + row % 9}/{row * 7 % 12 + 1}" for row in range(90)],
        [f"{row}-{row + 1}" for row in range(8, 14)],
        [f"{row % 4}/8" for row in range(30)],
        [f"2.{1 + row % 12}.{1 + row % 9}" for row in range(60)],
        ["2:2", "3:3", "1:4"],
    ],
)
def test_scores_ranges_fractions_versions_and_ratios_are_categories_and_no_dates(
    tmp_path: Path, cells: list[str]
) -> None:
    dataset = column(tmp_path, [*cells, *cells])
    assert kind_of(dataset) == "category"
    assert dataset.description.warnings == ()


@pytest.mark.parametrize(
    "cells",
    [
        [f"2021-01-{day:02d} 10:13+02:00" for day in range(1, 29)],
        [f"2021-01-{day:02d} 10:13:07.12110+00:00" for day in range(1, 29)],
        ["1:05", "23:59", "7:30"],
        ["5.1.04", "6.11.99", "17.3.21"],
    ],
)
def test_times_with_an_offset_and_short_dates_are_dates(tmp_path: Path, cells: list[str]) -> None:
    assert kind_of(column(tmp_path, cells)) == "date"


def test_a_class_that_is_called_none_is_said_and_can_be_taken(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,y\n" + "".join(f"{row},{['None', 'Mild'][row % 2]}\n" for row in range(9)))
    with pytest.raises(DataError, match="every row has the class 'Mild'"):
        CSVTable(test=0).load(tmp_path, tmp_path / "a.csv", print)
    taken = CSVTable(test=0, columns={"y": "category"}).load(tmp_path, tmp_path / "a.csv", print)
    assert taken.classes == ("Mild", "None")
    (tmp_path / "a.csv").write_text(
        "a,y\n" + "".join(f"{row},{['None', 'Mild', 'Bad'][row % 3]}\n" for row in range(9))
    )
    (warning,) = CSVTable(test=0).load(tmp_path, tmp_path / "a.csv", print).description.warnings
    assert "'None' are left out" in warning


@pytest.mark.parametrize(
    "cells", [["true", "False", "TRUE"], ["yes", "no", "Yes"], ["Y", "N", "Y"], ["t", "f", "t"], ["on", "off", "on"]]
)
def test_words_for_yes_and_no_are_booleans(tmp_path: Path, cells: list[str]) -> None:
    dataset = column(tmp_path, cells)
    assert (kind_of(dataset), values(dataset)) == ("boolean", [1, 0, 1])


@pytest.mark.parametrize(
    ("cells", "seconds"),
    [
        (["1970-01-02", "1970-01-31"], [86400, 30 * 86400]),
        (["1970-01-02 00:00:10", "1970-01-03 01:00:00"], [86410, 2 * 86400 + 3600]),
        (["1970-01-02T00:00:10", "1970-01-03T01:00:00"], [86410, 2 * 86400 + 3600]),
        (["1970-01-02T02:00:00+02:00", "1970-01-03T00:00:00Z"], [86400, 2 * 86400]),
        (["1970/01/02", "1970/01/31"], [86400, 30 * 86400]),
        (["02.01.1970", "31.01.1970"], [86400, 30 * 86400]),
        (["01/02/1970", "01/31/1970"], [86400, 30 * 86400]),
        (["02/01/1970", "31/01/1970"], [86400, 30 * 86400]),
        (["2 Jan 1970", "31 Jan 1970"], [86400, 30 * 86400]),
        (["Jan 2, 1970", "Jan 31, 1970"], [86400, 30 * 86400]),
        (["00:10", "23:59"], [600, 86340]),
        (["00.10.00", "23.59.00"], [600, 86340]),
        (["19700102T000000", "19700131T000000"], [86400, 30 * 86400]),
        (["1970-01-02", "1970-01-03 00:00:10"], [86400, 2 * 86400 + 10]),
        (["1970-01-02T00:00Z", "1970-01-31T00:00Z"], [86400, 30 * 86400]),
        (["Fri, 02 Jan 1970 00:00:00 GMT", "Sat, 31 Jan 1970 00:00:00 GMT"], [86400, 30 * 86400]),
        (["1970-01", "1970-02"], [0, 31 * 86400]),
        ([f"197001{day:02d}" for day in range(1, 13)], [day * 86400 for day in range(12)]),
        (["1970-01-02", "NA"], [86400, NAN]),
    ],
)
def test_dates_and_times_are_seconds(tmp_path: Path, cells: list[str], seconds: list[float]) -> None:
    dataset = column(tmp_path, cells)
    assert kind_of(dataset) == "date"
    np.testing.assert_allclose(values(dataset), seconds)


def test_a_date_whose_month_could_be_its_day_is_warned_about(tmp_path: Path) -> None:
    warnings = column(tmp_path, ["01/02/2024", "03/04/2024"]).description.warnings
    assert any("month and day could be either" in warning for warning in warnings)
    assert not column(tmp_path, ["01/02/2024", "03/14/2024"]).description.warnings


def test_a_date_of_two_digits_is_no_date() -> None:
    column = Date("x", format="%d.%m.%Y")
    cells = ["15.06.2022", "15.06.22", "15.06.222", "0022-06-15", "15.06.2500", "2022-06-15 07:34", ""]
    seconds, bad = column.read(pl.Series(cells))
    assert bad.tolist() == [False, True, True, False, False, False, False]
    # Databases write years far away for what has not ended yet, or never began.
    np.testing.assert_array_equal(seconds, [1655251200, NAN, NAN, -61458652800, 16739481600, 1655278440, NAN])
    assert column.expected("15.06.2500") == "a date like %d.%m.%Y"


def test_a_date_that_is_none_is_the_cell_that_is_named(tmp_path: Path) -> None:
    days = [f"{day:02d}.08.2022" for day in range(1, 29)]
    for columns in ({}, {"x": "date"}):
        with pytest.raises(DataError, match=r"mine\.csv:5: column 'x' is '15\.06\.22', not a date like %d\.%m\.%Y"):
            column(tmp_path, [*days[:3], "15.06.22", *days[3:]], columns=columns)
    with pytest.raises(DataError, match=r"mine\.csv:5: column 'x' is '2022-06-15', not a date like %d\.%m\.%Y"):
        column(tmp_path, [*days[:3], "2022-06-15", *days[3:]], columns={"x": "date"})


@pytest.mark.parametrize(
    ("format", "seconds", "written"),
    [
        ("%d.%m.%Y", 1628985600.0, "15.08.2021"),
        ("%d.%m.%Y", 1629012840.0, "2021-08-15 07:34:00"),
        ("%Y-%m-%d", 1629012840.25, "2021-08-15 07:34:00.250000"),
        ("%Y-%m-%dT%H:%M:%S%.f%z", 1629698778.0, "2021-08-23T06:06:18+0000"),
        ("%d/%m/%y %H:%M", 86460.0, "02/01/70 00:01"),
        ("%H:%M", 35999.995, "10:00"),
        ("%b %Y", 1627776000.0, "Aug 2021"),
    ],
)
def test_a_moment_is_written_as_its_column_has_it_or_where_that_lacks_a_part_as_iso(
    format: str, seconds: float, written: str
) -> None:
    column = Date("x", format=format)
    assert column.written(seconds) == written
    np.testing.assert_allclose(column.read(pl.Series([written]))[0], seconds, atol=0.01)


@pytest.mark.parametrize(
    ("levels", "cells", "codes"),
    [
        (["1", "2", "10"], ["1.0", "2", "10.00", "1.5", "3.0"], [0, 1, 2, -1, -1]),
        (["1.0", "1.1", "10.0"], ["1", "1.1", "10", "1.10"], [0, 1, 2, -1]),
        (["007", "7"], ["7.0", "07", "007"], [1, -1, 0]),
        (["1", "1.0", "2"], ["1", "1.0", "1.00", "2.0"], [0, 1, -1, 2]),
        (["v1", "v2"], ["v1.0", "v2"], [-1, 1]),
    ],
)
def test_a_whole_number_with_a_point_is_the_level_without(
    levels: list[str], cells: list[str], codes: list[int]
) -> None:
    assert Category("x", levels=tuple(levels), own=len(levels)).read(pl.Series(cells))[0].tolist() == codes


@pytest.mark.parametrize(
    ("cells", "levels"),
    [
        (["red", "blue", "red"], {"red": 2, "blue": 1}),
        (["007", "7", "007"], {"007": 2, "7": 1}),
        (["1_1", "11", "1_1"], {"1_1": 2, "11": 1}),
        (["3+", "1", "2"], {"1": 1, "2": 1, "3+": 1}),
        (["a", "NA", "b"], {"a": 1, "b": 1}),
    ],
)
def test_text_is_a_category(tmp_path: Path, cells: list[str], levels: dict[str, int]) -> None:
    dataset = column(tmp_path, cells)
    assert kind_of(dataset) == "category"
    assert dict(next(each.levels for each in dataset.description.columns if each.name == "x")) == levels


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ([f"name {row}" for row in range(30)], "names or free text: 30 different cells in 30 rows"),
        (["word " * 20 + str(row % 12) for row in range(60)], "free text"),
        (["NA", "", "?"], "every cell is a gap"),
    ],
)
def test_what_says_nothing_of_other_rows_is_left_out_and_said(tmp_path: Path, cells: list[str], why: str) -> None:
    dataset = column(tmp_path, cells)
    (described,) = (each for each in dataset.description.columns if each.name == "x")
    assert (described.kind, dataset.feature_names) == ("left out", ("other",))
    assert why in described.why


@pytest.mark.parametrize(("name", "left_out"), [("id", True), ("", True), ("PassengerId", True), ("width", False)])
def test_a_rows_name_is_left_out_and_another_count_is_not(tmp_path: Path, name: str, left_out: bool) -> None:
    (tmp_path / "a.csv").write_text(
        f"{name},b,y\n" + "".join(f"{row},{row % 3}.5,{'ab'[row % 2]}\n" for row in range(9))
    )
    dataset = CSVTable(test=0).load(tmp_path, tmp_path / "a.csv", print)
    assert dataset.feature_names == (("b",) if left_out else (name, "b"))
    kept = CSVTable(test=0, columns={name: "number"}).load(tmp_path, tmp_path / "a.csv", print)
    assert kept.feature_names == (name, "b")


def test_any_guess_can_be_overruled(tmp_path: Path) -> None:
    cells = ["1", "2", "1"]
    assert kind_of(column(tmp_path, cells, columns={"x": "category"})) == "category"
    assert kind_of(column(tmp_path, ["0", "1", "1"], columns={"x": "boolean"})) == "boolean"
    assert kind_of(column(tmp_path, ["007", "7", "8"], columns={"x": "number"})) == "number"
    assert kind_of(column(tmp_path, cells, columns={"x": "ignore"})) == "left out"
    names = [f"name {row}" for row in range(30)]
    assert kind_of(column(tmp_path, names, columns={"x": "category"})) == "category"
    with pytest.raises(DataError, match=r"mine\.csv:3: column 'x' is 'red', not a number"):
        column(tmp_path, ["1", "red", "2"], columns={"x": "number"})
    with pytest.raises(DataError, match="column 'x' is no boolean: it holds blue, red"):
        column(tmp_path, ["red", "blue", "red"], columns={"x": "boolean"})
    with pytest.raises(DataError, match="has no column 'z'"):
        column(tmp_path, cells, columns={"z": "number"})


def test_a_wrong_cell_among_many_numbers_is_an_error_and_among_few_a_warning(tmp_path: Path) -> None:
    cells = [str(row) for row in range(40)]
    with pytest.raises(DataError, match=r"mine\.csv:9: column 'x' is 'oops', not a number\n.*\{x: category\}"):
        column(tmp_path, [*cells[:7], "oops", *cells[7:]])
    with pytest.raises(DataError, match=r"mine\.csv:9: column 'x' is '2024-02-30', not a date like"):
        column(
            tmp_path,
            [f"2024-01-{day:02d}" for day in range(1, 8)]
            + ["2024-02-30"]
            + [f"2024-03-{day:02d}" for day in range(1, 30)],
        )
    dataset = column(tmp_path, ["1", "2", "3", "oops"])
    assert kind_of(dataset) == "category"
    assert any("'oops' is no number" in warning for warning in dataset.description.warnings)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_wrong_cell_is_an_error_under_either_decimal_mark(tmp_path: Path, separator: str) -> None:
    for mark in ".,":
        cells = [f"{row}{mark}5" for row in range(40)]
        with pytest.raises(DataError, match=r"mine\.csv:9: column 'x' is 'o\.k\.', not a number"):
            column(tmp_path, [*cells[:7], "o.k.", *cells[7:]], separator)
    with pytest.raises(DataError, match=r"mine\.csv:42: column 'x' is '2\.5', not a number with a decimal comma"):
        column(tmp_path, [*(f"{row},5" for row in range(40)), "2.5"], separator)


def test_one_text_that_comes_again_among_many_numbers_is_a_gap_and_said(tmp_path: Path) -> None:
    cells = [str(row) for row in range(40)]
    dataset = column(tmp_path, ["unbekannt", *cells, " unbekannt"])
    assert np.isnan(values(dataset)).nonzero()[0].tolist() == [0, 41]
    (warning,) = dataset.description.warnings
    assert "column 'x' has 'unbekannt' in 2 cells and else numbers: it is taken for a gap" in warning
    assert dataset.schema is not None
    kept = TableEncoding.fit(dataset.schema, dataset.train_inputs)
    assert TableEncoding.from_dict(json.loads(json.dumps(kept.to_dict()))) == kept
    assert kind_of(column(tmp_path, ["unbekannt", *cells, "unbekannt"], columns={"x": "category"})) == "category"
    for odd in (["unbekannt"], ["unbekannt", "unbekannt", "oops"], ["<5", "<5"], ["1e99", "1e99"]):
        with pytest.raises(DataError, match=r"mine\.csv:42: column 'x' is"):
            column(tmp_path, [*cells, *odd])
    with pytest.raises(DataError, match=r"mine\.csv:42: column 'x' is 'unbekannt', not a number"):
        column(tmp_path, [*cells, "unbekannt", "unbekannt"], columns={"x": "number"})


@pytest.mark.parametrize(
    ("cells", "unit", "expected"),
    [
        ([f"{row} kg" for row in range(40)], "kg", list(range(40))),
        ([f"{row}cm" for row in range(40)], "cm", list(range(40))),
        ([f"{row},5 m²" for row in range(40)], "m²", [row + 0.5 for row in range(40)]),
        ([f"€{row}.5M" for row in range(40)], "M", [row + 0.5 for row in range(40)]),
        ([f"{row} km/h" for row in range(40)], "km/h", list(range(40))),
        ([f"{row} year{'s' * (row != 1)}" for row in range(40)], "year", list(range(40))),
        (["", *(f"1,{row:03} °C" for row in range(40)), "0"], "°C", [NAN, *(1 + row / 1000 for row in range(40)), 0]),
        ([f"{row} inch{'es' * (row != 1)}" for row in range(40)], "inch", list(range(40))),
        ([f"{row} Jahr{'e' * (row != 1)}" for row in range(40)], "Jahr", list(range(40))),
        ([f"{row},25 €/m²" for row in range(40)], "€/m²", [row + 0.25 for row in range(40)]),
        ([f"{row}  % vol" for row in range(40)], "% vol", list(range(40))),
        ([f"{row} kg" for row in range(15)], "kg", list(range(15))),  # so few that they would be names
    ],
)
def test_numbers_with_one_unit_behind_them_are_numbers(
    tmp_path: Path, cells: list[str], unit: str, expected: list[float]
) -> None:
    dataset = column(tmp_path, cells)
    np.testing.assert_array_equal(values(dataset), expected)
    assert not dataset.description.warnings
    assert next(each.unit for each in dataset.description.columns if each.name == "x") == unit
    assert dataset.schema is not None
    kept = TableEncoding.fit(dataset.schema, dataset.train_inputs)
    assert TableEncoding.from_dict(json.loads(json.dumps(kept.to_dict()))) == kept
    bare = pl.Series(["5", f" 5{unit} ", f"5 {unit}", "5 stone", unit])
    read, bad = kept.columns[0].read(bare)
    assert read[:3].tolist() == [5, 5, 5]
    assert bad.tolist() == [unit == "M", False, False, True, True]  # 5 is not 5M


@pytest.mark.parametrize(
    ("cells", "kind", "warned"),
    [
        (
            [*(f"{row} kg" for row in range(40)), "7"],
            "number",
            "numbers with kg and without: 12 kg is read as 12, 7 as",
        ),
        (
            [f"{row} {'lb' if row % 3 else 'kg'}" for row in range(40)] * 3,
            "category",
            "is taken for a category, as its numbers have different texts behind them, 'kg', 'lb'; give all in one",
        ),
        (
            [f"{150 + row}.7 cm" if row % 3 else f"1.{row + 10} m" for row in range(60)] * 2,
            "category",
            "as its numbers have different texts behind them, 'm', 'cm'; give all in one",
        ),
        ([*(f"{row} kg" for row in range(40)), "na", "oops", "oops"], "number", "has 'oops' in 2 cells and else"),
        ([f"{row % 28}{('st', 'nd', 'rd', 'th')[row % 4]}" for row in range(84)], "category", ""),
        ([f"{row % 30}.30 Uhr" for row in range(90)], "category", ""),
        ([f"{row % 30}{'AB'[row % 2]}" for row in range(90)], "category", ""),  # seats
        ([f"{row % 40}{chr(97 + row % 26)}" for row in range(60)] * 3, "category", ""),  # rooms
        ([f"A{row % 40}" for row in range(120)], "category", ""),
        ([f"{row % 4} kg" for row in range(40)], "category", ""),
        ([f"0{row} kg" for row in range(10, 40)] * 3, "category", ""),
    ],
)
def test_other_texts_behind_numbers_are_no_unit(tmp_path: Path, cells: list[str], kind: str, warned: str) -> None:
    dataset = column(tmp_path, cells)
    assert kind_of(dataset) == kind
    assert warned in " ".join(dataset.description.warnings)
    assert len(dataset.description.warnings) == bool(warned)


def test_a_wrong_cell_among_numbers_with_a_unit_is_an_error_as_among_others(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mine\.csv:42: column 'x' is 'heavy', not a number or one in kg"):
        column(tmp_path, [*(f"{row} kg" for row in range(40)), "heavy"])
    with pytest.raises(DataError, match=r"mine\.csv:42: column 'x' is '900', not a number with k behind it"):
        column(tmp_path, [*(f"{row}.5k" for row in range(40)), "900"])


def test_a_rows_name_is_left_out_with_letters_behind_it_too(tmp_path: Path) -> None:
    lines = ["id,x,y", *(f"{1000 + row * row}A,{row % 7}.5,{'ab'[row % 2]}" for row in range(40))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    dataset = CSVTable(test=0).load(tmp_path, tmp_path / "a.csv", print)
    assert [each.kind for each in dataset.description.columns] == ["left out", "number"]


def test_a_text_that_is_taken_for_a_gap_is_one_even_where_it_is_a_number(tmp_path: Path) -> None:
    dataset = column(tmp_path, ["inf", *(str(row) for row in range(40)), "inf"])
    assert np.isnan(values(dataset)).nonzero()[0].tolist() == [0, 41]


@pytest.mark.parametrize(("separator", "mark"), [(";", ","), ("\t", ",")])
def test_numbers_with_a_unit_say_which_decimal_mark_a_table_has(tmp_path: Path, separator: str, mark: str) -> None:
    lines = [separator.join([f"{row},3 kg", f"3,{row + 100}", "ab"[row % 2]]) for row in range(40)]
    (tmp_path / "a.csv").write_text("\n".join([separator.join("xzy"), *lines]))
    dataset = CSVTable(test=0).load(tmp_path, tmp_path / "a.csv", print)
    np.testing.assert_allclose(dataset.train_inputs[:, 1], [3 + (row + 100) / 1000 for row in range(40)])
    (guess,) = (each for each in dataset.description.guesses if each.what == "decimal mark")
    assert guess.taken == mark


@pytest.mark.parametrize(
    ("targets", "classes"),
    [
        ([f"{row * 1.5} kg" for row in range(60)], None),
        ([f"{row} kg" for row in range(60)], None),
        ([f"{1 + row % 25}A" for row in range(100)], [f"{number}A" for number in range(1, 26)]),
        ([f"{1 + row % 4} kg" for row in range(60)], ["1 kg", "2 kg", "3 kg", "4 kg"]),
    ],
)
def test_a_target_with_a_unit_is_a_quantity_where_it_is_no_name_of_a_class(
    tmp_path: Path, targets: list[str], classes: list[str] | None
) -> None:
    (tmp_path / "a.csv").write_text("x,y\n" + "\n".join(f"{row},{target}" for row, target in enumerate(targets)))
    dataset = CSVTable(test=0).load(tmp_path, tmp_path / "a.csv", print)
    assert (None if dataset.classes is None else list(dataset.classes)) == classes
    if classes is None:
        assert dataset.train_targets[:, 0].tolist() == [float(target.split()[0]) for target in targets]
        assert dataset.schema is not None
        assert dataset.schema.target_units == ("kg",)


def test_a_wrong_cell_does_not_hide_the_decimal_mark_of_a_table(tmp_path: Path) -> None:
    rows = ["1,234\t1,5\ta", "2,345\toops\tb", "3,456\t2,5\ta"]
    (tmp_path / "a.csv").write_text("x\tother\ty\n" + "\n".join(rows) + "\n")
    dataset = CSVTable(test=0, columns={"other": "ignore"}).load(tmp_path, tmp_path / "a.csv", print)
    assert values(dataset) == [1.234, 2.345, 3.456]


def encoded(dataset: Dataset) -> tuple[tuple[str, ...], list[list[float]]]:
    assert dataset.schema is not None
    encoding = TableEncoding.fit(dataset.schema, dataset.train_inputs)
    features: list[list[float]] = dataset.encoded(encoding).train_inputs.round(4).tolist()
    return encoding.features, features


@pytest.mark.parametrize(("missing", "filled"), [("auto", 2), ("median", 2), ("mean", 4), ("most_frequent", 1)])
def test_a_gap_is_filled_and_flagged(tmp_path: Path, missing: str, filled: float) -> None:
    features, rows = encoded(column(tmp_path, ["1", "", "1", "3", "11"], missing=missing))
    assert features == ("x", "x is missing", "other")
    assert [row[:2] for row in rows] == [[1, 0], [filled, 1], [1, 0], [3, 0], [11, 0]]


def test_rows_with_gaps_are_dropped_or_refused_when_asked(tmp_path: Path) -> None:
    dataset = column(tmp_path, ["1", "", "2", "3", "?"], missing="drop")
    assert values(dataset) == [1, 2, 3]
    assert dataset.description.left_out == {"rows of mine.csv with gaps": 2}
    with pytest.raises(DataError, match=r"mine\.csv:3: there are gaps in 'x' \(2\)\n.*missing: auto"):
        column(tmp_path, ["1", "", "2", "3", "?"], missing="error")


def test_a_category_has_a_feature_for_each_level(tmp_path: Path) -> None:
    features, rows = encoded(column(tmp_path, ["red", "blue", "", "red"]))
    assert features == ("x: blue", "x: red", "x is missing", "other")
    assert [row[:3] for row in rows] == [[0, 1, 0], [1, 0, 0], [0, 1, 1], [0, 1, 0]]


def test_rare_levels_share_a_feature(tmp_path: Path) -> None:
    cells = [f"l{row % 60}" for row in range(60 * 3)] + ["l1", "l2"] * 5
    features, rows = encoded(column(tmp_path, cells))
    assert len(features) == 50 + 1 + 1
    assert features[50] == "x: other"
    assert np.sum([row[50] for row in rows]) == 10 * 3


def test_a_date_is_days_and_places_on_circles(tmp_path: Path) -> None:
    features, rows = encoded(column(tmp_path, ["2024-01-01", "2024-07-01", "2024-01-08"]))
    assert features[:3] == ("x: days", "x: sin of year", "x: cos of year")
    assert [row[0] for row in rows] == [0, 182, 7]
    assert rows[1][2] == pytest.approx(-1, abs=1e-3)
    assert "x: sin of week" not in features, "all of them are Mondays"
    assert "x: sin of day" not in features


def test_large_numbers_keep_the_digits_that_differ(tmp_path: Path) -> None:
    _, rows = encoded(column(tmp_path, ["10000001", "10000000", "10000001"]))
    assert [row[0] - rows[1][0] for row in rows] == [1, 0, 1]


def test_the_encoding_learns_from_the_training_rows_alone(tmp_path: Path) -> None:
    dataset = column(tmp_path, ["red", "blue", "green", "", "1000"])
    assert dataset.schema is not None
    encoding = TableEncoding.fit(dataset.schema, dataset.train_inputs[:2])
    assert encoding.features == ("x: blue", "x: red", "other")
    rows = encoding.encode(dataset.train_inputs, dataset.schema.columns)[:, :2].tolist()
    assert rows == [[0, 1], [1, 0], [0, 0], [1, 0], [0, 0]], "a level that is new is none of those known"
    assert "green" not in str(encoding.to_dict())


def test_a_level_that_is_new_is_an_error_where_it_shall_be_one(tmp_path: Path) -> None:
    dataset = column(tmp_path, ["red", "blue", "green"], unknown_levels="error")
    assert dataset.schema is not None
    encoding = TableEncoding.fit(dataset.schema, dataset.train_inputs[:2])
    with pytest.raises(DataError, match="1 rows have a level of 'x' that no training row has"):
        encoding.encode(dataset.train_inputs, dataset.schema.columns)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (["0", "1"] * 4, ("classification", ("0", "1"))),
        (["-1", "1"] * 4, ("classification", ("-1", "1"))),
        (["1", "2.0", "2", "1.0"], ("classification", ("1", "2"))),
        (["007", "7", "007", "7"], ("classification", ("007", "7"))),
        (["Yes", "No", "Yes"], ("classification", ("No", "Yes"))),
        (["10", "9", "2"] * 3, ("classification", ("2", "9", "10"))),
        (["class 10", "class 9", "class 2"], ("classification", ("class 2", "class 9", "class 10"))),
        ([str(row) for row in range(16)], ("regression", None)),
        ([str(row) for row in range(25)] * 10, ("classification", tuple(map(str, range(25))))),
        ([str(row) for row in range(20, 45)] * 10, ("regression", None)),
        ([str(row) for row in range(2, 17)] * 10, ("classification", tuple(map(str, range(2, 17))))),
        ([str(row) for row in range(2, 17)] * 2 + ["9"] * 20, ("regression", None)),
        (["1.5", "2.5"] * 3, ("regression", None)),
        (["$1,500", "$2,500", "$3,500"], ("regression", None)),
        (["12 %", "13 %", "14 %"], ("regression", None)),
    ],
)
def test_one_rule_says_whether_a_target_holds_classes(
    tmp_path: Path, targets: list[str], expected: tuple[str, tuple[str, ...] | None]
) -> None:
    (tmp_path / "a.csv").write_text("a;y\n" + "".join(f"{row}.5;{target}\n" for row, target in enumerate(targets)))
    dataset = CSVTable(test=0).load(tmp_path, tmp_path / "a.csv", print)
    assert (dataset.task, dataset.classes) == expected


@pytest.mark.parametrize(
    ("targets", "reason"),
    [
        ([f"{row}.5" for row in range(50)] + ["oops"], r"a\.csv:52: column 'y' is 'oops', not a number"),
        ([f"row {row}" for row in range(50)], "has 50 different cells in 50 rows, hardly one comes twice"),
        ([f"{row:03d}" for row in range(50)] * 3, "has 50 different cells in 150 rows, most of them numbers"),
        (["2024-01-01", "2024-01-02"], "the target 'y' is a date"),
        (["3.5"] * 50, r"a\.csv: the target 'y' is 3\.5 in every row; there is nothing to learn"),
        (["3.5", ""] * 5, r"a\.csv: the target 'y' is 3\.5 in every row; there is nothing to learn"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(tmp_path: Path, targets: list[str], reason: str) -> None:
    (tmp_path / "a.csv").write_text("a;y\n" + "".join(f"{row}.5;{target}\n" for row, target in enumerate(targets)))
    with pytest.raises(DataError, match=reason):
        CSVTable(test=0).load(tmp_path, tmp_path / "a.csv", print)


def test_large_targets_keep_their_digits(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,y\n" + "".join(f"{row}.5,{10**9 + row}\n" for row in range(40)))
    dataset = CSVTable(test=0).load(tmp_path, tmp_path / "a.csv", print)
    assert dataset.train_targets[:, 0].tolist() == [10**9 + row for row in range(40)]


def test_rows_without_a_target_are_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,y\n1,0.5\n2,NA\n3,1.5\n")
    dataset = CSVTable(test=0).load(tmp_path, tmp_path / "a.csv", print)
    assert dataset.train_targets.tolist() == [[0.5], [1.5]]
    assert dataset.description.left_out == {"rows of a.csv without a target": 1}


def kept() -> dict[str, Any]:
    """An encoding with a column of each kind, as a run keeps it."""
    columns = (
        Number("n"),
        Boolean("b"),
        Category("c", levels=("p", "q"), own=2),
        Date("d", parts=("year", "day")),
    )
    return TableEncoding(Schema(columns, names=("n", "b", "c", "d"))).to_dict()


@pytest.mark.parametrize(
    ("index", "changed"),
    [
        (0, {"kind": []}),
        (0, {"kind": {}}),
        (0, {"kind": None}),
        (0, {"kind": "zzz"}),
        (0, {"name": "b"}),
        *[(1, {"fill": fill}) for fill in (2, 1e308, 10**30)],
        *[(2, {"fill": fill}) for fill in (2, -3, 1e308, 10**30)],
        (2, {"own": 3}),
        *[(3, {"fill": fill}) for fill in (1e308, 10**30)],
        (3, {"parts": ["year", "x"]}),
    ],
)
def test_a_kept_encoding_with_what_no_column_has_is_refused_in_one_way(index: int, changed: dict[str, Any]) -> None:
    values = json.loads(json.dumps(kept()))
    assert TableEncoding.from_dict(values).to_dict() == kept()
    values["columns"][index] |= changed
    with pytest.raises(ValueError, match="column"):
        TableEncoding.from_dict(values)


def test_a_first_row_of_numbers_with_units_is_no_header_where_the_rows_below_have_them_too(tmp_path: Path) -> None:
    rows = [f"{row}.5 kg,{row * 2} cm,{'ab'[row % 2]}" for row in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    dataset = CSVTable(test=0).load(tmp_path, tmp_path / "a.csv", print)
    assert len(dataset.train_inputs) == 40
    (tmp_path / "b.csv").write_text(
        "\n".join(["3 months,6 months,y", *(f"{row},{row * 2},a{row % 2}" for row in range(40))])
    )
    dataset = CSVTable(test=0).load(tmp_path, tmp_path / "b.csv", print)
    assert [each.name for each in dataset.description.columns] == ["3 months", "6 months"]


@pytest.mark.parametrize("late", ["3.463", "1.000"])
def test_thousands_points_that_begin_far_down_a_table_are_ones_too(tmp_path: Path, late: str) -> None:
    lines = [f"{row % 90},92;{row % 999 if row < 1200 else late};{'ab'[row % 2]}" for row in range(1500)]
    (tmp_path / "a.csv").write_text("x;umsatz;y\n" + "\n".join(lines) + "\n")
    dataset = CSVTable(test=0).load(tmp_path, tmp_path / "a.csv", print)
    assert dataset.train_inputs[1199].tolist() == [1199 % 90 + 0.92, 1199 % 999]
    assert dataset.train_inputs[1200].tolist() == [1200 % 90 + 0.92, float(late.replace(".", ""))]


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        (Date("t", format="%H:%M"), 48_690.0, "13:31:30"),
        (Date("t", format="%Y-%m-%d"), 86_400.0, "1970-01-02"),
        (Date("t", format="%Y-%m-%d %H:%M"), 90_000.0, "1970-01-02 01:00:00"),
        (Number("x"), 1_700_122_000.5, "1700122000.5"),
        (Number("x"), 28.333333, "28.3333"),
        (Number("x"), 1e30, "1e+30"),
    ],
)
def test_what_fills_a_gap_is_told_as_it_is(column: Date | Number, value: float, shown: str) -> None:
    assert replace(column, fill=value).filled_with == shown
