"""What may differ between a run and the process that continues it: refused or warned about, by name."""

from __future__ import annotations

import shlex

from nnscratch.config.config import Config
from nnscratch.config.node import Value
from nnscratch.errors import ConfigError, Problem, UserError
from nnscratch.experiment.observer import Training, TrainingSummary
from nnscratch.host.display import Display
from nnscratch.host.machine import Machine
from nnscratch.report.formats import setting
from nnscratch.runs import layout
from nnscratch.runs.belonging import FREE, FREE_SECTIONS, differences_that_count
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.meta import Data, Meta
from nnscratch.training.evaluation import Score
from nnscratch.training.trainer import Trainer

MAY_CHANGE = f"a resume may change --threads, {', '.join(FREE[1:])} and all of {', '.join(FREE_SECTIONS)}"


def check_config(run: RunDirectory, trained: Config, config: Config) -> None:
    """Raises ConfigError, naming the fields, when the config no longer says what the run was trained with."""
    differing = differences_that_count(trained, config)
    # Of another component all fields are others.
    others = [path.removesuffix("name") for path in differing if path.endswith(".name")]
    problems = [
        config.problem(path, f"is {_exact(new)}, but the run was trained with {_exact(old)}")
        for path, (old, new) in differing.items()
        if path.endswith(".name") or not any(path.startswith(each) for each in others)
    ]
    if problems:
        again = shlex.join(["nnscratch", "train", str(run.config)])
        raise ConfigError(problems, f"{MAY_CHANGE}; put it back, or start a new run: {again}")


def _exact(value: Value) -> str:
    return repr(value) if isinstance(value, float) else setting(value)


def require_never_saved(run: RunDirectory, meta: Meta) -> None:
    """Raises UserError when a run without its last checkpoint has had one: a new beginning would overwrite its work.

    There is one before the first step: whatever came of a step proves it, however the run says that it stands.
    """
    copies = sorted(run.checkpoints.glob(f"step-*{layout.CHECKPOINT_SUFFIX}"))
    epochs = max(meta.epochs or 0, len(run.read_history()))
    if not (copies or epochs or run.best.exists() or meta.status in ("completed", "interrupted", "pruned")):
        return
    anew = f"start anew in another run: {shlex.join(['nnscratch', 'train', str(run.config)])}"
    from_copy = shlex.join(["nnscratch", "train", "--resume", str(copies[-1])]) if copies else ""
    trained = f"{epochs} epoch{'s' if epochs != 1 else ''}"
    raise UserError(
        f"{run.last} is gone, from which {run.path} would go on (it was trained for {trained})",
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
            f"{run.path} was trained on other data: {now.name} in {now.origin} has changed, "
            "or this version of nnscratch reads it otherwise",
            "put the data back, or start a new run, or group of runs",
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


def tell_of_going_on(training: Training, then: Machine, now: Machine, trained: Config, display: Display) -> None:
    """Says what of a resume is not as it would have been without the stop."""
    done = training.trainer.progress.epoch
    exactly = trained == training.config and not other_machine(then, now)
    tell_what_is_repeated(training.run, done, display, exactly=exactly)
    warn_of_another_machine(then, now, display)
    tell_new_length(training.trainer, trained.training.epochs, training.steps_per_epoch, display)


def tell_what_is_repeated(run: RunDirectory, done: int, display: Display, *, exactly: bool) -> None:
    """Says which epochs a process had trained, and ended before a checkpoint held them."""
    trained = len(run.read_history())
    if trained > done:
        which = f"epochs {done + 1} to {trained} are" if trained > done + 1 else f"epoch {trained} is"
        again = "trained again" + (", to the same figures" if exactly else "")
        display.say(f"last checkpoint: epoch {done}; {which} {again}")


def finished(training: Training, meta: Meta, planned: int, display: Display) -> TrainingSummary | None:
    """What the run said when it was trained and tested to its end; None when there is something left to do.

    `planned` is the number of epochs that it was trained for.
    """
    config, run, done = training.config, training.run, training.trainer.progress.epoch
    is_over = done >= config.training.epochs or training.stops_early()
    result = meta.result
    if meta.status != "completed" or result is None or result.epochs != done or not is_over:
        return None
    if done == config.training.epochs:
        told = f"already has its {done} epochs; --epochs N trains more"
    else:
        vain = "" if config.training.epochs == planned else f", so {config.training.epochs} epochs change nothing"
        more = "training.early_stopping.patience=N with a larger N trains more"
        told = f"stopped early after {done} epochs{vain}; {more}"
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
    factor, planned = (
        recipe.schedule.checked(number, epochs * steps, steps, progress.losses) for epochs in (now, before)
    )
    name = type(recipe.schedule).name
    if factor == planned:
        display.say(f"{now} epochs instead of {before}: the schedule {name} goes on as it was")
    else:
        rate = recipe.optimizer.learning_rate
        display.warn(
            f"the schedule {name} now spans {now} epochs instead of {before}: the learning rate goes on "
            f"at {rate * factor:.3g}, where it would have been {rate * planned:.3g}"
        )
