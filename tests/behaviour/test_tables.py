"""Tables from raw rows to predictions of raw rows: trained, resumed, evaluated and asked as people have them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import nnscratch
from nnscratch.cli import main
from nnscratch.datasets.sources.csv_table import CSVTable
from nnscratch.datasets.tables.reader import read_table
from nnscratch.errors import DataError
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.results.evaluate import Request, evaluate_run
from nnscratch.runs.checkpoint import load_checkpoint
from nnscratch.runs.loaded import load_run
from tests.conftest import train_quietly

COLOURS = ("red", "blue", "green")


def write_shop(path: Path, rows: int = 90) -> None:
    """Prices that a colour, a size with gaps and a day decide, written as in Germany."""
    rng = np.random.default_rng(0)
    lines = ["id;colour;size;day;sold;price"]
    for row in range(rows):
        colour, size = int(rng.integers(3)), int(rng.integers(10, 60))
        price = f"{1000 + 100 * colour + size},{row % 10}0".replace("1", "1.", 1)
        cell = "" if row % 9 == 5 else f"{size},5"
        lines.append(
            f"{row};{COLOURS[colour]};{cell};{row % 28 + 1:02d}.03.2024;{'yes' if row % 2 else 'no'};{price} €"
        )
    path.write_text("\n".join(lines) + "\n", encoding="cp1252")


def settings(path: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "shop",
        "data": {"dataset": {"name": "csv", "target": "price"}, "path": str(path)},
        "model": {"hidden_layers": []},
        "loss": "mean_squared_error",
        "optimizer": {"name": "adam", "learning_rate": 0.05},
        "training": {"epochs": 30, "batch_size": 16},
        **changes,
    }


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The table and a run that has learned it."""
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder / "shop.csv")
    return folder / "shop.csv", train_quietly(settings(folder / "shop.csv"), folder / "runs")


