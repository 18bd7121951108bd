"""`nnscratch evaluate`: the figures of a run, equal to those that training reported and to scikit-learn's."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.datasets.sources.shapes import Shapes
from nnscratch.nn.losses import CrossEntropy, MeanSquaredError
from nnscratch.runs.checkpoint import Checkpoint, load_checkpoint


def evaluated(capsys: pytest.CaptureFixture[str], run: Path, *options: str) -> dict[str, Any]:
    capsys.readouterr()  # what training has said
    main(["evaluate", str(run), "--json", "--no-plots", *options])
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def records(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_test_figures_equal_those_of_training_to_the_last_digit(
    capsys: pytest.CaptureFixture[str], shapes_run: Path
) -> None:
    reported = records(shapes_run)[-1]
    result = evaluated(capsys, shapes_run)
    assert (result["split"], result["examples"]) == ("test", 50)
    assert (result["accuracy"], result["loss"]) == (reported["test_accuracy"], reported["test_loss"])


def test_the_test_split_is_left_alone_while_the_config_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "chosen.yaml"
    config.write_text(
        "data: {dataset: {name: shapes, train: 200, test: 60}, validation: 0.2}\n"
        "model: {hidden_layers: [4]}\ntraining: {epochs: 1, batch_size: 20}\nevaluation: {test: false}\n"
    )
    main(["train", str(config), "--runs-dir", str(tmp_path), "--no-plots"])
    said = capsys.readouterr().out
    assert "60 test examples (not looked at)" in said
    assert "test_accuracy" not in said
    assert not [row for row in records(tmp_path / "chosen") if row.get("record") == "test"]
    main(["plot", str(tmp_path / "chosen")])
    assert "test accuracy" not in (tmp_path / "chosen" / "report.html").read_text().lower()
    assert evaluated(capsys, tmp_path / "chosen")["split"] == "test"  # asked for by name of the command


def test_averaged_weights_running_statistics_and_flipped_views_change_nothing_of_that(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "conv.yaml"
    config.write_text(
        "data: {dataset: {name: shapes, train: 200, test: 60}}\n"
        "model: {layers: [{conv: {channels: 4, kernel: 3}}, batch_norm, relu, {max_pool: 4}, flatten, dense]}\n"
        "evaluation: {test_time_augmentation: flip}\n"
        "training: {epochs: 2, batch_size: 20, averaging: ema}\n"
    )
    main(["train", str(config), "--runs-dir", str(tmp_path), "--no-plots", "--quiet", "--threads", "2"])
    reported = records(tmp_path / "conv")[-1]
    result = evaluated(capsys, tmp_path / "conv")
    assert (result["accuracy"], result["loss"]) == (reported["test_accuracy"], reported["test_loss"])
    images = Shapes(train=200, test=60).load(Path(), None, lambda _: None).test_inputs
    assert images is not None
    np.save(tmp_path / "test.npy", images)
    main(["predict", str(tmp_path / "conv"), str(tmp_path / "test.npy"), "--json"])
    predictions = json.loads(capsys.readouterr().out)
    rows = rows_of(tmp_path / "conv" / "evaluation" / "test" / "predictions.csv")
    assert [each["label"] for each in predictions] == [row["predicted"] for row in rows]
    assert [each["probability"] for each in predictions] == pytest.approx([float(row["probability"]) for row in rows],
                                                                          abs=1e-5)  # fmt: skip


@pytest.mark.parametrize("views", ["none", "flip"])
@pytest.mark.parametrize("averaging", ["ema", "lookahead", "null"])
def test_validation_figures_are_those_of_training_for_best_and_last_or_the_output_says_why_not(
    averaging: str, views: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "noisy.yaml"
    config.write_text(
        "data: {dataset: {name: shapes, train: 200, test: 20}, validation: 0.3, augment: [flip]}\n"
        "model: {layers: [flatten, dense: 16, batch_norm, relu, dropout: 0.5, dense]}\n"
        "loss: {name: cross_entropy, label_smoothing: 0.1, class_weights: balanced}\n"
        f"evaluation: {{test_time_augmentation: {views}}}\n"
        f"training: {{epochs: 3, batch_size: 20, averaging: {averaging}, monitor: val_accuracy}}\n"
    )
    main(["train", str(config), "--runs-dir", str(tmp_path), "--no-plots", "--quiet", "--threads", "1"])
    run = tmp_path / "noisy"
    of_epoch = {row["epoch"]: row for row in records(run) if "val_loss" in row}
    for checkpoint in ("best", "last"):
        result = evaluated(capsys, run, "--split", "val", "--checkpoint", checkpoint)
        reported = of_epoch[result["epoch"]]
        equal = (result["accuracy"], result["loss"]) == (reported["val_accuracy"], reported["val_loss"])
        assert equal == (views == "none")
        assert ("averaged over the views" in result.get("note", "")) == (views != "none")
    assert result["epoch"] == 3


def test_validation_figures_equal_those_of_the_best_epoch(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    result = evaluated(capsys, shapes_run, "--split", "val")
    best = records(shapes_run)[result["epoch"] - 1]
    assert (result["accuracy"], result["loss"]) == (best["val_accuracy"], best["val_loss"])


def test_the_last_checkpoint_gives_the_figures_of_the_last_epoch(
    capsys: pytest.CaptureFixture[str], shapes_run: Path
) -> None:
    last = records(shapes_run)[2]
    result = evaluated(capsys, shapes_run, "--split", "val", "--checkpoint", "last")
    assert (result["epoch"], result["loss"]) == (3, last["val_loss"])


def test_a_checkpoint_can_be_given_as_a_file(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    file = shapes_run / "checkpoints" / "last.npz"
    by_path = evaluated(capsys, shapes_run, "--checkpoint", str(file))
    assert by_path["loss"] == evaluated(capsys, shapes_run, "--checkpoint", "last")["loss"]


def test_the_training_split_has_the_examples_left_by_validation(
    capsys: pytest.CaptureFixture[str], shapes_run: Path
) -> None:
    training = evaluated(capsys, shapes_run, "--split", "train")
    evaluated(capsys, shapes_run, "--split", "val")
    assert training["examples"] == 160
    splits = [
        {row["index"] for row in rows_of(shapes_run / "evaluation" / split / "predictions.csv")}
        for split in ("train", "val")
    ]
    assert not splits[0] & splits[1]
    assert len(splits[0] | splits[1]) == 200


def test_figures_equal_scikit_learns_on_the_written_predictions(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, oracle: Callable[[str], Any]
) -> None:
    scikit_learn = oracle("sklearn.metrics")
    result = evaluated(capsys, shapes_run)
    rows = rows_of(shapes_run / "evaluation" / "test" / "predictions.csv")
    true, predicted = ([row[key] for row in rows] for key in ("true", "predicted"))
    names = [each["class"] for each in result["per_class"]]
    assert result["accuracy"] == scikit_learn.accuracy_score(true, predicted)
    assert result["confusion_matrix"] == scikit_learn.confusion_matrix(true, predicted, labels=names).tolist()
    expected = scikit_learn.precision_recall_fscore_support(true, predicted, labels=names, zero_division=0.0)
    for key, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert [each[key] for each in result["per_class"]] == pytest.approx(values.tolist())


def test_the_files_hold_what_was_printed(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    result = evaluated(capsys, shapes_run)
    folder = shapes_run / "evaluation" / "test"
    assert json.loads((folder / "metrics.json").read_text()) == result
    rows = rows_of(folder / "predictions.csv")
    assert np.mean([int(row["correct"]) for row in rows]) == pytest.approx(result["accuracy"])
    assert all(0 < float(row["probability"]) <= 1 for row in rows)
    with (folder / "confusion_matrix.csv").open(newline="") as file:
        header, *counts = csv.reader(file)
    assert header[1:] == [row[0] for row in counts]
    assert [[int(cell) for cell in row[1:]] for row in counts] == result["confusion_matrix"]
    assert {path.name for path in folder.iterdir()} == {"metrics.json", "predictions.csv", "confusion_matrix.csv"}


def test_the_table_names_every_class_and_the_accuracy(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    main(["evaluate", str(shapes_run), "--no-plots"])
    text = capsys.readouterr().out
    assert all(word in text for word in ("accuracy", "top-5", "precision", "triangle", "50"))


def test_plots_of_the_evaluation_are_drawn_unless_unwanted(
    capsys: pytest.CaptureFixture[str], shapes_run: Path
) -> None:
    main(["evaluate", str(shapes_run)])
    drawn = {path.name for path in (shapes_run / "evaluation" / "test").glob("*.png")}
    assert drawn == {"confusion_matrix.png", "per_class.png", "reliability.png", "thresholds.png"}


def test_regression_gives_errors_per_target_and_no_accuracy(
    capsys: pytest.CaptureFixture[str], regression_run: Path, oracle: Callable[[str], Any]
) -> None:
    scikit_learn = oracle("sklearn.metrics")
    result = evaluated(capsys, regression_run)
    rows = rows_of(regression_run / "evaluation" / "test" / "predictions.csv")
    true, predicted = (
        np.array([[float(row[f"{what}_{name}"]) for name in ("y", "z")] for row in rows])
        for what in ("true", "predicted")
    )
    assert "accuracy" not in result
    assert [each["target"] for each in result["per_target"]] == ["y", "z"]
    assert result["mean_squared_error"] == pytest.approx(scikit_learn.mean_squared_error(true, predicted))
    assert result["mean_absolute_error"] == pytest.approx(scikit_learn.mean_absolute_error(true, predicted))
    assert result["r2"] == pytest.approx(scikit_learn.r2_score(true, predicted))
    assert result["r2"] > 0.9


def failing(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, capsys.readouterr().err


def test_a_mistyped_split_is_named_with_the_closest_one(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    code, message = failing(capsys, "evaluate", str(shapes_run), "--split", "tset")
    assert code == 2
    assert "did you mean test?" in message


def test_data_with_other_classes_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    file = tmp_path / "mine.npz"
    images = rng.integers(0, 256, (40, 6, 6), dtype=np.uint8)
    np.savez(file, x=images, y=np.arange(40) % 2)
    config = tmp_path / "mine.yaml"
    config.write_text(
        f"data: {{dataset: npz, path: {file}}}\nmodel: {{hidden_layers: [4]}}\ntraining: {{epochs: 1, batch_size: 8}}\n"
    )
    main(["train", str(config), "--runs-dir", str(tmp_path), "--no-plots", "--quiet", "--threads", "1"])
    np.savez(file, x=rng.integers(0, 256, (40, 5, 5), dtype=np.uint8), y=np.arange(40) % 3)
    code, message = failing(capsys, "evaluate", str(tmp_path / "mine"))
    assert code == 4
    assert "its inputs have shape (5, 5, 1), the network takes (6, 6, 1)" in message
    assert "its classes are 0, 1, 2; the network knows 0, 1" in message


def test_data_that_changed_but_fits_is_used_with_a_warning(
    capsys: pytest.CaptureFixture[str], regression_run: Path
) -> None:
    table = regression_run.parent.parent / "table.csv"
    table.write_text(table.read_text() + "1,1,1,1\n")
    main(["evaluate", str(regression_run), "--no-plots"])
    assert "is not the data" in capsys.readouterr().err


def test_a_checkpoint_of_another_config_is_refused_and_changes_nothing(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path
) -> None:
    main(["train", str(shapes_run / "config.yaml"), "seed=8", "--runs-dir", str(tmp_path / "others"), "--no-plots"])
    other = tmp_path / "others" / "shapes" / "checkpoints" / "best.npz"
    assert other.is_file()
    before = {path: path.read_bytes() for path in shapes_run.rglob("*") if path.is_file()}
    for checkpoint in (str(other), "best"):
        with pytest.raises(SystemExit):
            main(["evaluate", str(shapes_run), "--checkpoint", checkpoint, "--no-plots"])
        assert f"is not of {shapes_run}: it was trained with another seed" in capsys.readouterr().err
        assert {path: path.read_bytes() for path in before} == before
        assert not (shapes_run / "evaluation").exists()
        own = shapes_run / "checkpoints" / "best.npz"
        own.write_bytes(other.read_bytes())  # in its place, too
        before[own] = own.read_bytes()


def test_a_checkpoint_is_the_runs_own_though_its_config_yaml_was_changed_by_hand(
    capsys: pytest.CaptureFixture[str], shapes_run: Path
) -> None:
    config = shapes_run / "config.yaml"
    config.write_text(re.sub("seed: [0-9]+", "seed: 8", config.read_text()))
    assert evaluated(capsys, shapes_run)["examples"] == 50


def test_a_checkpoint_of_elsewhere_is_named_by_its_path(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copy(shapes_run / "checkpoints" / "best.npz", tmp_path / "best.npz"))
    main(["evaluate", str(shapes_run), "--checkpoint", str(other), "--no-plots"])
    assert f"{other.resolve()} (epoch" in " ".join(capsys.readouterr().out.split())
    looks = (shapes_run / "logs" / "looks.jsonl").read_text().splitlines()
    assert json.loads(looks[-1])["checkpoint"] == str(other.resolve())
    main(["runs", "card", str(shapes_run), "--data-dir", str(tmp_path)])
    card = (shapes_run / "model_card.md").read_text()
    assert "Of other weights than this card's" in card


def test_a_run_without_a_checkpoint_says_so(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    for file in (shapes_run / "checkpoints").iterdir():
        file.unlink()
    code, message = failing(capsys, "evaluate", str(shapes_run))
    assert code == 1
    assert "has no checkpoint yet" in message


def test_figures_that_cannot_be_written_are_shown_and_the_command_fails(
    capsys: pytest.CaptureFixture[str], shapes_run: Path
) -> None:
    expected = evaluated(capsys, shapes_run)
    shutil.rmtree(shapes_run / "evaluation")
    (shapes_run / "evaluation").write_text("in the way, as a disk that may only be read would be")
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(shapes_run), "--json"])
    output = capsys.readouterr()
    assert json.loads(output.out) == expected
    assert stop.value.code == 1
    assert "cannot write" in output.err
    with pytest.raises(SystemExit):
        main(["evaluate", str(shapes_run)])
    assert "not all of this could be written" in capsys.readouterr().out


def test_without_best_the_other_checkpoints_are_named(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    (shapes_run / "checkpoints" / "best.npz").unlink()
    code, message = failing(capsys, "evaluate", str(shapes_run))
    assert code == 1
    assert "there is last.npz" in message
    assert "--checkpoint last" in message


def test_weights_of_another_network_are_refused_by_name(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    file = shapes_run / "checkpoints" / "best.npz"
    saved = load_checkpoint(file)
    arrays = dict(saved.arrays)
    name = next(name for name in arrays if name.startswith("parameters/") and name.endswith("weight"))
    arrays[name] = arrays[name][:-1]
    file.write_bytes(Checkpoint(saved.header, arrays).encode())
    code, message = failing(capsys, "evaluate", str(shapes_run))
    assert code == 1
    assert name.removeprefix("parameters/") in message


def test_probabilities_are_the_softmax_of_logits() -> None:
    p = CrossEntropy.probabilities(np.log(np.array([[1.0, 3.0], [1.0, 1.0]])))
    assert p.tolist() == [pytest.approx([0.25, 0.75]), [0.5, 0.5]]


def test_probabilities_without_softmax_are_the_positive_outputs_by_their_sum() -> None:
    p = MeanSquaredError.probabilities(np.array([[0.9, 0.3, -0.1], [-1.0, -2.0, -3.0], [-1.0, -1.0, -1.0]]))
    assert p[0] == pytest.approx([0.75, 0.25, 0])
    assert p[1] == pytest.approx([2 / 3, 1 / 3, 0])  # the largest output keeps the largest probability
    assert p[2] == pytest.approx([1 / 3] * 3)
