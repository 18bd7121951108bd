"""nnscratch from Python: load, train, and a Model that answers as the command does."""

from __future__ import annotations

import copy
import doctest
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import nnscratch
from nnscratch import interface
from nnscratch.cli import main
from nnscratch.datasets.sources.shapes import Shapes
from nnscratch.errors import ConfigError, DataError, UsageError, UserError
from nnscratch.host.machine import blas_libraries
from nnscratch.nn.compute.buffers import Array
from tests.notebook import answers as answers_of_cells

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def pictures() -> Array:
    """The test pictures of the shapes run."""
    images = Shapes(train=200, test=50).load(Path(), None, lambda _: None).test_inputs
    assert images is not None
    return images


@pytest.fixture(scope="module")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A regression on a table with the columns a, b and the targets total, twice."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 10, (60, 2)).round(2)
    lines = [f"{a},{b},{a + b + 1000},{2 * (a + b)}" for a, b in values]
    (folder / "sums.csv").write_text("a,b,total,twice\n" + "\n".join(lines) + "\n")
    settings = {
        "name": "sums",
        "data": {"dataset": {"name": "csv", "target": ["total", "twice"]}, "path": str(folder / "sums.csv")},
        "model": {"hidden_layers": [6]},
        "loss": "mean_squared_error",
        "training": {"epochs": 60, "batch_size": 10},
    }
    return nnscratch.train(settings, runs_dir=folder / "runs", threads=1, plots=False, quiet=True).path


def answers(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, Any]]:
    capsys.readouterr()
    main(["predict", *map(str, words), "--json"])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_it_answers_as_the_command_does(
    shapes_run: Path, pictures: Array, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "pictures.npy", pictures)
    expected = answers(capsys, shapes_run, tmp_path / "pictures.npy", "--top", 1)
    model = nnscratch.load(shapes_run)
    assert model.predict(pictures).tolist() == [row["label"] for row in expected]
    assert model.probabilities(pictures).max(axis=1).tolist() == [row["probability"] for row in expected]
    assert model.predict(str(tmp_path / "pictures.npy")).tolist() == [row["label"] for row in expected]


