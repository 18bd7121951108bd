"""`nnscratch train`: the one place where trainer, files and display meet."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nnscratch.datasets.dataset import Dataset
from nnscratch.errors import ConfigError, DivergenceError, Interrupted, Problem, UserError
from nnscratch.experiment import machine
from nnscratch.experiment.assembly import (
    Splits,
    build_network,
    build_recipe,
    load_dataset,
    monitored_value,
    split_dataset,
)
from nnscratch.experiment.checkpoint import Checkpoint, load_checkpoint
from nnscratch.experiment.config import Config, load_config
from nnscratch.experiment.display import Display
from nnscratch.experiment.interruption import StopRequest
from nnscratch.experiment.run_directory import RunDirectory
from nnscratch.nn.buffers import Array
from nnscratch.nn.network import Network
from nnscratch.nn.parallel import Workers
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.report.formats import count, duration, metric_value
from nnscratch.training.evaluation import Score
from nnscratch.training.progress import EarlyStopping, EpochResult, Monitor, Progress, StepResult
from nnscratch.training.scaling import Affine
from nnscratch.training.trainer import Trainer


@dataclass(frozen=True)
class Options:
    """Where a command works and with how many threads: nothing that belongs to an experiment itself."""

    data_dir: Path
    runs_dir: Path = Path("runs")
    threads: int | None = None
    plots: bool = True
    download: bool = True


@dataclass(frozen=True)
class TrainingSummary:
    """What a finished training has to tell."""

    run: Path
    epochs: int
    best: Mapping[str, float]
    """The row of the best epoch; with `epoch` 0 alone when nothing was trained."""
    test: Score | None
    parameters: int
    train_seconds: float
    train_samples: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {
            "run": str(self.run),
            "epochs": self.epochs,
            "best": dict(self.best),
            "test_loss": self.test.loss if self.test else None,
            "test_accuracy": self.test.accuracy if self.test else None,
            "parameters": self.parameters,
            "train_seconds": self.train_seconds,
            "train_samples": self.train_samples,
        }


@dataclass(frozen=True)
class Prepared:
    """Data and network of a config, checked against each other, before anything is written or allocated."""

    config: Config
    dataset: Dataset
    splits: Splits
    network: Network


def prepare(config: Config, options: Options, display: Display) -> Prepared:
    """Loads the data and builds the network. Raises the UserError of whatever does not fit."""
    dataset = load_dataset(config, options.data_dir, display.say, display.download, options.download)
    splits = split_dataset(config, dataset)
    network = build_network(config, dataset.input_shape, dataset.outputs)
    return Prepared(config, dataset, splits, network)


def train(config: Config, options: Options, display: Display) -> TrainingSummary:
    """A new run from start to end. Raises DivergenceError and Interrupted after saving what there is."""
    threads = machine.choose_threads(options.threads)
    machine.set_blas_threads(threads)
    prepared = prepare(config, options, display)
    recipe = build_recipe(config, prepared.dataset, prepared.splits)  # before the folder: a bad config leaves none
    streams = RandomStreams(config.seed)
    prepared.network.initialize(streams)
    affine = config.data.scaling.build().fit(prepared.splits.train)
    trainer = Trainer(prepared.network, recipe, affine, streams, Workers(threads))

    run = RunDirectory.create(options.runs_dir, config.name)
    run.lock()
    run.write_text("config.yaml", config.to_yaml())
    return _Session(run, prepared, trainer, options, threads, display).train()


def resume(path: Path, epochs: int | None, options: Options, display: Display) -> TrainingSummary:
    """Continues a run in place from its last checkpoint, to its config's last epoch or to `epochs`."""
    run = RunDirectory.open(path)
    run.lock()
    config = load_config(run.config)
    checkpoint = load_checkpoint(run.last)
    before = run.read_meta()
    if epochs is not None and epochs != config.training.epochs:
        config = _with_epochs(run, config, epochs, checkpoint, display)
    threads = machine.choose_threads(options.threads or before.get("machine", {}).get("threads"))
    machine.set_blas_threads(threads)

    prepared = prepare(config, options, display)
    _check_resumable(run, before, prepared, threads, display)
    recipe = build_recipe(config, prepared.dataset, prepared.splits)
    streams = RandomStreams(config.seed)
    prepared.network.initialize(streams)
    scaling = checkpoint.section("scaling")
    affine = Affine(scaling["multiplier"], scaling["offset"])
    trainer = Trainer(prepared.network, recipe, affine, streams, Workers(threads))
    session = _Session(run, prepared, trainer, options, threads, display)
    session.restore(checkpoint)
    return session.train()


