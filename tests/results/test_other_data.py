"""`evaluate` beyond the run's own splits: other data, thresholds, calibration, what a prediction costs."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import nnscratch
from nnscratch.cli import main
from nnscratch.datasets.sources.npz import NPZ
from nnscratch.datasets.sources.shapes import Shapes
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.interface import load
from nnscratch.nn.losses import CrossEntropy
from nnscratch.results.decisions import Decision, Wanted
from nnscratch.results.evaluate import load_data
from nnscratch.results.figures import figures_of_labels
from nnscratch.results.subgroups import Groups, cells_of_split, kind_of
from nnscratch.runs.loaded import load_run
from nnscratch.training.metrics.classification import confusion_matrix
from nnscratch.training.metrics.known import metrics_of
from nnscratch.training.metrics.ranking import curves_by_class

Runs = dict[str, Any]


def evaluated(capsys: pytest.CaptureFixture[str], run: Path, *options: str) -> dict[str, Any]:
    capsys.readouterr()
    main(["evaluate", str(run), "--json", "--no-plots", *options])
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def failing(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit):
        main(list(arguments))
    return capsys.readouterr().err


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """The test split of the shapes that `shapes_run` was trained on, and the names of their classes."""
    data = Shapes(train=200, test=50).load(Path(), None, lambda _: None)
    assert data.test_inputs is not None
    assert data.test_targets is not None
    assert data.classes is not None
    return data.test_inputs, data.test_targets, data.classes


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tells two overlapping classes apart, calibrated."""
    folder = tmp_path_factory.mktemp("two")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 4)).astype(np.float32)
    is_sick = x[:, 0] + x[:, 1] + rng.normal(size=900) > 0.5
    np.savez(folder / "clinic.npz", x=x, y=np.where(is_sick, "sick", "healthy"))
    (folder / "clinic.yaml").write_text(
        f"data: {{dataset: npz, path: {folder / 'clinic.npz'}, validation: 0.3}}\nmodel: {{hidden_layers: [32, 32]}}\n"
        "optimizer: {name: adam, learning_rate: 0.03}\ntraining: {epochs: 15, batch_size: 32, monitor: val_roc_auc}\n"
        "evaluation: {calibrate: temperature}\n"
    )
    main(["train", str(folder / "clinic.yaml"), "--runs-dir", str(folder), "--no-plots", "--quiet", "--threads", "1"])
    return folder / "clinic"


def test_the_test_split_in_a_file_of_its_own_has_the_figures_of_the_split(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path, drawn: Any
) -> None:
    images, labels, classes = drawn
    np.savez(tmp_path / "ward.npz", x=images, y=np.array(classes)[labels])
    own, other = (evaluated(capsys, shapes_run, *options) for options in ((), ("--data", str(tmp_path / "ward.npz"))))
    assert other.pop("data") == str(tmp_path / "ward.npz")
    assert own.pop("split") == "test"
    assert own == other
    assert (shapes_run / "evaluation" / "ward" / "predictions.csv").is_file()