def test_pictures_by_path_are_read_as_the_command_reads_them(
    shapes_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, colour in (("red.png", "red"), ("blue.png", "blue")):
        Image.new("RGB", (50, 40), colour).save(folder / name)
    expected = [row["label"] for row in answers(capsys, shapes_run, folder / "blue.png", folder / "red.png")]
    model = nnscratch.load(shapes_run)
    assert model.predict([folder / "blue.png", str(folder / "red.png")]).tolist() == expected
    assert model.predict(folder).tolist() == expected, "a folder, sorted"
    assert model.predict(str(folder / "blue.png")).tolist() == expected[:1]
    with pytest.raises(DataError, match="does not exist"):
        model.predict([folder / "blue.png", "none.png"])


def test_rows_are_taken_as_arrays_lists_dicts_and_files(
    table_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text("b,a\n2,1\n4.5,3\n")
    expected = np.array([list(row["values"].values()) for row in answers(capsys, table_run, tmp_path / "rows.csv")])
    model = nnscratch.load(table_run)
    assert (model.feature_names, model.target_names, model.classes) == (("a", "b"), ("total", "twice"), None)
    rows = [[1, 2], [3, 4.5]]
    given: list[Any] = [rows, ((1, 2), (3, 4.5)), np.array(rows), [np.array(each) for each in rows]]
    for x in (*given, tmp_path / "rows.csv"):
        np.testing.assert_array_equal(model.predict(x), expected)
    dicts: list[dict[str, Any]] = [{"b": 2, "a": 1, "note": "not a column"}, {"a": np.float32(3), "b": 4.5}]
    np.testing.assert_array_equal(model.predict(dicts), expected)
    np.testing.assert_allclose(model.predict(dicts[0]), expected[:1], rtol=1e-6)  # one row is another product than two
    assert model.predict([]).shape == (0, 2)


def test_columns_of_a_dataframe_are_taken_by_name(table_run: Path) -> None:
    model = nnscratch.load(table_run)
    rows = [[1.0, 2.0], [3.0, 4.5]]
    expected, frame = model.predict(rows), pl.DataFrame(rows, ["a", "b"], orient="row")
    np.testing.assert_array_equal(model.predict(frame), expected)
    np.testing.assert_array_equal(model.predict(frame.select("b", pl.lit("x").alias("note"), "a")), expected)
    np.testing.assert_array_equal(model.predict(frame.rename({"a": "0", "b": "1"})), expected)  # but counted
    with pytest.raises(DataError, match="the table has no column 'a'"):
        model.predict(frame.rename({"a": "z"}))
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rows, columns=["a", "b"])
    for given in (frame, frame[["b", "a"]], pandas.DataFrame(rows)):
        np.testing.assert_array_equal(model.predict(given), expected)
    np.testing.assert_allclose(model.predict(frame.iloc[1]), expected[1:], rtol=1e-6)


def test_what_a_mask_hides_is_not_used(table_run: Path, shapes_run: Path, pictures: Array) -> None:
    model = nnscratch.load(table_run)
    masked = np.ma.masked_array([[1.0, 2.0], [3.0, 4.5]], [[False, False], [True, False]])
    gap = [{"a": 1, "b": 2}, {"a": None, "b": 4.5}]
    for given in (masked, list(masked)):
        np.testing.assert_array_equal(model.predict(given), model.predict(gap))
    assert not np.allclose(model.predict(masked)[1], model.predict(masked.data)[1])
    np.testing.assert_array_equal(model.predict(masked[:1]), model.predict([[1.0, 2.0]]))
    with pytest.raises(DataError, match="pictures have no gaps"):
        nnscratch.load(shapes_run).predict(np.ma.masked_greater(pictures[:2], 200))


def test_a_model_is_loaded_again_where_it_is_copied_or_sent(table_run: Path) -> None:
    model, rows = nnscratch.load(table_run, "last"), [[1.0, 2.0], [3.0, 4.5]]
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.loaded.checkpoint.name == "last.npz"
        np.testing.assert_array_equal(twin.predict(rows), model.predict(rows))


def test_moments_in_dicts_are_taken_as_python_and_numpy_have_them(tmp_path: Path) -> None:
    days = [f"2022-{1 + row % 12:02}-{1 + row % 28:02}" for row in range(60)]
    lines = [
        f"{day},{1 + row % 12:02}:{row:02} PM,{'red' if row % 3 else 'blue'},{row % 2}" for row, day in enumerate(days)
    ]
    (tmp_path / "days.csv").write_text("\n".join(["day,hour,colour,t", *lines]) + "\n")
    settings = {
        "name": "days",
        "data": {"dataset": {"name": "csv", "target": "t"}, "path": str(tmp_path / "days.csv")},
        "model": {"hidden_layers": [4]},
        "training": {"epochs": 1, "batch_size": 10},
    }
    run = nnscratch.train(settings, runs_dir=tmp_path / "runs", threads=1, plots=False, quiet=True).path
    model = nnscratch.load(run)
    good = {"day": "2022-03-04", "hour": "03:20 PM", "colour": "red"}
    expected = model.probabilities(good)
    for day in (date(2022, 3, 4), datetime(2022, 3, 4), np.datetime64("2022-03-04"), np.str_("2022-03-04")):
        np.testing.assert_array_equal(model.probabilities(good | {"day": day, "hour": time(15, 20)}), expected)
    nanoseconds = good | {"day": np.datetime64("2022-03-04", "ns"), "more": [1, 2], 5: b"not columns"}
    np.testing.assert_array_equal(model.probabilities(nanoseconds), expected)
    for bad, message in (
        ({"day": "soon"}, "x: row 1: column 'day' is 'soon', not a date"),
        ({"hour": time(15, 20, 30)}, "x: row 1: column 'hour' is '15:20:30', not a date like %I:%M %p"),
        ({"day": [2022, 3]}, r"x: row 1: 'day' is \[2022, 3\], neither text, a number nor a moment"),
    ):
        with pytest.raises(DataError, match=message):
            model.predict([good, good | bad])
    with pytest.raises(DataError, match="x: row 1: no 'colour' in the object"):
        model.predict([good, {"day": "2022-03-04", "hour": "03:20 PM"}])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([{"a": 1, "c": 2}], "row 0 has no 'b'"),
        ([{"a": 1, "b": "2"}], "'b' is '2', not a number"),
        ([[1, 2], [3]], "do not have the same number of values"),
        ([[1, 2, 3]], r"shape \(1, 3\) is neither one example \(2,\)"),
        ([["1", "2"]], "not of numbers"),
        ([[1, np.inf]], "not a finite number"),
        ([{"a": 1, "b": 10**400}], "'b' is larger than any number here"),
        ("", "the name is empty"),
        (3.5, "a float is no input"),
        (5, "an int is no input"),
    ],
)
def test_what_is_no_input_is_refused_by_what_is_wrong(x: Any, message: str, table_run: Path) -> None:
    with pytest.raises(UserError, match=message):
        nnscratch.load(table_run).predict(x)


