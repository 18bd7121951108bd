"""Exact resume: a training that was killed, however often and whenever, ends as if it had never been."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.component import catalogue
from nnscratch.config.config import Config, config_from_mapping, load_config
from nnscratch.config.sections import EarlyStoppingConfig
from nnscratch.errors import ConfigError, UserError
from nnscratch.experiment.observer import Observer
from nnscratch.experiment.train import resume, train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.runs.checkpoint import Checkpoint, load_checkpoint
from nnscratch.runs.directory import RunDirectory, find_checkpoint
from nnscratch.runs.header import header_of
from nnscratch.runs.loaded import load_run
from nnscratch.training.augmentation.augmentation import Augmentation
from nnscratch.training.averaging import Averaging
from nnscratch.training.optimizers import Optimizer
from nnscratch.training.progress import StepResult
from nnscratch.training.schedules import Schedule


class Killed(BaseException):
    """Stands for the end of the process: nothing in nnscratch handles it."""


class Killer(Observer):
    """Ends the training when it has been told of that many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self, result: StepResult) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


def everything(**training: Any) -> dict[str, Any]:
    """A config with all that is random or remembered: dropout, running statistics, augmentation, schedule, average."""
    return {
        "name": "run",
        "data": {
            "dataset": {"name": "shapes", "train": 240, "test": 40},
            "scaling": "standardize",
            "augment": list(catalogue(Augmentation)),
        },
        "model": {"layers": ["flatten", {"dense": 8}, "batch_norm", "dropout", "relu", "dense"]},
        "l2": 0.001,
        "schedule": {"name": "cosine", "warmup_epochs": 1},
        "training": {
            "epochs": 3,
            "batch_size": 32,
            "clip_norm": 1.0,
            "averaging": "ema",
            "checkpoint_every": {"steps": 3},
            **training,
        },
    }


def workplace(tmp_path: Path, folder: str = "runs") -> Workplace:
    return Workplace(data_dir=tmp_path, runs_dir=tmp_path / folder, threads=1, plots=False)


def train_killed_after(steps: int, config: Config, tmp_path: Path) -> Path:
    with pytest.raises(Killed):
        train(config, workplace(tmp_path, "killed"), Display(quiet=True), observers=[Killer(steps)])
    return tmp_path / "killed" / "run"


def without_timings(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if "seconds" not in key and "per_second" not in key}


def assert_same_run(left: Path, right: Path) -> None:
    """Weights, optimizer, statistics, counters and metrics are equal to the last bit."""
    for name in ("last.npz", "best.npz"):
        a, b = (load_checkpoint(run / "checkpoints" / name) for run in (left, right))
        assert a.arrays.keys() == b.arrays.keys()
        for key, array in a.arrays.items():
            assert array.tobytes() == b.arrays[key].tobytes(), f"{name}: {key}"
        assert a.header["best_epoch"] == b.header["best_epoch"]
    progress = [load_checkpoint(run / "checkpoints" / "last.npz").header["progress"] for run in (left, right)]
    rows = [[without_timings(row) for row in each.pop("history")] for each in progress]
    assert rows[0] == rows[1]
    assert without_timings(progress[0]) == without_timings(progress[1])
    records = [[without_timings(record) for record in RunDirectory(run).read_records()] for run in (left, right)]
    assert records[0] == records[1]
    assert len(records[0]) == len(rows[0]) + 1, "one line per epoch, and the test"