def test_a_folder_for_each_class_is_evaluated_with_classes_by_name(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path, drawn: Any
) -> None:
    images, labels, classes = drawn
    some = [index for index in range(50) if classes[labels[index]] in ("star", "arrow")]  # not all classes are there
    for index in some:
        folder = tmp_path / "mine" / classes[labels[index]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[index]).save(folder / f"{index}.png")
    result = evaluated(capsys, shapes_run, "--data", str(tmp_path / "mine"))
    assert result["examples"] == len(some)
    assert {each["class"]: each["support"] for each in result["per_class"] if each["support"]} == {
        name: int(np.sum(labels == classes.index(name))) for name in ("star", "arrow")
    }
    with (shapes_run / "evaluation" / "mine" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(f"/{row['true']}/" in row["example"] for row in rows)


def test_other_data_without_labels_is_refused_with_the_way_to_predict(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path, drawn: Any
) -> None:
    np.savez(tmp_path / "bare.npz", x=drawn[0])
    said = failing(capsys, "evaluate", str(shapes_run), "--data", str(tmp_path / "bare.npz"))
    assert "no labels" in said
    assert f"nnscratch predict {shapes_run} {tmp_path / 'bare.npz'}" in said
    assert not (shapes_run / "evaluation").exists()


def test_a_class_that_the_network_does_not_know_is_named_with_the_closest_one(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path, drawn: Any
) -> None:
    np.savez(tmp_path / "typo.npz", x=drawn[0], y=np.full(50, "sqare"))
    said = failing(capsys, "evaluate", str(shapes_run), "--data", str(tmp_path / "typo.npz"))
    assert "knows no class 'sqare'; did you mean square?" in said


def test_numbers_for_labels_of_named_classes_are_taken_by_order_and_that_is_said(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path, drawn: Any
) -> None:
    np.savez(tmp_path / "numbers.npz", x=drawn[0], y=drawn[1])
    result = evaluated(capsys, shapes_run, "--data", str(tmp_path / "numbers.npz"))
    assert result["accuracy"] == evaluated(capsys, shapes_run)["accuracy"]
    assert "0 is taken for arrow" in result["note"]


def test_pictures_stored_channels_first_are_evaluated_and_predicted_as_they_are_trained(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path, drawn: Any
) -> None:
    np.savez(tmp_path / "first.npz", X_test=np.moveaxis(drawn[0], -1, 1), y_test=drawn[1])
    result = evaluated(capsys, shapes_run, "--data", str(tmp_path / "first.npz"))
    assert result["accuracy"] == evaluated(capsys, shapes_run)["accuracy"]
    model = load(shapes_run)
    np.testing.assert_array_equal(model.predict(np.moveaxis(drawn[0][:3], -1, 1)), model.predict(drawn[0][:3]))


def test_labels_are_those_of_the_split_whose_inputs_are_read(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path, drawn: Any
) -> None:
    wrong = (drawn[1] + 1) % 10
    arrays = {"X_train": np.zeros_like(drawn[0]), "y_train": wrong, "X_test": drawn[0], "test_labels": drawn[1]}
    np.savez(tmp_path / "both.npz", **arrays)
    result = evaluated(capsys, shapes_run, "--data", str(tmp_path / "both.npz"))
    assert result["accuracy"] == evaluated(capsys, shapes_run)["accuracy"]
    np.savez(tmp_path / "none.npz", x=np.zeros_like(drawn[0]), x_test=drawn[0], y=wrong)
    assert "no labels of the inputs" in failing(
        capsys, "evaluate", str(shapes_run), "--data", str(tmp_path / "none.npz")
    )


def test_a_folder_of_splits_is_told_which_to_name(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine" / "test" / "square").mkdir(parents=True)
    said = failing(capsys, "evaluate", str(shapes_run), "--data", str(tmp_path / "mine"))
    assert "test: splits, no classes" in said
    assert f"--data {tmp_path / 'mine' / 'test'}" in said


def test_other_data_of_the_same_name_does_not_take_the_place_of_what_was_evaluated(
    capsys: pytest.CaptureFixture[str], two_classes: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    folders = []
    for place in ("a", "b", "a"):
        file = tmp_path / place / "new.npz"
        file.parent.mkdir(exist_ok=True)
        np.savez(file, x=rng.normal(size=(30, 4)), y=np.arange(30) % 2)
        main(["evaluate", str(two_classes), "--data", str(file), "--no-plots"])
        folders.append(Path(capsys.readouterr().out.splitlines()[-1].removeprefix("written to ")).name)
    assert folders == ["new", "new-2", "new"]


def test_a_table_without_the_weights_of_the_run_says_that_all_rows_count_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [f"{index % 7},{index % 3},{'yn'[index % 2]}" for index in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["a,w,y", *(row.replace(",0,", ",1,") for row in rows)]) + "\n")
    dataset = f"{{name: csv, weight: w}}, path: {tmp_path / 't.csv'}"
    text = f"name: w\ndata: {{dataset: {dataset}}}\nmodel: {{hidden_layers: []}}\ntraining: {{epochs: 1}}\n"
    (tmp_path / "c.yaml").write_text(text)
    main(["train", str(tmp_path / "c.yaml"), "--runs-dir", str(tmp_path / "runs"), "--quiet", "--no-plots"])
    (tmp_path / "bare.csv").write_text("a,y\n1,y\n2,n\n3,y\n")
    result = evaluated(capsys, tmp_path / "runs" / "w", "--data", str(tmp_path / "bare.csv"))
    assert result["note"].splitlines()[0] == "without a column 'w' every row counts the same in the loss"


def test_regression_is_evaluated_on_arrays_of_its_own(
    capsys: pytest.CaptureFixture[str], regression_run: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(60, 2)).astype(np.float32)
    y = np.column_stack([2 * x[:, 0] - x[:, 1], x[:, 0]])
    np.savez(tmp_path / "new.npz", x=x, y=y)
    result = evaluated(capsys, regression_run, "--data", str(tmp_path / "new.npz"))
    assert result["r2"] > 0.9
    assert result["intervals"]["r2"][0] <= result["r2"] <= result["intervals"]["r2"][1]


def test_a_target_that_fits_both_decimal_marks_has_that_of_training(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("a;y\n" + "".join(f"{row};{row / 10:.3f}\n" for row in range(60)))
    text = f"name: t\ndata: {{dataset: {{name: csv}}, path: {tmp_path / 't.csv'}}}\nmodel: {{hidden_layers: []}}\n"
    (tmp_path / "c.yaml").write_text(f"{text}loss: mean_squared_error\ntraining: {{epochs: 1}}\n")
    main(["train", str(tmp_path / "c.yaml"), "--runs-dir", str(tmp_path / "runs"), "--quiet", "--no-plots"])
    figures = []
    for name, cells in (("plain", ("2.5", "3.75")), ("open", ("2.500", "3.750"))):
        (tmp_path / f"{name}.csv").write_text(f"a;y\n25;{cells[0]}\n37;{cells[1]}\n")
        figures.append(evaluated(capsys, tmp_path / "runs" / "t", "--data", str(tmp_path / f"{name}.csv"))["loss"])
    assert figures[0] == figures[1]


def test_every_figure_has_an_interval(
    capsys: pytest.CaptureFixture[str], two_classes: Path, regression_run: Path
) -> None:
    for run, task in ((two_classes, "classification"), (regression_run, "regression")):
        result = evaluated(capsys, run)
        names = {each.name for each in metrics_of(task)} - {"top5_accuracy"}  # of five classes at most, it is 1
        assert set(result["intervals"]) == names
        for name, (low, high) in result["intervals"].items():
            assert low <= result[name] <= high, name


@pytest.mark.parametrize(("classes", "examples", "has_one"), [(60, 2, False), (3, 60, True)])
def test_no_interval_lies_beside_its_own_figure_and_why_there_is_none_is_said(
    classes: int, examples: int, has_one: bool
) -> None:
    rng = np.random.default_rng(0)
    t = np.repeat(np.arange(classes), examples)
    p = rng.dirichlet(np.full(classes, 0.1), len(t)) + 0.3 * np.eye(classes)[t] * rng.random((len(t), 1))
    p /= p.sum(axis=1, keepdims=True)
    counts = confusion_matrix(t, np.argmax(p, axis=1), classes)
    figures = {each.metric.name: each for each in figures_of_labels(t, p, counts, curves_by_class(t, p), rng)}
    for each in figures.values():
        assert each.interval is None or each.interval[0] <= each.value <= each.interval[1]
    average_precision = figures["average_precision"]
    assert (average_precision.interval is not None) == has_one
    assert ("no interval: drawing the examples again raises it" in average_precision.beside) != has_one
    assert figures["roc_auc"].interval is not None


@pytest.fixture(scope="module")
def wards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a table with a weight and a column that is left out, in whose groups it is right more or less often."""
    folder = tmp_path_factory.mktemp("wards")
    for name, rows in (("ward", 600), ("other", 200)):
        rng = np.random.default_rng(rows)
        x, ward = rng.normal(size=(rows, 2)), rng.choice(["north", "west"], rows)
        is_sick = x[:, 0] - x[:, 1] + np.where(ward == "west", 3.0, 0.1) * rng.normal(size=rows) > 0
        lines = [
            f"{a:.4f},{b:.4f},{w},{20 + n % 60},{1 + 3 * s:.1f},{'sick' if s else 'healthy'}"
            for n, ((a, b), w, s) in enumerate(zip(x, ward, is_sick, strict=True))
        ]
        (folder / f"{name}.csv").write_text("\n".join(["a,b,ward,age,w,outcome", *lines, "1,1,west,30,1,"]) + "\n")
    (folder / "run.yaml").write_text(
        "data:\n  dataset: {csv: {target: outcome, weight: w, ignore: [ward, age]}}\n"
        f"  path: {folder / 'ward.csv'}\n  scaling: standardize\nmodel: {{hidden_layers: [8]}}\n"
        "training: {epochs: 8, batch_size: 32}\n"
    )
    main(["train", str(folder / "run.yaml"), "--runs-dir", str(folder), "--no-plots", "--quiet", "--threads", "1"])
    return folder / "run"


def test_a_table_of_other_data_is_evaluated_and_rows_without_a_target_are_left_out(
    capsys: pytest.CaptureFixture[str], wards: Path
) -> None:
    result = evaluated(capsys, wards, "--data", str(wards.parent / "other.csv"))
    assert result["examples"] == 200
    assert "left out: 1 row without a target" in result["note"]
    assert result["accuracy"] > result["majority_share"]
    rows = list(csv.DictReader((wards / "evaluation" / "other" / "predictions.csv").read_text().splitlines()))
    assert rows[0]["example"] == f"{wards.parent / 'other.csv'}:2"


def test_rows_that_the_run_trained_on_are_counted(
    capsys: pytest.CaptureFixture[str], wards: Path, two_classes: Path
) -> None:
    said = "inputs are among those that the run trained on: the figures may look better than they are"
    header, *lines = (wards.parent / "ward.csv").read_text().splitlines()
    _, splits = load_data(load_run(wards), Workplace(wards.parent), Display(quiet=True))
    names = splits.train.names
    assert names is not None
    trained = [lines[int(names[row].rpartition(":")[2]) - 2] for row in splits.train.rows[:5]]
    new = ["9.5,9.5,west,30,1,sick", "-9.5,9.5,west,30,1,healthy"]
    (wards.parent / "some.csv").write_text("\n".join([header, *trained, *new]) + "\n")
    (wards.parent / "one.csv").write_text("\n".join([header, trained[0]]) + "\n")
    alone = evaluated(capsys, wards, "--data", str(wards.parent / "one.csv"))["note"]
    assert alone.startswith("this input is among those that the run trained on")
    assert f"5 of these 7 {said}" in evaluated(capsys, wards, "--data", str(wards.parent / "some.csv"))["note"]
    whole = evaluated(capsys, wards, "--data", str(wards.parent / "ward.csv"))
    assert f"{len(splits.train)} of these {whole['examples']} {said}" in whole["note"]
    assert "trained on" not in evaluated(capsys, wards, "--data", str(wards.parent / "other.csv"))["note"]
    arrays = evaluated(capsys, two_classes, "--data", str(two_classes.parent / "clinic.npz"))
    assert f"504 of these 900 {said}" in arrays["note"]


def test_a_table_without_the_target_is_refused_with_the_way_to_predict(
    capsys: pytest.CaptureFixture[str], wards: Path
) -> None:
    (wards.parent / "bare.csv").write_text("a,b\n1,2\n")
    said = failing(capsys, "evaluate", str(wards), "--data", str(wards.parent / "bare.csv"))
    assert "no column 'outcome', so no labels" in said
    assert "nnscratch predict" in said


@pytest.mark.parametrize("options", [(), ("--data", "{folder}/other.csv")])
def test_each_group_of_a_column_has_its_figures_also_of_a_column_that_is_no_feature(
    capsys: pytest.CaptureFixture[str], wards: Path, options: tuple[str, ...]
) -> None:
    given = [each.format(folder=wards.parent) for each in options]
    result = evaluated(capsys, wards, "--by", "ward", *given)
    groups = {each["group"]: each for each in result["subgroups"]["groups"]}
    assert set(groups) == {"north", "west"}
    assert sum(each["examples"] for each in groups.values()) == result["examples"]
    right = sum(each["examples"] * each["accuracy"] for each in groups.values())
    assert right == pytest.approx(result["examples"] * result["accuracy"])
    assert groups["north"]["accuracy"] > groups["west"]["accuracy"] + 0.1  # whose outcome is mostly noise


def test_the_group_of_an_example_of_a_split_is_that_of_its_own_row(wards: Path) -> None:
    loaded = load_run(wards)
    dataset, splits = load_data(loaded, Workplace(wards.parent, threads=1), Display(quiet=True))
    table = list(csv.DictReader((wards.parent / "ward.csv").read_text().splitlines()))
    for split in ("train", "val", "test"):
        examples = splits.named(split)
        assert examples is not None
        found, _ = cells_of_split(loaded, dataset, splits, split, "outcome")
        assert loaded.classes is not None
        assert found == [loaded.classes[label] for label in examples.targets[examples.rows]]
        a, kind = cells_of_split(loaded, dataset, splits, split, "a")
        assert kind == "number"
        np.testing.assert_allclose(examples.inputs[examples.rows][:, 0], np.array(a, float), rtol=1e-6)
    assert len(table) == 601


def test_numbers_are_grouped_in_quarters_and_gaps_by_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    groups = Groups.by("age", [*map(str, range(100)), "", "?"])
    assert groups.names == ("0 to 24", "25 to 49", "50 to 74", "75 to 99", "(none)")
    assert np.bincount(groups.of).tolist() == [25, 25, 25, 25, 2]
    assert Groups.by("x", ["1", "2", "1.0"]).names == ("1", "2")
    many = Groups.by("city", [f"c{number % 30:02}" for number in range(100)])
    assert (len(many.names), many.names[-1]) == (13, "(18 others)")


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["20240102", "20240101", "20240101.0"], ("20240101", "20240102")),
        (["01234", "1234", "98765"], ("01234", "1234", "98765")),
        (["0.001", "0.0010000001", ""], ("(none)", "0.001", "0.0010000001")),
        (["9007199254740993", "9007199254740992"], ("9007199254740992", "9007199254740993")),
        (["3.0", "2.0", "2.0"], ("2", "3")),
        ([".00", "1.00", "0", "", "-.0"], ("(none)", "0", "1")),
        ([".50", "-.50", "+1.5"], ("-0.5", "0.5", "1.5")),
        (["-nan", "1", "2", "nan"], ("(none)", "1", "2")),
        (["1e99999999999999999999", "1", "1e2", "100"], ("1", "100", "1e99999999999999999999")),
        ([f"{number:02}" for number in range(12)], tuple(f"{number:02}" for number in range(12))),
    ],
)
def test_no_two_values_of_a_column_become_one_group(cells: list[str], names: tuple[str, ...]) -> None:
    groups = Groups.by("day", cells)
    assert groups.names == names
    assert len(set(groups.of.tolist())) == len(names)


def test_a_column_is_grouped_as_what_it_was_learned_as_whatever_stands_in_a_split() -> None:
    cells = [str(number) for number in range(10000, 10020)]
    assert len(Groups.by("zip", cells, "category").names) == 13
    assert kind_of("zip", None, ["01234", *cells]) == "category"
    assert kind_of("zip", None, cells) is None
    assert len(Groups.by("zip", ["01234", *cells], "number").names) == 4
    assert kind_of("zip", TableEncoding.of_numbers(["zip"]), ["01234", *cells]) == "number"
    assert Groups.by("level", ["1.0", "1", "2"], "category").names == ("1", "2")


def test_quarters_have_the_digits_that_tell_them_apart() -> None:
    days = Groups.by("day", [str(20240100 + number) for number in range(20)])
    assert days.names[:2] == ("20240100 to 20240104", "20240105 to 20240109")
    lengths = Groups.by("length", [f"1.00000{number}" for number in range(10, 30)])
    assert lengths.names[0] == "1.000001 to 1.0000014"


def test_groups_of_what_is_no_table_or_has_no_such_column_are_refused(
    capsys: pytest.CaptureFixture[str], wards: Path, shapes_run: Path
) -> None:
    assert "did you mean ward?" in failing(capsys, "evaluate", str(wards), "--by", "wrad")
    assert "one column at a time" in failing(capsys, "evaluate", str(wards), "--by", "ward", "--by", "ward")
    assert "is no table" in failing(capsys, "evaluate", str(shapes_run), "--by", "ward")


def test_a_weight_column_is_no_feature_and_makes_the_loss_a_weighted_mean(
    capsys: pytest.CaptureFixture[str], wards: Path
) -> None:
    loaded = load_run(wards)
    assert loaded.feature_names == ("a", "b")
    result = evaluated(capsys, wards)
    dataset, splits = load_data(loaded, Workplace(wards.parent, threads=1), Display(quiet=True))
    assert splits.test is not None
    w, t = splits.test.weights, splits.test.targets
    assert w is not None
    assert w.tolist() == (1 + 3 * (t == 1)).tolist()
    x = loaded.affine.apply(splits.test.inputs, np.empty_like(splits.test.inputs))
    losses = CrossEntropy().per_example(loaded.network.forward(x), t)
    assert result["loss"] == pytest.approx(float(np.average(losses, weights=w)), rel=1e-5)
    assert result["log_loss"] == pytest.approx(float(np.mean(losses)), rel=1e-5)
    assert dataset.digest() != replace(dataset, weights={}).digest()


@pytest.mark.parametrize(("cell", "said"), [("-1", "run.csv:3: the weight 'w' is '-1'"), ("", "the weight 'w' is ''")])
def test_a_weight_that_is_none_is_refused_with_its_place(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, cell: str, said: str
) -> None:
    rows = "".join(f"{number},{number % 2},{cell if number == 1 else 1}\n" for number in range(40))
    (tmp_path / "run.csv").write_text("x,y,w\n" + rows)
    config = tmp_path / "c.yaml"
    config.write_text(
        f"data: {{dataset: {{csv: {{target: y, weight: w}}}}, path: {tmp_path / 'run.csv'}}}\n"
        "model: {hidden_layers: []}\n"
    )
    assert said in failing(capsys, "train", str(config))


def test_sample_weights_of_arrays_follow_their_examples_into_the_splits(tmp_path: Path) -> None:
    x = np.arange(60, dtype=np.float32)[:, None]
    np.savez(tmp_path / "w.npz", x=x, y=np.arange(60) % 2, sample_weight=np.arange(60) / 10)
    dataset = NPZ().load(tmp_path, tmp_path / "w.npz", lambda _: None)
    np.testing.assert_allclose(dataset.weights["train"], dataset.train_inputs[:, 0] / 10)
    assert dataset.test_inputs is not None
    np.testing.assert_allclose(dataset.weights["test"], dataset.test_inputs[:, 0] / 10)
    assert any("sample_weight" in note for note in dataset.notes)


def test_accuracy_has_the_share_of_the_largest_class_and_an_interval_beside_it(
    capsys: pytest.CaptureFixture[str], two_classes: Path
) -> None:
    result = evaluated(capsys, two_classes)
    supports = [each["support"] for each in result["per_class"]]
    assert result["majority_share"] == max(supports) / sum(supports)
    low, high = result["intervals"]["accuracy"]
    assert low < result["accuracy"] < high
    main(["evaluate", str(two_classes), "--no-plots"])
    said = capsys.readouterr().out
    assert f"always the largest class: {100 * result['majority_share']:.2f} %" in said
    assert max(map(len, said.splitlines()[:12])) <= 80


def test_the_same_run_evaluated_again_has_the_same_intervals(
    capsys: pytest.CaptureFixture[str], two_classes: Path
) -> None:
    assert evaluated(capsys, two_classes) == evaluated(capsys, two_classes)


def test_the_monitored_metric_is_logged_chooses_the_best_epoch_and_is_that_of_evaluate(
    capsys: pytest.CaptureFixture[str], two_classes: Path
) -> None:
    rows = [json.loads(line) for line in (two_classes / "metrics.jsonl").read_text().splitlines()]
    values = [row["val_roc_auc"] for row in rows if row["record"] == "epoch"]
    result = evaluated(capsys, two_classes, "--split", "val")
    assert result["epoch"] == 1 + values.index(max(values))
    assert result["roc_auc"] == pytest.approx(max(values), abs=1e-12)


def test_the_temperature_is_kept_in_the_run_and_applied_by_evaluate_and_predict(
    capsys: pytest.CaptureFixture[str], two_classes: Path, tmp_path: Path
) -> None:
    loaded = load_run(two_classes)
    assert loaded.temperature != 1
    result = evaluated(capsys, two_classes)
    assert result["temperature"] == loaded.temperature
    assert result["expected_calibration_error_before"] != result["expected_calibration_error"]
    x = np.array([[1.0, 0.5, -0.3, 0.2]], np.float32)
    np.save(tmp_path / "one.npy", x)
    main(["predict", str(two_classes), str(tmp_path / "one.npy"), "--json"])
    (answer,) = json.loads(capsys.readouterr().out)
    y = loaded.network.forward(loaded.affine.apply(x, np.empty_like(x)))
    assert answer["probability"] == pytest.approx(
        float(CrossEntropy.probabilities(y, loaded.temperature).max()), abs=1e-6
    )


def test_the_last_weights_are_not_calibrated_and_that_is_said(
    capsys: pytest.CaptureFixture[str], two_classes: Path
) -> None:
    result = evaluated(capsys, two_classes, "--checkpoint", "last")
    assert "temperature" not in result
    assert "not calibrated" in result["note"]


def test_a_constant_target_has_no_r2_and_says_so_in_words_and_in_json(
    capsys: pytest.CaptureFixture[str], regression_run: Path, tmp_path: Path
) -> None:
    x = np.random.default_rng(8).normal(size=(30, 2)).astype(np.float32)
    np.savez(tmp_path / "flat.npz", x=x, y=np.full((30, 2), 7.0))
    result = evaluated(capsys, regression_run, "--data", str(tmp_path / "flat.npz"))
    assert result["r2"] is None
    assert result["undefined"] == {"r2": "the target is constant"}
    assert [each["r2"] for each in result["per_target"]] == [None, None]
    main(["evaluate", str(regression_run), "--data", str(tmp_path / "flat.npz")])
    assert "has no meaning: the target is constant" in capsys.readouterr().out
    assert (regression_run / "evaluation" / "flat" / "regression.png").is_file()


def test_a_temperature_on_validation_does_not_raise_its_log_loss(
    capsys: pytest.CaptureFixture[str], two_classes: Path
) -> None:
    result = evaluated(capsys, two_classes, "--split", "val")
    assert result["log_loss"] < result["loss"]  # which is of the outputs as they are


def test_calibration_without_softmax_or_validation_is_refused_before_training(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "no.yaml"
    config.write_text(
        "data: {dataset: shapes, validation: 0}\nmodel: {hidden_layers: []}\nloss: mean_squared_error\n"
        "evaluation: {calibrate: temperature}\n"
    )
    said = failing(capsys, "train", str(config))
    assert "evaluation.calibrate: needs a validation split" in said
    assert "evaluation.calibrate: temperature divides what goes into softmax" in said


def test_a_threshold_for_recall_is_chosen_on_validation_and_applied_to_the_split(
    capsys: pytest.CaptureFixture[str], two_classes: Path
) -> None:
    plain = evaluated(capsys, two_classes)
    result = evaluated(capsys, two_classes, "--threshold-for", "recall of sick=0.95")
    decision = result["decision"]
    assert decision["validation"]["recall"] >= 0.95
    sick = next(each for each in result["per_class"] if each["class"] == "sick")
    assert sick["recall"] > next(each for each in plain["per_class"] if each["class"] == "sick")["recall"]
    folder = two_classes / "evaluation" / "test-recall-of-sick-0.95"
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    of_sick = [
        float(row["probability"]) if row["predicted"] == "sick" else 1 - float(row["probability"]) for row in rows
    ]
    assert [row["predicted"] == "sick" for row in rows] == [p >= decision["threshold"] for p in of_sick]


def test_the_threshold_for_a_recall_is_the_highest_and_for_a_precision_the_lowest_that_has_it() -> None:
    t = np.array([1, 1, 0, 1, 0, 0])
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.1])
    p = np.column_stack([1 - score, score])
    classes = ("no", "yes")
    assert Decision.choose(Wanted.parse("recall=0.6", classes), t, p).threshold == 0.8
    assert Decision.choose(Wanted.parse("recall=1", classes), t, p).threshold == 0.6
    assert Decision.choose(Wanted.parse("precision=0.75", classes), t, p).threshold == 0.6
    assert Decision.choose(Wanted.parse("precision=1", classes), t, p).threshold == 0.8
    assert Decision.choose(Wanted.parse("recall of no=0.5", classes), t, p).threshold == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recal=0.9", "is not understood"),
        ("recall=1.5", "is not understood"),
        ("recall=0", "a number above 0, at most 1"),
        ("recall of sik=0.9", "did you mean sick?"),
    ],
)
def test_a_threshold_that_is_not_understood_is_refused(
    capsys: pytest.CaptureFixture[str], two_classes: Path, text: str, said: str
) -> None:
    assert said in failing(capsys, "evaluate", str(two_classes), "--threshold-for", text)


def test_a_threshold_without_validation_says_how_to_train_again(
    capsys: pytest.CaptureFixture[str], two_classes: Path, tmp_path: Path
) -> None:
    changes = ["name=bare", "data.validation=0", "training.monitor=null", "evaluation.calibrate=none"]
    config = str(two_classes.parent / "clinic.yaml")
    main(["train", config, *changes, "--epochs", "0", "--runs-dir", str(tmp_path), "--no-plots", "--quiet"])
    run = tmp_path / "bare"
    said = failing(capsys, "evaluate", str(run), "--threshold-for", "recall=0.9")
    assert "no validation split to choose a threshold on: it must be trained again with one" in said
    assert f"nnscratch train {run}/config.yaml data.validation=0.1" in said


def test_a_threshold_among_ten_classes_is_refused(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    assert "has 10 classes" in failing(capsys, "evaluate", str(shapes_run), "--threshold-for", "recall=0.9")


def test_timing_says_what_predictions_cost_by_batch(
    capsys: pytest.CaptureFixture[str], two_classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnscratch.results.timing.SECONDS", 0.05)
    timing = evaluated(capsys, two_classes, "--timing")["timing"]
    assert [each["batch"] for each in timing["batches"]] == [1, 32, 256]
    assert all(0 < each["p50"] <= each["p95"] <= each["p99"] for each in timing["batches"])
    assert timing["peak_memory_bytes"] > 2**20


def test_targets_have_the_unit_of_training_or_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"{row * 7 % 40 / 4}", row * 7 % 40 / 2 + row % 3) for row in range(80)]
    for name, unit, scale in (("own", " kg", 1), ("bare", "", 1), ("grams", " g", 1000)):
        lines = ["x,y", *(f"{x},{y * scale:.2f}{unit}" for x, y in rows)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    settings: dict[str, Any] = {
        "name": "weights", "data": {"dataset": {"name": "csv"}, "path": str(tmp_path / "own.csv")},
        "model": {"hidden_layers": [8]}, "loss": "mean_squared_error", "training": {"epochs": 20, "batch_size": 10},
    }  # fmt: skip
    run = nnscratch.train(settings, runs_dir=tmp_path / "runs", threads=1, plots=False, quiet=True).path
    own, bare = (evaluated(capsys, run, "--data", str(tmp_path / f"{name}.csv")) for name in ("own", "bare"))
    assert own["loss"] == bare["loss"]
    said = failing(capsys, "evaluate", str(run), "--data", str(tmp_path / "grams.csv"))
    assert "grams.csv:2: the target 'y' is '0.00 g', not a number or one in kg" in said


def test_labels_of_an_array_count_from_where_they_did_in_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3 + 1
    x = (rng.normal(size=(240, 3)) + 5 * np.eye(3)[y - 1]).astype(np.float32)
    names = np.array(["a", "b", "c"])
    np.savez(tmp_path / "own.npz", x=x, y=y, classes=names)
    np.savez(tmp_path / "all.npz", x=x, y=y, classes=names)
    np.savez(tmp_path / "some.npz", x=x[y < 3], y=y[y < 3], classes=names)
    np.savez(tmp_path / "bare.npz", x=x[y < 3], y=y[y < 3])
    settings: dict[str, Any] = {
        "name": "counts", "data": {"dataset": "npz", "path": str(tmp_path / "own.npz")},
        "model": {"hidden_layers": [8]}, "training": {"epochs": 20, "batch_size": 10},
    }  # fmt: skip
    run = nnscratch.train(settings, runs_dir=tmp_path / "runs", threads=1, plots=False, quiet=True).path
    for name in ("all", "some", "bare"):
        assert evaluated(capsys, run, "--data", str(tmp_path / f"{name}.npz"))["accuracy"] > 0.9


def test_what_training_and_predict_pass_over_in_a_folder_is_no_labelled_picture(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path, drawn: Any
) -> None:
    images, labels, classes = drawn
    folder = tmp_path / "mine" / classes[labels[0]]
    (folder / ".ipynb_checkpoints").mkdir(parents=True)
    (tmp_path / "mine" / "__MACOSX").mkdir()
    for name in ("0.png", ".ipynb_checkpoints/0.png"):
        Image.fromarray(images[0]).save(folder / name)
    (folder / "._0.png").write_bytes(b"of a Mac")
    assert evaluated(capsys, shapes_run, "--data", str(tmp_path / "mine"))["examples"] == 1


def test_what_a_folder_of_labelled_pictures_lacks_or_has_more_is_said(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path, drawn: Any
) -> None:
    images, labels, classes = drawn
    folder = tmp_path / "mine" / classes[labels[0]]
    folder.mkdir(parents=True)
    (tmp_path / "mine" / "unknown").mkdir()  # without a picture no class
    Image.fromarray(images[0]).save(folder / "0.png")
    (folder / "1.heic").write_bytes(b"of a telephone")
    Image.fromarray(images[0]).save(tmp_path / "mine" / "loose.png")
    result = evaluated(capsys, shapes_run, "--data", str(tmp_path / "mine"))
    assert result["examples"] == 1
    assert "no pictures of " in result["note"]
    assert classes[labels[0]] not in result["note"].split("\n")[0]
    assert "left out: 1 .heic files" in result["note"]
    assert "left out: 1 pictures in no class folder" in result["note"]


def test_unreadable_pictures_are_passed_over_where_they_were_in_training(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, grey in (("dark", 20), ("bri\udcffght", 200)):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for number in range(10):
            Image.fromarray(np.full((4, 4, 3), grey + number, np.uint8)).save(
                tmp_path / "mine" / name / f"{number}.png"
            )
        (tmp_path / "mine" / name / "bad.png").write_bytes(b"no picture")
    config = "data: {dataset: {name: image_folder, size: 4, unreadable: UNREADABLE}, path: mine, validation: 0}\n"
    (tmp_path / "mine.yaml").write_text(
        config.replace("UNREADABLE", "skip") + "model: {hidden_layers: []}\ntraining: {epochs: 2, batch_size: 4}\n"
    )
    begin = ["train", str(tmp_path / "mine.yaml"), "--runs-dir", str(tmp_path), "--no-plots", "--quiet"]
    main([*begin, "--threads", "1", "--name", "run", f"data.path={tmp_path / 'mine'}"])
    result = evaluated(capsys, tmp_path / "run", "--data", str(tmp_path / "mine"))
    assert result["examples"] == 20
    assert "left out: 2 unreadable pictures" in result["note"]


def test_a_run_of_one_number_each_takes_such_arrays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.linspace(-2, 2, 80, dtype=np.float32)
    np.savez(tmp_path / "line.npz", x=x, y=x**2)
    settings: dict[str, Any] = {
        "name": "line", "data": {"dataset": "npz", "path": str(tmp_path / "line.npz")},
        "model": {"hidden_layers": [8]}, "loss": "mean_squared_error", "training": {"epochs": 5, "batch_size": 10},
    }  # fmt: skip
    run = nnscratch.train(settings, runs_dir=tmp_path / "runs", threads=1, plots=False, quiet=True).path
    assert evaluated(capsys, run, "--data", str(tmp_path / "line.npz"))["examples"] == 80
    model = load(run)
    np.testing.assert_array_equal(model.predict(x), model.predict(x[:, np.newaxis]))