def test_pictures_scaled_to_one_are_refused(shapes_run: Path, pictures: Array) -> None:
    with pytest.raises(DataError, match=r"they look scaled to 0\.\.1"):
        nnscratch.load(shapes_run).predict(pictures / 255)


def test_the_score_is_accuracy_by_name_or_number_and_r2_of_a_regression(
    shapes_run: Path, table_run: Path, pictures: Array
) -> None:
    model = nnscratch.load(shapes_run)
    labels = model.predict(pictures)
    assert model.classes is not None
    assert model.score(pictures, labels) == 1
    numbers = np.array([model.classes.index(each) for each in labels])
    numbers[:5] = (numbers[:5] + 1) % 10
    assert model.score(pictures, numbers) == model.score(pictures, numbers.astype(np.float32)) == 0.9
    with pytest.raises(DataError, match="'circel'; did you mean circle"):
        model.score(pictures[:1], ["circel"])
    with pytest.raises(DataError, match="50 examples"):
        model.score(pictures, labels[:3])
    sums = nnscratch.load(table_run)
    rows = [[1, 2], [3, 4], [8, 9]]
    assert sums.score(rows, sums.predict(rows)) == 1
    off = np.array([[1.0, 0], [-2.0, 0], [0, 0]])
    t = sums.predict(rows).astype(np.float64) + off
    first = 1 - 5 / np.sum((t[:, 0] - t[:, 0].mean()) ** 2)
    assert sums.score(rows, t) == pytest.approx((first + 1) / 2)
    with pytest.raises(DataError, match=r"t has shape \(3, 3\), but there are 3 examples of 2 numbers"):
        sums.score(rows, np.zeros((3, 3)))
    with pytest.raises(UsageError, match="no probabilities"):
        sums.probabilities(rows)


def test_labels_that_are_numbers_are_the_classes_of_these_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3)).astype(np.float32)
    y = 1 + (x[:, 0] > 0) + (x[:, 1] > 0)
    np.savez(tmp_path / "three.npz", x=x, y=y)
    settings = {
        "data": {"dataset": {"name": "npz", "task": "classification"}, "path": str(tmp_path / "three.npz")},
        "model": {"hidden_layers": [8]}, "training": {"epochs": 3, "batch_size": 10},
    }  # fmt: skip
    model = nnscratch.train(settings, runs_dir=tmp_path, threads=1, plots=False, quiet=True).load()
    assert model.classes == ("1", "2", "3")
    few = y < 3
    for t in (y[few], y[few].astype(float), y[few].astype(str), y[few].astype(object)):
        assert model.score(x[few], t) == np.mean(model.predict(x[few]) == y[few].astype(str))
    with pytest.raises(DataError, match="t holds '0'"):
        model.score(x, y - 1)