DRIVER = """
    import contextlib, os, random, shutil, signal, sys, time
    from pathlib import Path
    from nnscratch.cli import main
    import nnscratch.experiment.train

    folder, kills, epochs = Path(sys.argv[1]), *map(int, sys.argv[2:])
    runs, run = folder / "killed", folder / "killed" / "run"

    def start():
        fresh = not (run / "config.yaml").exists()
        if fresh:
            shutil.rmtree(run, ignore_errors=True)
        what = [str(folder / "run.yaml"), "--runs-dir", str(runs)] if fresh else ["--resume", str(run)]
        child = os.fork()
        if child == 0:
            code = 0
            with (folder / "output.txt").open("a") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                try:
                    main(["train", *what, "--threads", "1", "--no-plots"])
                except SystemExit as exit:
                    code = exit.code
            os._exit(code)
        return child

    def writes_checkpoint():
        with contextlib.suppress(OSError):
            return any(name.endswith(".tmp") for name in os.listdir(run / "checkpoints"))

    # How long it takes to begin, and to train: the kills are to fall all over it, and not to outlast it.
    began = time.monotonic()
    main(["train", str(folder / "run.yaml"), "--runs-dir", str(folder / "whole"), "--threads", "1", "--no-plots", "-q"])
    whole = time.monotonic() - began
    began = time.monotonic()
    main(["train", "--resume", str(folder / "whole" / "run"), "--threads", "1", "--no-plots", "-q"])
    beginning = time.monotonic() - began
    training = (whole - beginning) / kills

    def wait_for(condition, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until and not condition():
            pass

    def log_size():
        with contextlib.suppress(OSError):
            return os.stat(run / "logs" / "train.log").st_size
        return 0

    def epochs_done():
        with contextlib.suppress(OSError):
            return (run / "metrics.jsonl").read_bytes().count(b"\\n")
        return 0

    killed = in_checkpoint = 0
    while killed < kills:
        before = log_size()
        child = start()
        if killed % 5 == 0:  # while it begins
            wait_for(lambda: False, random.uniform(0, beginning))
        else:  # while it trains; every other one while a checkpoint is written
            wait_for(lambda: log_size() > before, 30)
            # A machine that has become quicker since must not end the training before the last kill.
            last = epochs * (killed + 1) / (kills + 3)
            wait_for(lambda: epochs_done() >= last, random.uniform(0, 1.5 * training))
            if killed % 2:
                wait_for(writes_checkpoint, 1)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(f"the training ended by itself, with {os.WEXITSTATUS(status)}, after {killed} kills")
        in_checkpoint += bool(writes_checkpoint())
        killed += 1
    print(killed, in_checkpoint)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL and fork")
def test_a_training_killed_at_twenty_random_moments_ends_bit_for_bit_as_if_never_killed(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(json.dumps(everything(epochs=30, batch_size=20, checkpoint_every={"steps": 4})))
    driver = tmp_path / "driver.py"
    driver.write_text(textwrap.dedent(DRIVER))
    result = subprocess.run([sys.executable, driver, tmp_path, "20", "30"], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr + (tmp_path / "output.txt").read_text()
    killed, in_checkpoint = map(int, result.stdout.split()[-2:])
    assert killed == 20
    assert in_checkpoint >= 1, "no kill fell into the writing of a checkpoint"

    run = tmp_path / "killed" / "run"
    progress = load_checkpoint(run / "checkpoints" / "last.npz").header["progress"]
    assert progress["updates"] > 0
    assert progress["epoch"] < 30, "there is something left to train"

    # The last resume in a process of its own, as a person would.
    command = [sys.executable, "-m", "nnscratch", "train", "--resume", str(run), "--no-plots", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "whole" / "run", run)
    assert not list(run.rglob("*.tmp")), "what a killed process left half written is removed"


COMPONENTS = [
    *({"optimizer": name} for name in catalogue(Optimizer)),
    {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}},
    *({"schedule": name} for name in catalogue(Schedule)),
    {"schedule": {"name": "reduce_on_plateau", "patience": 1, "minimum_change": 10}},
    *({"averaging": name} for name in catalogue(Averaging)),
]


@pytest.mark.parametrize("component", COMPONENTS, ids=str)
def test_every_optimizer_schedule_and_average_resumes_exactly(component: dict[str, Any], tmp_path: Path) -> None:
    averaging = component.get("averaging")
    others = {key: value for key, value in component.items() if key != "averaging"}
    config = config_from_mapping({**everything(averaging=averaging), **others})
    train(config, workplace(tmp_path, "whole"), Display(quiet=True))
    run = train_killed_after(11, config, tmp_path)
    summary = resume(run, None, workplace(tmp_path), Display(quiet=True))
    assert summary.epochs == 3
    assert_same_run(tmp_path / "whole" / "run", run)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run of three epochs of seven steps, killed in the middle of the second."""
    return train_killed_after(11, config_from_mapping(everything()), tmp_path)


