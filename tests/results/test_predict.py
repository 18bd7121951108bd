"""`nnscratch predict`: pictures, arrays and tables in, labels or values out; a bad input is a row, not the end."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import nnscratch
from nnscratch.cli import main
from nnscratch.datasets.formats.images import quiet_pillow
from nnscratch.datasets.sources.shapes import Shapes
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.results.evaluate import Request, evaluate_run
from nnscratch.results.predict import BATCH, Prediction, Predictions, predict
from nnscratch.results.prediction_inputs import items
from nnscratch.results.prediction_tables import Item
from nnscratch.runs.loaded import LoadedRun, load_run


def predicted(capsys: pytest.CaptureFixture[str], run: Path, *arguments: str | Path) -> list[dict[str, Any]]:
    """What --json prints."""
    capsys.readouterr()
    main(["predict", str(run), "--json", *map(str, arguments)])
    result: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return result


def predicted_with_failure(
    capsys: pytest.CaptureFixture[str], run: Path, *arguments: str | Path
) -> list[dict[str, Any]]:
    """What --json prints when some inputs are bad; the exit code must then be 1."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(["predict", str(run), "--json", *map(str, arguments)])
    assert exit_.value.code == 1
    captured = capsys.readouterr()
    assert "could not be predicted" in captured.err
    result: list[dict[str, Any]] = json.loads(captured.out)
    return result


@pytest.fixture(scope="session")
def images() -> Array:
    """The fifty test images of the run."""
    dataset = Shapes(train=200, test=50).load(Path(), None, lambda _: None)
    assert dataset.test_inputs is not None
    return dataset.test_inputs