def _with_epochs(run: RunDirectory, config: Config, epochs: int, checkpoint: Checkpoint, display: Display) -> Config:
    done = checkpoint.header["progress"]["epoch"]
    if epochs < done:
        raise ConfigError([Problem("training.epochs", f"{epochs}, but {run.path} has already trained {done} epochs")])
    if config.schedule.component.name != "constant":
        display.warn(
            f"the schedule {config.schedule.component.name} now spans {epochs} epochs instead of "
            f"{config.training.epochs}: the learning rate goes on from another point of its curve"
        )
    config = load_config(run.config, [f"training.epochs={epochs}"])
    run.write_text("config.yaml", config.to_yaml())
    return config


def _check_resumable(
    run: RunDirectory, before: Mapping[str, Any], prepared: Prepared, threads: int, display: Display
) -> None:
    digest = before.get("dataset", {}).get("digest")
    if digest is not None and digest != prepared.dataset.digest():
        raise UserError(
            f"{run.path} was trained on other data: {prepared.dataset.name} in {prepared.dataset.origin} has changed",
            "put the data back, or start a new run",
        )
    now, then = machine.describe(threads), before.get("machine", {})
    for what, old, new in (
        ("NumPy", then.get("numpy"), now["numpy"]),
        ("BLAS kernel", machine.kernel(then), machine.kernel(now)),
        ("number of threads", then.get("threads"), threads),
        ("CPU", then.get("cpu"), now["cpu"]),
    ):
        if old and old != new:
            display.warn(f"the run was started with another {what} ({old}, now {new}): it will not repeat bit for bit")


@dataclass
class _Best:
    """The weights that count, as they were at the best epoch so far."""

    epoch: int = 0
    theta: Array | None = None
    state: Array | None = None


@dataclass
class _CheckpointClock:
    """Says when the next checkpoint is due."""

    config: Config
    updates: int = 0
    epoch: int = 0
    time: float = field(default_factory=time.monotonic)

    def is_due(self, progress: Progress) -> bool:
        every = self.config.training.checkpoint_every
        return bool(
            (every.steps and progress.updates - self.updates >= every.steps)
            or (every.epochs and progress.epoch - self.epoch >= every.epochs)
            or (every.minutes and time.monotonic() - self.time >= 60 * every.minutes)
        )

    def restart(self, progress: Progress) -> None:
        self.updates, self.epoch, self.time = progress.updates, progress.epoch, time.monotonic()


