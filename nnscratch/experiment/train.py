"""`nnscratch train`: a new run, or one that goes on."""

from __future__ import annotations

from pathlib import Path

from nnscratch.config.assembly import (
    build_recipe,
    start_network,
)
from nnscratch.config.config import Config, load_config
from nnscratch.config.preparation import Prepared, prepare
from nnscratch.experiment.resumption import (
    check_config,
    check_data,
    check_epochs,
    find_checkpoint,
    recorded_threads,
    tell_new_length,
    trained_config,
    warn_of_another_machine,
)
from nnscratch.experiment.session import Session, TrainingSummary
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.runs.checkpoint import Checkpoint, load_checkpoint
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.training_state import restore, scaling_of, target_scaling_of
from nnscratch.training.scaling import Affine, fit_targets
from nnscratch.training.trainer import Trainer


def train(config: Config, workplace: Workplace, display: Display) -> TrainingSummary:
    """A new run from start to end. Raises DivergenceError and Interrupted after saving what there is."""
    threads = machine.choose_threads(workplace.threads)
    machine.set_blas_threads(threads)
    prepared = prepare(config, workplace, display)
    trainer = _new_trainer(prepared, threads)  # before the folder: a bad config leaves none

    run = RunDirectory.create(workplace.runs_dir, config.name)
    with run.locked():
        try:
            session = Session(run, prepared, trainer, workplace, threads, display)
            session.begin()
        except BaseException:
            run.discard()
            raise
        return session.train()


def resume(path: Path, epochs: int | None, workplace: Workplace, display: Display) -> TrainingSummary:
    """Continues a run in place to its config's last epoch, or to `epochs`; says so when nothing is left to do.

    `path` is the run, continued from its last checkpoint, or one of its checkpoint files.
    """
    run, file = find_checkpoint(path)
    with run.locked():
        run.remove_leftovers()
        config = load_config(run.config, [] if epochs is None else [f"training.epochs={epochs}"])
        if not file.exists():
            display.say(f"{run.path} was stopped before its first checkpoint: it starts from the beginning")
            session = _fresh_session(run, config, workplace, display)
        else:
            session = _restored_session(run, load_checkpoint(file), file, config, workplace, display)
            finished = session.finished()
            if finished is not None:
                return finished
            _go_on(session)
        return session.train()


def _fresh_session(run: RunDirectory, config: Config, workplace: Workplace, display: Display) -> Session:
    threads = machine.choose_threads(workplace.threads or recorded_threads(run.read_meta()))
    machine.set_blas_threads(threads)
    prepared = prepare(config, workplace, display)
    session = Session(run, prepared, _new_trainer(prepared, threads), workplace, threads, display)
    run.rewrite_metrics([])
    session.begin()
    return session


def _restored_session(
    run: RunDirectory, checkpoint: Checkpoint, file: Path, config: Config, workplace: Workplace, display: Display
) -> Session:
    """The session as the checkpoint left it; nothing in the run changes before everything is known to fit."""
    trained = trained_config(checkpoint, file)
    check_config(run, trained, config)
    threads = machine.choose_threads(workplace.threads or recorded_threads(checkpoint.header))
    machine.set_blas_threads(threads)
    prepared = prepare(config, workplace, display)
    affine = scaling_of(checkpoint, file, prepared.dataset.input_shape)
    target_affine = target_scaling_of(checkpoint, file, prepared.dataset.outputs)
    trainer = _new_trainer(prepared, threads, affine, target_affine)
    session = Session(run, prepared, trainer, workplace, threads, display)
    check_data(run, checkpoint, session.meta["dataset"])
    session.best = restore(checkpoint, file, session.trainer)
    check_epochs(run, session.trainer.progress.epoch, config)
    warn_of_another_machine(checkpoint, session.meta["machine"], display)
    tell_new_length(session.trainer, trained.training.epochs, session.steps_per_epoch, display)
    session.clock.restart(session.trainer.progress)
    return session


def _go_on(session: Session) -> None:
    """Writes what the run is from here on."""
    session.run.write_text("config.yaml", session.config.to_yaml())
    session.run.rewrite_metrics(session.trainer.progress.history)


def _new_trainer(
    prepared: Prepared, threads: int, affine: Affine | None = None, target_affine: Affine | None = None
) -> Trainer:
    """A trainer at its start, with that scaling or the training split's own."""
    config = prepared.config
    recipe = build_recipe(config, prepared.dataset, prepared.splits)
    affine = affine or config.data.scaling.build().fit(prepared.splits.train)
    target_affine = target_affine or fit_targets(prepared.splits.train, config.data.target_scaling)
    streams = start_network(config, prepared.network, prepared.splits.train, affine)
    workers = machine.share_threads(prepared.network, threads)
    return Trainer(prepared.network, recipe, affine, streams, workers, target_affine)
