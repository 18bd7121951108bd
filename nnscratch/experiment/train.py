"""`nnscratch train`: a new run, or one that goes on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from nnscratch.config.assembly import Assembly, prepare
from nnscratch.config.config import Config, differences, load_config, parse_config
from nnscratch.datasets.sources.own_data import TrainedOn
from nnscratch.errors import UserError
from nnscratch.experiment.best_weights import mend_best
from nnscratch.experiment.filming import Filming
from nnscratch.experiment.fingerprinting import Fingerprinting
from nnscratch.experiment.mirrors.mirror import open_mirrors
from nnscratch.experiment.mirrors.wandb import require_mirrorable, wandb_mode
from nnscratch.experiment.observer import Observer, Training, TrainingSummary
from nnscratch.experiment.recorder import Recorder
from nnscratch.experiment.resumption import (
    check_config,
    check_data,
    check_epochs,
    finished,
    require_never_saved,
    tell_of_going_on,
)
from nnscratch.experiment.session import Session, draw
from nnscratch.experiment.terminal import Terminal
from nnscratch.experiment.timing import fit_epochs
from nnscratch.experiment.together import require_alike
from nnscratch.experiment.watching import DiagnosisWatch
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.interruption import StopRequest
from nnscratch.host.machine import Machine
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.communicator import ALONE, Communicator
from nnscratch.results.live_page import is_report
from nnscratch.runs.checkpoint import load_checkpoint
from nnscratch.runs.directory import RunDirectory, find_checkpoint
from nnscratch.runs.header import header_of
from nnscratch.runs.kept_plugins import keep_plugins
from nnscratch.runs.meta import Origin
from nnscratch.runs.starting import prepare_start
from nnscratch.runs.training_state import require_weights, restore, scaling_of, target_scaling_of
from nnscratch.runs.unwritten import UnwrittenRun, create_run
from nnscratch.training.trainer import Trainer


def train(
    config: Config,
    workplace: Workplace,
    display: Display,
    *,
    wandb: str | None = None,
    observers: Sequence[Observer] = (),
    stop: StopRequest | None = None,
    communicator: Communicator = ALONE,
    beside: RunDirectory | None = None,
    replayed: RunDirectory | None = None,
) -> TrainingSummary:
    """A new run from start to end. Raises DivergenceError and Interrupted after saving what there is.

    `wandb` is the mode of the mirror on W&B in place of the config's; `observers` are told after those that every
    training has; `stop` is a request that is listening already: left out, the training listens itself. `communicator`
    leads to the processes that train the run together, each of which calls this: rank 0 writes it. `beside` is a run of
    the same group: the data is read as that took it, and where it is other data, the new one is refused, and leaves no
    folder. As `replayed` took it, it is read, too, but whatever it is by now.
    """
    require_mirrorable(config, wandb_mode(config.wandb.mode, wandb))
    threads = machine.choose_threads(workplace.threads)
    before = beside or replayed
    trained_on = None if before is None else _pixels_of(before)
    prepared, origin = _at_the_start(config, workplace, threads, display, communicator, trained_on)
    trainer = prepared.trainer(threads, communicator=communicator)  # before the folder: a bad config leaves none

    run = create_run(workplace.runs_dir, config.name, communicator)
    with run.locked():
        try:
            recorder = _new_recorder(run, prepared, trainer, threads, workplace.data_dir, origin)
            if beside is not None:
                check_data(beside, beside.read_meta().dataset, recorder.meta.dataset)
            recorder.begin()
        except BaseException:
            run.discard()
            raise
        mode = "off" if communicator.rank else wandb_mode(config.wandb.mode, wandb)
        return _session(recorder, workplace, display, mode, observers, stop).train()


def resume(
    path: Path,
    epochs: int | None,
    workplace: Workplace,
    display: Display,
    *,
    overrides: Sequence[str] = (),
    wandb: str | None = None,
    observers: Sequence[Observer] = (),
    stop: StopRequest | None = None,
    communicator: Communicator = ALONE,
) -> TrainingSummary:
    """Continues a run in place to its config's last epoch, or to `epochs`; says so when nothing is left to do.

    `path` is the run, continued from its last checkpoint, or one of its checkpoint files; `overrides` set fields of its
    config, of those that a resume may change. The rest is as for `train`, but that nothing is mirrored unless `wandb`
    or an override says so: the run's config, which may be somebody else's, is not obeyed in it.
    """
    run, file = find_checkpoint(path)
    run = UnwrittenRun(run.path) if communicator.rank else run
    with run.locked():
        run.remove_leftovers()
        changes = [*overrides, *([] if epochs is None else [f"training.epochs={epochs}"])]
        config = load_config(run.config, changes, display.say)
        if not file.exists():
            check_config(run, load_config(run.config), config)
            require_never_saved(run, run.read_meta())
            display.say(f"{run.path} has no checkpoint and nothing that came of one: it starts from the beginning")
            recorder = _fresh_recorder(run, config, workplace, display, communicator)
        else:
            recorder, then, trained = _restored_recorder(run, file, config, workplace, display, communicator)
            training = recorder.training
            summary = finished(training, run.read_meta(), trained.training.epochs, display)
            if summary is not None:
                _complete(recorder, summary, workplace, display, observers)
                return summary
            tell_of_going_on(training, then, recorder.meta.machine, trained, display)
            recorder.go_on()
        is_asked = any(each.partition("=")[0] in ("wandb", "wandb.mode") for each in overrides)
        mode = "off" if communicator.rank else wandb_mode(config.wandb.mode if is_asked else "off", wandb)
        if mode == "off" and wandb is None and config.wandb.mode != "off":
            display.say(f"nothing is sent to W&B: --wandb {config.wandb.mode} goes on with the mirror there")
        return _session(recorder, workplace, display, mode, observers, stop).train()


def _complete(
    recorder: Recorder, summary: TrainingSummary, workplace: Workplace, display: Display, observers: Sequence[Observer]
) -> None:
    """What a run that is over may lack: where its data lies now, best.npz, and what a kill kept from being drawn."""
    _take_up_changes(recorder, display)
    mend_best(recorder, display)
    if workplace.plots and not is_report(recorder.training.run.report):
        draw(recorder.training, summary.test, display)
    for observer in observers:
        observer.begin(recorder.training)
        observer.end("completed", summary)


def _take_up_changes(recorder: Recorder, display: Display) -> None:
    """Keeps where the data of a run that is over lies now; says what else was changed in vain, as its end is done."""
    run, config = recorder.training.run, recorder.training.config
    changed = differences(load_config(run.config), config)
    in_vain = [path for path in changed if path.startswith("evaluation.")]
    if in_vain:
        command = shlex.join(["nnscratch", "evaluate", str(run.path)])
        display.warn(f"{', '.join(in_vain)}: nothing is changed in a run that is over; {command} scores it")
    elif "data.path" in changed:
        recorder.keep_config()


def _session(
    recorder: Recorder,
    workplace: Workplace,
    display: Display,
    wandb: str,
    observers: Sequence[Observer],
    stop: StopRequest | None,
) -> Session:
    """The session, with all who are told of it in their order."""
    training = recorder.training
    beside = [
        Fingerprinting(),
        Filming(display),
        *open_mirrors(training.config.tracking, wandb, display, plots=workplace.plots),
    ]
    told = [
        Terminal(display),
        DiagnosisWatch(display.warn),
        *(beside if training.run.is_written else []),
        *observers,
    ]
    words = () if wandb == "off" else ("--wandb", wandb)
    return Session(recorder, workplace, display, told, stop, words)


def _at_the_start(
    config: Config,
    workplace: Workplace,
    threads: int,
    display: Display,
    communicator: Communicator,
    trained_on: TrainedOn | None = None,
) -> tuple[Assembly, Origin | None]:
    """What a training begins with: trained weights in place, and as many epochs as fit into its time."""
    if said := machine.too_many(threads):
        display.warn(said)
    prepared, origin = prepare_start(config, workplace, display, trained_on)
    require_alike(communicator, prepared.config, prepared.dataset)
    return replace(prepared, config=fit_epochs(prepared, threads, display.say, communicator)), origin


def _pixels_of(run: RunDirectory) -> TrainedOn | None:
    """How the run took pixels, for its replay and its group; a table becomes features by each one's own rows."""
    for file in (run.last, run.best):
        with suppress(UserError):
            return replace(header_of(load_checkpoint(file), file).trained_on, encoding=None)
    return None


