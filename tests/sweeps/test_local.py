"""Whole sweeps in this process: statuses, what is left behind, what is shown."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.config.config import load_config
from nnscratch.config.data import Splits
from nnscratch.errors import ConfigError, Interrupted, UsageError, UserError
from nnscratch.experiment.train import train
from nnscratch.host.display import Display
from nnscratch.host.interruption import StopRequest
from nnscratch.host.workplace import Workplace
from nnscratch.sweeps.assignment import Assignment
from nnscratch.sweeps.command_line import SweepOptions, _interrupted, sweep
from nnscratch.sweeps.estimate import SweepEstimate
from nnscratch.sweeps.hyperband import Hyperband
from nnscratch.sweeps.outcome import SweepSummary, draw
from nnscratch.sweeps.sweep_file import load_sweep
from nnscratch.sweeps.trial_observer import TrialStop, chance_level
from nnscratch.training.examples import Examples

WriteSweep = Callable[..., Path]


class Said(Display):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(text)


def run(file: Path, **how: Any) -> SweepSummary:
    workplace = Workplace(data_dir=file.parent / "data", runs_dir=file.parent / "runs", threads=1, plots=False)
    result = sweep(file, SweepOptions(**how), workplace, Display(quiet=True))
    assert isinstance(result, SweepSummary)
    return result


def test_a_sweep_leaves_leaderboard_best_config_and_plots(write_sweep: WriteSweep, tmp_path: Path) -> None:
    file = write_sweep(tmp_path, method="bayes", run_cap=5)
    result = run(file)
    folder = tmp_path / "runs" / "sweeps" / "tiny"
    assignment = Assignment(load_sweep(file), 3, folder, None, 60.0, False, Workplace(data_dir=tmp_path))
    study = assignment.open_study()
    draw(study, study.trials(), folder, Display(quiet=True))
    assert [trial.status for trial in result.trials] == ["completed"] * 5
    assert result.best is not None
    assert result.best.value == max(trial.value or 0.0 for trial in result.trials)
    assert sorted(path.name for path in (folder / "plots").iterdir()) == [
        "history.png",
        "importance.png",
        "parallel_coordinates.png",
    ]
    assert len((folder / "leaderboard.csv").read_text().splitlines()) == 6
    assert json.loads((folder / "sweep.json").read_text()) == result.to_dict()


def test_ctrl_c_while_plots_are_drawn_leaves_the_leaderboard_and_the_command(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*drawn: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nnscratch.sweeps.outcome._draw", interrupt)
    file = write_sweep(tmp_path, run_cap=1)
    result = sweep(file, SweepOptions(), Workplace(tmp_path, tmp_path / "runs", 1), Display(quiet=True))
    assert isinstance(result, SweepSummary)
    assert isinstance(result.failure, Interrupted)
    assert result.failure.message.startswith("interrupted before the plots were drawn")
    assert f"nnscratch sweep {file} --name tiny" in str(result.failure.hint)
    assert "best: trial 0" in result.to_text()


def test_the_best_config_trains_to_the_value_of_the_best_trial(write_sweep: WriteSweep, tmp_path: Path) -> None:
    result = run(write_sweep(tmp_path))
    config = load_config(tmp_path / "runs" / "sweeps" / "tiny" / "best.yaml")
    assert config.name == "tiny-best"
    workplace = Workplace(data_dir=tmp_path, runs_dir=tmp_path / "again", threads=1, plots=False)
    again = train(config, workplace, Display(quiet=True))
    assert result.best is not None
    assert again.best["val_accuracy"] == result.best.value


def test_the_weights_that_a_trial_keeps_are_those_it_is_rated_by(write_sweep: WriteSweep, tmp_path: Path) -> None:
    def monitors(name: str, config: dict[str, Any] | None = None, **changes: Any) -> list[str | None]:
        metric = {"name": "val_loss", "goal": "minimize"}
        result = run(write_sweep(tmp_path, config, metric=metric, run_cap=1, name=name, **changes))
        assert result.best is not None
        of_trial = load_config(Path(result.best.run) / "config.yaml")
        best = load_config(tmp_path / "runs" / "sweeps" / name / "best.yaml")
        return [of_trial.training.monitor, best.training.monitor]

    training = {"epochs": 1, "batch_size": 20}
    assert monitors("open") == ["val_loss"] * 2
    assert monitors("config", {"training": {**training, "monitor": "val_accuracy"}}) == ["val_accuracy"] * 2
    own = {"training.monitor": {"value": "val_accuracy"}}
    assert monitors("sweep", {"training": training}, parameters=own) == ["val_accuracy"] * 2
    file = write_sweep(tmp_path, {"training": training}, parameters=own)
    assert load_sweep(file).notes == ()  # the metric is val_accuracy, too
    file = write_sweep(tmp_path, parameters=own, metric={"name": "val_loss", "goal": "minimize"})
    assert load_sweep(file).notes == (
        "trials are rated by their best val_loss; the weights they keep are those that training.monitor calls best",
    )


def test_a_folder_is_not_overwritten_with_another_sweep_from_another_storage(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    file, folder, elsewhere = write_sweep(tmp_path, run_cap=1), tmp_path / "runs/sweeps/tiny", str(tmp_path / "b")
    run(file)
    leaderboard = (folder / "leaderboard.csv").read_bytes()
    run(file, storage=elsewhere)  # it is the same sweep, whose trials are there to take up
    assert (folder / "leaderboard.csv").read_bytes() == leaderboard
    other = write_sweep(tmp_path, run_cap=1, parameters={"l2": {"value": 0.1}, "training.epochs": {"value": 1}})
    for extend in (False, True):
        with pytest.raises(UserError, match=r"tiny has the results of another sweep, whose trials are in .*b:"):
            run(other, storage=str(tmp_path / "c"), extend=extend)
    assert (folder / "leaderboard.csv").read_bytes() == leaderboard
    run(other, storage=str(tmp_path / "c"), name="other")
    (folder / "study.json").unlink()  # as of a sweep of before
    with pytest.raises(UserError, match="has the results of a sweep whose trials are not in"):
        run(other, storage=str(tmp_path / "d"))
    run(write_sweep(tmp_path, run_cap=2), storage=elsewhere)
    assert len((folder / "leaderboard.csv").read_text().splitlines()) == 3


def test_data_that_has_changed_between_two_starts_makes_another_sweep(write_sweep: WriteSweep, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"

    def write(last: int) -> None:
        table.write_text("a,y\n" + "".join(f"{row},{'ab'[row % 2]}\n" for row in range(60)) + f"{last},a\n")

    data = {"dataset": {"name": "csv", "target": "y"}, "path": str(table), "validation": 0.2}
    write(60)
    run(write_sweep(tmp_path, {"data": data}, run_cap=1))
    run(write_sweep(tmp_path, {"data": data}, run_cap=2))
    write(61)
    with pytest.raises(UserError, match=r"tiny is another sweep:\n  data: is not what it was \(SHA-256 \w{8}, now"):
        run(write_sweep(tmp_path, {"data": data}, run_cap=3))
    paths = {"data.path": {"values": [str(table)]}}
    run(write_sweep(tmp_path, {"data": data}, run_cap=1, name="paths", parameters=paths))
    write(62)  # which data each trial has is for the sweep to say
    run(write_sweep(tmp_path, {"data": data}, run_cap=2, name="paths", parameters=paths))


def test_a_trial_is_an_ordinary_run_with_its_values_and_a_seed_of_its_own(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    result = run(write_sweep(tmp_path))
    configs = [load_config(Path(trial.run) / "config.yaml") for trial in result.trials]
    assert len({config.seed for config in configs}) == 4
    for trial, config in zip(result.trials, configs, strict=True):
        assert config.to_dict()["optimizer"]["learning_rate"] == trial.parameters["optimizer.learning_rate"]  # type: ignore[index, call-overload]  # JSON
        assert config.wandb.group == "tiny"
        assert (Path(trial.run) / "checkpoints" / "best.npz").is_file()


def test_a_seed_in_the_parameters_is_the_seed_of_the_trial(write_sweep: WriteSweep, tmp_path: Path) -> None:
    result = run(write_sweep(tmp_path, method="grid", run_cap=None, parameters={"seed": {"values": [1, 2]}}))
    assert [load_config(Path(trial.run) / "config.yaml").seed for trial in result.trials] == [1, 2]


def test_the_same_name_goes_on_and_a_larger_count_adds_trials(write_sweep: WriteSweep, tmp_path: Path) -> None:
    file = write_sweep(tmp_path, run_cap=2)
    first = run(file).to_dict()
    assert run(file).to_dict() == first
    more = run(file, count=3).to_dict()
    assert more["trials"][:2] == first["trials"]
    assert len(more["trials"]) == 3
    assert len(run(file, name="other").trials) == 2


def test_diverged_failed_and_completed_trials_are_rows_side_by_side(write_sweep: WriteSweep, tmp_path: Path) -> None:
    parameters = {
        "training.batch_size": {"values": [20, 1000]},  # there are 160 examples
        "optimizer.learning_rate": {"values": [0.01, 1e30]},
        "optimizer.name": {"value": "sgd"},
    }
    result = run(write_sweep(tmp_path, method="grid", run_cap=None, parameters=parameters))
    assert [trial.status for trial in result.trials] == ["completed", "diverged", "failed", "failed"]
    completed, diverged, failed, _ = (trial.to_dict() for trial in result.trials)
    assert "1000 is larger than the training split" in failed["note"]
    assert "diverged in epoch 1" in diverged["note"]
    assert result.to_dict()["best"]["number"] == completed["number"] == 0


def test_a_parameter_that_the_chosen_component_lacks_is_left_out_with_one_note(
    write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parameters = {"optimizer.name": {"values": ["sgd", "adam", "rmsprop"]}, "optimizer.beta1": {"value": 0.8}}
    file = write_sweep(tmp_path, method="grid", run_cap=None, parameters=parameters)
    main(["sweep", str(file), "--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--no-plots"])
    out = capsys.readouterr().out
    assert out.count("optimizer.beta1 is left out: sgd has no beta1") == 1
    folder = tmp_path / "runs" / "sweeps" / "tiny"
    trials = json.loads((folder / "sweep.json").read_text())["trials"]
    assert [(trial["status"], sorted(trial["parameters"])) for trial in trials] == [
        ("completed", ["optimizer.name"]),
        ("completed", ["optimizer.beta1", "optimizer.name"]),
        ("completed", ["optimizer.name"]),
    ]
    adam = load_config(folder / "trials" / "trial-0001" / "config.yaml").optimizer
    assert (adam.name, adam.to_dict()["beta1"]) == ("adam", 0.8)


def test_a_network_that_learned_nothing_is_flagged_as_collapsed(write_sweep: WriteSweep, tmp_path: Path) -> None:
    parameters = {"model.weight_init": {"value": "zeros"}, "optimizer.learning_rate": {"value": 1e-9}}
    result = run(write_sweep(tmp_path, run_cap=1, parameters=parameters))
    (trial,) = result.trials
    assert (trial.status, trial.collapsed, trial.note) == ("completed", True, "collapsed to chance level")


def test_other_values_of_the_data_than_what_it_is_do_not_hide_that_it_has_no_classes(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("a,y\n" + "".join(f"{row},{row / 7}\n" for row in range(60)))
    data = {"dataset": {"name": "csv", "target": "y", "task": "regression"}, "path": str(table), "validation": 0.2}
    scaling = {"data.scaling": {"values": ["none", "standardize"]}}
    file = write_sweep(tmp_path, {"data": data, "loss": "mean_squared_error"}, parameters=scaling)
    with pytest.raises(ConfigError, match="no trial has val_accuracy: csv is regression; use val_loss"):
        run(file)


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_sweep_by_accuracy_of_data_without_classes_ends_before_its_first_trial(
    dry_run: bool, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("a,y\n" + "".join(f"{row},{row / 7}\n" for row in range(60)))
    data = {"dataset": {"name": "csv", "target": "y", "task": "regression"}, "path": str(table), "validation": 0.2}
    file = write_sweep(tmp_path, {"data": data, "loss": "mean_squared_error"})
    with pytest.raises(ConfigError, match="no trial has val_accuracy: csv is regression; use val_loss"):
        run(file, dry_run=dry_run)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("of_the_rare_class", "of_all", "expected"),
    [
        (50, 100, 0.52),  # luck reaches 0.65, two points of which are taken for it
        (10, 100, 0.92),
        (1, 100, 0.995),  # half of the way to 1: who finds the one has learned something
        (0, 100, None),  # one class: there is nothing to tell apart
    ],
)
def test_no_network_without_a_mistake_has_collapsed_however_rare_a_class_is(
    of_the_rare_class: int, of_all: int, expected: float | None
) -> None:
    targets = np.repeat([0, 1], [of_all - of_the_rare_class, of_the_rare_class])
    examples = Examples(np.zeros((of_all, 1), np.float32), targets, np.arange(of_all))
    assert chance_level(Splits(examples, None, None)) == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("eta", "bands"), [(3.0, [2, 6, 18, 54]), (2.5, [2, 5, 12, 31]), (1.5, [2, 3, 4, 6, 10, 15, 22, 34, 51])]
)
def test_hyperband_judges_at_each_of_its_bands_and_nowhere_else(eta: float, bands: list[int]) -> None:
    hyperband = Hyperband(min_iter=2, eta=eta)
    good, bad = (dict.fromkeys(range(1, 61), value) for value in (0.1, 0.9))
    due = [
        last
        for last in range(1, 61)
        if hyperband.is_due({epoch: bad[epoch] for epoch in range(1, last + 1)}, [good] * 3, "minimize")
    ]
    assert due == bands


def test_hyperband_stops_the_worse_trials_at_a_band(write_sweep: WriteSweep, tmp_path: Path) -> None:
    parameters = {"optimizer.learning_rate": {"values": [0.003, 1e-7, 1e-8]}}
    file = write_sweep(
        tmp_path,
        {"training": {"epochs": 6, "batch_size": 10}},
        method="grid",
        metric={"name": "train_loss", "goal": "minimize"},
        run_cap=None,
        parameters=parameters,
        early_terminate={"type": "hyperband", "min_iter": 2, "eta": 3},
    )
    result = run(file)
    assert [trial.status for trial in result.trials] == ["completed", "pruned", "pruned"]
    assert [max(trial.curve) for trial in result.trials] == [6, 2, 2]
    meta = json.loads((Path(result.trials[1].run) / "meta.json").read_text())
    assert (meta["status"], meta["epochs"]) == ("pruned", 2)


def test_json_is_one_object_with_best_and_trials(
    write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_sweep(tmp_path, run_cap=2)
    main(["sweep", str(file), "--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--no-plots", "--json"])
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert [sorted(trial) for trial in result["trials"]] == [
        ["collapsed", "number", "parameters", "run", "status", "value"]
    ] * 2
    assert result["best"]["value"] == max(trial["value"] for trial in result["trials"])
    assert err.count("completed") == 2  # a plain line per finished trial


def test_a_sweep_without_a_completed_trial_exits_1(
    write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_sweep(tmp_path, run_cap=1, parameters={"optimizer.learning_rate": {"value": 1e30}})
    with pytest.raises(SystemExit) as caught:
        main(["sweep", str(file), "--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--no-plots", "--json"])
    assert caught.value.code == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["best"] is None
    assert "no trial of tiny completed" in err


def test_missing_data_ends_a_sweep_before_its_first_trial(
    write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"dataset": {"name": "csv", "target": "price"}, "path": str(tmp_path / "nowhere.csv")}
    file = write_sweep(tmp_path, {"data": data, "loss": "mean_squared_error"}, metric={"name": "val_loss"})
    with pytest.raises(SystemExit) as caught:
        main(["sweep", str(file), "--runs-dir", str(tmp_path / "runs"), "--threads", "1"])
    assert caught.value.code == 4
    assert not (tmp_path / "runs" / "sweeps").exists()


def test_a_sweep_may_be_for_any_metric_that_its_config_monitors(write_sweep: WriteSweep, tmp_path: Path) -> None:
    metric = {"name": "val_macro_f1", "goal": "maximize"}
    training = {"epochs": 2, "batch_size": 20, "monitor": "val_macro_f1"}
    result = run(write_sweep(tmp_path, {"training": training}, metric=metric, run_cap=2))
    assert result.best is not None
    assert result.best.value is not None
    (row,) = csv.DictReader((Path(result.best.run) / "metrics.csv").read_text().splitlines()[:2])
    assert 0 < float(row["val_macro_f1"]) <= 1


def test_a_metric_that_no_trial_would_compute_is_refused_with_what_to_write(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, metric={"name": "val_brier_score", "goal": "minimize"})
    with pytest.raises(ConfigError) as caught:
        load_sweep(file)
    (problem,) = caught.value.problems
    assert problem.path == "metric.name"
    assert "write `training: {monitor: val_brier_score}`" in problem.message
    assert load_sweep(file, overrides=["training.monitor=val_brier_score"]).metric.goal == "minimize"


@pytest.mark.parametrize(
    "how",
    [
        {"workers": 0},
        {"workers": 10**6},
        {"count": 0},
        {"seed": -1},
        {"lease_seconds": 0.0},
        {"lease_seconds": math.nan},
        {"lease_seconds": math.inf},
        {"name": "a/b"},
    ],
)
def test_options_without_a_meaning_are_refused(how: dict[str, Any], write_sweep: WriteSweep, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        run(write_sweep(tmp_path), **how)


def test_ctrl_c_before_a_trial_is_begun_says_how_to_go_on(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nnscratch.sweeps.command_line.prepare", interrupted)
    file = write_sweep(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["sweep", str(file), "--runs-dir", str(tmp_path / "runs"), "--workers", "2"])
    assert caught.value.code == 130
    err = capsys.readouterr().err
    assert "interrupted before a trial was begun" in err
    assert f"go on with: nnscratch sweep {file} --name tiny --runs-dir {tmp_path / 'runs'} " in err
    assert " --workers 2" in err


def test_a_trials_own_stop_leaves_the_sweep_going_and_the_sweeps_stop_ends_both() -> None:
    whole = StopRequest()
    one, other = TrialStop(whole), TrialStop(whole)
    one.ask("pruned")
    assert (one.wanted, one.reason, other.wanted, whole.wanted) == (True, "pruned", False, False)
    whole.ask("interrupted")
    assert (one.reason, other.wanted, other.reason) == ("pruned", True, "interrupted")


def test_the_command_to_go_on_with_has_every_option_but_no_password(write_sweep: WriteSweep, tmp_path: Path) -> None:
    file = write_sweep(tmp_path)
    how = SweepOptions(storage="postgresql://me:secret@host/x", workers=2, lease_seconds=5.0)
    workplace = Workplace(data_dir=Path("my data"), threads=4, plots=False)
    definition = load_sweep(file, overrides=["training.epochs=2", "data.path=a #b"])
    hint = _interrupted("", definition, how, workplace, Path("runs/sweeps/tiny")).hint
    assert hint == (
        f"go on with: nnscratch sweep {file} training.epochs=2 'data.path=a #b' --name tiny --runs-dir runs "
        "--data-dir 'my data' --storage 'postgresql://me:***@host/x' --lease 5.0 --workers 2 --threads 4 --no-plots"
    )


def test_overrides_hold_for_every_trial_and_are_part_of_what_the_sweep_is(
    write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_sweep(tmp_path, run_cap=2)
    command = ["sweep", str(file), "--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--no-plots", "--quiet"]
    main([*command, "training.epochs=1", "--optimizer.beta1=0.8"])
    folder = tmp_path / "runs" / "sweeps" / "tiny"
    for number in range(2):
        config = load_config(folder / "trials" / f"trial-{number:04d}" / "config.yaml")
        assert (config.training.epochs, config.optimizer.to_dict()["beta1"]) == (1, 0.8)
    with pytest.raises(SystemExit):
        main(command)
    assert "config.training.epochs: was 1, is now 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.hidden_layers=[4]", "model.hidden_layers is a parameter of"),
        ("model.hidden_layers.0=4", "model.hidden_layers is a parameter of"),
        ("optimizer=adam", "optimizer.name is a parameter of"),
        ("optimizer.sgd=0.1", "optimizer.name is a parameter of"),
        ("optimizer.adam.learning_rate=1", "`optimizer` is rmsprop, not adam"),
        ("optimizer.learning_rte=1", "did you mean learning_rate"),
        ("optimizer.beta2=0.5", "optimizer.beta2: unknown field"),
        ("training.epochs=many", "expected a whole number"),
    ],
)
def test_an_override_that_the_sweep_undoes_or_the_config_refuses_is_a_mistake(
    override: str, said: str, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    parameters = {"optimizer.name": {"values": ["sgd", "rmsprop"]}, "model.hidden_layers": {"values": [[8], []]}}
    file = write_sweep(tmp_path, parameters=parameters)
    with pytest.raises(UserError, match=re.escape(said)):
        load_sweep(file, overrides=[override])
    momentum = load_sweep(file, overrides=["optimizer.momentum=0.5"])  # sgd has it
    assert "optimizer.momentum is left out: rmsprop has no momentum" in momentum.notes


def test_a_dry_run_says_trials_epochs_and_time_and_writes_nothing(
    write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parameters = {
        "training.epochs": {"values": [1, 2, 4]},
        "training.batch_size": {"values": [20, 1000]},  # the latter fails at once: there are 160 examples
        "optimizer.name": {"values": ["sgd", "adam"]},
        "optimizer.momentum": {"values": [0.0, 0.9]},
    }
    file = write_sweep(tmp_path, method="grid", run_cap=None, parameters=parameters)
    before = sorted(tmp_path.rglob("*"))
    command = ["sweep", str(file), "--runs-dir", str(tmp_path / "runs"), "--dry-run"]
    main([*command, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["trials"], told["epochs"]) == (18, 7 * 6)
    assert 0 < told["seconds"] < 600
    main([*command, "--workers", "2", "optimizer.learning_rate=0.1"])
    text = capsys.readouterr().out
    assert "tiny: grid, 18 trials of" in text
    assert "42 epochs in all" in text
    assert "2 at a time" in text
    assert "nothing was written" in text
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("options", [["--dry-run"], []])
def test_a_sweep_whose_trials_start_from_a_run_that_is_not_there_does_not_begin(
    options: list[str], write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_sweep(tmp_path, run_cap=1)
    command = ["sweep", str(file), "--runs-dir", str(tmp_path / "runs"), "model.start_from=nope", *options]
    with pytest.raises(SystemExit) as exit:
        main(command)
    assert exit.value.code == 2
    assert "model.start_from: nope is not a run" in capsys.readouterr().err


def test_a_dry_run_says_which_trials_cannot_be_trained_and_how_long_minutes_are(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    def dry(**changes: Any) -> SweepEstimate:
        workplace = Workplace(data_dir=tmp_path / "data", runs_dir=tmp_path / "runs", threads=1)
        file = write_sweep(tmp_path, method="grid", run_cap=None, **changes)
        result = sweep(file, SweepOptions(dry_run=True), workplace, Display(quiet=True))
        assert isinstance(result, SweepEstimate)
        return result

    momentum = {"optimizer.name": {"value": "sgd"}, "optimizer.momentum": {"values": [0, 0.9]}}
    refused = dry(parameters={**momentum, "optimizer.nesterov": {"value": True}})
    ((values, why),) = refused.refused
    assert (values["optimizer.momentum"], "momentum" in why) == (0, True)
    assert "cannot be trained: optimizer.name sgd  optimizer.momentum 0  optimizer.nesterov true: " in refused.to_text()
    assert refused.to_dict()["refused"][0]["parameters"] == values
    larger = dry(parameters={"training.batch_size": {"values": [20, 500]}})
    assert "cannot be trained: training.batch_size 500: training.batch_size: 500 is larger than" in larger.to_text()
    timed = dry(parameters={"training.minutes": {"values": [1, 2]}})
    assert timed.refused == []
    assert timed.seconds == pytest.approx(180, rel=0.01)


def test_a_sweep_that_reached_its_target_says_so_and_is_whole(write_sweep: WriteSweep, tmp_path: Path) -> None:
    metric = {"name": "val_loss", "goal": "minimize", "target": 100}
    file = write_sweep(tmp_path, metric=metric)
    main(["sweep", str(file), "--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--quiet"])
    said = "trial 0 reached the target, val_loss 100: no further trial is started"
    folder = tmp_path / "runs" / "sweeps" / "tiny"
    assert json.loads((folder / "sweep.json").read_text())["remarks"] == [said]
    page = (folder / "sweep.html").read_text()
    assert said in page
    assert "100.0 %" in page
    assert f"\n{said}\n" in run(file).to_text()


def test_fewer_trials_than_there_are_is_as_many_as_there_are(write_sweep: WriteSweep, tmp_path: Path) -> None:
    file = write_sweep(tmp_path, run_cap=2)
    run(file, count=3)
    display = Said()
    sweep(file, SweepOptions(), Workplace(tmp_path / "data", tmp_path / "runs", 1, plots=False), display)
    assert "going on: 3 of 3 trials are done" in display.said


def test_the_copy_of_a_sweep_file_goes_on_with_the_sweep_by_itself(write_sweep: WriteSweep, tmp_path: Path) -> None:
    def start(path: Path, *more: str) -> dict[str, Any]:
        words = ["sweep", str(path), "--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--no-plots", "--quiet"]
        main([*words, *more])
        kept: dict[str, Any] = json.loads((tmp_path / "runs/sweeps/other/sweep.json").read_text())
        return kept

    file = write_sweep(tmp_path, run_cap=1)
    first = start(file, "training.epochs=1", "--name", "other")
    assert first["overrides"] == ["training.epochs=1"]
    copied = tmp_path / "runs/sweeps/other/sweep.yaml"
    again = start(copied)
    assert again["trials"] == first["trials"]
    start(copied, "--count", "2")
    assert load_config(copied.parent / "trials/trial-0001/config.yaml").training.epochs == 1
    run(file)
    assert (tmp_path / "runs/sweeps/tiny/sweep.yaml").read_bytes() == file.read_bytes()


def test_a_mirror_that_fails_is_said_once_and_kept(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "fake" / "wandb"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('broken beyond repair')")
    monkeypatch.syspath_prepend(str(tmp_path / "fake"))
    display = Said()
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", 1, plots=False)
    result = sweep(write_sweep(tmp_path, run_cap=2), SweepOptions(wandb="offline"), workplace, display)
    said = [text for text in display.said if "broken beyond repair" in text]
    assert len(said) == 1
    assert said[0].startswith("W&B mirror: RuntimeError: broken beyond repair. ")
    assert isinstance(result, SweepSummary)
    assert result.remarks == said


def test_a_group_of_its_own_on_wandb_may_be_swept(write_sweep: WriteSweep, tmp_path: Path) -> None:
    groups = {"wandb.group": {"values": ["a", "b"]}}
    result = run(write_sweep(tmp_path, method="grid", run_cap=None, parameters=groups, project="p"))
    configs = [load_config(Path(trial.run) / "config.yaml").wandb for trial in result.trials]
    assert [(each.group, each.project) for each in configs] == [("a", "p"), ("b", "p")]


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_dry_run_of_a_search_counts_the_epochs_that_its_trials_draw(
    method: str, write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnscratch.sweeps.estimate.seconds_per_epoch", lambda *_: 2.0)
    band = {"type": "hyperband", "min_iter": 1}
    parameters = {"training.epochs": {"min": 1, "max": 9}, "training.batch_size": {"value": 10}}
    file = write_sweep(tmp_path, method=method, run_cap=300, parameters=parameters, early_terminate=band)
    workplace = Workplace(data_dir=tmp_path, runs_dir=tmp_path / "runs", threads=1)
    told = sweep(file, SweepOptions(dry_run=True, workers=4), workplace, Display(quiet=True))
    assert isinstance(told, SweepEstimate)
    assert told.trials == 300
    assert 4.5 * 300 < told.epochs < 5.5 * 300
    assert told.seconds == 2.0 * told.epochs / 4
    assert f"at most {told.epochs:,} epochs in all" in told.to_text()
    assert "about at most" in told.to_text()


def test_the_leaderboards_file_has_every_value_in_full_and_no_doubled_quotes(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    parameters = {
        "optimizer.learning_rate": {"value": 0.0123456789},
        "optimizer.name": {"values": ["sgd", "adam"]},
        "optimizer.momentum": {"value": 0.5},
        "model.hidden_layers": {"value": [8, 4]},
        "wandb.tags": {"value": ["a", "b"]},
        "training.clip_norm": {"value": None},
        "model.weight_init": {"value": {"name": "he", "distribution": "uniform"}},
    }
    run(write_sweep(tmp_path, method="grid", run_cap=None, parameters=parameters))
    text = (tmp_path / "runs" / "sweeps" / "tiny" / "leaderboard.csv").read_text()
    assert '""' not in text
    sgd, adam = csv.DictReader(text.splitlines())
    assert [sgd[path] for path in parameters] == [
        "0.0123456789", "sgd", "0.5", "[8, 4]", "[a, b]", "null", "{name: he, distribution: uniform}"
    ]  # fmt: skip
    assert (adam["optimizer.name"], adam["optimizer.momentum"]) == ("adam", "")


def test_plots_are_drawn_of_trials_that_lack_some_of_the_parameters(write_sweep: WriteSweep, tmp_path: Path) -> None:
    parameters = {
        "optimizer.name": {"values": ["sgd", "adam"]},
        "optimizer.momentum": {"values": [0.0, 0.5, 0.9]},
        "optimizer.learning_rate": {"values": [0.1, 0.001]},
    }
    file = write_sweep(tmp_path, {"training": {"epochs": 1}}, method="grid", run_cap=None, parameters=parameters)
    main(["sweep", str(file), "--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--quiet"])
    assert {path.name for path in (tmp_path / "runs" / "sweeps" / "tiny" / "plots").iterdir()} >= {
        "history.png",
        "parallel_coordinates.png",
    }


@pytest.mark.parametrize(("option", "drawn"), [([], False), (["--plots"], True)])
def test_trials_are_drawn_only_when_plots_are_asked_for(
    option: list[str], drawn: bool, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, run_cap=1)
    main(["sweep", str(file), "--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--quiet", *option])
    folder = tmp_path / "runs" / "sweeps" / "tiny"
    assert (folder / "plots" / "history.png").is_file()
    assert not (folder / "plots" / "importance.png").exists()  # one trial tells nothing
    assert (folder / "trials" / "trial-0000" / "report.html").is_file() == drawn
