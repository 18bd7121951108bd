"""What may differ between a run and the process that continues it: refused or warned about, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnscratch.config.config import Config, differences, parse_config
from nnscratch.errors import ConfigError, Problem, UsageError, UserError
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.runs.checkpoint import Checkpoint, damaged
from nnscratch.runs.directory import RunDirectory
from nnscratch.training.trainer import Trainer

FREE = ("name", "training.epochs", "training.early_stopping", "training.checkpoint_every", "training.keep_last")
FREE_SECTIONS = ("evaluation", "wandb")
"""What a resume may change in a config: nothing of it reaches the weights of the epochs that both have."""


def find_checkpoint(path: Path) -> tuple[RunDirectory, Path]:
    """The run in a folder with its last checkpoint, or the run that a checkpoint file belongs to, with that file."""
    if path.is_file():
        folder = path.resolve().parent
        if path.suffix != ".npz" or folder.name != "checkpoints":
            raise UsageError(f"{path} is not a checkpoint: those are in a run's folder checkpoints, and end with .npz")
        return RunDirectory.open(path.parent.parent if len(path.parts) > 2 else folder.parent), path
    run = RunDirectory.open(path)
    return run, run.last


def trained_config(checkpoint: Checkpoint, file: Path) -> Config:
    """The config that the checkpoint was trained with."""
    text = checkpoint.header.get("config")
    if not isinstance(text, str):
        raise damaged(file, "it holds no config")
    return parse_config(text, f"{file}: config")


def recorded_threads(recorded: Mapping[str, Any]) -> int | None:
    """The number of threads that a run's checkpoint header, or its meta.json, says it was trained with."""
    threads = _mapping(recorded, "machine").get("threads")
    return threads if type(threads) is int and threads > 0 else None


def check_config(run: RunDirectory, trained: Config, config: Config) -> None:
    """Raises ConfigError, naming the fields, when the config no longer says what the run was trained with."""
    problems = [
        Problem(path, f"is {new!r}, but the run was trained with {old!r}", str(run.config))
        for path, (old, new) in differences(trained, config).items()
        if not any(path == free or path.startswith(f"{free}.") for free in (*FREE, *FREE_SECTIONS))
    ]
    if problems:
        raise ConfigError(problems, f"put it back, or start a new run: nnscratch train {run.config}")


def check_epochs(run: RunDirectory, done: int, config: Config) -> None:
    """Raises ConfigError when fewer epochs are asked for than are done."""
    epochs = config.training.epochs
    if epochs < done:
        raise ConfigError([Problem("training.epochs", f"{epochs}, but {run.path} has already trained {done} epochs")])


def check_data(run: RunDirectory, checkpoint: Checkpoint, now: Mapping[str, Any]) -> None:
    """Raises UserError when the dataset is not, byte for byte, the one the run was trained on."""
    digest = _mapping(checkpoint.header, "dataset").get("digest")
    if digest != now["digest"]:
        raise UserError(
            f"{run.path} was trained on other data: {now['name']} in {now['origin']} has changed",
            "put the data back, or start a new run",
        )


def warn_of_another_machine(checkpoint: Checkpoint, now: dict[str, Any], display: Display) -> None:
    """Says what of the machine has changed, and that the run will not repeat bit for bit."""
    then = _mapping(checkpoint.header, "machine")
    for what, old, new in (
        ("NumPy", then.get("numpy"), now["numpy"]),
        ("nnscratch", then.get("nnscratch"), now["nnscratch"]),
        ("BLAS kernel", machine.kernel(then), machine.kernel(now)),
        ("number of threads", then.get("threads"), now["threads"]),
        ("CPU", then.get("cpu"), now["cpu"]),
    ):
        if old != new:
            display.warn(f"the run was started with another {what} ({old}, now {new}): it will not repeat bit for bit")


def tell_new_length(trainer: Trainer, before: int, steps: int, display: Display) -> None:
    """Says what another number of epochs does to the learning rate from here on."""
    recipe, now = trainer.recipe, trainer.recipe.epochs
    if now == before:
        return
    factor = trainer.learning_rate_factor(steps)
    recipe.epochs = before
    planned = trainer.learning_rate_factor(steps)
    recipe.epochs = now
    name = type(recipe.schedule).name
    if factor == planned:
        display.say(f"{now} epochs instead of {before}: the schedule {name} goes on as it was")
    else:
        rate = recipe.optimizer.learning_rate
        display.warn(
            f"the schedule {name} now spans {now} epochs instead of {before}: the learning rate goes on "
            f"at {rate * factor:.3g}, where it would have been {rate * planned:.3g}"
        )


def _mapping(recorded: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = recorded.get(name)
    return value if isinstance(value, dict) else {}