def test_a_kill_before_the_first_update_leaves_a_run_that_resumes(tmp_path: Path) -> None:
    config = config_from_mapping(everything(checkpoint_every={"minutes": 60}))
    train(config, workplace(tmp_path, "whole"), Display(quiet=True))
    run = train_killed_after(0, config, tmp_path)
    assert load_checkpoint(run / "checkpoints" / "last.npz").header["progress"]["updates"] == 0
    resume(run, None, workplace(tmp_path), Display(quiet=True))
    assert_same_run(tmp_path / "whole" / "run", run)


def test_what_was_trained_after_the_last_checkpoint_is_told_to_be_trained_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_from_mapping(everything(checkpoint_every={"minutes": 60}))
    told = "last checkpoint: epoch 0; epochs 1 to 2 are trained again"
    resume(
        train_killed_after(17, config, tmp_path), None, workplace(tmp_path), Display()
    )  # in the third of seven steps
    assert f"{told}, to the same figures\n" in capsys.readouterr().out
    another = train_killed_after(17, config, tmp_path / "another")
    resume(another, None, workplace(tmp_path), Display(), overrides=["training.epochs=4"])  # and so, other rates
    assert f"{told}\n" in capsys.readouterr().out


def test_a_run_without_any_checkpoint_starts_from_the_beginning_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train_killed_after(2, config_from_mapping(everything()), tmp_path)
    for file in (run / "checkpoints").iterdir():
        file.unlink()
    resume(run, None, workplace(tmp_path), Display())
    assert "starts from the beginning" in capsys.readouterr().out
    train(config_from_mapping(everything()), workplace(tmp_path, "whole"), Display(quiet=True))
    assert_same_run(tmp_path / "whole" / "run", run)


def test_a_folder_that_was_stopped_before_its_config_was_written_says_what_to_do(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "early")
    with pytest.raises(UserError, match="nothing to continue") as caught:
        resume(run.path, None, workplace(tmp_path), Display())
    assert "start the training again" in str(caught.value)


def test_metrics_are_cut_back_to_the_checkpoint(stopped: Path, tmp_path: Path) -> None:
    # What a process recorded after its last checkpoint, and the line it was killed in.
    with (stopped / "metrics.jsonl").open("a") as file:
        file.write('{"record": "epoch", "epoch": 2, "train_loss": 99.0}\n{"record": "ep')
    summary = resume(stopped, None, workplace(tmp_path), Display(quiet=True))
    history = RunDirectory(stopped).read_history()
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert all(row["train_loss"] < 99 for row in history)
    assert summary.epochs == 3


def test_resuming_a_finished_run_trains_nothing_and_repeats_its_results(tmp_path: Path) -> None:
    config = config_from_mapping(everything())
    first = train(config, workplace(tmp_path), Display(quiet=True))
    weights = load_checkpoint(first.run / "checkpoints" / "last.npz")
    again = resume(first.run, None, workplace(tmp_path), Display(quiet=True))
    assert (again.epochs, again.test) == (first.epochs, first.test)
    assert load_checkpoint(first.run / "checkpoints" / "last.npz").header["progress"] == weights.header["progress"]
    assert len(RunDirectory(first.run).read_records()) == 4


def test_more_epochs_go_on_and_the_change_of_the_schedule_is_told_with_both_rates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = train(config_from_mapping(everything()), workplace(tmp_path), Display(quiet=True))
    summary = resume(first.run, 6, workplace(tmp_path), Display(quiet=True))
    assert summary.epochs == 6
    # Cosine after one epoch of warm-up: at the end of 3 epochs 0, of 6 epochs (1 + cos(2 pi / 5)) / 2 = 0.6545.
    assert "cosine now spans 6 epochs instead of 3: the learning rate goes on at 0.000655" in capsys.readouterr().err
    assert "epochs: 6" in (first.run / "config.yaml").read_text()