def predicted(capsys: pytest.CaptureFixture[str], run: Path, *words: str | Path) -> list[dict[str, Any]]:
    capsys.readouterr()
    with suppress(SystemExit):  # of a row with an error
        main(["predict", str(run), "--json", *map(str, words)])
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_raw_rows_are_learned_and_predictions_are_in_the_targets_own_units(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    table, run = shop
    assert (
        evaluate_run(run, Request(), Workplace(table.parent, threads=1, plots=False), Display(quiet=True)).to_dict()[
            "r2"
        ]
        > 0.8
    )
    rows = predicted(capsys, run, table)
    assert len(rows) == 90
    assert all(1000 < row["values"]["price"] < 1300 for row in rows)
    assert load_run(run).encoding is not None


def test_predicting_the_test_rows_agrees_with_evaluating_them(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    table, run = shop
    evaluation = evaluate_run(run, Request(), Workplace(table.parent, threads=1, plots=False), Display(quiet=True))
    expected = sorted(np.ravel(evaluation.measured.y).tolist())  # type: ignore[union-attr]  # there is one, or the test fails here
    found = [row["values"]["price"] for row in predicted(capsys, run, table)]
    for value in expected:
        assert min(abs(each - value) for each in found) < 1e-2


def test_columns_may_stand_in_any_order_with_others_beside_them_and_without_the_target(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table, run = shop
    rows = [line.split(";") for line in table.read_text(encoding="cp1252").splitlines()]
    mixed = ["\t".join([row[4], "note", row[2], row[0], row[3], row[1]]) for row in rows]
    (tmp_path / "mixed.tsv").write_text("\n".join(mixed) + "\n")
    first = [row["values"] for row in predicted(capsys, run, table)]
    again = predicted(capsys, run, tmp_path / "mixed.tsv", "--keep", "id")
    assert [row["values"] for row in again] == first
    assert [row["kept"] for row in again[:2]] == [{"id": "0"}, {"id": "1"}]
    assert again[0]["input"] == f"{tmp_path}/mixed.tsv:2"


def test_csv_output_has_the_kept_columns(shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    table, run = shop
    main(["predict", str(run), str(table), "--csv", "--keep", "id", "--keep", "colour"])
    header, row = list(csv.reader(io.StringIO(capsys.readouterr().out)))[:2]
    assert header == ["input", "id", "colour", "price", "error", "note"]
    assert (row[0], row[1], row[2] in COLOURS) == (f"{table}:2", "0", True)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x;z\n1;2\n", "no column of the training data; it has 'x', 'z'"),
        ("a;b;c;d\n1;2;3;4\n", "no column of the training data"),
        ("colour;size;day\nred;1,5;01.03.2024\n", "has no column 'sold'"),
        ("Colour;size;day;sold\nred;1,5;01.03.2024;no\n", "has no column 'colour'; did you mean Colour?"),
        ("<html></html>", "a web page"),
        ("", "the file is empty"),
    ],
)
def test_a_table_that_lacks_columns_is_refused_by_name_and_never_taken_by_position(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, error: str
) -> None:
    (tmp_path / "new.csv").write_text(text)
    (row,) = predicted(capsys, shop[1], tmp_path / "new.csv")
    assert error in row["error"]


def test_one_bad_row_leaves_the_others_as_they_are(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = shop[0].read_text(encoding="cp1252").splitlines()
    (tmp_path / "new.csv").write_text("\n".join([*lines[:3], "9;red;big;01.03.2024;no;", "10;pink;;;yes;", lines[3]]))
    rows = predicted(capsys, shop[1], tmp_path / "new.csv")
    assert [row.get("error") for row in rows] == [
        None,
        None,
        "column 'size' is 'big', not a number with a decimal comma",
        None,
        None,
    ]
    expected = [row["values"] for row in predicted(capsys, shop[1], shop[0])[:3]]
    assert [rows[index]["values"] for index in (0, 1, 4)] == expected


def test_numbers_may_have_another_decimal_mark_than_in_training(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = shop[0].read_text(encoding="cp1252").splitlines()
    own = [line.rpartition(";")[0].replace(",", ".").replace(";", ",") for line in lines[:9]]
    (tmp_path / "english.csv").write_text("\n".join(own))
    expected = [row["values"] for row in predicted(capsys, shop[1], shop[0])[:8]]
    assert [row["values"] for row in predicted(capsys, shop[1], tmp_path / "english.csv")] == expected


@pytest.mark.parametrize(
    ("table", "size"),
    [
        ('size,other\n"1,100",2.5\n', "1100"),
        ('size,other\n"1,100",2\n', "1,1"),
        ('size,other\n"1,100","2,5"\n', "1,1"),
        ("size;other\n1.100;2\n", "1100"),
        ("size;other\n1.100;2.5\n", "1,1"),
        ("size;other\n1,100;2\n", "1,1"),
    ],
)
def test_a_number_that_could_be_two_is_what_the_table_to_predict_says_else_as_in_training(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path, table: str, size: str
) -> None:
    separator = table[4]
    rest = separator.join(("red", "01.03.2024", "no"))
    header, row = table.splitlines()
    lines = [f"{header}{separator}{separator.join(('colour', 'day', 'sold'))}", f"{row}{separator}{rest}"]
    (tmp_path / "new.csv").write_text("\n".join(lines))
    (tmp_path / "plain.csv").write_text(f"colour;size;day;sold\nred;{size};01.03.2024;no\n")
    (expected,), (found,) = (predicted(capsys, shop[1], tmp_path / name) for name in ("plain.csv", "new.csv"))
    assert found["values"] == expected["values"]


def test_a_bad_row_does_not_change_the_decimal_mark_of_the_others(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    header, *rows = ("colour,size,day,sold", "red,20.5,01.03.2024,no", "red,abc,01.03.2024,no", "red,8,01.03.2024,no")
    (tmp_path / "good.csv").write_text("\n".join([header, rows[0], rows[2]]))
    (tmp_path / "bad.csv").write_text("\n".join([header, *rows]))
    expected = predicted(capsys, shop[1], tmp_path / "good.csv")
    found = predicted(capsys, shop[1], tmp_path / "bad.csv")
    assert [row.get("error") for row in found] == [None, "column 'size' is 'abc', not a number", None]
    for one, other in zip((found[0], found[2]), expected, strict=True):
        assert one["values"]["price"] == pytest.approx(other["values"]["price"], rel=1e-6)


def test_numbers_of_json_have_a_point_also_beside_cells_with_commas(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rest = {"colour": "red", "day": "01.03.2024", "sold": "no"}
    (tmp_path / "new.csv").write_text("colour;size;day;sold\nred;1,234;01.03.2024;no\n")
    (expected,) = predicted(capsys, shop[1], tmp_path / "new.csv")
    for other in ("", "9,5", "n/a"):
        (tmp_path / "new.json").write_text(json.dumps([rest | {"size": 1.234}, rest | {"size": other}]))
        values = predicted(capsys, shop[1], tmp_path / "new.json")[0]["values"]
        assert values == pytest.approx(expected["values"], rel=1e-6)  # two rows are another product than one


def test_what_training_never_saw_is_noted_beside_the_prediction(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("colour;size;day;sold\npink;1,5;01.03.2024;no\nred;;;no\nred;1,5;01.03.2024;no\n")
    rows = predicted(capsys, shop[1], tmp_path / "new.csv")
    assert [row.get("note") for row in rows] == [
        "colour 'pink' is new and counts as other",
        "day is empty and taken for 2024-03-13",  # of size, training had gaps
        None,
    ]
    main(["predict", str(shop[1]), str(tmp_path / "new.csv")])
    assert "note: colour 'pink' is new" in capsys.readouterr().out
    model = nnscratch.load(shop[1])
    told = "2 of 3 inputs have what training had not, as {}: colour 'pink' is new and counts as other"
    with pytest.warns(UserWarning, match=re.escape(told.format(f"{tmp_path / 'new.csv'}:2"))) as warned:
        model.predict(tmp_path / "new.csv")
    assert warned[0].filename == __file__
    row = {"colour": "red", "size": 1.5, "day": "01.03.2024", "sold": "no"}
    with pytest.warns(UserWarning, match=re.escape(told.format("row 1"))) as warned:
        model.predict([row, row | {"colour": "pink"}, row | {"day": None}])
    assert warned[0].filename == __file__
    (tmp_path / "labelled.csv").write_text("colour;size;day;sold;price\npink;1,5;01.03.2024;no;7\nred;;2.3.2024;no;9\n")
    main(["evaluate", str(shop[1]), "--data", str(tmp_path / "labelled.csv")])
    assert "1 of 2 inputs have what training had not, as " in "".join(capsys.readouterr())


def test_rows_with_gaps_that_training_dropped_are_left_out_of_evaluation_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{'' if row % 10 == 3 else row},{'ab'[row % 7 // 4]}" for row in range(80)]
    (tmp_path / "ages.csv").write_text("\n".join(["age,y", *rows]))
    data = {"dataset": {"name": "csv", "target": "y", "missing": "drop"}, "path": str(tmp_path / "ages.csv")}
    changes = {"data": data, "loss": "cross_entropy", "training": {"epochs": 1, "batch_size": 20}}
    run = train_quietly(settings(tmp_path / "ages.csv", **changes), tmp_path)
    capsys.readouterr()
    main(["evaluate", str(run), "--data", str(tmp_path / "ages.csv")])
    assert "left out, as in training (missing: drop): 8 rows with a gap" in "".join(capsys.readouterr())
    found = predicted(capsys, run, tmp_path / "ages.csv")
    assert sum("error" in row for row in found) == 8
    (tmp_path / "wrong.csv").write_text("age,y\n5,a\n,b\nold,a\n")
    with pytest.raises(SystemExit):
        main(["evaluate", str(run), "--data", str(tmp_path / "wrong.csv")])
    assert "wrong.csv:4: column 'age' is 'old', not a number" in capsys.readouterr().err


def test_the_first_row_is_a_header_as_training_had_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{'pe'[row % 2]},{'ab'[row % 2]},{'xyz'[row % 3]}" for row in range(40)]
    (tmp_path / "plain.data").write_text("\n".join(rows) + "\n")
    data = {"dataset": {"name": "csv", "target": "column1"}, "path": str(tmp_path / "plain.data")}
    changes = {"data": data, "loss": "cross_entropy", "training": {"epochs": 1, "batch_size": 16}}
    run = train_quietly(settings(tmp_path / "plain.data", **changes), tmp_path / "runs")
    (tmp_path / "two.csv").write_text("p,a,x\ne,b,y\n")  # text that does not come again, as names of columns are
    assert len(predicted(capsys, run, tmp_path / "two.csv")) == 2

    lines = [f"{'uv'[row % 2]},{row % 7}.5,{row % 5},{row % 7}.25" for row in range(40)]
    (tmp_path / "years.csv").write_text("kind,2019,2020,price\n" + "\n".join(lines) + "\n")
    run = train_quietly(settings(tmp_path / "years.csv"), tmp_path / "runs")
    (tmp_path / "new.csv").write_text("2020,kind,2019\n4,u,1.5\n")  # numbers that do not count on
    (tmp_path / "same.csv").write_text("kind,2019,2020\nu,1.5,4\n")
    (row,) = predicted(capsys, run, tmp_path / "new.csv")
    assert row["values"] == predicted(capsys, run, tmp_path / "same.csv")[0]["values"]


def test_cells_that_are_kept_are_kept_as_they_are_written(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    header, *lines = shop[0].read_text(encoding="cp1252").splitlines()
    numbered = [f"12345678901234567{row % 10};{line.partition(';')[2]}" for row, line in enumerate(lines * 12)]
    (tmp_path / "long.csv").write_text("\n".join([header, *numbered]))
    rows = predicted(capsys, shop[1], tmp_path / "long.csv", "--keep", "id")
    assert [row["kept"]["id"] for row in rows[:3]] == [f"12345678901234567{digit}" for digit in "012"]


def test_a_dash_takes_json_objects_and_paths(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table, run = shop
    objects = [
        {"colour": "red", "size": 20.5, "day": "01.03.2024", "sold": False},
        {"colour": "red", "size": None, "day": "01.03.2024", "sold": "no", "id": 7},
        {"colour": "red"},
    ]
    lines = [*map(json.dumps, objects), str(table), "{broken"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    rows = predicted(capsys, run, "-")
    assert [row["input"] for row in (*rows[:4], rows[-1])] == ["-:1", "-:2", "-:3", f"{table}:2", "-:5"]
    assert 1000 < rows[0]["values"]["price"] < 1060
    assert "no 'size', 'day', 'sold' in the object" in rows[2]["error"]
    assert "no JSON object" in rows[-1]["error"]
    assert len(rows) == 94


def test_a_dash_takes_a_json_list_in_one_line_or_in_many(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {"colour": "red", "size": 20.5, "day": "01.03.2024", "sold": False}
    for indent in (None, 2):
        monkeypatch.setattr("sys.stdin", io.StringIO("\n\n" + json.dumps([whole, {"colour": "red"}], indent=indent)))
        rows = predicted(capsys, shop[1], "-")
        assert [row["input"] for row in rows] == ["-:1", "-:2"]
        assert 1000 < rows[0]["values"]["price"] < 1060
        assert "no 'size', 'day', 'sold' in the object" in rows[1]["error"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\ufeff" + json.dumps([whole])))
    assert [row["input"] for row in predicted(capsys, shop[1], "-")] == ["-:1"]
    monkeypatch.setattr("sys.stdin", io.StringIO("[]"))
    (row,) = predicted(capsys, shop[1], "-")
    assert "is JSON, but no table" in row["error"]
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps([whole])[:-1]))
    (row,) = predicted(capsys, shop[1], "-")
    assert "damaged JSON" in row["error"]


def test_a_resumed_table_ends_as_the_one_that_was_not_interrupted(tmp_path: Path) -> None:
    write_shop(tmp_path / "shop.csv")
    whole = train_quietly(settings(tmp_path / "shop.csv", training={"epochs": 4, "batch_size": 16}), tmp_path / "a")
    half = train_quietly(settings(tmp_path / "shop.csv", training={"epochs": 2, "batch_size": 16}), tmp_path / "b")
    main(["train", "--resume", str(half), "--epochs", "4", "--no-plots", "--quiet"])
    ours, theirs = (load_checkpoint(run / "checkpoints" / "last.npz").arrays for run in (half, whole))
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_a_file_without_names_can_itself_be_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{row % 7}.5,{'ab'[row % 2]},{row % 3}.25" for row in range(40)]
    (tmp_path / "plain.data").write_text("\n".join(rows) + "\n")
    data = {"dataset": {"name": "csv", "target": "column2"}, "path": str(tmp_path / "plain.data")}
    changes = {"data": data, "loss": "cross_entropy", "training": {"epochs": 1, "batch_size": 16}}
    run = train_quietly(settings(tmp_path / "plain.data", **changes), tmp_path / "runs")
    labels = [row["label"] for row in predicted(capsys, run, tmp_path / "plain.data")]
    (tmp_path / "inputs.txt").write_text("\n".join(f"{row.split(',')[0]} {row.split(',')[2]}" for row in rows))
    assert [row["label"] for row in predicted(capsys, run, tmp_path / "inputs.txt")] == labels
    assert len(labels) == 40


def test_numbers_that_differ_in_their_eighth_digit_are_learned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{10_000_000 + row % 2},{'ab'[row % 2]}\n" for row in range(40))
    (tmp_path / "a.csv").write_text("a,y\n" + rows)
    data = {"dataset": "csv", "path": str(tmp_path / "a.csv")}
    changes = {"data": data, "loss": "cross_entropy", "training": {"epochs": 10, "batch_size": 8}}
    run = train_quietly(settings(tmp_path / "a.csv", **changes), tmp_path / "runs")
    assert [row["label"] for row in predicted(capsys, run, tmp_path / "a.csv")][:4] == ["a", "b", "a", "b"]


def test_a_target_of_a_thousand_million_and_some_is_predicted_to_the_digit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("a,y\n" + "".join(f"{row * 2},{1_000_000_000 + row}\n" for row in range(60)))
    data = {"dataset": "csv", "path": str(tmp_path / "a.csv")}
    changes = {"data": data, "training": {"epochs": 80, "batch_size": 16}}
    run = train_quietly(settings(tmp_path / "a.csv", **changes), tmp_path / "runs")
    found = [row["values"]["y"] for row in predicted(capsys, run, tmp_path / "a.csv")]
    assert np.max(np.abs(np.array(found) - (1_000_000_000 + np.arange(60)))) < 1
    main(["predict", str(run), str(tmp_path / "a.csv")])
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{tmp_path}/a.csv:61  y 10000000")
    workplace = Workplace(tmp_path, threads=1, plots=False)
    evaluation = evaluate_run(run, Request(data=tmp_path / "a.csv"), workplace, Display(quiet=True))
    assert evaluation.to_dict()["mean_absolute_error"] < 1


def test_predictions_of_a_split_name_the_rows_file_and_line(shop: tuple[Path, Path]) -> None:
    table, run = shop
    evaluate_run(run, Request(), Workplace(table.parent, threads=1, plots=False), Display(quiet=True))
    with (run / "evaluation" / "test" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = table.read_text(encoding="cp1252").splitlines()
    for row in rows:
        name, _, line = row["file"].partition(":")
        assert name == "shop.csv"
        price = lines[int(line) - 1].rpartition(";")[2].removesuffix(" €").replace(".", "").replace(",", ".")
        assert float(row["true_price"]) == pytest.approx(float(price), abs=1e-3)


def test_another_table_with_the_target_is_evaluated(shop: tuple[Path, Path], tmp_path: Path) -> None:
    table, run = shop
    lines = table.read_text(encoding="cp1252").splitlines()
    (tmp_path / "new.csv").write_text("\n".join([*lines[:20], "9;red;1,5;01.03.2024;no;NA"]))
    workplace = Workplace(tmp_path, threads=1, plots=False)
    evaluation = evaluate_run(run, Request(data=tmp_path / "new.csv"), workplace, Display(quiet=True))
    assert len(evaluation.measured.t) == 19
    (tmp_path / "none.csv").write_text("\n".join(line.rpartition(";")[0] for line in lines[:5]))
    with pytest.raises(DataError, match="no column 'price', so no labels"):
        evaluate_run(run, Request(data=tmp_path / "none.csv"), workplace, Display(quiet=True))


def test_a_folder_has_a_table_for_each_split(tmp_path: Path) -> None:
    write_shop(tmp_path / "all.csv")
    header, *rows = (tmp_path / "all.csv").read_text(encoding="cp1252").splitlines()
    (tmp_path / "all.csv").unlink()
    for name, part in (("train", rows[:60]), ("val", rows[60:75]), ("test", rows[75:])):
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *part]))
    run = train_quietly(settings(tmp_path, training={"epochs": 1, "batch_size": 16}), tmp_path / "runs")
    data = load_run(run).run.read_meta().dataset
    assert (data.train, data.validation, data.test) == (60, 15, 15)


def test_a_table_of_another_format_gives_the_same_predictions(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table, run = shop
    expected = [row["values"] for row in predicted(capsys, run, table)]
    (tmp_path / "packed").write_bytes(gzip.compress(table.read_bytes()))
    dataset = read_table(table)
    columns = dict(zip(dataset.names, dataset.columns, strict=True))
    size = columns["size"].str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    day = columns["day"].str.to_date("%d.%m.%Y")
    frame = pl.DataFrame({**columns, "size": size, "day": day, "sold": columns["sold"] == "yes"}).drop("price")
    frame.write_parquet(tmp_path / "typed.parquet")
    frame.write_ndjson(tmp_path / "lines.jsonl")
    for name in ("packed", "typed.parquet", "lines.jsonl"):
        assert [row.get("values") for row in predicted(capsys, run, tmp_path / name)] == expected, name


def test_a_number_that_its_column_cannot_have_is_refused_in_arrays_lists_and_dicts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """2000000 is not 2M, and 2 is neither yes nor no."""
    rows = [f"{row / 8}M,{'yes' if row % 2 else 'no'},{row * 3}" for row in range(80)]
    (tmp_path / "cars.csv").write_text("\n".join(["price,sold,y", *rows]))
    data = {"dataset": {"name": "csv", "target": "y"}, "path": str(tmp_path / "cars.csv")}
    run = train_quietly(settings(tmp_path / "cars.csv", data=data, training={"epochs": 1, "batch_size": 20}), tmp_path)
    model = nnscratch.load(run)
    zero = model.predict([[0, 1]])
    assert np.array_equal(model.predict([{"price": 0, "sold": "yes"}]), zero)
    assert np.array_equal(model.predict([{"price": "0M", "sold": 1.0}]), zero)
    price, sold = "column 'price' is 2000000, not a number with M behind it", "column 'sold' is 2, not no or yes"
    for rows_of_numbers, problem in (([[0, 1], [2_000_000, 1]], price), ([[0, 1], [0, 2]], sold)):
        with pytest.raises(DataError, match=f"^x: row 1: {problem}$"):
            model.predict(np.array(rows_of_numbers, float))
        np.save(tmp_path / "rows.npy", np.array(rows_of_numbers, float))
        found = predicted(capsys, run, tmp_path / "rows.npy")
        assert [row.get("error") for row in found] == [None, problem]
    with pytest.raises(DataError, match=r"row 0: column 'price' is '2000000', not a number with M behind it"):
        model.predict({"price": 2_000_000, "sold": "yes"})


def test_what_is_kept_of_a_file_changes_no_prediction_and_a_float_has_a_point_in_any_country(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [f"{row},{row % 7};{row * 3};{'red' if row % 2 else 'blue'}" for row in range(80)]
    (tmp_path / "german.csv").write_text("\n".join(["size;y;colour", *rows]))
    data = {"dataset": {"name": "csv", "target": "y"}, "path": str(tmp_path / "german.csv")}
    config = settings(tmp_path / "german.csv", data=data, training={"epochs": 1, "batch_size": 20})
    run = train_quietly(config, tmp_path)
    (tmp_path / "new.json").write_text('[{"size": 1.234, "colour": "red"}]')
    (alone,), (kept,) = (predicted(capsys, run, tmp_path / "new.json", *keep) for keep in ((), ("--keep", "size")))
    assert kept["values"] == alone["values"]
    model = nnscratch.load(run)
    for other in ("2,5", 2.5):
        both = model.predict([{"size": 1.234, "colour": "red"}, {"size": other, "colour": "blue"}])
        np.testing.assert_allclose(both[0], list(alone["values"].values()), rtol=1e-5)


def test_a_column_with_a_magnitude_alone_takes_its_text_in_dicts(tmp_path: Path) -> None:
    (tmp_path / "cars.csv").write_text("\n".join(["price,y", *(f"{row / 8}M,{row * 3}" for row in range(80))]))
    data = {"dataset": {"name": "csv", "target": "y"}, "path": str(tmp_path / "cars.csv")}
    run = train_quietly(settings(tmp_path / "cars.csv", data=data, training={"epochs": 1, "batch_size": 20}), tmp_path)
    (tmp_path / "new.csv").write_text("price\n2.5M\n")
    model = nnscratch.load(run)
    assert np.array_equal(model.predict({"price": "2.5M"}), model.predict(tmp_path / "new.csv"))


@pytest.mark.parametrize("ragged", ["red;1,5", 'blue;"1,5";1.3.2024;no;x;y'])
def test_a_row_of_other_cells_is_its_own_error_and_the_rest_is_predicted(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path, ragged: str
) -> None:
    good = [f"red;{row},5;01.03.2024;no" for row in range(10, 40)]
    for encoding in ("utf-8", "utf-16"):
        text = "\n".join(["colour;size;day;sold", *good[:3], ragged, *good[3:], "red"])
        (tmp_path / "new.csv").write_text(text, encoding=encoding)
        found = predicted(capsys, shop[1], tmp_path / "new.csv")
        assert [number for number, row in enumerate(found) if "error" in row] == [3, 31]
        assert found[3]["error"] == f"{2 if ragged[0] == 'r' else 6} columns, but the header has 4"
        (tmp_path / "good.csv").write_text("\n".join(["colour;size;day;sold", *good]))
        expected = predicted(capsys, shop[1], tmp_path / "good.csv")
        assert [row["values"] for row in found if "error" not in row] == [row["values"] for row in expected]
    (tmp_path / "other.csv").write_text("\n".join(["colour;size;day;sold", *[ragged] * 3, good[0]]))
    (row,) = predicted(capsys, shop[1], tmp_path / "other.csv")
    assert "columns" in row["error"]


@pytest.mark.parametrize("target", ["a", "b"])
def test_the_file_of_another_split_is_read_with_its_own_decimal_mark(tmp_path: Path, target: str) -> None:
    rows = [f"{row / 8:.3f},{row / 16 + 0.25:.4f}" for row in range(40)]
    (tmp_path / "train.csv").write_text("a,b\n" + "\n".join(rows) + "\n")
    german = [row.replace(",", ";").replace(".", ",") for row in rows[:9]]
    (tmp_path / "test.csv").write_text("a;b\n" + "\n".join(german) + "\n")
    dataset = CSVTable(target=target).load(tmp_path, tmp_path, print)
    assert dataset.test_inputs is not None
    assert dataset.test_targets is not None
    np.testing.assert_array_equal(dataset.test_inputs, dataset.train_inputs[:9])
    np.testing.assert_array_equal(dataset.test_targets, dataset.train_targets[:9])
    assert any(guess.what == "mark of test" and guess.taken == "," for guess in dataset.description.guesses)


def test_semicolons_make_commas_decimal_marks_where_nothing_else_speaks(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,y\n" + "".join(f"{row / 8:.3f},{'kl'[row > 9]}\n" for row in range(20)))
    (tmp_path / "test.csv").write_text("a;y\n1,250;k\n2,125;l\n")
    dataset = CSVTable().load(tmp_path, tmp_path, print)
    assert dataset.test_inputs is not None
    assert dataset.test_inputs.tolist() == [[1.25], [2.125]]


def test_of_two_columns_called_like_a_target_the_one_spelt_so_is_it_and_both_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "Y,b,y\n" + "".join(f"{row * 0.37},{row % 7},{'pq'[row % 2]}\n" for row in range(30))
    )
    dataset = CSVTable().load(tmp_path, tmp_path / "a.csv", print)
    assert dataset.classes == ("p", "q")
    assert next(guess.why for guess in dataset.description.guesses if guess.what == "target") == (
        "by its name; 'Y' could be, too"
    )


def test_every_spelling_of_nothing_in_a_target_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "a,y\n" + "".join(f"{row},{('yes', 'no', 'NA', 'None')[row % 4]}\n" for row in range(40))
    )
    dataset = CSVTable().load(tmp_path, tmp_path / "a.csv", print)
    (told,) = [line for line in dataset.description.warnings if "as gaps are" in line]
    assert "is 'NA' or 'None' are left out" in told
    assert told.endswith("makes classes of them")
