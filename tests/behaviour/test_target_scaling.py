"""Regressions far from 0 and 1: the network learns scaled targets, people see their own units."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.config.advice import advice
from nnscratch.report.formats import decimal
from nnscratch.runs.checkpoint import Checkpoint, load_checkpoint
from nnscratch.training.diagnosis.findings import Setting, start_findings
from nnscratch.training.diagnosis.history import history_findings


def write_houses(path: Path) -> None:
    """400 prices around 500,000 that depend on three columns, with a little noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    price = 5e5 + 1e5 * (x[:, 0] + 0.5 * x[:, 1] - x[:, 2]) + 1e4 * rng.normal(size=400)
    rows = [f"{10 * a:.4f},{b:.4f},{100 * c:.4f},{y:.1f}" for (a, b, c), y in zip(x, price, strict=True)]
    path.write_text("\n".join(["area,rooms,age,price", *rows]) + "\n")


def houses(tmp_path: Path, **data: Any) -> Path:
    """The config of the README, for those prices."""
    write_houses(tmp_path / "houses.csv")
    dataset = {"name": "csv", "target": "price"}
    settings = {
        "name": "houses",
        "data": {"dataset": dataset, "path": str(tmp_path / "houses.csv"), "scaling": "standardize", **data},
        "model": {"hidden_layers": [16]},
        "loss": "mean_squared_error",
        "optimizer": {"name": "adam", "learning_rate": 0.01},
        "training": {"epochs": 8, "batch_size": 32},
    }
    path = tmp_path / "houses.yaml"
    path.write_text(json.dumps(settings))
    return path


def run_command(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[dict[str, Any], str]:
    """The JSON on standard output, and what was said."""
    capsys.readouterr()
    main([*map(str, arguments), "--threads", "1", "--json"])
    said = capsys.readouterr()
    return json.loads(said.out), said.err


def test_house_prices_are_learned_without_a_warning_and_evaluated_in_their_own_units(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained, said = run_command(capsys, "train", houses(tmp_path), "--runs-dir", tmp_path / "runs", "--no-plots")
    result, _ = run_command(capsys, "evaluate", tmp_path / "runs" / "houses", "--no-plots")
    assert "warning" not in said
    assert result["loss"] == trained["test_loss"] < 0.1  # of the scaled targets
    assert result["r2"] > 0.95
    affine = load_checkpoint(tmp_path / "runs" / "houses" / "checkpoints" / "best.npz").section("target_scaling")
    assert result["mean_squared_error"] == pytest.approx(result["loss"] / float(affine["multiplier"][0]) ** 2, rel=1e-4)


def test_the_end_of_training_says_errors_in_own_units_as_evaluate_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["train", str(houses(tmp_path)), "--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--no-plots"])
    said = capsys.readouterr().out
    result, _ = run_command(capsys, "evaluate", tmp_path / "runs" / "houses", "--no-plots")
    error, r2, loss = (decimal(result[name]) for name in ("mean_absolute_error", "r2", "loss"))
    assert f"\ntest_mean_absolute_error {error}  test_r2 {r2}  test_loss {loss}\n" in said


def test_predictions_are_prices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", str(houses(tmp_path)), "--runs-dir", str(tmp_path / "runs"), "--no-plots", "--threads", "1", "-q"])
    (tmp_path / "new.csv").write_text("area,rooms,age\n0,0,0\n10,0,0\n")
    predictions, _ = run_command(capsys, "predict", tmp_path / "runs" / "houses", tmp_path / "new.csv")
    prices = [each["values"]["price"] for each in predictions]  # type: ignore[index]  # JSON
    assert prices == pytest.approx([5e5, 6e5], abs=3e4)


def test_true_values_in_the_predictions_file_are_those_of_the_table(tmp_path: Path) -> None:
    main(["train", str(houses(tmp_path)), "--runs-dir", str(tmp_path / "runs"), "--no-plots", "--threads", "1", "-q"])
    main(["evaluate", str(tmp_path / "runs" / "houses"), "--split", "train", "--no-plots", "--threads", "1", "-q"])
    with (tmp_path / "runs" / "houses" / "evaluation" / "train" / "predictions.csv").open() as file:
        true = {np.float32(row["true_price"]) for row in csv.DictReader(file)}
    with (tmp_path / "houses.csv").open() as file:
        assert true <= {np.float32(row["price"]) for row in csv.DictReader(file)}


def test_a_resumed_regression_ends_with_the_bytes_of_an_uninterrupted_one(tmp_path: Path) -> None:
    config = str(houses(tmp_path))
    common = ["--no-plots", "--threads", "1", "-q"]
    main(["train", config, "--runs-dir", str(tmp_path / "whole"), *common])
    main(["train", config, "--runs-dir", str(tmp_path / "parts"), "--epochs", "3", *common])
    main(["train", "--resume", str(tmp_path / "parts" / "houses"), "--epochs", "8", *common])
    whole, parts = (
        load_checkpoint(tmp_path / folder / "houses" / "checkpoints" / "last.npz") for folder in ("whole", "parts")
    )
    assert whole.arrays.keys() == parts.arrays.keys()
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(array, parts.arrays[name], err_msg=name)


def test_without_target_scaling_the_losses_are_of_the_targets_themselves_and_only_the_start_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = houses(tmp_path, target_scaling="none")
    trained, said = run_command(capsys, "train", config, "--runs-dir", tmp_path / "runs", "--no-plots")
    result, _ = run_command(capsys, "evaluate", tmp_path / "runs" / "houses", "--no-plots")
    assert result["loss"] == trained["test_loss"] == pytest.approx(result["mean_squared_error"])
    assert "exploding" not in said
    assert "edge of divergence" not in said


def test_labels_have_no_target_scaling(shapes_run: Path) -> None:
    assert not load_checkpoint(shapes_run / "checkpoints" / "last.npz").section("target_scaling")


def test_a_checkpoint_from_before_targets_were_scaled_gives_its_outputs_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = houses(tmp_path, target_scaling="none")
    run_command(capsys, "train", config, "--runs-dir", tmp_path / "runs", "--no-plots")
    file = tmp_path / "runs" / "houses" / "checkpoints" / "best.npz"
    before, _ = run_command(capsys, "evaluate", tmp_path / "runs" / "houses", "--no-plots")
    checkpoint = load_checkpoint(file)
    config_then = checkpoint.header["config"].replace("  target_scaling: none\n", "")
    assert "target_scaling" not in config_then
    file.write_bytes(Checkpoint({**checkpoint.header, "config": config_then}, checkpoint.arrays).encode())
    (file.parents[1] / "config.yaml").write_text(config_then)
    after, _ = run_command(capsys, "evaluate", tmp_path / "runs" / "houses", "--no-plots")
    assert before == after


def test_a_regression_in_its_own_units_is_measured_against_them() -> None:
    setting = Setting(guessing=1e10, is_cross_entropy=False, classes=None, layers=("1.dense",))
    rows = [{"epoch": n, "train_loss": 2.6e11 / n, "gradient_norm/1.dense": 1e11} for n in (1.0, 2.0, 3.0)]
    assert list(history_findings(rows, setting)) == []
    (finding,) = start_findings(2.6e11, 128, setting)
    assert advice(finding).startswith("data.target_scaling: standardize")
    assert [each.problem for each in history_findings([*rows, rows[0]], setting)] == [
        "learning rate at the edge of divergence"
    ]