class _Session:
    """One process's work on one run."""

    def __init__(
        self, run: RunDirectory, prepared: Prepared, trainer: Trainer, options: Options, threads: int, display: Display
    ) -> None:
        self.run, self.trainer, self.options, self.display = run, trainer, options, display
        self.config, self.dataset, self.splits = prepared.config, prepared.dataset, prepared.splits
        self.network = trainer.network
        monitored = monitored_value(self.config, self.dataset)
        self.monitor = Monitor(monitored) if monitored is not None else None
        stopping = self.config.training.early_stopping
        self.stopping = EarlyStopping(stopping.patience, stopping.minimum_change) if stopping else None
        self.best = _Best()
        self.clock = _CheckpointClock(self.config)
        self.meta = self._new_meta(threads)

    def train(self) -> TrainingSummary:
        """Trains to the end, tests the best weights once, draws the plots, and says what came out."""
        display, progress = self.display, self.trainer.progress
        display.attach_log(self.run.log)
        self._set_status("running")
        self._announce()
        try:
            with StopRequest() as stop:
                self._loop(stop)
                if stop.wanted:
                    self._interrupted()
            summary = self._finish()
        except DivergenceError as error:
            self._save()
            self._set_status("diverged", error=error.message)
            raise DivergenceError(error.message, f"{error.hint}; the run is kept in {self.run.path}") from None
        except Interrupted:
            raise
        except BaseException as error:
            self._set_status("failed", error=f"{type(error).__name__}: {error}")
            raise
        finally:
            display.close()
            self.run.unlock()
        assert progress.epoch == summary.epochs
        return summary

    def restore(self, checkpoint: Checkpoint) -> None:
        """Puts back everything a checkpoint holds; raises UserError when it is of another network."""
        parameters, trainer = self.network.parameters, self.trainer
        weights = checkpoint.section("parameters")
        trained = checkpoint.section("trained")
        parameters.load(trained or weights)
        parameters.load_state(checkpoint.section("state"))
        if trainer.average is not None:
            parameters.load(weights, trainer.average)
        for name, vector in trainer.recipe.optimizer.state.items():
            whole = np.zeros_like(parameters.theta)
            parameters.load(checkpoint.section(f"optimizer/{name}"), whole)
            vector[:] = whole[: vector.size]
        trainer.recipe.optimizer.t = checkpoint.header["optimizer_steps"]
        trainer.progress = Progress.from_dict(checkpoint.header["progress"])
        if checkpoint.header["best_epoch"]:
            self.best = _Best(checkpoint.header["best_epoch"], np.empty_like(parameters.theta), parameters.state.copy())
            parameters.load(checkpoint.section("best") or weights, self.best.theta)
            if self.best.state is not None and self.best.state.size:
                self.best.state[:] = checkpoint.arrays["best_state"]
        self.clock.restart(trainer.progress)
        self.run.rewrite_metrics(trainer.progress.history)

    def _loop(self, stop: StopRequest) -> None:
        trainer, display, epochs = self.trainer, self.display, self.config.training.epochs
        steps = -(-len(self.splits.train) // self.config.training.batch_size)
        display.start_progress(epochs, steps, trainer.progress.epoch * steps + trainer.progress.step)
        if self._should_stop_early():  # a resumed run may have been due already
            return
        for result in trainer.run(self.splits.train, self.splits.validation):
            if isinstance(result, StepResult):
                display.show_step(result, epochs)
            else:
                self._record(result)
                if self._should_stop_early():
                    display.say(f"stopped early: no better {self._monitored()} for {self._patience()} epochs")
                    break
            if stop.wanted:
                break
            if self.clock.is_due(trainer.progress):
                self._save()
        display.end_progress()

    def _record(self, result: EpochResult) -> None:
        history = self.trainer.progress.history
        is_best = self.monitor is None or self.monitor.best_epoch(history) == result.epoch
        if is_best:
            self._keep_best(result.epoch)
        self.run.record({"record": "epoch", **result.values})
        self.run.write_metrics_table(history)
        self.display.show_epoch(result, self.config.training.epochs, is_best and self.monitor is not None)

    def _keep_best(self, epoch: int) -> None:
        parameters = self.network.parameters
        if self.best.theta is None or self.best.state is None:
            self.best.theta, self.best.state = np.empty_like(parameters.theta), np.empty_like(parameters.state)
        with self.trainer.weights_that_count():
            np.copyto(self.best.theta, parameters.theta)
        np.copyto(self.best.state, parameters.state)
        self.best.epoch = epoch

    def _should_stop_early(self) -> bool:
        return (
            self.stopping is not None
            and self.monitor is not None
            and self.stopping.is_due(self.monitor, self.trainer.progress.history)
        )

    def _monitored(self) -> str:
        return self.monitor.value if self.monitor is not None else "loss"

    def _patience(self) -> int:
        return self.stopping.patience if self.stopping is not None else 0

    def _save(self) -> None:
        """last.npz, with everything a resume needs, then best.npz, with what evaluating needs."""
        trainer, parameters = self.trainer, self.network.parameters
        with trainer.weights_that_count():
            weights = {name: array.copy() for name, array in parameters.named().items()}
        arrays: dict[str, Array] = {f"parameters/{name}": array for name, array in weights.items()}
        if trainer.average is not None:
            arrays |= {f"trained/{name}": array for name, array in parameters.named().items()}
        arrays |= {f"state/{name}": array for name, array in parameters.named_state().items()}
        for state_name, vector in trainer.recipe.optimizer.state.items():
            whole = np.zeros_like(parameters.theta)
            whole[: vector.size] = vector
            arrays |= {f"optimizer/{state_name}/{name}": array for name, array in parameters.named(whole).items()}
        scaling = {"scaling/multiplier": trainer.affine.multiplier, "scaling/offset": trainer.affine.offset}
        header = self._header()
        best: dict[str, Array] = {}
        if self.best.theta is not None and self.best.state is not None:
            best = dict(parameters.named(self.best.theta))
            arrays |= {f"best/{name}": array for name, array in best.items()} | {"best_state": self.best.state}
        Checkpoint(header, {**arrays, **scaling}).save(self.run.last)
        self.run.keep_copy_of_last(trainer.progress.updates, self.config.training.keep_last)
        if best and self.best.state is not None:
            kept = {f"parameters/{name}": array for name, array in best.items()}
            named_state = parameters.named_state()
            start = 0
            for name, array in named_state.items():
                kept[f"state/{name}"] = self.best.state[start : start + array.size].reshape(array.shape)
                start += array.size
            Checkpoint({**header, "kind": "best"}, {**kept, **scaling}).save(self.run.best)
        self.clock.restart(trainer.progress)

    def _header(self) -> dict[str, Any]:
        return {
            "kind": "last",
            "config": self.config.to_yaml(),
            "input_shape": list(self.dataset.input_shape),
            "outputs": self.dataset.outputs,
            "classes": list(self.dataset.classes) if self.dataset.classes is not None else None,
            "target_names": list(self.dataset.target_names) if self.dataset.target_names is not None else None,
            "feature_names": list(self.dataset.feature_names) if self.dataset.feature_names is not None else None,
            "images": self.dataset.train_inputs.dtype == np.uint8,
            "best_epoch": self.best.epoch,
            "optimizer_steps": self.trainer.recipe.optimizer.t,
            "progress": self.trainer.progress.to_dict(),
        }

    def _interrupted(self) -> None:
        progress = self.trainer.progress
        self._save()
        self._set_status("interrupted")
        raise Interrupted(
            f"interrupted after epoch {progress.epoch}, step {progress.step}; everything is saved in {self.run.path}",
            f"continue with: nnscratch train --resume {self.run.path}",
        )

    def _finish(self) -> TrainingSummary:
        """The best weights, the test split once, and the pictures."""
        trainer, progress, parameters = self.trainer, self.trainer.progress, self.network.parameters
        if self.best.theta is None:
            self._keep_best(progress.epoch)
        self._save()
        assert self.best.theta is not None
        assert self.best.state is not None
        np.copyto(parameters.theta, self.best.theta)
        np.copyto(parameters.state, self.best.state)
        trainer.average = None  # the best weights are averaged already
        test, outputs = self._test()
        best_row = progress.history[self.best.epoch - 1] if self.best.epoch else {"epoch": 0}
        summary = TrainingSummary(
            run=self.run.path,
            epochs=progress.epoch,
            best=best_row,
            test=test,
            parameters=parameters.size,
            train_seconds=sum(row["train_seconds"] for row in progress.history),
            train_samples=len(self.splits.train) * progress.epoch,
        )
        if test is not None:
            values = {"test_loss": test.loss} | ({} if test.accuracy is None else {"test_accuracy": test.accuracy})
            self.run.record({"record": "test", "epoch": self.best.epoch, **values})
        self._set_status("completed", result=summary.to_dict())
        if self.options.plots and progress.history:
            self._draw(test, outputs)
        self._conclude(summary)
        return summary

    def _test(self) -> tuple[Score | None, Array | None]:
        """The one look at the test split: its score, and the outputs (N, K) for the pictures."""
        examples = self.splits.test
        if examples is None:
            return None, None
        outputs = np.empty((len(examples), self.dataset.outputs), np.float32)
        return self.trainer.score(examples, outputs), outputs

    def _draw(self, test: Score | None, outputs: Array | None) -> None:
        """Plots and report. The training is done and saved: a full disk here is a warning."""
        from nnscratch.experiment.plot import draw_trained

        try:
            drawn = draw_trained(self.run, self.dataset, self.splits, test, outputs)
        except (UserError, OSError) as error:
            self.display.warn(f"plots or report are missing: {error}; `nnscratch plot {self.run.path}` draws them")
        else:
            self.display.say(f"plots in {self.run.plots}, report in {drawn.report}")

    def _announce(self) -> None:
        dataset, splits, progress = self.dataset, self.splits, self.trainer.progress
        sizes = [f"{count(len(splits.train))} training"]
        sizes += [f"{count(len(splits.validation))} validation"] if splits.validation is not None else []
        sizes += [f"{count(len(splits.test))} test examples"] if splits.test is not None else ["no test examples"]
        self.display.say(f"{dataset.name} from {dataset.origin}: {', '.join(sizes)}")
        self.display.say(f"{count(self.network.parameters.size)} parameters; run in {self.run.path}")
        if progress.updates:
            self.display.say(f"resumed after epoch {progress.epoch}, step {progress.step}")

    def _conclude(self, summary: TrainingSummary) -> None:
        best = summary.best
        if self.monitor is not None and self.monitor.value in best:
            value = metric_value(self.monitor.value, best[self.monitor.value])
            self.display.result(f"best epoch {int(best['epoch'])}: {self.monitor.value} {value}")
        if summary.test is not None:
            accuracy = summary.test.accuracy
            shown = f"test_loss {metric_value('test_loss', summary.test.loss)}"
            shown = shown if accuracy is None else f"test_accuracy {metric_value('test_accuracy', accuracy)}  {shown}"
            self.display.result(shown)
        self.display.say(f"trained {duration(summary.train_seconds)}; results in {self.run.path}")

    def _new_meta(self, threads: int) -> dict[str, Any]:
        before = self.run.read_meta()
        return {
            "name": self.run.name,
            "status": "running",
            "command": machine.command_line(),
            "commands_before": [*before.get("commands_before", []), before["command"]] if "command" in before else [],
            "started": before.get("started") or time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "seed": self.config.seed,
            "dataset": {
                "name": self.dataset.name,
                "origin": self.dataset.origin,
                "digest": self.dataset.digest(),
                "train": len(self.splits.train),
                "validation": len(self.splits.validation) if self.splits.validation is not None else 0,
                "test": len(self.splits.test) if self.splits.test is not None else 0,
            },
            "parameters": self.network.parameters.size,
            "machine": machine.describe(threads),
        }

    def _set_status(self, status: str, **more: Any) -> None:
        history = self.trainer.progress.history
        self.meta |= {
            "status": status,
            "updated": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "epochs": self.trainer.progress.epoch,
            "train_seconds": sum(row["train_seconds"] for row in history),
            **more,
        }
        self.run.write_meta(self.meta)