def test_more_epochs_of_a_constant_rate_equal_a_run_that_was_planned_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    constant = {**everything(), "schedule": "constant"}
    train(
        config_from_mapping(constant, overrides=["training.epochs=5"]),
        workplace(tmp_path, "whole"),
        Display(quiet=True),
    )
    first = train(config_from_mapping(constant), workplace(tmp_path), Display(quiet=True))
    capsys.readouterr()
    resume(first.run, 5, workplace(tmp_path), Display())
    assert "5 epochs instead of 3: the schedule constant goes on as it was" in capsys.readouterr().out
    assert_same_run(tmp_path / "whole" / "run", first.run)


def test_fewer_epochs_than_are_done_are_refused_and_change_nothing(tmp_path: Path) -> None:
    first = train(config_from_mapping(everything()), workplace(tmp_path), Display(quiet=True))
    before = (first.run / "config.yaml").read_text()
    with pytest.raises(ConfigError, match=r"training\.epochs: 2, but .* has already trained 3 epochs"):
        resume(first.run, 2, workplace(tmp_path), Display(quiet=True))
    assert (first.run / "config.yaml").read_text() == before


def test_another_config_is_refused_by_the_name_of_the_field(stopped: Path, tmp_path: Path) -> None:
    text = (stopped / "config.yaml").read_text()
    (stopped / "config.yaml").write_text(text.replace("batch_size: 32", "batch_size: 16"))
    with pytest.raises(ConfigError, match=r"training\.batch_size: is 16, but the run was trained with 32"):
        resume(stopped, None, workplace(tmp_path), Display(quiet=True))


def test_another_component_is_one_problem_in_the_words_of_a_config(stopped: Path, tmp_path: Path) -> None:
    changes = ["optimizer=rmsprop", "data.augment=", "training.clip_norm=null"]
    with pytest.raises(ConfigError) as caught:
        resume(stopped, None, workplace(tmp_path), Display(quiet=True), overrides=changes)
    said = [problem.message for problem in caught.value.problems if problem.path.startswith("optimizer")]
    assert said == ["is rmsprop, but the run was trained with adam"]
    assert not any("None" in problem.message for problem in caught.value.problems)


def test_when_checkpoints_are_written_may_change(stopped: Path, tmp_path: Path) -> None:
    text = (stopped / "config.yaml").read_text()
    assert "steps: 3" in text
    (stopped / "config.yaml").write_text(text.replace("steps: 3", "steps: 5"))
    assert resume(stopped, None, workplace(tmp_path), Display(quiet=True)).epochs == 3


@pytest.mark.parametrize(
    ("override", "field"),
    [("training.batch_size=16", "training.batch_size"), ("optimizer.learning_rate=0.5", "optimizer.learning_rate")],
)
@pytest.mark.parametrize("checkpoint", [True, False], ids=["stopped", "before its first checkpoint"])
def test_an_override_of_what_has_reached_the_weights_is_refused_with_what_may_change(
    override: str, field: str, checkpoint: bool, stopped: Path, tmp_path: Path
) -> None:
    if not checkpoint:
        (stopped / "checkpoints" / "last.npz").unlink()
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError) as caught:
        resume(stopped, None, workplace(tmp_path), Display(quiet=True), overrides=[override])
    assert f"{field}: is " in str(caught.value)
    assert f"\n    {override}\n" in str(caught.value), "what the user wrote"
    for changeable in ("--threads", "training.epochs", "training.early_stopping", "training.keep_last", "wandb"):
        assert changeable in (caught.value.hint or "")
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == before


