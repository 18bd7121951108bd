"""`nnscratch export`: what is written, what is refused, and that nothing is kept which answers otherwise."""

from __future__ import annotations

import json
import os
import runpy
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import nnscratch
from nnscratch.cli import main
from nnscratch.datasets.tables.columns import KINDS, Boolean, Category, Date, Missing, Number, Part
from nnscratch.datasets.tables.encoding import Schema, TableEncoding, UnknownLevels
from nnscratch.datasets.tables.parsing import FIRST, LAST
from nnscratch.errors import DataError, UserError
from nnscratch.export.export import export
from nnscratch.export.format import Answers
from nnscratch.export.numpy import NumPy
from nnscratch.export.numpy_columns import rows_of
from nnscratch.export.numpy_layers import Module, lines
from nnscratch.export.onnx import ONNX, OPSET, _input_names
from nnscratch.export.onnx_columns import _WAYS
from nnscratch.export.onnx_graph import Graph
from nnscratch.export.onnx_layers import nodes
from nnscratch.export.proof import Examples, random_examples
from nnscratch.export.safetensors import SafeTensors
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layers import Tanh
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.loaded import LoadedRun, load_run
from nnscratch.runs.weights_file import load_weights, read_safetensors
from nnscratch.training.scaling import UNCHANGED
from tests.export.conftest import Make


class Cube(Tanh):
    """y = x^3: a layer of somebody's own, derived from one that has an export."""

    def function(self, x: Array, y: Array) -> None:
        np.multiply(x, x * x, out=y)


def cube(x: Array) -> Array:
    """y = x^3"""
    return x * x * x


def with_cube(make: Make) -> LoadedRun:
    loaded = make(["flatten", "tanh", "dense"], (4, 3, 1))
    loaded.network.layers[1].__class__ = Cube
    return loaded


def exit_code(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words)])
    return int(ended.value.code or 0)


def libraries(*names: str) -> list[Any]:
    return [pytest.importorskip(name) for name in names]


