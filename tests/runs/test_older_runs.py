"""Runs of nnscratch 0.1.0, kept as they were: one completed, one interrupted in its second epoch. All of today's
commands take them.

Figures are compared to a part in ten thousand: the machine that tests may have another BLAS kernel.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.runs.checkpoint import FORMAT, load_checkpoint
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.header import header_of

FIXTURES = Path(__file__).resolve().parent / "fixtures"
COMPLETED, INTERRUPTED = "run_of_0_1_0", "interrupted_run_of_0_1_0"


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """A folder with copies of both."""
    return Path(shutil.copytree(FIXTURES, tmp_path / "runs"))


def said(capsys: pytest.CaptureFixture[str], *words: str | Path) -> Any:
    """What a command says with --json."""
    capsys.readouterr()
    main([*map(str, words), "--json"])
    return json.loads(capsys.readouterr().out)


def close(value: float) -> Any:
    return pytest.approx(value, rel=1e-4)


def recorded(runs_dir: Path) -> dict[str, Any]:
    """What the completed run said of its result when it was trained."""
    result: dict[str, Any] = json.loads((runs_dir / COMPLETED / "meta.json").read_text())["result"]
    return result


def test_they_are_listed_with_their_figures(runs_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["name"]: row for row in said(capsys, "runs", "list", "--runs-dir", runs_dir)["runs"]}
    completed, interrupted = rows[COMPLETED], rows[INTERRUPTED]
    assert (completed["status"], interrupted["status"]) == ("completed", "interrupted")
    assert (completed["epochs"], interrupted["epochs"], interrupted["planned_epochs"]) == (3, 1, 3)
    assert completed["parameters"] == interrupted["parameters"] == 854
    assert completed["best_epoch"] == 1
    assert (completed["test"], interrupted["test"]) == (recorded(runs_dir)["test_accuracy"], None)


def test_evaluating_gives_the_figures_that_training_recorded(
    runs_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = recorded(runs_dir)
    test = said(capsys, "evaluate", runs_dir / COMPLETED, "--no-plots")
    assert (test["accuracy"], test["loss"]) == (result["test_accuracy"], close(result["test_loss"]))
    held_out, best = said(capsys, "evaluate", runs_dir / COMPLETED, "--no-plots", "--split", "val"), result["best"]
    assert (held_out["accuracy"], held_out["loss"]) == (best["val_accuracy"], close(best["val_loss"]))


def test_predicting_agrees_with_evaluating(runs_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from nnscratch.datasets.sources.shapes import Shapes

    run = runs_dir / COMPLETED
    said(capsys, "evaluate", run, "--no-plots")
    rows = (run / "evaluation" / "test" / "predictions.csv").read_text().splitlines()
    labels = [dict(zip(rows[0].split(","), row.split(","), strict=True))["predicted"] for row in rows[1:]]
    images = Shapes(train=120, test=40, seed=0).load(Path(), None, lambda _: None).test_inputs
    assert images is not None
    np.save(tmp_path / "images.npy", images)
    assert [row["label"] for row in said(capsys, "predict", run, tmp_path / "images.npy")] == labels


def test_they_are_drawn(runs_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = said(capsys, "plot", runs_dir / COMPLETED)
    assert all(Path(path).is_file() for path in (*drawn["plots"], drawn["report"]))
    digest = json.loads((runs_dir / COMPLETED / "meta.json").read_text())["dataset"]["digest"]
    assert digest in Path(drawn["report"]).read_text()


@pytest.mark.parametrize(("name", "status"), [(COMPLETED, "completed"), (INTERRUPTED, "interrupted")])
def test_they_are_diagnosed(name: str, status: str, runs_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "diagnose", runs_dir / name)["status"] == status


def test_the_interrupted_one_ends_as_the_one_that_was_not(runs_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    resumed = said(capsys, "train", "--resume", runs_dir / INTERRUPTED, "--no-plots", "--quiet")
    assert (resumed["epochs"], resumed["test_loss"]) == (3, close(recorded(runs_dir)["test_loss"]))
    ours, theirs = (load_checkpoint(runs_dir / name / "checkpoints" / "last.npz") for name in (INTERRUPTED, COMPLETED))
    assert ours.arrays.keys() == theirs.arrays.keys()
    for name, array in theirs.arrays.items():
        # Batch norm takes away what the bias before it adds: of its gradient only the kernel's rounding is left, which
        # Adam makes steps of. The running mean follows it.
        is_rounding = not name.startswith("optimizer/") and name.endswith(("0.conv.bias", "running_mean"))
        np.testing.assert_allclose(
            ours.arrays[name], array, rtol=1e-3, atol=0.01 if is_rounding else 1e-5, err_msg=name
        )


def test_the_completed_one_has_nothing_left_to_do_and_goes_on_with_more_epochs(
    runs_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runs_dir / COMPLETED
    before = (run / "meta.json").read_bytes()
    assert said(capsys, "train", "--resume", run) == {**recorded(runs_dir), "run": str(run)}
    assert (run / "meta.json").read_bytes() == before
    assert said(capsys, "train", "--resume", run, "--epochs", "5", "--no-plots", "--quiet")["epochs"] == 5
    meta = RunDirectory(run).read_meta()
    assert (meta.status, meta.epochs, meta.machine.threads) == ("completed", 5, 1), "with its own number of threads"
    assert [command[2] for command in meta.commands_before] == [f"{COMPLETED}.yaml"]


def test_their_checkpoints_say_all_that_todays_say(runs_dir: Path) -> None:
    for name in ("last.npz", "best.npz"):
        file = FIXTURES / COMPLETED / "checkpoints" / name
        checkpoint = load_checkpoint(file)
        said = json.loads(json.dumps({**header_of(checkpoint, file).to_dict(), "format": FORMAT}))
        expected = {**checkpoint.header, "machine": {**checkpoint.header["machine"]}}
        expected["machine"]["ranks"] = None  # all were trained in one process
        del expected["machine"]["data_dir_environment"]  # which meta.json says now, whoever named the folder
        assert said == expected
