"""`nnscratch runs replay`: a run is trained again beside itself, and compared number by number."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnscratch.config.config import load_config
from nnscratch.config.override import override
from nnscratch.errors import DivergenceError, Interrupted, UsageError, UserError, listed
from nnscratch.experiment.observer import Observer
from nnscratch.experiment.resumption import other_machine
from nnscratch.experiment.train import train
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.interruption import StopRequest
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.report.formats import count
from nnscratch.runs.checkpoint import load_checkpoint
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.fingerprints import read_fingerprints
from nnscratch.runs.meta import Meta
from nnscratch.training.progress import EpochResult

MOST_SHOWN = 5


@dataclass(frozen=True)
class FirstDifference:
    """Where two trainings part."""

    epoch: int
    step: int | None
    """The first step, from 1, whose loss differs; None when all losses of the epoch are equal, or not known."""
    losses: tuple[float, float] | None
    """That loss in the run and in the replay."""
    arrays: tuple[str, ...]
    """The arrays that differ at the end of the epoch, in the network's order."""


@dataclass(frozen=True)
class Replay:
    """Whether training again came to the same."""

    run: Path
    replay: Path
    epochs: int
    """Those compared."""
    steps: int
    first: FirstDifference | None
    differences: Mapping[str, float]
    """The largest difference of each array of the last checkpoint that is not the same bit for bit, by name."""
    compared: bool
    """Whether the last checkpoints are of one epoch, and were compared."""
    reasons: tuple[str, ...]
    """What is known to be different between then and now."""

    @property
    def is_identical(self) -> bool:
        return self.first is None and not self.differences

    @property
    def failure(self) -> UserError | None:
        return None if self.is_identical else UserError(f"{self.run} does not repeat", "; ".join(self.reasons) or None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {
            "run": str(self.run),
            "replay": str(self.replay),
            "bit_identical": self.is_identical,
            "epochs": self.epochs,
            "steps": self.steps,
            "first": None if self.first is None else asdict(self.first),
            "differences": dict(self.differences),
            "reasons": list(self.reasons),
        }

    def to_text(self) -> str:
        """The answer, and where the two part."""
        checked = (
            f"{count(self.steps)} losses and the weights of {count(self.epochs)} epoch{'s' if self.epochs != 1 else ''}"
        )
        if self.compared:
            checked += ", and all of the last checkpoint"
        if self.is_identical:
            return f"bit-identical: {checked}\nreplay in {self.replay}"
        lines = ["not identical"]
        if self.first is not None:
            first = self.first
            where = f"first at epoch {first.epoch}"
            if first.step is not None and first.losses is not None:
                then, now = first.losses
                where += f", step {first.step}: loss {then!r} then, {now!r} now, {now - then:+.3g}"
            lines.append(where)
            if first.arrays:
                lines.append(f"at the end of that epoch, {listed(first.arrays, MOST_SHOWN)} differ")
        worst = sorted(self.differences.items(), key=lambda pair: -pair[1])
        lines += [f"in the last checkpoint, {name} by up to {size:.3g}" for name, size in worst[:MOST_SHOWN]]
        return "\n".join([*lines, f"replay in {self.replay}"])


def replay(path: Path, workplace: Workplace, display: Display) -> Replay:
    """Trains the run again, in a run of its own beside it, as far as the run came, and compares.

    The test split is not looked at. Raises UserError when the run cannot be trained again.
    """
    run = RunDirectory.open(path)
    if run.is_being_trained():
        raise UserError(f"{path} is being trained by another process", "wait for it")
    meta, epochs = run.read_meta(), len(run.read_history())
    if not epochs:
        raise UsageError(f"{path} has no epoch that could be trained again")
    load_checkpoint(run.last)  # which is compared with at the end: damaged, it is told now
    changes = [override("name", f"{run.name[:90]}-replay"), "evaluation.test=false"]
    config = load_config(run.config, changes)
    threads = machine.choose_threads(workplace.threads, meta.machine)
    where = Workplace(workplace.data_dir, run.path.parent, threads, plots=False, download=workplace.download)
    watch = StopAfter(epochs) if meta.status != "completed" or epochs < config.training.epochs else None
    try:
        with watch.stop if watch else nullcontext() as stop:
            watching = [watch] if watch else []
            again = train(config, where, display, wandb="off", observers=watching, stop=stop, replayed=run)
            replayed = again.run
    except (Interrupted, DivergenceError) as error:
        was_asked_to_end = isinstance(error, Interrupted) or (watch is not None and watch.stop.wanted)
        if watch is None or watch.run is None or (was_asked_to_end and not watch.is_done):
            raise
        replayed = watch.run
    return compare(run, RunDirectory(replayed))


class StopAfter(Observer):
    """Ends a training after so many epochs: the run that is replayed came no further."""

    def __init__(self, epochs: int) -> None:
        self._epochs, self.stop = epochs, StopRequest()
        self.run: Path | None = None
        self.is_done = False

    def begin(self, training: Any) -> None:
        self.run = training.run.path

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        if result.epoch >= self._epochs:
            self.is_done = True
            self.stop.ask("interrupted")


def compare(run: RunDirectory, other: RunDirectory) -> Replay:
    """What two trainings of one config have in common. Raises UserError when a checkpoint is damaged."""
    then = {each.epoch: each for each in read_fingerprints(run)}
    now = {each.epoch: each for each in read_fingerprints(other)}
    common = sorted(then.keys() & now.keys())
    first, steps = None, 0
    for epoch in common:
        losses, again = then[epoch].by_step, now[epoch].by_step
        steps += len(losses.keys() & again.keys())
        step = next((each for each in losses if each in again and losses[each] != again[each]), None)
        digests = now[epoch].arrays
        arrays = tuple(name for name, digest in then[epoch].arrays.items() if digests.get(name) != digest)
        if step is not None or arrays:
            pair = None if step is None else (losses[step], again[step])
            first = FirstDifference(epoch, None if step is None else step + 1, pair, arrays)
            break
    compared, differences = _checkpoints(run, other)
    reasons = _reasons(run.read_meta(), other.read_meta())
    if not common:
        reasons += ("the run has no fingerprints (an older version trained it): its last checkpoint alone is compared",)
        if not compared:
            raise UserError(f"{run.path} has nothing to compare with", "; ".join(reasons))
    return Replay(run.path, other.path, len(common), steps, first, differences, compared, reasons)


def _checkpoints(run: RunDirectory, other: RunDirectory) -> tuple[bool, dict[str, float]]:
    """Whether both last checkpoints are of one moment, and by how much their arrays differ."""
    then, now = load_checkpoint(run.last), load_checkpoint(other.last)
    if _moment(then.header) != _moment(now.header):
        return False, {}
    return True, {
        name: _largest_difference(array, now.arrays.get(name))
        for name, array in then.arrays.items()
        if name not in now.arrays or array.tobytes() != now.arrays[name].tobytes()
    }


def _moment(header: Mapping[str, Any]) -> object:
    progress = header.get("progress")
    return (progress.get("epoch"), progress.get("step")) if isinstance(progress, Mapping) else None


def _largest_difference(one: Array, other: Array | None) -> float:
    if other is None or other.shape != one.shape:
        return float("inf")
    return float(np.max(np.abs(one.astype(np.float64) - other), initial=0.0))


def _reasons(then: Meta, now: Meta) -> tuple[str, ...]:
    reasons = [f"another {what} ({old}, now {new})" for what, old, new in other_machine(then.machine, now.machine)]
    if then.dataset.digest != now.dataset.digest:
        reasons.insert(0, "other data")
    if (then.started_from and then.started_from.digest) != (now.started_from and now.started_from.digest):
        reasons.insert(0, "the run that it started from has other weights now")
    if len(then.commands_before) > 0:
        reasons.append("it was resumed, by commands that may have changed its settings: meta.json has them")
    return tuple(reasons)