def test_overrides_of_a_resume_change_the_rest_of_the_training_and_are_kept(stopped: Path, tmp_path: Path) -> None:
    changes = ["training.epochs=4", "training.keep_last=3", "training.checkpoint_every=1", "evaluation.test=false"]
    summary = resume(stopped, None, workplace(tmp_path), Display(quiet=True), overrides=changes)
    assert (summary.epochs, summary.test) == (4, None)
    assert len(list((stopped / "checkpoints").glob("step-*.npz"))) == 3
    assert load_config(stopped / "config.yaml").training.epochs == 4


def test_another_dataset_is_refused(stopped: Path, tmp_path: Path) -> None:
    last = load_checkpoint(stopped / "checkpoints" / "last.npz")
    dataset = {**last.header["dataset"], "digest": "0" * 64}
    (stopped / "checkpoints" / "last.npz").write_bytes(
        Checkpoint({**last.header, "dataset": dataset}, last.arrays).encode()
    )
    with pytest.raises(UserError, match="trained on other data: shapes"):
        resume(stopped, None, workplace(tmp_path), Display(quiet=True))


@pytest.mark.parametrize(
    ("what", "key", "value"),
    [
        ("NumPy", "numpy", "1.0"),
        ("BLAS kernel", "blas", [{"internal_api": "openblas", "architecture": "Prescott"}]),
        ("CPU", "cpu", "an abacus"),
        ("nnscratch", "nnscratch", "0.0.1"),
    ],
)
def test_another_machine_is_warned_about_by_name(
    what: str, key: str, value: object, stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = load_checkpoint(stopped / "checkpoints" / "last.npz")
    machine = {**last.header["machine"], key: value}
    (stopped / "checkpoints" / "last.npz").write_bytes(
        Checkpoint({**last.header, "machine": machine}, last.arrays).encode()
    )
    capsys.readouterr()
    resume(stopped, None, workplace(tmp_path), Display(quiet=True))
    warning = capsys.readouterr().err
    assert warning.startswith(f"warning: the run was started with another {what} (")
    assert warning.count("warning") == 1


def test_another_number_of_threads_is_warned_about_and_the_runs_own_is_restored(
    stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = Workplace(data_dir=tmp_path, threads=2, plots=False)
    resume(stopped, None, two, Display(quiet=True))
    assert "another number of threads (1, now 2)" in capsys.readouterr().err
    file = stopped / "checkpoints" / "last.npz"
    assert header_of(load_checkpoint(file), file).machine.threads == 2
    resume(stopped, 4, Workplace(data_dir=tmp_path, plots=False), Display(quiet=True))
    assert json.loads((stopped / "meta.json").read_text())["machine"]["threads"] == 2


def test_a_damaged_meta_json_does_not_keep_a_run_from_resuming(stopped: Path, tmp_path: Path) -> None:
    (stopped / "meta.json").write_text('{"machine": 3, "commands_before": 4, "command"')
    assert resume(stopped, None, workplace(tmp_path), Display(quiet=True)).epochs == 3


def test_a_second_process_is_refused(stopped: Path, tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from nnscratch.runs.directory import RunDirectory\n"
            "with RunDirectory(Path(sys.argv[1])).locked(): print('held', flush=True); time.sleep(60)",
            stopped,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="being trained by another process"):
            resume(stopped, None, workplace(tmp_path), Display(quiet=True))
        holder.kill()
    assert resume(stopped, None, workplace(tmp_path), Display(quiet=True)).epochs == 3, "a killed holder holds nothing"


def test_keep_last_keeps_that_many_checkpoints_and_each_can_be_continued(tmp_path: Path) -> None:
    config = config_from_mapping(everything(keep_last=2))
    first = train(config, workplace(tmp_path), Display(quiet=True))
    kept = sorted(path.name for path in (first.run / "checkpoints").glob("step-*.npz"))
    assert kept == ["step-000000018.npz", "step-000000021.npz"]
    train(config, workplace(tmp_path, "whole"), Display(quiet=True))
    again = resume(first.run / "checkpoints" / kept[0], None, workplace(tmp_path), Display(quiet=True))
    assert_same_run(tmp_path / "whole" / "run", again.run)


def test_best_npz_alone_cannot_be_continued(stopped: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"best\.npz holds weights alone"):
        resume(stopped / "checkpoints" / "best.npz", None, workplace(tmp_path), Display(quiet=True))


def test_checkpoints_are_written_every_so_many_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def clock() -> Iterator[float]:
        now = 0.0
        while True:
            yield now
            now += 6.0  # seconds between two looks

    ticks = clock()
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    config = config_from_mapping(everything(checkpoint_every={"minutes": 0.5}))
    run = train_killed_after(12, config, tmp_path)
    updates = load_checkpoint(run / "checkpoints" / "last.npz").header["progress"]["updates"]
    assert 0 < updates < 12


def test_the_weights_are_those_of_the_checkpoint_before_training_goes_on(stopped: Path, tmp_path: Path) -> None:
    before = load_checkpoint(stopped / "checkpoints" / "last.npz")
    with pytest.raises(Killed):
        resume(stopped, None, workplace(tmp_path), Display(quiet=True), observers=[Killer(0)])
    after = load_checkpoint(stopped / "checkpoints" / "last.npz")
    assert after.header["progress"] == before.header["progress"]
    assert all(np.array_equal(after.arrays[name], array) for name, array in before.arrays.items())


def test_a_finished_run_is_not_tested_again_and_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_from_mapping(everything(epochs=2))
    before = train(config, workplace(tmp_path), Display(quiet=True))
    records = (before.run / "metrics.jsonl").read_bytes()
    meta = (before.run / "meta.json").read_bytes()
    capsys.readouterr()
    again = resume(before.run, None, workplace(tmp_path), Display(quiet=True))
    assert again.to_dict() == before.to_dict()
    assert (before.run / "metrics.jsonl").read_bytes() == records
    assert (before.run / "meta.json").read_bytes() == meta
    assert f"{before.run} already has its 2 epochs; --epochs N trains more" in capsys.readouterr().out


@pytest.mark.parametrize("argument", [".", "config.yaml"])
def test_a_folder_with_a_config_alone_is_no_run_and_stays_as_it_is(
    argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text("# mine\n" + config_from_mapping(everything()).to_yaml())
    Path(".other.tmp").write_text("being written")
    before = {path: path.read_text() for path in tmp_path.iterdir()}
    with pytest.raises(SystemExit) as caught:
        main(["train", "--resume", argument])
    assert caught.value.code == 2
    assert "is not a" in capsys.readouterr().err
    assert {path: path.read_text() for path in tmp_path.iterdir()} == before


def test_a_run_is_found_from_inside_it_and_keeps_its_name(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stopped)
    resume(Path(), None, workplace(stopped), Display(quiet=True))
    assert RunDirectory(stopped).read_meta().name == stopped.name
    monkeypatch.chdir(stopped / "checkpoints")
    assert find_checkpoint(Path("last.npz"))[0].path == stopped.resolve()


def test_a_run_that_stopped_early_says_what_would_make_it_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = everything(early_stopping={"patience": 1, "minimum_change": 9.0}, epochs=9)
    run = train(config_from_mapping(config), workplace(tmp_path), Display(quiet=True)).run
    capsys.readouterr()
    resume(run, 12, workplace(tmp_path), Display(quiet=True))
    told = capsys.readouterr()
    assert "stopped early after 2 epochs, so 12 epochs change nothing; training.early_stopping.patience=N" in told.out
    assert "now spans" not in told.err
    more = ["training.early_stopping.patience=3"]
    assert resume(run, None, workplace(tmp_path), Display(quiet=True), overrides=more).epochs == 4
    assert load_config(run / "config.yaml").training.early_stopping == EarlyStoppingConfig(
        patience=3, minimum_change=9.0
    )


@pytest.mark.parametrize("status", ["completed", "failed", "running", "diverged", "of which nothing is known"])
@pytest.mark.parametrize("proof", ["best.npz", "metrics.jsonl", "meta.json"])
def test_a_run_whose_last_checkpoint_is_gone_is_not_begun_anew(
    proof: str, status: str, shapes_run: Path, tmp_path: Path
) -> None:
    meta = json.loads((shapes_run / "meta.json").read_text()) | {"status": status}
    (shapes_run / "checkpoints" / "last.npz").unlink()
    kept = {"best.npz": shapes_run / "checkpoints" / "best.npz", "metrics.jsonl": shapes_run / "metrics.jsonl"}
    for name, path in kept.items():
        if name != proof:
            path.unlink()
    if proof != "meta.json":
        del meta["epochs"]
    (shapes_run / "meta.json").write_text(json.dumps(meta))
    before = {path: path.read_bytes() for path in shapes_run.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"last\.npz is gone, from which .* would go on"):
        resume(shapes_run, 5, workplace(tmp_path), Display(quiet=True))
    assert {path: path.read_bytes() for path in shapes_run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("harm", ["gone", "damaged", "another's"])
def test_best_npz_of_a_run_that_is_over_is_written_again_from_last_npz(
    harm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {**everything(), "evaluation": {"calibrate": "temperature"}}
    settings["data"] = {**settings["data"], "validation": 0.2}
    run = train(config_from_mapping(settings), workplace(tmp_path), Display(quiet=True)).run
    best = run / "checkpoints" / "best.npz"
    whole, meta = best.read_bytes(), (run / "meta.json").read_bytes()
    if harm == "gone":
        best.unlink()
    elif harm == "damaged":
        best.write_bytes(whole[:200] + b"?" + whole[201:])
    else:
        other = train(config_from_mapping({**settings, "seed": 9}), workplace(tmp_path), Display(quiet=True)).run
        best.write_bytes((other / "checkpoints" / "best.npz").read_bytes())
    with pytest.raises(UserError) as caught:
        load_run(run)
    assert f"nnscratch train --resume {run}" in (caught.value.hint or "")
    capsys.readouterr()
    resume(run, None, workplace(tmp_path), Display(quiet=True))
    assert "it was written again from last.npz" in capsys.readouterr().err
    assert (best.read_bytes(), (run / "meta.json").read_bytes()) == (whole, meta)
    resume(run, None, workplace(tmp_path), Display(quiet=True))
    assert capsys.readouterr().err == ""


def test_a_resume_that_cannot_write_its_checkpoints_leaves_the_run_as_it_was(stopped: Path, tmp_path: Path) -> None:
    (stopped / "checkpoints").rename(tmp_path / "elsewhere")
    (stopped / "checkpoints").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="checkpoints is a link"):
        resume(stopped, 5, workplace(tmp_path), Display(quiet=True))
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("epochs", [None, 4])
def test_a_run_whose_data_was_moved_is_told_where_it_lies_and_takes_no_other(
    tmp_path: Path, epochs: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["a,b,y", *(f"{row % 7},{row * 3 % 11},{'ab'[row % 3 // 2]}" for row in range(90))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    (tmp_path / "a.yaml").write_text(
        f"data: {{dataset: csv, path: {tmp_path / 'a.csv'}}}\nmodel: {{hidden_layers: [4]}}\n"
        "training: {epochs: 2, batch_size: 10}\n"
    )
    words = ["--no-plots", "--quiet", "--threads", "1"]
    main(["train", str(tmp_path / "a.yaml"), "--runs-dir", str(tmp_path / "runs"), *words])
    (tmp_path / "a.csv").rename(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_text("\n".join(lines[:-1]))
    run = tmp_path / "runs" / "a"
    more = ["--epochs", str(epochs)] if epochs else []
    with pytest.raises(SystemExit):
        main(["train", "--resume", str(run), f"data.path={tmp_path / 'c.csv'}", *more, *words])
    assert "was trained on other data" in capsys.readouterr().err
    main(["train", "--resume", str(run), f"data.path={tmp_path / 'b.csv'}", *more, *words])
    main(["evaluate", str(run), "--no-plots", "--threads", "1"])
    assert "is not the data" not in capsys.readouterr().err
    assert len(RunDirectory(run).read_history()) == (epochs or 2)