def test_a_picture_of_pillow_is_an_input_as_its_pixels_are(shapes_run: Path, pictures: Array) -> None:
    model = nnscratch.load(shapes_run)
    assert model.predict(Image.fromarray(pictures[3]))[0] == model.predict(pictures[3])[0]


def test_every_answer_is_an_array_of_its_own(shapes_run: Path, pictures: Array) -> None:
    model = nnscratch.load(shapes_run)
    first = model.probabilities(pictures[:1])
    before = first.copy()
    model.probabilities(pictures[1:2])
    np.testing.assert_array_equal(first, before)


def test_threads_that_share_a_model_get_the_answers_that_one_gets(shapes_run: Path, pictures: Array) -> None:
    model = nnscratch.load(shapes_run)
    alone = [model.probabilities(pictures[row : row + 1]) for row in range(len(pictures))] * 8
    with ThreadPoolExecutor(8) as pool:
        together = list(
            pool.map(lambda row: model.probabilities(pictures[row % 50 : row % 50 + 1]), range(8 * len(pictures)))
        )
    np.testing.assert_array_equal(np.concatenate(together), np.concatenate(alone))


def test_loading_imports_numpy_alone_and_takes_little_time(shapes_run: Path) -> None:
    program = f"""
import sys, time
started_with = set(sys.modules)  # a system may have a sitecustomize
import nnscratch
assert "numpy" not in sys.modules
import numpy as np
start = time.process_time()
model = nnscratch.load({str(shapes_run)!r})
model.predict(np.zeros((1, 32, 32, 3), np.uint8))
seconds = time.process_time() - start
outside = {{name.partition(".")[0] for name in sys.modules.keys() - started_with}} - sys.stdlib_module_names
assert outside <= {{"nnscratch", "numpy", "__main__", *{{name for name in outside if name.startswith("_")}}}}, outside
print(seconds)
"""
    seconds = []
    for _ in range(3):  # the first may have to compile what it imports
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        seconds.append(float(done.stdout))
    assert min(seconds) < 0.3


def test_a_run_from_before_networks_were_kept_answers_too(pictures: Array) -> None:
    model = nnscratch.load(ROOT / "tests" / "runs" / "fixtures" / "run_of_0_1_0")
    assert model.predict(pictures).shape == (50,)


def test_training_takes_overrides_of_sections(tmp_path: Path) -> None:
    run = nnscratch.train(
        ROOT / "configs" / "smoke.yaml", runs_dir=tmp_path, threads=1, plots=False, quiet=True,
        name="own", training={"epochs": 2}, optimizer={"learning_rate": 3e-4},
    )  # fmt: skip
    assert run.path == tmp_path / "own"
    assert [row["epoch"] for row in run.history] == [1, 2]
    assert 0 <= run.test["test_accuracy"] <= 1
    config = run.load()._loaded.config
    assert config.optimizer.fields["learning_rate"] == 3e-4


def test_numbers_of_numpy_and_paths_are_values_like_any_other(tmp_path: Path) -> None:
    before = [library["num_threads"] for library in blas_libraries()]
    config = {"data": {"dataset": "shapes", "path": None}, "model": {"hidden_layers": np.array([4])}}
    data: dict[str, Any] = {"data.dataset.train": np.int32(40), "data.dataset.test": np.int64(20)}
    run = nnscratch.train(
        config, runs_dir=tmp_path, threads=1, plots=False, quiet=True, name="numbers", seed=np.int64(3),
        training={"epochs": np.int16(1)}, optimizer={"learning_rate": np.float32(0.5)}, **data,
    )  # fmt: skip
    read = run.load()._loaded.config
    assert (read.seed, read.training.epochs, read.optimizer.fields["learning_rate"]) == (3, 1, 0.5)
    assert [library["num_threads"] for library in blas_libraries()] == before
    with pytest.raises(UserError, match="nowhere does not exist"):
        nnscratch.train(config | {"data": {"dataset": "csv", "path": Path("nowhere")}}, runs_dir=tmp_path)
    with pytest.raises(ConfigError, match="a function cannot stand in a config"):
        nnscratch.train(config, runs_dir=tmp_path, name=print_nothing)


