"""One trial: an ordinary training in a run of its own, and what its row says of how it ended."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from nnscratch.config.assembly import prepare
from nnscratch.config.config import Config, differences, load_config
from nnscratch.config.override import override
from nnscratch.config.plugins import plugin_digests
from nnscratch.errors import DataError, DivergenceError, Interrupted, UserError
from nnscratch.experiment.mirrors.wandb import mirror_problem
from nnscratch.experiment.train import resume, train
from nnscratch.files import write_atomically
from nnscratch.host.display import LogDisplay
from nnscratch.host.interruption import TAKEN_OVER, StopRequest
from nnscratch.host.trouble import is_out_of_memory, is_trouble_of_the_machine, reason, traceback_of
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.starting import with_whole_path
from nnscratch.sweeps.assignment import Assignment
from nnscratch.sweeps.definition import SweepDefinition
from nnscratch.sweeps.lease import LeaseLostError
from nnscratch.sweeps.sampling import trial_seed
from nnscratch.sweeps.study import Study, Trial
from nnscratch.sweeps.trial_observer import TrialObserver, TrialStop, heartbeat
from nnscratch.sweeps.trial_on_ranks import Ranks
from nnscratch.sweeps.trouble import Patience

OF_THE_DATA = ("data.dataset", "data.path", "data.limit", "data.validation")
"""What decides whether there are examples to learn from."""


def run_trial(study: Study, trial: Trial, assignment: Assignment, patience: Patience) -> None:
    """Trains a claimed trial, or goes on with it, and records what came of it.

    Raises UserError when the machine cannot train it now: it stays open, for whoever comes next.
    """
    stop = TrialStop(patience.stop)
    observer = TrialObserver(study, trial, stop, patience)
    status, note = "completed", ""
    try:
        with heartbeat(study, trial.number, stop):
            _train(study, trial, assignment, observer, stop)
    except DivergenceError as error:
        status, note = "diverged", error.message
    except Interrupted:
        status = stop.reason or "interrupted"
    except KeyboardInterrupt:
        patience.stop.ask("interrupted")
        status = "interrupted"
    except Exception as error:
        if _is_left_open(error, trial, study, assignment):
            raise _leave_open(study, trial, error) from None
        status, note = "failed", _fault(error, trial, assignment.folder)
    if status == TAKEN_OVER:
        return
    if observer.run is not None and (problem := mirror_problem(observer.run.path)) is not None:
        said = f"W&B mirror: {problem}. The trials' figures are all here; `nnscratch runs mirror` passes one on later"
        if patience(lambda: study.remark(said)):
            patience.tell(said)
    history = observer.run.read_history() if observer.run is not None else []
    metric = study.definition.metric
    value = metric.best(row.get(metric.name, math.nan) for row in history)
    if status == "completed" and value is None:
        status, note = "failed", f"it has no {metric.name} (no validation data, or no epochs?)"
    collapsed = status == "completed" and _collapsed(history, observer.chance)
    if collapsed:
        note = "collapsed to chance level"
    with suppress(LeaseLostError):
        observer.settle()
        patience(lambda: study.finish(trial.number, status, value, note.split("\n")[0][:300], collapsed))


def _is_left_open(error: Exception, trial: Trial, study: Study, assignment: Assignment) -> bool:
    """Whether a trial failed for no reason of its own: the machine is in trouble, or the data of all trials is gone."""
    if isinstance(error, DataError):
        try:
            config, base = trial_config(study.definition, trial, study.seed), study.definition.command.load()
            if any(path.startswith(OF_THE_DATA) for path in differences(config, base)):
                prepare(base, assignment.workplace, LogDisplay())
                return False  # the data is there, but not what this trial makes of it
        except Exception:
            return True
        return True
    return is_trouble_of_the_machine(error)


def _leave_open(study: Study, trial: Trial, error: Exception) -> UserError:
    """Sets the trial free, if that is possible now; the error that ends the worker."""
    said = reason(error)
    with suppress(Exception):  # the trouble may be the storage's, too: then the lease ends with this process
        study.leave_open(trial.number, said[:300], is_death=is_out_of_memory(error))
    return UserError(
        f"trial {trial.number} is left open, since this machine cannot train it now: {said}",
        "mend that, and start the sweep again: it goes on where it was",
    )


def _fault(error: Exception, trial: Trial, folder: Path) -> str:
    """What the trial's row says; the traceback of what nobody expected is kept beside the runs."""
    if isinstance(error, UserError):
        return error.message.splitlines()[0]
    where = folder / "trials" / f"trial-{trial.number:04d}-error.txt"
    write_atomically(where, traceback_of(error))
    return f"{type(error).__name__}: {reason(error)} (see {where.name})"