def _new_recorder(
    run: RunDirectory, prepared: Assembly, trainer: Trainer, threads: int, data_dir: Path, origin: Origin | None
) -> Recorder:
    """The recorder of a run that starts from the beginning; its plugins are copied."""
    config, plugins = keep_plugins(run, prepared.config)
    training = Training(run, config, prepared.dataset, prepared.splits, trainer, prepared.encoding, origin)
    return Recorder(training, threads, data_dir, plugins)


def _fresh_recorder(
    run: RunDirectory, config: Config, workplace: Workplace, display: Display, communicator: Communicator
) -> Recorder:
    """The same for a run that is there, but has no checkpoint yet."""
    before = run.read_meta()
    threads = machine.choose_threads(workplace.threads, before.machine)
    prepared, origin = _at_the_start(config, workplace, threads, display, communicator)
    trainer = prepared.trainer(threads, communicator=communicator)
    recorder = _new_recorder(run, prepared, trainer, threads, workplace.data_dir, origin)
    if before.dataset.digest is not None:
        check_data(run, before.dataset, recorder.meta.dataset)
    run.rewrite_metrics([])
    recorder.begin()
    return recorder


def _restored_recorder(
    run: RunDirectory,
    file: Path,
    config: Config,
    workplace: Workplace,
    display: Display,
    communicator: Communicator,
) -> tuple[Recorder, Machine, Config]:
    """The training as the checkpoint left it, and the machine and config that it was trained with until then.

    Nothing in the run changes before everything is known to fit.
    """
    checkpoint = load_checkpoint(file)
    header = header_of(checkpoint, file)
    trained = parse_config(header.config, f"{file}: config")
    check_config(run, trained, config)
    threads = machine.choose_threads(workplace.threads, header.machine)
    prepared = prepare(config, workplace, display, header.trained_on)
    affine = scaling_of(checkpoint, file, prepared.dataset.input_shape)
    target_affine = target_scaling_of(checkpoint, file, prepared.dataset.outputs)
    require_weights(prepared.network, checkpoint, file)
    require_alike(communicator, config, prepared.dataset, file.read_bytes())
    trainer = prepared.with_scaling(affine, target_affine).trainer(threads, communicator=communicator)
    training = Training(run, config, prepared.dataset, prepared.splits, trainer, prepared.encoding)
    recorder = Recorder(training, threads, workplace.data_dir)
    check_data(run, header.dataset, recorder.meta.dataset)
    recorder.best = restore(checkpoint, file, trainer)
    check_epochs(run, trainer.progress.epoch, config)
    return recorder, header.machine, trained
