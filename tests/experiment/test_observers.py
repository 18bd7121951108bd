"""Observers: told in one order, of one training, to its end; and a mirror that fails harms nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nnscratch.config.config import Config, config_from_mapping
from nnscratch.errors import DivergenceError, Interrupted, ProcessKilled, UserError
from nnscratch.experiment.mirrors.mirror import Harmless
from nnscratch.experiment.observer import Observer, Training, TrainingSummary
from nnscratch.experiment.train import resume, train
from nnscratch.host.display import Display
from nnscratch.host.interruption import StopRequest
from nnscratch.host.workplace import Workplace
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.meta import Status
from nnscratch.training.progress import EpochResult, StepResult


class Diary(Observer):
    """Writes down what it is told, and fails where it is to."""

    def __init__(self, pages: list[Any], name: str = "", fails_in: str | None = None) -> None:
        self.pages, self.name, self.fails_in = pages, name, fails_in
        self.run: RunDirectory | None = None

    def write(self, what: str, *more: object) -> None:
        self.pages.append((self.name + what, *more))
        if what == self.fails_in:
            raise RuntimeError(f"no ink for {what}")

    def begin(self, training: Training) -> None:
        self.run = training.run
        self.write("begin", training.run.read_meta().status)

    def step(self, result: StepResult) -> None:
        self.write("step", result.epoch, result.step)

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        assert self.run is not None
        assert self.run.read_history()[-1]["epoch"] == result.epoch, "the run's own files come first"
        self.write("epoch", result.epoch)

    def end(self, status: Status, summary: TrainingSummary | None) -> None:
        self.write("end", status, None if summary is None else summary.epochs)


def config(**changes: Any) -> Config:
    settings = {
        "name": "run",
        "data": {"dataset": {"name": "shapes", "train": 60, "test": 20}},
        "model": {"hidden_layers": [4]},
        "training": {"epochs": 2, "batch_size": 30},
    }
    return config_from_mapping({**settings, **changes})


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path, tmp_path / "runs", 1, plots=False)


STEPS = [("step", 1, 1), ("step", 1, 2), ("epoch", 1), ("step", 2, 1), ("step", 2, 2), ("epoch", 2)]


def test_an_observer_is_told_of_every_step_and_epoch_and_of_the_end(workplace: Workplace) -> None:
    pages: list[Any] = []
    train(config(), workplace, Display(quiet=True), observers=[Diary(pages)])
    assert pages == [("begin", "running"), *STEPS, ("end", "completed", 2)]


def test_observers_are_told_in_the_order_of_their_list(workplace: Workplace) -> None:
    pages: list[Any] = []
    train(config(), workplace, Display(quiet=True), observers=[Diary(pages, "first "), Diary(pages, "second ")])
    names = [page[0] for page in pages]
    assert names[::2] == [name.replace("second", "first") for name in names[1::2]]


class Killer(Observer):
    """What a training with two processes comes to when the other one is killed in the second epoch."""

    def step(self, result: StepResult) -> None:
        if result.epoch == 2:
            raise ProcessKilled("the process that does one half of each step was killed", "mostly as memory ran out")


def test_a_training_whose_other_process_was_killed_says_how_it_goes_on(workplace: Workplace) -> None:
    with pytest.raises(UserError, match="was killed") as raised:
        train(config(), workplace, Display(quiet=True), observers=[Killer()])
    run = workplace.runs_dir / "run"
    assert str(raised.value.hint).startswith("mostly as memory ran out\n  continue with: nnscratch train --resume ")
    assert str(run) in str(raised.value.hint)
    assert RunDirectory(run).read_meta().status == "failed"
    assert resume(run, None, workplace, Display(quiet=True)).epochs == 2


def test_a_resumed_training_tells_what_is_left_and_a_finished_one_its_end(workplace: Workplace) -> None:
    run = train(config(), workplace, Display(quiet=True)).run
    pages: list[Any] = []
    resume(run, None, workplace, Display(quiet=True), observers=[Diary(pages)])
    assert pages == [("begin", "completed"), ("end", "completed", 2)]
    pages.clear()
    resume(run, 3, workplace, Display(quiet=True), observers=[Diary(pages)])
    assert pages == [("begin", "running"), ("step", 3, 1), ("step", 3, 2), ("epoch", 3), ("end", "completed", 3)]


def test_an_interrupted_training_ends_with_its_reason_and_without_a_summary(workplace: Workplace) -> None:
    pages: list[Any] = []
    stop = StopRequest()
    stop.ask("pruned")
    with pytest.raises(Interrupted, match="pruned after epoch 0, step 1"):
        train(config(), workplace, Display(quiet=True), observers=[Diary(pages)], stop=stop)
    assert pages == [("begin", "running"), ("step", 1, 1), ("end", "pruned", None)]


def test_a_diverged_training_ends_so(workplace: Workplace) -> None:
    pages: list[Any] = []
    with pytest.raises(DivergenceError):
        train(
            config(optimizer={"name": "sgd", "learning_rate": 1e30}),
            workplace,
            Display(quiet=True),
            observers=[Diary(pages)],
        )
    assert (pages[0], pages[-1]) == (("begin", "running"), ("end", "diverged", None))


@pytest.mark.parametrize("moment", ["begin", "step", "epoch"])
def test_an_observer_that_raises_ends_the_training_as_failed_and_all_are_told(
    moment: str, workplace: Workplace, tmp_path: Path
) -> None:
    pages: list[Any] = []
    with pytest.raises(RuntimeError, match="no ink"):
        train(
            config(),
            workplace,
            Display(quiet=True),
            observers=[Diary(pages, "first ", moment), Diary(pages, "second ")],
        )
    assert pages[-2:] == [("first end", "failed", None), ("second end", "failed", None)]
    meta = json.loads((tmp_path / "runs" / "run" / "meta.json").read_text())
    assert (meta["status"], meta["error"]) == ("failed", f"RuntimeError: no ink for {moment}")


@pytest.mark.parametrize("moment", ["begin", "step", "epoch", "end"])
def test_a_mirror_that_raises_is_one_warning_and_the_run_is_complete(
    moment: str, workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    pages: list[Any] = []
    display = Display(quiet=True)
    mirror = Harmless("diary", Diary(pages, fails_in=moment), display)
    run = train(config(), workplace, display, observers=[mirror]).run
    warnings = capsys.readouterr().err.splitlines()
    assert warnings == [f"warning: diary: no ink for {moment}. The training goes on"]
    assert RunDirectory(run).read_meta().status == "completed"
    told = [("begin", "running"), *STEPS]
    before = [page[0] for page in told].index(moment) if moment != "end" else len(told) - 1
    assert pages == [*told[: before + 1], ("end", "completed", 2)], "told no more, but of the end, to clean up"


def test_a_disk_too_full_for_a_mirror_does_not_end_a_training(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = RunDirectory.write_text

    def write_text(run: RunDirectory, name: str, text: str) -> None:
        if name == "wandb.json":
            raise UserError("cannot write wandb.json: No space left on device")
        real(run, name, text)

    monkeypatch.setattr(RunDirectory, "write_text", write_text)
    run = train(config(), workplace, Display(quiet=True), wandb="offline").run
    assert RunDirectory(run).read_meta().status == "completed"
    assert capsys.readouterr().err.count("warning: W&B mirror: cannot write wandb.json: No space left on device") == 1


def test_what_a_pipe_gets_of_a_training_is_one_plain_line_per_epoch(
    workplace: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config(), workplace, Display())
    lines = capsys.readouterr().out.splitlines()
    run = tmp_path / "runs" / "run"
    assert lines[0] == "shapes (drawn from seed 0): 54 training, 6 validation, 20 test examples"
    assert lines[1] == f"12,342 parameters; run in {run}"
    assert [line.split("  ")[0] for line in lines[2:4]] == ["epoch 1/2", "epoch 2/2"]
    assert any(line.endswith("  best") for line in lines[2:4])
    assert lines[4].startswith("best epoch ")
    assert lines[5].startswith("test_accuracy ")
    assert lines[6].startswith("trained ")
    assert lines[6].endswith(f"; results in {run}")
    logged = [line.split("  ", 1)[1] for line in (run / "logs" / "train.log").read_text().splitlines()]
    assert logged == lines