def trial_changes(definition: SweepDefinition, trial: Trial, seed: int) -> tuple[str, ...]:
    """The overrides that make the base config the trial's; equal on every machine."""
    own_seed = trial_seed(seed, trial.number, "training")
    changes = [] if "seed" in trial.parameters else [f"seed={own_seed}"]
    return (*changes, *definition.changes(trial.parameters))


def trial_config(definition: SweepDefinition, trial: Trial, seed: int) -> Config:
    """The config of a trial. Raises ConfigError when its values do not go together."""
    return definition.command.load(_all_changes(definition, trial, seed))


def trial_words(definition: SweepDefinition, trial: Trial, seed: int) -> list[str]:
    """The words after `nnscratch train` that make this config."""
    command, changes = definition.command, _all_changes(definition, trial, seed)
    left_out = command.left_out(changes)
    return [str(command.config), *command.overrides, *(each for each in changes if each not in left_out)]


def _all_changes(definition: SweepDefinition, trial: Trial, seed: int) -> tuple[str, ...]:
    changes = [*trial_changes(definition, trial, seed), f"name=trial-{trial.number:04d}"]
    own = definition.command.load(tuple(changes)).wandb
    places = {"group": definition.name, "project": definition.project, "entity": definition.entity}
    for field, value in places.items():
        if value is not None and getattr(own, field) is None:
            changes.append(override(f"wandb.{field}", value))
    return tuple(changes)


def _train(study: Study, trial: Trial, assignment: Assignment, observer: TrialObserver, stop: StopRequest) -> None:
    config = with_whole_path(trial_config(study.definition, trial, study.seed), assignment.workplace.runs_dir)
    display, wandb = LogDisplay(), assignment.wandb
    if wandb is None and config.wandb.mode != "off":  # which a resume does not take from the run's own config
        wandb = config.wandb.mode
    workplace = replace(assignment.workplace, runs_dir=assignment.folder / "trials")
    expected = workplace.runs_dir / config.name
    if expected.is_dir() and not RunDirectory(expected).config.exists():
        RunDirectory(expected).discard()  # killed before there was anything in it
    candidates = dict.fromkeys([Path(trial.run) if trial.run else expected, expected])
    begun = (path for path in candidates if _is_run_of(path, config, study.definition.command.config.parent))
    path = next(begun, None)
    if assignment.ranks > 1:
        words = trial_words(study.definition, trial, study.seed)
        ranks = Ranks(assignment.ranks, workplace, assignment.allow_plugins, wandb)
        ranks.train(config, words, observer, stop, path)
    elif path is not None:
        resume(path, None, workplace, display, wandb=wandb, observers=[observer], stop=stop)
    else:
        train(config, workplace, display, wandb=wandb, observers=[observer], stop=stop)


def _is_run_of(path: Path, config: Config, folder: Path) -> bool:
    """True for this trial's run, unless a process still trains it that has lost the trial.

    `folder` is where the config's plugins are; the run's are copies in the run.
    """
    try:
        kept = load_config(RunDirectory(path).config)
        same_plugins = plugin_digests(kept.plugins, path) == plugin_digests(config.plugins, folder)
    except UserError:
        return False
    ignored = ["name", "wandb.", "plugins"]
    ignored += ["training.minutes", "training.epochs"] if config.training.minutes is not None else []
    ignored += ["training.batch_size"] if "batch_size" not in config.training.model_fields_set else []
    same = all(where.startswith(tuple(ignored)) for where in differences(kept, config))
    return same and same_plugins and not RunDirectory(path).is_being_trained()


def _collapsed(history: list[dict[str, float]], chance: float | None) -> bool:
    """True when the last epoch tells no class from another."""
    if not history or chance is None:
        return False
    accuracy = history[-1].get("val_accuracy", history[-1].get("train_accuracy"))
    return accuracy is not None and accuracy < chance
