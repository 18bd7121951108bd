"""What may differ between a run and the process that continues it: refused or warned about, by name."""

from __future__ import annotations

import shlex

from nnscratch.config.config import Config, differences
from nnscratch.errors import ConfigError, Problem, UserError
from nnscratch.experiment.observer import Training, TrainingSummary
from nnscratch.host.display import Display
from nnscratch.host.machine import Machine
from nnscratch.runs import layout
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.meta import Data, Meta
from nnscratch.training.evaluation import Score
from nnscratch.training.trainer import Trainer

FREE = (
    "name", "data.path", "training.epochs", "training.early_stopping", "training.checkpoint_every",
    "training.keep_last",
)  # fmt: skip
FREE_SECTIONS = ("evaluation", "wandb", "tracking")
"""What a resume may change in a config: nothing of it reaches the weights of the epochs that both have.

Data that lies elsewhere is the same, or refused.
"""
MAY_CHANGE = f"a resume may change --threads, {', '.join(FREE[1:])} and all of {', '.join(FREE_SECTIONS)}"


def check_config(run: RunDirectory, trained: Config, config: Config) -> None:
    """Raises ConfigError, naming the fields, when the config no longer says what the run was trained with."""
    problems = [
        config.problem(path, f"is {new!r}, but the run was trained with {old!r}")
        for path, (old, new) in differences(trained, config).items()
        if not any(path == free or path.startswith(f"{free}.") for free in (*FREE, *FREE_SECTIONS))
    ]
    if problems:
        again = shlex.join(["nnscratch", "train", str(run.config)])
        raise ConfigError(problems, f"{MAY_CHANGE}; put it back, or start a new run: {again}")


def require_never_saved(run: RunDirectory, meta: Meta) -> None:
    """Raises UserError when a run without its last checkpoint has had one: a new beginning would overwrite its work."""
    copies = sorted(run.checkpoints.glob(f"step-*{layout.CHECKPOINT_SUFFIX}"))
    if meta.status not in ("completed", "interrupted", "pruned") and not copies:
        return
    anew = f"start anew in another run: {shlex.join(['nnscratch', 'train', str(run.config)])}"
    from_copy = shlex.join(["nnscratch", "train", "--resume", str(copies[-1])]) if copies else ""
    raise UserError(
        f"{run.last} is gone, from which {run.path} would go on (it was trained for {meta.epochs or 0} epochs)",
        f"bring it back from a copy{f', or go on from an earlier one: {from_copy}' if copies else ''}, or {anew}",
    )


def check_epochs(run: RunDirectory, done: int, config: Config) -> None:
    """Raises ConfigError when fewer epochs are asked for than are done."""
    epochs = config.training.epochs
    if epochs < done:
        raise ConfigError([Problem("training.epochs", f"{epochs}, but {run.path} has already trained {done} epochs")])


def check_data(run: RunDirectory, then: Data, now: Data) -> None:
    """Raises UserError when the dataset is not, byte for byte, the one the run was trained on."""
    if then.digest != now.digest:
        raise UserError(
            f"{run.path} was trained on other data: {now.name} in {now.origin} has changed",
            "put the data back, or start a new run",
        )


def other_machine(then: Machine, now: Machine) -> list[tuple[str, object, object]]:
    """What of two machines may change the numbers that a training comes to, where they differ."""
    pairs: list[tuple[str, object, object]] = [
        ("NumPy", then.numpy, now.numpy),
        ("nnscratch", then.nnscratch, now.nnscratch),
        ("BLAS kernel", then.kernel, now.kernel),
        ("number of threads", then.threads, now.threads),
        ("number of ranks", then.ranks or 1, now.ranks or 1),
        ("CPU", then.cpu, now.cpu),
    ]
    return [(what, old, new) for what, old, new in pairs if old != new]


def warn_of_another_machine(then: Machine, now: Machine, display: Display) -> None:
    """Says what of the machine has changed, and that the run will not repeat bit for bit."""
    for what, old, new in other_machine(then, now):
        display.warn(f"the run was started with another {what} ({old}, now {new}): it will not repeat bit for bit")


def tell_what_is_repeated(run: RunDirectory, done: int, display: Display, *, exactly: bool) -> None:
    """Says which epochs a process had trained, and ended before a checkpoint held them."""
    trained = len(run.read_history())
    if trained > done:
        which = f"epochs {done + 1} to {trained} are" if trained > done + 1 else f"epoch {trained} is"
        again = "trained again" + (", to the same figures" if exactly else "")
        display.say(f"last checkpoint: epoch {done}; {which} {again}")


def finished(training: Training, meta: Meta, display: Display) -> TrainingSummary | None:
    """What the run said when it was trained and tested to its end; None when there is something left to do."""
    config, run, done = training.config, training.run, training.trainer.progress.epoch
    is_over = done >= config.training.epochs or training.stops_early()
    result = meta.result
    if meta.status != "completed" or result is None or result.epochs != done or not is_over:
        return None
    if done == config.training.epochs:
        told = f"already has its {done} epochs; --epochs N trains more"
    else:
        told = f"stopped early after {done} epochs; training.early_stopping.patience=N with a larger N trains more"
    display.result(f"{run.path} {told}")
    loss, examples = result.test_loss, training.splits.test
    tested = Score(loss, result.test_accuracy, len(examples)) if loss is not None and examples else None
    return training.summary({name: value for name, value in result.best.items() if value is not None}, tested)


def tell_new_length(trainer: Trainer, before: int, steps: int, display: Display) -> None:
    """Says what another number of epochs does to the learning rate from here on."""
    recipe, progress, now = trainer.recipe, trainer.progress, trainer.recipe.epochs
    if now == before:
        return
    number = progress.epoch * steps + progress.step
    factor, planned = (recipe.schedule(number, epochs * steps, steps, progress.losses) for epochs in (now, before))
    name = type(recipe.schedule).name
    if factor == planned:
        display.say(f"{now} epochs instead of {before}: the schedule {name} goes on as it was")
    else:
        rate = recipe.optimizer.learning_rate
        display.warn(
            f"the schedule {name} now spans {now} epochs instead of {before}: the learning rate goes on "
            f"at {rate * factor:.3g}, where it would have been {rate * planned:.3g}"
        )