def test_a_component_whose_name_is_a_key_replaces_the_one_of_the_config(tmp_path: Path) -> None:
    config = {
        "data": {"dataset": {"name": "moons", "train": 40, "test": 20}}, "model": {"hidden_layers": [4]},
        "training": {"epochs": 1},
        "optimizer": {"name": "sgd", "learning_rate": 0.5, "momentum": 0.9},
    }  # fmt: skip
    for number, given in enumerate(({"sgd": {"momentum": 0.5}}, {"name": "sgd", "momentum": 0.5})):
        run = nnscratch.train(
            config, runs_dir=tmp_path, threads=1, plots=False, quiet=True, name=f"run{number}", optimizer=given
        )
        fields = run.load()._loaded.config.optimizer.fields
        assert (fields["learning_rate"], fields["momentum"]) == (0.01, 0.5)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: nnscratch.train(None), "config=None: expected a YAML file"),  # type: ignore[arg-type]
        (lambda: nnscratch.train({}, threads="2"), "threads='2': expected a whole number"),  # type: ignore[arg-type]
        (lambda: nnscratch.train({}, threads=1.5), "threads=1.5: expected a whole number"),  # type: ignore[arg-type]
        (lambda: nnscratch.load(3), "run=3: expected a folder"),  # type: ignore[arg-type]
    ],
)
def test_an_argument_of_another_kind_is_named(call: Callable[[], object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        call()


def test_a_checkpoint_that_is_none_is_named(shapes_run: Path) -> None:
    with pytest.raises(UsageError, match="checkpoint=None: expected best, last"):
        nnscratch.load(shapes_run, None)  # type: ignore[arg-type]


def test_what_is_not_a_number_is_not_called_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="finite"):
        nnscratch.train(ROOT / "configs" / "smoke.yaml", runs_dir=tmp_path, optimizer={"learning_rate": float("nan")})


def print_nothing() -> None:
    """What is no value of a config."""


def test_a_run_has_its_results_wherever_one_stands_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = nnscratch.train(ROOT / "configs" / "smoke.yaml", training={"epochs": 1}, threads=1, plots=False, quiet=True)
    monkeypatch.chdir(ROOT)
    assert len(run.history) == 1
    with pytest.raises(UserError, match="is not a run"):
        _ = nnscratch.TrainedRun(tmp_path / "nothing").history


PLUGIN = """from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from nnscratch.nn.layers.activations import Activation

@dataclass(eq=False)
class Bent(Activation):
    name: ClassVar[str] = "bent"
    def function(self, x, y): np.multiply(x, FACTOR, out=y)
    def derivative(self, x, dydx): dydx[...] = FACTOR
"""


def test_a_run_computes_with_the_version_of_a_plugin_that_it_was_trained_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = {
        "plugins": ["bent.py"], "data": {"dataset": {"name": "moons", "train": 40, "test": 20}},
        "model": {"hidden_layers": [4], "activation": "bent"}, "training": {"epochs": 1},
    }  # fmt: skip
    runs, found = [], []
    x = np.array([[0.5, 0.2], [-1.0, 1.0]])
    for factor in ("3.0", "-0.5", "3.0"):
        (tmp_path / "bent.py").write_text(PLUGIN.replace("FACTOR", factor))
        run = nnscratch.train(config, allow_plugins=True, threads=1, plots=False, quiet=True)
        assert (run.path / "plugins" / "bent.py").read_text() == PLUGIN.replace("FACTOR", factor)
        runs.append(run.path)
        found.append(run.load().probabilities(x))
    np.testing.assert_array_equal(found[0], found[2])
    with pytest.raises(UserError, match=r"was trained with another bent\.py"):
        nnscratch.load(runs[1])
    np.testing.assert_array_equal(nnscratch.load(runs[1], allow_plugins=True).probabilities(x), found[1])
    np.testing.assert_array_equal(nnscratch.load(runs[0], allow_plugins=True).probabilities(x), found[0])


def test_a_run_is_loaded_without_the_plugin_that_only_its_loss_was_and_a_copy_of_it_is_one_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        "from nnscratch.nn.losses import CrossEntropy\nclass OwnLoss(CrossEntropy):\n    name = 'own_loss_of_a_run'\n"
    )
    for file in ("own_loss.py", "own_loss_copied.py"):
        (tmp_path / file).write_text(text)
        (tmp_path / "own.yaml").write_text(
            f"plugins: [{file}]\ndata: {{dataset: {{name: moons, train: 40, test: 20}}}}\n"
            "model: {hidden_layers: [4]}\nloss: own_loss_of_a_run\ntraining: {epochs: 1}\n"
        )
        run = nnscratch.train("own.yaml", allow_plugins=True, threads=1, plots=False, quiet=True).path
        assert (run / "plugins" / file).read_text() == text
    command = "import nnscratch, sys; print(nnscratch.load(sys.argv[1]).probabilities([[0.5, 0.2]]).shape)"
    done = subprocess.run([sys.executable, "-c", command, run], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("(1, 2)\n", "")


def test_a_misspelled_override_trains_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean learning_rate"):
        nnscratch.train(ROOT / "configs" / "smoke.yaml", runs_dir=tmp_path / "runs", optimizer={"leraning_rate": 0.1})
    assert not (tmp_path / "runs").exists()


def test_a_layer_that_is_not_here_is_named(shapes_run: Path, tmp_path: Path) -> None:
    from nnscratch.runs.checkpoint import Checkpoint, load_checkpoint

    run = Path(shutil.copytree(shapes_run, tmp_path / "run"))
    saved = load_checkpoint(run / "checkpoints" / "best.npz")
    for layer, message in (
        ({"name": "mystery"}, "there is no layer 'mystery' here"),
        ({"name": "dense", "units": 0}, "in units of the layer dense, there is 0"),
        ({"name": "dense", "unit": 3}, "the layer dense has no 'unit'"),
        ({"name": "conv"}, "channels"),
        ("relu", "in its header, the network is not one"),
    ):
        network = {**saved.header["network"], "layers": [layer]}
        contents = Checkpoint({**saved.header, "network": network}, saved.arrays).encode()
        (run / "checkpoints" / "best.npz").write_bytes(contents)
        with pytest.raises(UserError, match=message):
            nnscratch.load(run)


def test_the_examples_in_the_documentation_run(
    shapes_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shapes_run == tmp_path / "runs" / "shapes"
    (tmp_path / "configs").mkdir()
    shutil.copy(ROOT / "configs" / "smoke.yaml", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    tested = doctest.testmod(interface)
    assert (tested.attempted > 10, tested.failed) == (True, 0)


def test_the_notebook_gives_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    shutil.copy(ROOT / "configs" / "smoke.yaml", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((ROOT / "docs" / "python.ipynb").read_text())
    shown = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert answers_of_cells(notebook) == shown, "if this is wanted: python tests/notebook.py docs/python.ipynb"
    assert len(shown) > 5


def test_names_that_are_not_there_are_an_ordinary_error() -> None:
    assert {"load", "train", "Model"} <= set(dir(nnscratch))
    with pytest.raises(AttributeError, match="lode"):
        nnscratch.lode  # type: ignore[attr-defined]  # noqa: B018  a wrong name is meant
