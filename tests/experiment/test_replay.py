"""`runs replay`: the same numbers again, or the first step and array that are others."""

from __future__ import annotations

import base64
import json
import signal
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.config.config import config_from_mapping
from nnscratch.errors import Interrupted, UserError
from nnscratch.experiment.observer import Observer
from nnscratch.experiment.replay import Replay, StopAfter, replay
from nnscratch.experiment.train import resume, train
from nnscratch.host.display import Display
from nnscratch.host.interruption import StopRequest
from nnscratch.host.workplace import Workplace
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.fingerprints import read_fingerprints
from nnscratch.runs.looks import count_looks
from nnscratch.training.progress import StepResult

SETTINGS: dict[str, Any] = {
    "name": "once",
    "data": {"dataset": {"name": "shapes", "train": 100, "test": 20}, "validation": 0.2, "scaling": "standardize"},
    "model": {"layers": ["flatten", {"name": "dense", "units": 6}, "batch_norm", "relu", "dropout", "dense"]},
    "training": {"epochs": 3, "batch_size": 20},
}


def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path / "data", tmp_path / "runs", threads=1, plots=False)


def trained(tmp_path: Path, **changes: Any) -> Path:
    return train(config_from_mapping({**SETTINGS, **changes}), place(tmp_path), Display(quiet=True)).run


def replayed(run: Path, tmp_path: Path) -> Replay:
    return replay(run, place(tmp_path), Display(quiet=True))


def test_a_run_repeats_bit_for_bit_without_a_look_at_its_test_split(tmp_path: Path) -> None:
    run = trained(tmp_path)
    found = replayed(run, tmp_path)
    assert found.to_text().startswith(
        "bit-identical: 12 losses and the weights of 3 epochs, and all of the last checkpoint"
    )
    assert found.failure is None
    assert found.replay == tmp_path / "runs" / "once-replay"
    assert count_looks(RunDirectory(found.replay)) == {"val": 3}
    assert count_looks(RunDirectory(run)) == {"val": 3, "test": 1}


def test_a_run_of_older_code_is_replayed_with_its_data_as_that_took_it(
    tmp_path: Path, older_code: AbstractContextManager[None]
) -> None:
    few, labels = np.random.default_rng(0).integers(0, 2, (60, 4, 4)).astype(np.uint8), np.arange(60) % 3
    np.savez(tmp_path / "few.npz", x=few, y=labels)
    data = {"dataset": "npz", "path": str(tmp_path / "few.npz"), "validation": 0.2}
    model = {"layers": ["flatten", "dense"]}
    with older_code:
        run = trained(tmp_path, data=data, model=model)
    found = replayed(run, tmp_path)
    assert found.is_identical
    assert found.reasons == ()


def test_a_run_whose_last_checkpoint_is_damaged_is_not_trained_again_in_vain(tmp_path: Path) -> None:
    run = trained(tmp_path)
    last = run / "checkpoints" / "last.npz"
    last.write_bytes(last.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"last\.npz is damaged"):
        replayed(run, tmp_path)
    assert [each.name for each in run.parent.iterdir()] == [run.name]


def test_the_first_step_whose_loss_is_another_is_named(tmp_path: Path) -> None:
    run = trained(tmp_path)
    file = run / "logs" / "fingerprints.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    epoch = read_fingerprints(RunDirectory(run))[1]
    losses = list(epoch.by_step.values())
    losses[2] += 0.25
    lines[1]["losses"] = base64.b64encode(np.array(losses, "<f8").tobytes()).decode()
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = replayed(run, tmp_path)
    assert found.first is not None
    assert (found.first.epoch, found.first.step, found.first.arrays) == (2, 3, ())
    assert found.first.losses is not None
    assert found.first.losses[0] == found.first.losses[1] + 0.25
    assert f"first at epoch 2, step 3: loss {losses[2]!r} then" in found.to_text()
    assert found.failure is not None


def test_the_first_array_that_is_another_is_named_with_its_difference(tmp_path: Path) -> None:
    run = trained(tmp_path)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("learning_rate: 0.001", "learning_rate: 0.002"))
    found = replayed(run, tmp_path)
    assert found.first is not None
    # The first loss comes before any update: the second is the first that can differ.
    assert (found.first.epoch, found.first.step) == (1, 2)
    assert found.first.arrays[0] == "1.dense.weight"
    assert 0 < found.differences["parameters/1.dense.weight"] < 1


class StopAtStep(Observer):
    def __init__(self, stop: StopRequest, epoch: int, step: int) -> None:
        self.stop, self.at = stop, (epoch, step)

    def step(self, result: StepResult) -> None:
        if (result.epoch, result.step) == self.at:
            self.stop.ask("interrupted")


def interrupted(tmp_path: Path, epoch: int, step: int) -> Path:
    stop = StopRequest()
    with pytest.raises(Interrupted):
        train(
            config_from_mapping(SETTINGS), place(tmp_path), Display(quiet=True),
            observers=[StopAtStep(stop, epoch, step)], stop=stop,
        )  # fmt: skip
    return tmp_path / "runs" / "once"


def test_a_resumed_run_repeats_and_its_fingerprints_have_no_gap(tmp_path: Path) -> None:
    run = interrupted(tmp_path, 2, 3)
    resume(run, None, place(tmp_path), Display(quiet=True))
    assert [(each.epoch, each.first_step) for each in read_fingerprints(RunDirectory(run))] == [(1, 0), (2, 3), (3, 0)]
    found = replayed(run, tmp_path)
    assert found.is_identical
    assert found.steps == 4 + 1 + 4


def test_an_interrupted_run_is_replayed_as_far_as_it_came(tmp_path: Path) -> None:
    run = interrupted(tmp_path, 3, 1)
    found = replayed(run, tmp_path)
    assert (found.is_identical, found.epochs, found.compared) == (True, 2, False)
    assert len(RunDirectory(found.replay).read_history()) == 2


def test_a_replay_that_is_interrupted_compares_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = interrupted(tmp_path, 3, 1)

    def interrupt(self: StopAfter, result: StepResult) -> None:
        if (result.epoch, result.step) == (1, 2):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(StopAfter, "step", interrupt)
    with pytest.raises(Interrupted):
        replayed(run, tmp_path)


def test_a_run_without_fingerprints_is_compared_by_its_last_checkpoint(tmp_path: Path) -> None:
    run = trained(tmp_path)
    (run / "logs" / "fingerprints.jsonl").unlink()
    found = replayed(run, tmp_path)
    assert (found.is_identical, found.epochs, found.compared) == (True, 0, True)
    assert any("no fingerprints" in reason for reason in found.reasons)


def test_the_command_ends_with_1_when_a_run_does_not_repeat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("seed: 42", "seed: 43"))
    with pytest.raises(SystemExit) as ended:
        main(["runs", "replay", str(run), "--json", "--threads", "1"])
    assert ended.value.code == 1
    out = capsys.readouterr().out
    told = json.loads(out[out.index("{") :])
    assert (told["bit_identical"], told["first"]["epoch"], told["first"]["step"]) == (False, 1, 1)