def test_what_is_no_example_for_training_is_none_for_predict(
    shapes_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    for name in ("10.png", "2.tif", "._2.tif", "__MACOSX/1.png", "more/@eaDir/1.jpg", "more/1.jfif", "more/Thumbs.db"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(np.full((32, 32, 3), 90, np.uint8))
        picture.save(folder / name, format={".tif": "TIFF", ".jfif": "JPEG"}.get(Path(name).suffix, "PNG"))
    (folder / "more" / "round").symlink_to(folder)
    found = [Path(row["input"]).relative_to(folder) for row in predicted(capsys, shapes_run, folder)]
    assert found == [Path("2.tif"), Path("10.png"), Path("more/1.jfif")]


def test_a_table_beside_pictures_is_none_of_them_and_no_name_is_not_the_folder_where_one_stands(
    shapes_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(folder / "a.png")
    (folder / "labels.csv").write_text("file,label\na.png,cat\n")
    assert [row["input"] for row in predicted(capsys, shapes_run, folder)] == [str(folder / "a.png")]
    (tmp_path / "tables").mkdir()
    header = ",".join(f"p{number}" for number in range(3072))
    (tmp_path / "tables" / "pixels.csv").write_text(f"{header}\n{','.join(['90'] * 3072)}\n")
    assert len(predicted(capsys, shapes_run, tmp_path / "tables")) == 1
    monkeypatch.chdir(folder)
    (row,) = predicted_with_failure(capsys, shapes_run, "")
    assert row["error"] == "the name is empty"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ('[["a.png"]]', "this is JSON, but no list of objects"),
        (f"[{[0.5] * 3000}]", "this is JSON, but no list of objects"),  # longer than a file's name can be
        ("a.png\0b.png", "this is no path: it holds a zero byte"),
        ("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "this is no path: it holds a zero byte"),
    ],
)
def test_what_is_neither_names_nor_records_on_standard_input_is_told_without_being_repeated(
    given: str, reason: str, capsys: pytest.CaptureFixture[str], shapes_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    rows = predicted_with_failure(capsys, shapes_run, "-")
    assert reason in rows[-1]["error"]
    assert "\0" not in json.dumps(rows).encode().decode("unicode_escape")


def test_whole_numbers_up_to_one_are_said_to_be_all_but_black(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, images: Array, tmp_path: Path
) -> None:
    few = (images[:3] > 128).astype(np.int64)
    np.save(tmp_path / "few.npy", few)
    main(["predict", str(shapes_run), str(tmp_path / "few.npy")])
    assert capsys.readouterr().out.count("note: none of its pixels is above 1, where 255 is white") == 3
    main(["predict", str(shapes_run), str(tmp_path / "few.npy"), "--csv"])
    told = [row["note"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))]
    assert [note[:24] for note in told] == ["none of its pixels is ab"] * 3
    model = nnscratch.load(shapes_run)
    with pytest.warns(UserWarning, match="all but black; were 1 white, give 255"):
        model.predict(few)
    np.savez(tmp_path / "few.npz", x_test=few, y_test=np.arange(3))
    main(["evaluate", str(shapes_run), "--data", str(tmp_path / "few.npz"), "--no-plots"])
    assert "none of its pixels is above 1" in capsys.readouterr().out
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for sound in (255 * few, few.astype(np.uint8), 0 * few, images[:2].astype(np.float32)):
            model.predict(sound)


def test_pictures_arrays_and_evaluation_agree(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, images: Array, tmp_path: Path
) -> None:
    Image.fromarray(images[7]).save(tmp_path / "seven.png")
    np.save(tmp_path / "all.npy", images)
    np.savez_compressed(tmp_path / "all.npz", x_test=images, y_test=np.zeros(50))
    evaluate_run(shapes_run, Request(), Workplace(tmp_path, threads=1, plots=False), Display(quiet=True))
    with (shapes_run / "evaluation" / "test" / "predictions.csv").open(newline="") as file:
        expected = [(row["predicted"], float(row["probability"])) for row in csv.DictReader(file)]
    rows = predicted(capsys, shapes_run, tmp_path / "all.npy", tmp_path / "all.npz", tmp_path / "seven.png")
    labels = [row["label"] for row in rows]
    assert labels == [label for label, _ in [*expected, *expected, expected[7]]]
    assert rows[-1]["probability"] == pytest.approx(expected[7][1], abs=1e-5)
    assert [rows[0]["input"], rows[50]["input"]] == [f"{tmp_path}/all.npy[0]", f"{tmp_path}/all.npz:x_test[0]"]


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.csv"])
def test_what_the_pixels_of_an_array_mean_is_one_thing_for_all_its_rows(
    shapes_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[np.generic], name: str
) -> None:
    monkeypatch.setattr(LoadedRun, "is_of_arrays", True)
    loaded = replace(load_run(shapes_run), white=16.0)
    dark = np.arange(32 * 32 * 3).reshape(32, 32, 3) % 17

    def read(*rows: Array) -> list[Array]:
        array = np.stack(rows).astype(kind)
        if name == "x.csv":
            header = ",".join(f"p{number}" for number in range(dark.size))
            np.savetxt(tmp_path / name, array.reshape(len(array), -1), "%g", ",", header=header, comments="")
        else:
            (np.save if name == "x.npy" else np.savez_compressed)(tmp_path / name, array)
        found = [item.read() for item in items(loaded, [str(tmp_path / name)], ())]
        assert np.array_equal(found, nnscratch.Model(loaded).stored(array))
        return found

    assert np.array_equal(read(dark, dark // 2)[1], np.rint(dark // 2 * (255 / 16)))
    assert np.array_equal(read(dark, dark * 15)[0], dark)


def test_an_array_is_read_by_what_it_holds_and_not_by_what_it_is_called(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, images: Array, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", images[:2])
    np.savez(tmp_path / "x.npz", x=images[:2])
    for name in ("one.dat", "one.npz"):
        (tmp_path / name).write_bytes((tmp_path / "x.npy").read_bytes())
    (tmp_path / "two.npy").write_bytes((tmp_path / "x.npz").read_bytes())
    expected = [row["label"] for row in predicted(capsys, shapes_run, tmp_path / "x.npy")]
    for name in ("one.dat", "one.npz", "two.npy"):
        assert [row["label"] for row in predicted(capsys, shapes_run, tmp_path / name)] == expected
    (tmp_path / "text.npy").write_text("no array")
    (row,) = predicted_with_failure(capsys, shapes_run, tmp_path / "text.npy")
    assert "not a NumPy array" in row["error"]


def test_top_names_that_many_classes_likeliest_first(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, images: Array, tmp_path: Path
) -> None:
    np.save(tmp_path / "one.npy", images[0])
    (row,) = predicted(capsys, shapes_run, tmp_path / "one.npy", "--top", "4")
    shares = [each["probability"] for each in row["top"]]
    assert row["input"] == str(tmp_path / "one.npy")
    assert len(shares) == 4
    assert shares == sorted(shares, reverse=True)
    assert (row["label"], row["probability"]) == (row["top"][0]["label"], shares[0])
    (row,) = predicted(capsys, shapes_run, tmp_path / "one.npy", "--top", "99")
    assert sum(each["probability"] for each in row["top"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.png", "RGBA"), ("a.jpg", "L"), ("a.gif", "P"), ("a.bmp", "RGB"), ("a.webp", "RGB"), ("a.jpeg", "CMYK")],
)
def test_pictures_of_any_format_mode_and_size_are_predicted(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, images: Array, tmp_path: Path, name: str, mode: str
) -> None:
    Image.fromarray(images[0]).resize((71, 40)).convert(mode).save(tmp_path / name)
    (row,) = predicted(capsys, shapes_run, tmp_path / name)
    assert 0.1 < row["probability"] <= 1


def test_one_bad_file_is_a_row_with_its_error_and_the_others_are_predicted(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, images: Array, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    Image.fromarray(images[0]).save(folder / "a.png")
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:200])
    Image.fromarray(images[1]).save(folder / "deeper" / "c.png")
    (folder / "notes.txt").write_text("not an input")
    np.save(folder / "d.npy", np.array([{"code": 1}], dtype=object), allow_pickle=True)
    os.mkfifo(tmp_path / "pipe.png")
    rows = predicted_with_failure(capsys, shapes_run, folder, tmp_path / "missing.png", tmp_path / "pipe.png")
    by_name = {row["input"].removeprefix(f"{tmp_path}/"): row for row in rows}
    assert list(by_name) == ["pictures/a.png", "pictures/b.png", "pictures/d.npy", "pictures/deeper/c.png",
                             "missing.png", "pipe.png"]  # fmt: skip
    assert [name for name, row in by_name.items() if "error" in row] == ["pictures/b.png", "pictures/d.npy",
                                                                         "missing.png", "pipe.png"]  # fmt: skip
    assert all("label" in by_name[name] for name in ("pictures/a.png", "pictures/deeper/c.png"))
    assert "array of object" in by_name["pictures/d.npy"]["error"]


def test_an_empty_folder_is_an_error_of_its_own(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (row,) = predicted_with_failure(capsys, shapes_run, tmp_path / "empty")
    assert "no picture" in row["error"]


def test_a_dash_reads_paths_from_standard_input(
    capsys: pytest.CaptureFixture[str],
    shapes_run: Path,
    images: Array,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Image.fromarray(images[0]).save(tmp_path / "with space.png")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{tmp_path}/with space.png\n\n{tmp_path}/with space.png\r\n"))
    assert [row["input"] for row in predicted(capsys, shapes_run, "-")] == [f"{tmp_path}/with space.png"] * 2


def test_arrays_that_do_not_fit_say_what_would(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, images: Array, tmp_path: Path
) -> None:
    np.save(tmp_path / "small.npy", images[:, :16])
    np.save(tmp_path / "scaled.npy", images[:1] / 255)
    np.savez(tmp_path / "two.npz", left=images, right=images)
    small, scaled, two = predicted_with_failure(
        capsys, shapes_run, tmp_path / "small.npy", tmp_path / "scaled.npy", tmp_path / "two.npz"
    )
    assert "(N, 32, 32, 3)" in small["error"]
    assert "look scaled to 0..1" in scaled["error"]
    assert "left, right" in two["error"]


def test_a_cut_array_gives_the_rows_it_has_and_then_an_error(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, images: Array, tmp_path: Path
) -> None:
    np.save(tmp_path / "cut.npy", images[:3])
    whole = (tmp_path / "cut.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-1])
    rows = predicted_with_failure(capsys, shapes_run, tmp_path / "cut.npy")
    assert ["error" in row for row in rows] == [False, False, True]
    assert "ends within row 2 of 3" in rows[-1]["error"]


def test_pixels_as_csv_rows_give_what_the_array_gives(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, images: Array, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", images[:4])
    header = ",".join(["label", *(f"pixel{index}" for index in range(1, 3073))])
    rows = ["0," + ",".join(map(str, image.ravel())) for image in images[:4]]
    (tmp_path / "x.csv").write_text("\n".join([header, *rows]) + "\n")
    arrays, table = (predicted(capsys, shapes_run, tmp_path / f"x.{suffix}") for suffix in ("npy", "csv"))
    assert [row["top"] for row in table] == [row["top"] for row in arrays]
    assert table[0]["input"] == f"{tmp_path}/x.csv:2"


def test_regression_finds_its_columns_by_name_and_gives_values(
    capsys: pytest.CaptureFixture[str], regression_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("note,b,a\nx,1,0.5\nx,0,1\n")
    first, second = predicted(capsys, regression_run, tmp_path / "new.csv")
    assert first["values"]["y"] == pytest.approx(0, abs=0.5)
    assert second["values"]["y"] == pytest.approx(2, abs=0.5)
    assert second["values"]["z"] == pytest.approx(1, abs=0.3)


def test_a_bad_cell_costs_its_row_only(
    capsys: pytest.CaptureFixture[str], regression_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("a,b\n1,2\n1,oops\n3,nan\n4,5\n")
    rows = predicted_with_failure(capsys, regression_run, tmp_path / "new.csv")
    assert ["error" in row for row in rows] == [False, True, False, False]
    assert "'oops', not a number" in rows[1]["error"]


def test_a_picture_for_a_network_of_tables_is_an_error(
    capsys: pytest.CaptureFixture[str], regression_run: Path, images: Array, tmp_path: Path
) -> None:
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    (row,) = predicted_with_failure(capsys, regression_run, tmp_path / "a.png")
    assert "is a PNG picture" in row["error"]


def test_a_column_to_keep_of_what_is_no_table_is_an_error(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, images: Array, tmp_path: Path
) -> None:
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", images[:1])
    rows = predicted_with_failure(capsys, shapes_run, tmp_path / "a.png", tmp_path / "a.npy", "--keep", "id")
    assert [row["error"].partition(" is ")[2] for row in rows] == ["no table: it has no column 'id' to keep"] * 2


def test_what_is_called_as_a_kept_column_gets_another_name() -> None:
    kept = {"input": "sensor", "error": "0.5", "label": "old"}
    made = Predictions(iter([Prediction("t.csv:2", (("new", 0.9),), kept=kept)]), (), 1, list(kept))
    (row,) = csv.DictReader(io.StringIO("".join(made.to_csv())))
    assert {name: row[name] for name in kept} == kept
    assert [row["input_predicted"], row["label_predicted"], row["error_predicted"]] == ["t.csv:2", "new", ""]


def test_csv_output_has_a_column_for_every_place_and_one_for_errors_and_notes(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, images: Array, tmp_path: Path
) -> None:
    np.save(tmp_path / "a,b.npy", images[:1])
    with pytest.raises(SystemExit):
        main(["predict", str(shapes_run), str(tmp_path / "a,b.npy"), str(tmp_path / "no.png"), "--csv", "--top", "2"])
    header, good, bad = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header == ["input", "label", "probability", "label_2", "probability_2", "error", "note"]
    assert good[0] == f"{tmp_path}/a,b.npy[0]"
    assert float(good[2]) >= float(good[4])
    assert bad[1:5] == ["", "", "", ""]
    assert bad[5].endswith("does not exist")


def test_a_hostile_file_name_cannot_move_the_cursor(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, images: Array, tmp_path: Path
) -> None:
    Image.fromarray(images[0]).save(tmp_path / "\x1b[31mred\nline.png")
    main(["predict", str(shapes_run), str(tmp_path / "\x1b[31mred\nline.png")])
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert output.count("\n") == 1


def test_json_and_csv_together_are_refused(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["predict", str(shapes_run), "-", "--json", "--csv"])
    assert exit_.value.code == 2


def test_no_more_than_a_batch_of_inputs_is_read_ahead(shapes_run: Path, images: Array) -> None:
    loaded, read = load_run(shapes_run), []

    def endless() -> Iterator[Item]:
        number = 0
        while True:
            yield Item(str(number), lambda number=number: read.append(number) or images[number % 50])  # type: ignore[misc,func-returns-value]  # a default binds the loop variable
            number += 1

    stream = predict(loaded, endless())
    for _ in range(BATCH):
        next(stream)
    assert len(read) == BATCH
    next(stream)
    assert len(read) == 2 * BATCH


def test_a_compressed_array_is_read_row_by_row(shapes_run: Path, tmp_path: Path) -> None:
    # The header promises 3 GB: allocated whole it would not fit, read by rows the first is there at once.
    loaded: LoadedRun = load_run(shapes_run)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 32, 32, 3)})
    with (
        zipfile.ZipFile(tmp_path / "big.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w") as member,
    ):
        member.write(header.getvalue() + bytes(3072 * 600))
    stream = predict(loaded, items(loaded, [str(tmp_path / "big.npz")], ()))
    assert next(stream).top


def test_reading_pictures_in_threads_leaves_the_filters_of_warnings_as_they_were(
    shapes_run: Path, images: Array
) -> None:
    first_has_begun, second_has_begun, first_is_done = threading.Event(), threading.Event(), threading.Event()

    def first() -> Array:
        with quiet_pillow():
            first_has_begun.set()
            assert second_has_begun.wait(10)
        first_is_done.set()
        return np.asarray(images[0])

    def second() -> Array:
        assert first_has_begun.wait(10)
        with quiet_pillow():
            second_has_begun.set()
            assert first_is_done.wait(10)  # and so puts back what the first had set
        return np.asarray(images[1])

    before = list(warnings.filters)
    predictions = list(predict(load_run(shapes_run), [Item("a", first), Item("b", second)], readers=2))
    assert [prediction.error for prediction in predictions] == [None, None]
    assert list(warnings.filters) == before


def test_a_damaged_header_of_an_array_is_that_inputs_error_and_the_others_are_predicted(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, images: Array, tmp_path: Path
) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    np.save(folder / "good.npy", images[:1])
    whole = (folder / "good.npy").read_bytes()
    for index in (3, 10, 13, 20, 30, 52, 60, 127):
        spoiled = whole[:index] + bytes([whole[index] ^ 64]) + whole[index + 1 :]
        (folder / f"bad{index:03d}.npy").write_bytes(spoiled)
    rows = predicted_with_failure(capsys, shapes_run, folder, folder / "good.npy")
    assert ["error" in row for row in rows] == [True] * 8 + [False, False]


def test_a_pipe_in_a_folder_is_its_own_error_and_is_not_waited_for(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, images: Array, tmp_path: Path
) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    os.mkfifo(folder / "a.png")
    np.save(folder / "b.npy", images[:1])
    rows = predicted_with_failure(capsys, shapes_run, folder)
    assert ["error" in row for row in rows] == [True, False]


def test_a_prediction_is_told_apart_from_a_column_of_its_name_that_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text("a,price\n" + "".join(f"{row % 9},{row % 9 * 2.5}\n" for row in range(60)))
    settings: dict[str, Any] = {
        "name": "t", "data": {"dataset": {"name": "csv", "target": "price"}, "path": str(tmp_path / "t.csv")},
        "model": {"hidden_layers": []}, "loss": "mean_squared_error", "training": {"epochs": 1, "batch_size": 10},
    }  # fmt: skip
    run = nnscratch.train(settings, runs_dir=tmp_path / "runs", threads=1, plots=False, quiet=True).path
    capsys.readouterr()
    main(["predict", str(run), str(tmp_path / "t.csv"), "--csv", "--keep", "price"])
    header, first, *_ = capsys.readouterr().out.splitlines()
    assert header.split(",")[:3] == ["input", "price", "price_predicted"]
    assert first.split(",")[1] == "0.0"