def test_the_command_writes_into_the_run_and_says_how_it_answers(
    shapes_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    main(["export", str(shapes_run), "--to", "numpy", "--json"])
    said = json.loads(capsys.readouterr().out)
    folder = shapes_run / "export" / "numpy"
    assert said["path"] == str(folder)
    assert (said["proof"]["examples"], said["proof"]["origin"]) == (50, "test examples")
    assert said["proof"]["largest_difference"] < 1e-6
    assert said["proof"]["labels_that_differ"] == 0
    kept = json.loads((folder / "proof.json").read_text())
    assert {**kept, **said["proof"]} == kept
    assert sorted(each.name for each in folder.iterdir()) == ["model.npz", "model.py", "proof.json"]
    main(["export", str(shapes_run), "--to", "numpy"])
    assert "labels that differ: 0" in capsys.readouterr().out, "again: an earlier export in the run gives way"
    assert [each.name for each in (shapes_run / "export").iterdir()] == ["numpy"]


def test_what_is_there_is_never_replaced(shapes_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "kept.onnx"
    kept.write_text("mine")
    assert exit_code("export", shapes_run, "--to", "onnx", "-o", kept) == 2
    assert kept.read_text() == "mine"
    assert "is there already" in capsys.readouterr().err


def test_a_format_that_is_not_there_is_named_with_the_closest(
    shapes_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("export", shapes_run, "--to", "onxx") == 2
    message = capsys.readouterr().err
    assert "did you mean onnx?" in message
    assert "numpy, onnx, safetensors" in message


def test_a_run_without_its_data_is_compared_on_random_inputs_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, shapes_run: Path
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise DataError("no such folder")

    monkeypatch.setattr("nnscratch.export.proof.load_data", missing)
    main(["export", str(shapes_run), "--to", "numpy", "-o", str(tmp_path / "out")])
    said = capsys.readouterr()
    assert "no such folder" in said.err
    assert "random inputs" in said.err
    assert "random pictures" in said.out


def off(answers: Answers) -> Answers:
    return Answers(answers.numbers + 2e-5, answers.labels)


def mislabelled(answers: Answers) -> Answers:
    assert answers.labels is not None
    return Answers(answers.numbers, np.roll(answers.labels, 1))


def nameless(answers: Answers) -> Answers:
    return Answers(answers.numbers, np.full(len(answers.numbers), "nothing"))


def not_a_number(answers: Answers) -> Answers:
    return Answers(answers.numbers * np.nan, answers.labels)


@pytest.mark.parametrize("change", [off, mislabelled, nameless, not_a_number])
def test_an_export_that_answers_otherwise_is_not_kept(
    change: Callable[[Answers], Answers], make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, right = make(["flatten", "dense"], (4, 3, 1)), NumPy.answer
    monkeypatch.setattr(NumPy, "answer", lambda *arguments: change(right(*arguments)))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="does not answer as the run does"):
        export(NumPy(), loaded, tmp_path / "out", random_examples(loaded, 9))
    assert sorted(tmp_path.rglob("*")) == before


def test_an_earlier_export_stays_when_the_new_one_cannot_take_its_place(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, rename = make(["flatten", "dense"], (4, 3, 1)), os.rename
    export(NumPy(), loaded, tmp_path / "out", random_examples(loaded, 9))
    before = {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}

    def refuse(source: Path, target: Path) -> None:
        if target == tmp_path / "out" and source.suffix == ".tmp":
            raise PermissionError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(UserError, match=r"cannot write .*out: Permission denied"):
        export(NumPy(), loaded, tmp_path / "out", random_examples(loaded, 9))
    assert {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()} == before


def test_what_the_run_itself_rounds_away_is_not_held_against_an_export(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, right = make([{"conv": 4}, "batch_norm", "relu", "flatten", "dense"], (6, 6, 3)), nnscratch.Model.outputs
    monkeypatch.setattr(nnscratch.Model, "outputs", lambda *arguments: right(*arguments) * np.float32(1.001))
    proof = export(NumPy(), loaded, tmp_path / "out", random_examples(loaded, 20)).proof
    assert proof.origin == "random pictures, the run in float64"
    assert 0 < proof.difference < 1e-5


def test_a_label_of_two_that_are_equally_likely_is_no_difference(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, right = make(["flatten", "dense"], (4, 3, 1)), NumPy.answer
    dense = loaded.network.parameters.named()
    dense["1.dense.weight"][:, 1] = dense["1.dense.weight"][:, 0]
    dense["1.dense.bias"][1] = dense["1.dense.bias"][0]

    def other(*arguments: Any) -> Answers:
        answers = right(*arguments)
        assert answers.labels is not None
        return Answers(answers.numbers, np.where(answers.labels == "class 0", "class 1", answers.labels))

    monkeypatch.setattr(NumPy, "answer", other)
    proof = export(NumPy(), loaded, tmp_path / "out", random_examples(loaded, 50)).proof
    assert 0 < proof.labels_that_differ == proof.ties


@pytest.mark.parametrize("format", [ONNX(), NumPy()], ids=["onnx", "numpy"])
def test_a_layer_of_somebodys_own_is_refused_by_name_before_anything_is_written(
    format: ONNX | NumPy, make: Make
) -> None:
    with pytest.raises(UserError, match=rf"no export to {format.name} for 1\.tanh"):
        format.require(with_cube(make))


def test_a_plugin_brings_its_layers_own_export(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries("onnx", "onnxruntime")
    monkeypatch.setattr(nodes, "_ways", dict(nodes._ways))
    monkeypatch.setattr(lines, "_ways", dict(lines._ways))

    @nodes.of(Cube)
    def to_onnx(layer: Cube, graph: Graph, x: str) -> str:
        return graph.add("Pow", x, graph.numbers(3.0))

    @lines.of(Cube)
    def to_numpy(layer: Cube, module: Module, x: str, y: str) -> str:
        return module.call(y, cube, x)

    loaded = with_cube(make)
    for format in (ONNX(), NumPy()):
        format.require(loaded)
        assert export(format, loaded, tmp_path / format.name, random_examples(loaded, 20)).proof.failure is None
    assert "def cube(x: Array) -> Array:" in (tmp_path / "numpy" / "model.py").read_text()


def test_a_missing_library_is_named_with_what_installs_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = make(["flatten", "dense"], (4, 3, 1))
    monkeypatch.setattr("nnscratch.export.onnx.find_spec", lambda name: None)
    monkeypatch.setattr("nnscratch.export.safetensors.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs onnx and onnxruntime\n.*nnscratch\[onnx\]"):
        ONNX().require(loaded)
    with pytest.raises(UserError, match=r"nnscratch\[safetensors\]"):
        SafeTensors().require(loaded)


def test_an_onnx_file_is_standard_says_what_it_is_and_takes_any_number_of_pictures(
    shapes_run: Path, tmp_path: Path
) -> None:
    onnx, _ = libraries("onnx", "onnxruntime")
    from nnscratch.export.onnx import start

    loaded = load_run(shapes_run)
    path = tmp_path / "model.onnx"
    ONNX().write(loaded, path)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [each.domain for each in model.opset_import] == [""]
    assert {node.domain for node in model.graph.node} == {""}
    said = {each.key: each.value for each in model.metadata_props}
    assert json.loads(said["classes"]) == list(loaded.classes or ())
    assert said["digest"] == (shapes_run / "checkpoints" / "best.npz").read_bytes()[-64:].decode()
    session = start(path)
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == ("images", "tensor(uint8)", ["batch", 32, 32, 3])
    expected = nnscratch.load(shapes_run)
    for number in (1, 7):
        x = np.random.default_rng(number).integers(0, 256, (number, 32, 32, 3), np.uint8)
        label, p = session.run(["label", "probability"], {"images": x})
        assert label.tolist() == expected.predict(x).tolist()
        np.testing.assert_allclose(p, expected.probabilities(x), atol=1e-6)


def test_the_opset_is_the_newest_that_onnxruntime_reads() -> None:
    onnx, onnxruntime = libraries("onnx", "onnxruntime")
    constraints = (Path(__file__).parents[2] / ".ci" / "constraints.txt").read_text()
    if f"onnxruntime=={onnxruntime.__version__}\n" not in constraints:
        pytest.skip(f"written for another onnxruntime than {onnxruntime.__version__}")
    assert onnx.defs.onnx_opset_version() == OPSET


def test_a_tables_columns_are_inputs_by_name(make: Make, tmp_path: Path) -> None:
    libraries("onnx", "onnxruntime")
    from nnscratch.export.onnx import start

    loaded = make(["dense"], (3,), images=False, feature_names=("age", "income", "label"))
    ONNX().write(loaded, tmp_path / "model.onnx")
    session = start(tmp_path / "model.onnx")
    assert [each.name for each in session.get_inputs()] == ["age", "income", "feature label"]
    column = np.ones((2, 1), np.float32)
    label, _ = session.run(None, {"age": column, "income": column, "feature label": column})
    assert label.tolist() == nnscratch.Model(loaded).predict([[1, 1, 1]] * 2).tolist()


def test_numbers_and_categories_of_a_table_are_encoded_in_the_onnx_file(make: Make, tmp_path: Path) -> None:
    libraries("onnx", "onnxruntime")
    from nnscratch.export.onnx import start

    columns = (
        Number("year", 1990.0, True, centre=2000.0),
        Boolean("paid", 1.0),
        Category("town", 1.0, True, levels=("Bonn", "Köln", "Ulm", "Aalen"), own=2),
        Category("size", 0.0, False, levels=("L", "S"), own=2),
    )
    encoding = TableEncoding(Schema(columns, names=tuple(column.name for column in columns)))
    features = encoding.features
    loaded = make(["dense"], (len(features),), images=False, feature_names=features, encoding=encoding)
    codes = np.array([[2001.5, 0, 0, 1], [np.nan, 1, 3, 0], [1980, np.nan, np.nan, -1], [2010, 1, -1, 1]])
    stored = encoding.encode(codes)
    made = export(ONNX(), loaded, tmp_path / "model.onnx", Examples(stored, "rows"))
    assert not made.takes_encoded_features
    session = start(tmp_path / "model.onnx")
    given = {
        "year": np.array([[2001.5], [np.nan], [1980], [2010]]),
        "paid": np.array([[0.0], [1], [np.nan], [1]]),
        "town": np.array([["Bonn"], ["Aalen"], [""], ["Paris"]], object),
        "size": np.array([["S"], ["L"], ["XL"], ["S"]], object),
    }
    assert [(each.name, each.type) for each in session.get_inputs()] == [
        ("year", "tensor(double)"), ("paid", "tensor(double)"), ("town", "tensor(string)"), ("size", "tensor(string)"),
    ]  # fmt: skip
    (p,) = session.run(["probability"], given)
    np.testing.assert_allclose(p, loaded.probabilities(nnscratch.Model(loaded).outputs(stored)), atol=1e-6)
    assert not export(NumPy(), loaded, tmp_path / "out", Examples(stored, "rows")).takes_encoded_features
    assert export(SafeTensors(), loaded, tmp_path / "file", Examples(stored, "rows")).takes_encoded_features


@pytest.mark.parametrize("missing", ["auto", "drop"])
def test_what_the_run_refuses_has_no_label_and_no_probability_in_onnx(
    missing: Missing, make: Make, tmp_path: Path
) -> None:
    libraries("onnx", "onnxruntime")
    from nnscratch.export.onnx import start

    town_of = Category("town", 0.0, levels=("Bonn", "Ulm", "Aalen"), own=2)
    columns = (Number("price", 2.0, unit="M"), Boolean("paid", 1.0), town_of)
    unknown: UnknownLevels = "other" if missing == "auto" else "error"
    encoding = TableEncoding(Schema(columns, missing, unknown, tuple(column.name for column in columns)))
    loaded = make(
        [{"dense": 4}, "relu", "dense"], (5,), images=False, feature_names=encoding.features, encoding=encoding
    )
    made = export(ONNX(), loaded, tmp_path / "model.onnx", random_examples(loaded))
    assert made.to_text().splitlines()[-1] == "its inputs are numbers without their unit: 'price' in M"
    session = start(tmp_path / "model.onnx")
    rows: list[tuple[float, float, str, bool]] = [
        (2.5, 1, "Bonn", True), (1e39, 1, "Bonn", False), (float("inf"), 0, "Ulm", False), (2.5, 2, "Ulm", False),
        (2.5, 0.5, "Ulm", False), (2.5, -float("inf"), "Ulm", False), (-3e8, 0, "Aalen", True),
        (float("nan"), 1, "Bonn", missing == "auto"), (2.5, float("nan"), "Bonn", missing == "auto"),
        (2.5, 1, "", missing == "auto"), (2.5, 1, "Rome", missing == "auto"),
    ]  # fmt: skip
    price, paid, town, is_answered = (np.array(each, object).reshape(-1, 1) for each in zip(*rows, strict=True))
    label, p = session.run(None, {"price": price.astype(float), "paid": paid.astype(float), "town": town})
    assert ((label != "").tolist(), (~np.isnan(p).any(axis=1)).tolist()) == (is_answered[:, 0].tolist(),) * 2


def test_columns_that_are_called_as_an_output_have_names_of_their_own() -> None:
    assert _input_names(["label", "feature label", "a", "/b", ""]) == [
        "feature feature label", "feature label", "a", "feature /b", "feature ",
    ]  # fmt: skip


def test_every_kind_of_column_has_a_way_into_onnx() -> None:
    assert set(_WAYS) == set(KINDS.values())


def moments() -> Array:
    """Where years, leap days, weeks and days begin and end, from 1600 to 2400, and moments between."""
    edges = np.array(
        [f"{year}-{day}" for year in (1600, 1699, 1900, 1969, 1970, 2000, 2023, 2024, 2100, 2400)
         for day in ("01-01", "02-28", "03-01", "12-31")], "datetime64[s]"
    ).astype(float)  # fmt: skip
    rng = np.random.default_rng(0)
    return np.concatenate([edges, edges + 86399, edges + 43200, np.rint(rng.uniform(-1e10, 1e10, 200)), [np.nan]])


@pytest.mark.parametrize("parts", [("year", "week", "day"), ("year", "week"), ("day",), ()])
def test_a_calendar_is_encoded_in_the_onnx_file_and_in_model_py(
    parts: tuple[Part, ...], make: Make, tmp_path: Path
) -> None:
    libraries("onnx", "onnxruntime")
    from nnscratch.export.onnx import start

    column = Date("when", 86400.0 * 9876, True, format="%Y-%m-%d %H:%M:%S", origin=-1e10, parts=parts)
    encoding = TableEncoding(Schema((column,), names=("when",)))
    width = len(encoding.features)
    # The circles alone: of days in thousands of years, float32 keeps seconds to minutes.
    weights = {"0.dense.weight": np.random.default_rng(1).normal(size=(width, 3)).astype(np.float32),
               "0.dense.bias": np.zeros(3, np.float32)}  # fmt: skip
    weights["0.dense.weight"][0] *= 1e-5
    loaded = make(["dense"], (width,), images=False, feature_names=encoding.features, encoding=encoding,
                  weights=(weights, {}), scaling=UNCHANGED)  # fmt: skip
    values = moments()[:, np.newaxis]
    expected = loaded.probabilities(nnscratch.Model(loaded).outputs(encoding.encode(values)))
    ONNX().write(loaded, tmp_path / "model.onnx")
    session = start(tmp_path / "model.onnx")
    assert [(each.name, each.type) for each in session.get_inputs()] == [("when", "tensor(double)")]
    known = ~((values[:, 0] < FIRST) | (values[:, 0] > LAST))
    p = session.run(["probability"], {"when": values})[0]
    np.testing.assert_allclose(p, np.where(known[:, np.newaxis], expected, np.nan), atol=1e-5)
    NumPy().write(loaded, tmp_path / "numpy")
    model = SimpleNamespace(**runpy.run_path(str(tmp_path / "numpy" / "model.py")))
    rows = [
        {"when": None if np.isnan(each) else str(np.datetime64(int(each), "s")).replace("T", " ")}
        for each in values[known, 0]
    ]
    np.testing.assert_allclose(model.probabilities(rows), expected[known], atol=1e-5)


def run_of(folder: Path, text: str, dataset: dict[str, Any] | None = None, encoding: str = "utf-8") -> Path:
    """A run of one epoch on the table folder/table.csv, which has this text."""
    (folder / "table.csv").write_bytes(text.encode(encoding))
    data = {"dataset": {"name": "csv"} | (dataset or {}), "path": str(folder / "table.csv"), "scaling": "standardize"}
    settings = {
        "name": "table", "data": data, "model": {"hidden_layers": [6]}, "training": {"epochs": 1, "batch_size": 20},
    }  # fmt: skip
    return nnscratch.train(settings, runs_dir=folder / "runs", threads=1, plots=False, quiet=True).path


TABLE = """when;amount;paid;town;empty
03.01.2022;1.234,5;yes;Bonn;
31.12.2023;-3,25;no;Köln;4
29.02.2024;2 500;Y;Ulm;5
n/a;7;no;Bonn;6
01.07.2022;1e3;yes;;7
05.05.2023;(12,5);no;Paris;?
"""


def test_a_model_py_reads_a_table_of_text_dates_and_gaps_as_predict_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    lines = ["when;amount;paid;town;empty;t"]
    for row in range(80):
        day, month, year = rng.integers(1, 28), rng.integers(1, 13), rng.integers(2021, 2025)
        amount = f"{rng.normal(0, 100):.2f}".replace(".", ",")
        town, paid = rng.choice(["Bonn", "Köln", "Ulm"]), rng.choice(["yes", "no"])
        lines.append(f"{day:02}.{month:02}.{year};{amount};{paid};{town};{'' if row % 5 == 0 else row};{'ab'[row % 2]}")
    run = run_of(tmp_path, "\n".join(lines), {"target": "t"})
    (tmp_path / "rows.csv").write_text(TABLE, encoding="utf-8")
    model = nnscratch.load(run)
    with pytest.warns(UserWarning, match=r"^3 of 6 inputs have what training had not, as .*rows\.csv:5: when is empty"):
        expected = model.probabilities(tmp_path / "rows.csv")
    libraries("onnx", "onnxruntime", "safetensors")
    for format in ("numpy", "onnx", "safetensors"):
        main(["export", str(run), "--to", format, "-o", str(tmp_path / format)])
    (tmp_path / "table.csv").unlink()
    for format in ("numpy", "onnx", "safetensors"):
        main(["export", str(run), "--to", format, "-o", str(tmp_path / "random" / format)])
    assert capsys.readouterr().err.count("compared on random inputs") == 3
    command = [sys.executable, str(tmp_path / "numpy" / "model.py"), "rows.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, encoding="utf-8")
    shown = [line.split("  ")[1].split() for line in done.stdout.splitlines()]
    classes = model.classes or ()
    assert shown == [[classes[row.argmax()], f"{row.max():.1%}"] for row in expected]
    exported = SimpleNamespace(**runpy.run_path(str(tmp_path / "numpy" / "model.py")))
    rows = list(exported.read_table(str(tmp_path / "rows.csv"), []).values())
    np.testing.assert_allclose(exported.probabilities(rows), expected, atol=1e-6)
    assert exported.predict(rows).tolist() == [classes[row.argmax()] for row in expected]
    for name, cell in (("amount", "1,2,3"), ("when", "soon"), ("paid", "maybe")):
        with pytest.raises(ValueError, match=f"row 2: column '{name}' is '{cell}', not a "):
            exported.features([rows[0], rows[1] | {name: cell}])


def test_a_number_without_its_k_is_refused_by_predict_and_by_model_py_alike(tmp_path: Path) -> None:
    lines = ["f,y", *(f"{row / 4}k,{'ab'[row % 3 // 2]}" for row in range(60))]
    run = run_of(tmp_path, "\n".join(lines))
    main(["export", str(run), "--to", "numpy", "-o", str(tmp_path / "numpy"), "--quiet"])
    (tmp_path / "rows.csv").write_text("f\n1.5k\n1500\n0\n")
    model = nnscratch.load(run)
    with pytest.raises(UserError, match=r"rows\.csv:3: column 'f' is '1500', not a number with k behind it$"):
        model.predict(tmp_path / "rows.csv")
    status, lines, errors = by_model_py(tmp_path, "rows.csv")
    assert (status, errors) == (1, ["rows.csv:3: column 'f' is '1500', not a number"])
    (tmp_path / "good.csv").write_text("f\n1.5k\n0\n")
    assert [line.split("  ")[1].split()[0] for line in lines] == list(model.predict(tmp_path / "good.csv"))


def test_dates_levels_and_numbers_mean_the_same_to_predict_and_to_model_py(tmp_path: Path) -> None:
    """What each row is read as, or in both that it cannot be read."""
    lines = ["day,at,code,size,price,y"]
    for row in range(80):
        code, size = row % 3 + 1, ("1.1", "10.0", "2.5")[row % 3]
        day = f"{row % 28 + 1:02d}.{row % 12 + 1:02d}.2021"
        lines.append(
            f"{day},2021-05-{row % 28 + 1:02d} {row % 24:02d}:34:10,{code},{size},{row / 8}M,{'ab'[row % 7 // 4]}"
        )
    run = run_of(tmp_path, "\n".join(lines), {"columns": {"code": "category", "size": "category"}})
    main(["export", str(run), "--to", "numpy", "-o", str(tmp_path / "numpy"), "--quiet"])
    model = nnscratch.load(run)
    exported = SimpleNamespace(**runpy.run_path(str(tmp_path / "numpy" / "model.py")))
    one = {"day": "13.05.2021", "at": "2021-05-13 07:34:10", "code": "2", "size": "10.0", "price": "2.5M"}
    good: list[tuple[str, Any]] = [
        *(("at", at) for at in ("2021-05-13 07:34", "2021-05-13T10:00", "2021-05-13T10:00:00 UTC", "2021-05-13",
                                "2021-05-13T10:00:00z", "2021-05-13 10:00:00.1234567", "2021-05-13T10:00:00.5+02:00")),
        *(("day", day) for day in ("1.5.2021", "2021-05-13T10:00", "31.12.9999", "01.01.0001")),
        *(("code", code) for code in (2, 2.0, "2.0", np.float64(3), np.int64(1))),
        *(("size", size) for size in (1.1, 10.0, 10, "10", 2.5)),
        *(("price", price) for price in (" 2.5 M ", "2.5e1M", 0, "0")),
    ]  # fmt: skip
    for name, cell in good:
        (expected,) = model.probabilities([one | {name: cell}])
        np.testing.assert_allclose(
            exported.probabilities([one | {name: cell}])[0], expected, atol=1e-6, err_msg=repr(cell)
        )
    for name, cell in (("code", 2.0), ("size", 10.0), ("size", "10")):
        np.testing.assert_array_equal(exported.features([one | {name: cell}]), exported.features([one]))
    bad: list[tuple[str, Any]] = [
        *(("day", day) for day in ("13.05.21", "13.05.021", 20210513)),
        ("at", "2021-05-13 7:3"), ("price", 2_500_000), ("price", " 2500000 "), ("price", "2500000"), ("price", True),
    ]  # fmt: skip
    for name, cell in bad:
        with pytest.raises(DataError, match=f"row 0: column '{name}' is .*, not a "):
            model.predict([one | {name: cell}])
        with pytest.raises(ValueError, match=f"row 1: column '{name}' is .*, not a "):
            exported.predict([one | {name: cell}])


@pytest.mark.parametrize(
    ("format", "fill"),
    [("%H:%M", 46395.5), ("%b %Y", 1629115200.0), ("%d.%m.%Y", 1629000000.0), ("%Y-%m-%d", 1e9 + 0.25)],
)
def test_moments_of_every_notation_go_into_model_py_as_text(
    format: str, fill: float, make: Make, tmp_path: Path
) -> None:
    """Also what fills a gap, which may lie between two that its notation has."""
    origin = 0.0 if format == "%H:%M" else 1609459200.0
    column = Date("t", fill, format=format, origin=origin, parts=("year", "day"))
    encoding = TableEncoding(Schema((column,), names=("t",)))
    loaded = make(["dense"], (5,), images=False, feature_names=encoding.features, encoding=encoding)
    rows = random_examples(loaded).stored
    filled = np.vstack([rows, encoding.encode(np.array([[fill]]))])
    made = export(NumPy(), loaded, tmp_path / "out", Examples(filled, "rows"))
    assert made.proof.difference < 1e-6
    cells = [row["t"] for row in rows_of(encoding, rows)]
    assert not encoding.columns[0].read(pl.Series(cells))[1].any()


def test_rows_of_other_cells_totals_and_two_columns_of_one_name_are_to_model_py_what_they_are_to_predict(
    tmp_path: Path,
) -> None:
    run_of_a_german_table(tmp_path)
    rows = ["größe;stadt;netto", "1,5;Köln;2,25", "2,5;Bonn", "88,5;Bonn;1,75", "Total;;", "Quelle: Amt"]
    (tmp_path / "rows.csv").write_text("\n".join(rows), encoding="utf-8")
    status, lines, errors = by_model_py(tmp_path, "rows.csv")
    assert (status, [line.split("  ")[0] for line in lines]) == (1, ["rows.csv:2", "rows.csv:4"])
    assert errors == ["rows.csv:3: 2 cells, not 3"]
    (tmp_path / "twice.csv").write_text("größe;stadt;netto;größe\n1,5;Köln;2,25;7\n", encoding="utf-8")
    assert by_model_py(tmp_path, "twice.csv") == (1, [], ["twice.csv: two columns are called 'größe'"])


@pytest.mark.parametrize("white", [None, 1.0, 4095.0])
def test_a_model_py_takes_the_pixels_that_predict_takes(white: float | None, make: Make, tmp_path: Path) -> None:
    loaded = replace(make(["flatten", "dense"], (4, 3, 1)), white=white)
    exported = exported_to(tmp_path, loaded)
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 1))
    for given in (images.astype(np.uint8), images * 1.0, images / 255, images.astype(np.uint16) * 16, images - 0.5):
        try:
            expected = nnscratch.Model(loaded).probabilities(given)
        except DataError:
            with pytest.raises(ValueError, match=r"pixels must be whole numbers 0\.\.255"):
                exported.probabilities(given)
        else:
            np.testing.assert_allclose(exported.probabilities(given), expected, atol=1e-6)


GREY = [(4, 3, 1), (4, 3), (12,), (5, 4, 3, 1), (5, 4, 3), (5, 12), (1, 4, 3), (5, 1, 4, 3), (0, 4, 3, 1)]
COLOUR = [(4, 3, 2), (24,), (5, 4, 3, 2), (5, 24), (2, 4, 3), (5, 2, 4, 3)]
NEITHER = [(), (3, 4), (5, 3, 4, 1), (5, 4, 3, 3), (60,), (2, 5, 4, 3)]


@pytest.mark.parametrize("given", [*GREY, *COLOUR])
def test_a_model_py_takes_the_shapes_that_predict_takes(given: tuple[int, ...], make: Make, tmp_path: Path) -> None:
    loaded = make(["flatten", "dense"], (4, 3, 1 if given in GREY else 2))
    exported = exported_to(tmp_path, loaded)
    images = np.random.default_rng(0).integers(0, 256, given).astype(np.uint8)
    expected = nnscratch.Model(loaded).probabilities(images)
    np.testing.assert_allclose(exported.probabilities(images), expected, atol=1e-6)


@pytest.mark.parametrize("given", NEITHER)
def test_a_model_py_says_which_shapes_it_takes(given: tuple[int, ...], make: Make, tmp_path: Path) -> None:
    exported = exported_to(tmp_path, make(["flatten", "dense"], (4, 3, 1)))
    with pytest.raises(ValueError, match=r"neither one example \(4, 3, 1\) nor many \(N, 4, 3, 1\)"):
        exported.probabilities(np.zeros(given, np.uint8))


def exported_to(folder: Path, loaded: LoadedRun) -> SimpleNamespace:
    """What model.py of that run has."""
    export(NumPy(), loaded, folder / "out", random_examples(loaded, 20))
    return SimpleNamespace(**runpy.run_path(str(folder / "out" / "model.py")))


def run_of_a_german_table(folder: Path) -> Path:
    """A run of a table in Windows-1252 with decimal commas, a text for gaps and a unit, exported to folder/numpy."""
    lines = ["größe;stadt;netto;t"]
    sizes = ["unbekannt" if row in (3, 40) else f"{row},{row % 7}" for row in range(60)]
    lines += [f"{sizes[row]};{('Köln', 'Bonn')[row % 2]};{row},25 kg;{'ab'[row % 3 // 2]}" for row in range(60)]
    run = run_of(folder, "\r\n".join(lines), {"target": "t"}, "cp1252")
    main(["export", str(run), "--to", "numpy", "-o", str(folder / "numpy"), "--quiet"])
    return run


def by_model_py(folder: Path, *files: str) -> tuple[int, list[str], list[str]]:
    """The status of folder/numpy/model.py for these files, and its lines of output and of errors."""
    command = [sys.executable, str(folder / "numpy" / "model.py"), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, encoding="utf-8")
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def test_a_model_py_reads_encodings_and_decimal_marks_as_predict_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = nnscratch.load(run_of_a_german_table(tmp_path))
    header = "größe,stadt,netto,other"
    tables = {
        "points.csv": f"{header}\n1.5,Köln,2.25kg,\n\n88.5,Bonn,1.75,7\n".encode(),
        "open.csv": f'{header}\n"1,234",Köln,5,"2,5"\n"1,234",Köln,5,"2,5"\n'.encode("utf-16"),  # as `other` says
        "thousands.csv": f'{header}\n"1,234",Köln,5.5,2.5\n'.encode("utf-8-sig"),
        "other.csv": f'{header}\n"1,234",Köln,5,2.5\n'.encode(),
    }
    for name, text in tables.items():
        (tmp_path / name).write_bytes(text)
    monkeypatch.chdir(tmp_path)
    for name in ("table.csv", *tables):
        answers = zip(model.predict(name), model.probabilities(name), strict=True)
        expected = [f"{label} {p.max():.1%}" for label, p in answers]
        status, lines, errors = by_model_py(tmp_path, name)
        assert (status, errors) == (0, [])
        assert [line.split("  ")[1] for line in lines] == expected, name
    assert [line.split("  ")[0] for line in by_model_py(tmp_path, "points.csv")[1]] == ["points.csv:2", "points.csv:4"]


def test_a_row_that_a_model_py_cannot_read_is_one_line_and_costs_no_other(tmp_path: Path) -> None:
    run_of_a_german_table(tmp_path)
    rows = ["größe;stadt;netto", "1.5;Köln;2.25", "abc;Bonn;1.75", "88.5;Bonn;1e39", "2.5;Bonn;1.75"]
    (tmp_path / "rows.csv").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "good.csv").write_text("\n".join([rows[0], rows[1], rows[4]]), encoding="utf-8")
    status, lines, errors = by_model_py(tmp_path, "rows.csv")
    assert status == 1
    assert [line.partition("  ")[2] for line in lines] == [
        line.partition("  ")[2] for line in by_model_py(tmp_path, "good.csv")[1]
    ]
    assert errors == [
        "rows.csv:3: column 'größe' is 'abc', not a number",
        "rows.csv:4: column 'netto' is '1e39', not a number",
    ]
    (tmp_path / "other.csv").write_text("a;b\n1;2\n")
    (tmp_path / "ragged.csv").write_text("größe;stadt;netto\n1;Bonn\n", encoding="utf-8")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "russian.csv").write_bytes("größe;stadt;netto\n".encode() + "1;Москва;2\n".encode("cp1251"))
    files = ("other.csv", "ragged.csv", "empty.csv", "russian.csv", "none.csv", "good.csv")
    status, lines, errors = by_model_py(tmp_path, *files)
    assert (status, len(lines)) == (1, 2)
    assert [error.partition(": ")[2] for error in errors] == [
        "no column 'größe', 'stadt', 'netto'",
        "ragged.csv:2 has 2 cells, not 3",
        "no rows in it",
        "no UTF-8, and not of Latin letters: save it as UTF-8",
        "[Errno 2] No such file or directory: 'none.csv'",
    ]


def test_safetensors_hold_the_weights_by_name_with_config_classes_and_scaling_in_the_header(
    shapes_run: Path, tmp_path: Path
) -> None:
    libraries("safetensors")
    loaded, path = load_run(shapes_run), tmp_path / "model.safetensors"
    SafeTensors().write(loaded, path)
    header, arrays = read_safetensors(path)
    named = loaded.network.parameters.named()
    assert arrays.keys() == named.keys()
    for name, array in named.items():
        np.testing.assert_array_equal(arrays[name], array)
    assert json.loads(header["classes"]) == list(loaded.classes or ())
    assert np.array_equal(json.loads(header["scaling"])["multiplier"], loaded.affine.multiplier)
    assert "hidden_layers:" in header["config"]


def test_a_regression_far_from_zero_is_exported_as_safetensors(tmp_path: Path) -> None:
    libraries("safetensors")
    lines = ["a,built", *(f"{row % 17},{20_000 + row % 17 * 0.37 + row % 5 * 0.13:.2f}" for row in range(200))]
    (tmp_path / "years.csv").write_text("\n".join(lines) + "\n")
    data = {"dataset": {"name": "csv", "target": "built", "task": "regression"}, "path": str(tmp_path / "years.csv")}
    run = nnscratch.train(
        {"name": "years", "data": data, "model": {"hidden_layers": [8]}, "loss": "mean_squared_error",
         "training": {"epochs": 3}},
        runs_dir=tmp_path / "runs", threads=1, plots=False, quiet=True,
    ).path  # fmt: skip
    main(["export", str(run), "--to", "safetensors", "-o", str(tmp_path / "out")])


def test_a_training_starts_from_a_safetensors_export_as_from_its_run(shapes_run: Path, tmp_path: Path) -> None:
    libraries("safetensors")
    file = tmp_path / "model.safetensors"
    SafeTensors().write(load_run(shapes_run), file)
    weights = []
    for number, start in enumerate((shapes_run, file)):
        run = nnscratch.train(
            shapes_run / "config.yaml", runs_dir=tmp_path / "new", threads=1, plots=False, quiet=True,
            name=f"from_{number}", model={"start_from": {"run": str(start)}}, training={"epochs": 1},
        )  # fmt: skip
        weights.append(run.load("last").network.parameters.theta)
    np.testing.assert_array_equal(weights[0], weights[1])


def test_a_regression_that_starts_from_its_export_says_what_its_run_says(tmp_path: Path) -> None:
    libraries("safetensors")
    lines = ["a,price", *(f"{row % 17},{20_000 + row % 17 * 370 + row % 5 * 13}" for row in range(200))]
    (tmp_path / "prices.csv").write_text("\n".join(lines) + "\n")
    data = {"dataset": {"name": "csv", "target": "price", "task": "regression"}, "path": str(tmp_path / "prices.csv")}
    how: dict[str, Any] = {"data": data, "model": {"hidden_layers": []}, "loss": "mean_squared_error"}
    quiet: dict[str, Any] = {"runs_dir": tmp_path / "runs", "threads": 1, "plots": False, "quiet": True}
    before = nnscratch.train({**how, "training": {"epochs": 3}}, **quiet)
    SafeTensors().write(load_run(before.path), tmp_path / "model.safetensors")
    how["model"]["start_from"] = str(tmp_path / "model.safetensors")
    after = nnscratch.train({**how, "training": {"epochs": 0}}, **quiet)
    x = np.arange(5, dtype=np.float32)[:, None]
    said = [loaded.values(loaded.outputs_of(x)) for loaded in (load_run(before.path), load_run(after.path))]
    np.testing.assert_array_equal(said[0], said[1])


def test_another_safetensors_file_is_refused_as_a_start(tmp_path: Path) -> None:
    libraries("safetensors")
    from safetensors.numpy import save_file

    save_file({"w": np.ones(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="was not exported by nnscratch"):
        load_weights(tmp_path / "other.safetensors")


@pytest.mark.parametrize("contents", [b"", b"nonsense", b"\xff" * 64])
def test_what_is_no_safetensors_file_is_refused(contents: bytes, tmp_path: Path) -> None:
    libraries("safetensors")
    (tmp_path / "bad.safetensors").write_bytes(contents)
    with pytest.raises(DataError, match="not a safetensors file"):
        read_safetensors(tmp_path / "bad.safetensors")
    with pytest.raises(DataError, match="there is no file"):
        read_safetensors(tmp_path / "none.safetensors")


def test_safetensors_answer_alike_in_pytorch_as_the_page_shows(
    make: Make, tmp_path: Path, oracle: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    oracle("torch")
    libraries("safetensors")
    layers = [
        {"conv": 4},
        "batch_norm",
        "relu",
        {"max_pool": 2},
        {"conv": {"channels": 6, "padding": "valid", "bias": False}},
        {"batch_norm": {"scale": False}},
        "gelu",
        {"dropout": 0.1},
        {"average_pool": {"size": 2, "stride": 1}},
        "flatten",
        {"dense": 8},
        "layer_norm",
        "silu",
        {"scale": 2},
        "tanh",
        {"dense": {"bias": False}},
    ]
    loaded = make(layers, (8, 8, 3))
    SafeTensors().write(loaded, tmp_path / "model.safetensors")
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    code = page.partition("```python\n# in PyTorch")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    x = random_examples(loaded, 10).stored
    known: dict[str, Any] = {"images": x}
    exec(compile(code, "export.md", "exec"), known)
    np.testing.assert_allclose(known["p"].numpy(), nnscratch.Model(loaded).probabilities(x), atol=1e-5)


def test_a_model_py_needs_numpy_alone_and_answers_for_a_picture(shapes_run: Path, tmp_path: Path) -> None:
    main(["export", str(shapes_run), "--to", "numpy", "-o", str(tmp_path / "out"), "--quiet"])
    Image.new("RGB", (40, 20), "orange").save(tmp_path / "orange.png")
    command = [sys.executable, str(tmp_path / "out" / "model.py"), str(tmp_path / "orange.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    expected = nnscratch.load(shapes_run).predict(tmp_path / "orange.png")[0]
    assert done.stdout.split()[1] == expected
    (tmp_path / "none.png").write_bytes(b"no picture")
    done = subprocess.run([*command, "none.png"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout.split()[1]) == (1, expected)
    assert done.stderr.splitlines()[0].startswith("none.png: cannot identify image file")
    text = (tmp_path / "out" / "model.py").read_text()
    assert "nnscratch." not in text
    assert len(text.splitlines()) < 300


def test_a_model_py_without_files_says_how_it_is_used_and_takes_pixels_alone(shapes_run: Path, tmp_path: Path) -> None:
    main(["export", str(shapes_run), "--to", "numpy", "-o", str(tmp_path / "numpy"), "--quiet"])
    status, lines, _ = by_model_py(tmp_path)
    assert (status, "    python model.py picture.png" in lines) == (1, True)
    assert by_model_py(tmp_path, "--help")[:2] == (0, lines)
    exported = SimpleNamespace(**runpy.run_path(str(tmp_path / "numpy" / "model.py")))
    image = np.zeros((1, 32, 32, 3))
    assert exported.predict(image).shape == (1,)
    for wrong in (image - 1, image + 256, image * np.nan):
        with pytest.raises(ValueError, match=r"pixels must be whole numbers 0\.\.255"):
            exported.predict(wrong)


def test_a_model_py_of_a_table_reads_its_rows_by_name(make: Make, tmp_path: Path) -> None:
    loaded = make(["dense"], (2,), images=False, feature_names=("a", "b"), regression=True)
    export(NumPy(), loaded, tmp_path / "out", random_examples(loaded))
    (tmp_path / "rows.csv").write_text("b,other,a\n2,x,1\n4,y,3\n")
    command = [sys.executable, str(tmp_path / "out" / "model.py"), "rows.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    first = nnscratch.Model(loaded).predict([[1, 2]])[0]
    assert done.stdout.splitlines()[0].split("  ")[1:] == [f"y{i} {v:.6g}" for i, v in enumerate(first)]
    (tmp_path / "rows.csv").write_text("b,a\n2,1\n4,oops\n")
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 1)
    assert done.stderr == "rows.csv:3: could not convert string to float: 'oops'\n"


def deep_colour(pixels: np.ndarray) -> bytes:
    """A PNG with 16 bits for each of three colours, and perhaps alpha, which Pillow reads but does not write."""
    height, width, channels = pixels.shape
    kind = {3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)), (b"IDAT", zlib.compress(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in [*chunks, (b"IEND", b"")]
    )


def pictures(folder: Path) -> list[Path]:
    """Of every mode and size that reading them treats in its own way."""
    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 256, (21, 34, 3), np.uint8))
    transparent = Image.fromarray(rng.integers(0, 256, (16, 16, 4), np.uint8))
    sixteen = Image.fromarray(rng.integers(0, 65536, (9, 9), np.uint16))
    twelve = Image.fromarray(rng.integers(0, 4096, (9, 9), np.uint16))
    fractions = Image.fromarray(rng.random((9, 9), np.float32))
    turned = Image.Exif()
    turned[0x0112] = 6
    colours.save(folder / "colours.png")
    colours.resize((4, 3)).save(folder / "small.bmp")
    colours.resize((300, 200)).save(folder / "large.jpg", exif=turned)
    colours.quantize(8).save(folder / "palette.gif")
    transparent.save(folder / "transparent.png")
    sixteen.save(folder / "sixteen.png")
    twelve.save(folder / "twelve.png")
    twelve.save(folder / "twelve.tif", exif=turned)
    fractions.save(folder / "fractions.tif")
    Image.fromarray(np.linspace(-1, 1, 81, dtype=np.float32).reshape(9, 9)).save(folder / "below.tif")
    Image.fromarray(np.linspace(0, 1.01, 81, dtype=np.float32).reshape(9, 9)).save(folder / "above.tif")
    Image.fromarray(np.linspace(0, 5, 81, dtype=np.float32).reshape(9, 9)).save(folder / "five.tif")
    (folder / "alpha.png").write_bytes(deep_colour(rng.integers(0, 4096, (7, 8, 4), np.uint16)))
    (folder / "deep.png").write_bytes(deep_colour(rng.integers(0, 65536, (7, 8, 3), np.uint16)))
    return sorted(folder.iterdir())


@pytest.mark.parametrize("white", [None, 255.0, 4095.0, 65535.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_model_py_reads_pictures_as_predict_does(channels: int, white: float | None, tmp_path: Path) -> None:
    from nnscratch.datasets.formats.images import read_picture as read
    from nnscratch.export.formulas import read_picture

    refused = []
    for path in pictures(tmp_path):
        try:
            expected = read(path, 12, 10, channels, white)
            expected.compared(path, white)
        except DataError:
            refused.append(path.stem)
            with pytest.raises(ValueError, match="pixels from"):
                read_picture(str(path), 12, 10, channels, white)
            continue
        np.testing.assert_array_equal(
            read_picture(str(path), 12, 10, channels, white)[0], expected.pixels, err_msg=path.name
        )
    deeper = {255.0: ["alpha", "deep", "sixteen", "twelve", "twelve"], 4095.0: ["deep", "sixteen"]}.get(white or 0, [])
    assert refused == sorted([*deeper, "below"])


def test_a_model_py_knows_what_was_white_in_the_pictures_of_its_run(make: Make, tmp_path: Path) -> None:
    loaded = replace(make(["flatten", "dense"], (4, 3, 1)), white=4095.0)
    export(NumPy(), loaded, tmp_path / "out", random_examples(loaded, 20))
    assert "read_picture(path, 4, 3, 1, 4095.0)" in (tmp_path / "out" / "model.py").read_text()


def test_a_model_py_of_a_run_of_before_takes_bytes_and_pictures_as_that_took_them(make: Make, tmp_path: Path) -> None:
    loaded = replace(make(["flatten", "dense"], (4, 3, 1)), white=4095.0, one_white=False)
    assert export(NumPy(), loaded, tmp_path / "out", random_examples(loaded, 20)).proof.failure is None
    text = (tmp_path / "out" / "model.py").read_text()
    assert "read_picture(path, 4, 3, 1, 4095.0, True)" in text
    assert "x = x if x.dtype == np.uint8 else pixels(x, 4095.0, False)" in text


def test_nothing_that_a_run_says_becomes_code(make: Make, tmp_path: Path) -> None:
    bad = '"""\nimport os; os.abort()\n#'
    folder = tmp_path / "x'); import os; os.abort() #"
    folder.mkdir()
    loaded = make(["flatten", "dense"], (4, 3, 1))
    loaded = replace(loaded, classes=(bad, "b", "c"), run=RunDirectory(folder))
    made = export(NumPy(), loaded, tmp_path / "out", random_examples(loaded, 20))
    assert made.proof.failure is None
    text = (tmp_path / "out" / "model.py").read_text()
    assert "abort()" not in text
    compile(text, "model.py", "exec")
