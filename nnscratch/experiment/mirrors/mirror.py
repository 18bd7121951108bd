"""The rule of every mirror, and the mirrors there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnscratch.config.config import load_config
from nnscratch.errors import UserError
from nnscratch.experiment.mirrors.live_page import LivePage
from nnscratch.experiment.mirrors.tensorboard import TensorBoardMirror
from nnscratch.experiment.mirrors.wandb import LOG, LONGEST_UPLOAD, WandbMirror, require_mirrorable
from nnscratch.experiment.observer import Observer, Training, TrainingSummary
from nnscratch.host.display import Display
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.meta import Status
from nnscratch.training.progress import EpochResult, StepResult


class Harmless(Observer):
    """Tells a mirror what it is told itself. A mirror never delays, breaks or outlives a training.

    What fails in it is one warning, after which it is told of nothing but the end. What takes it time it does in a
    thread or a process of its own, and at the end it waits for that not longer than a time of its own.
    """

    def __init__(self, name: str, mirror: Observer, display: Display) -> None:
        self._name, self._mirror, self._display = name, mirror, display
        self._has_failed = False

    def begin(self, training: Training) -> None:
        self._tell(lambda: self._mirror.begin(training))

    def step(self, result: StepResult) -> None:
        self._tell(lambda: self._mirror.step(result))

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        self._tell(lambda: self._mirror.epoch(result, is_best))

    def complete(self, summary: TrainingSummary) -> None:
        self._tell(lambda: self._mirror.complete(summary))

    def end(self, status: Status, summary: TrainingSummary | None) -> None:
        self._tell(lambda: self._mirror.end(status, summary), always=True)

    def _tell(self, what: Callable[[], None], *, always: bool = False) -> None:
        if self._has_failed and not always:
            return
        try:
            what()
        except Exception as error:
            if not self._has_failed:
                self._display.warn(f"{self._name}: {error}. The training goes on")
            self._has_failed = True


@dataclass(frozen=True)
class Mirrored:
    """A run, what it was passed on to, and the error when not all of it was."""

    run: Path
    mode: str
    failure: UserError | None

    def to_text(self) -> str:
        """Nothing more: the mirror says where it is."""
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {"run": str(self.run), "wandb": self.mode, "complete": self.failure is None}


def mirror_run(path: Path, mode: str, display: Display) -> Mirrored:
    """Passes a run on to W&B as it is: config, metrics, pictures, report and the best checkpoint.

    One that was mirrored before goes on under its id there. Raises UserError while the run is being trained, and for a
    config that W&B refuses.
    """
    run = RunDirectory.open(path)
    config = load_config(run.config)
    require_mirrorable(config, mode)
    mirror = WandbMirror(mode, display, LONGEST_UPLOAD)
    with run.locked():
        status = run.read_meta().status
        mirror.start(run, config)
        mirror.end("killed" if status == "running" else status, None)
    if mirror.problem is None:
        return Mirrored(path, mode, None)
    log = path / LOG
    said = f"; {log} has more" if log.is_file() and log.stat().st_size else ""
    return Mirrored(path, mode, UserError(f"not all of {path} is on W&B: {mirror.problem}", f"mend that first{said}"))


def open_mirrors(tracking: Sequence[str], wandb: str, display: Display, *, plots: bool) -> list[Observer]:
    """The mirrors that are asked for: those that `tracking` names, and that on W&B in its mode unless it is off.

    Where there are to be plots, a live page stands in for the report until that is drawn.
    """
    mirrors: dict[str, Observer] = {"live page": LivePage(display)} if plots else {}
    named = {TensorBoardMirror.name: TensorBoardMirror}
    mirrors |= {f"{each} mirror": named[each](display) for each in tracking}
    mirrors |= {"W&B mirror": WandbMirror(wandb, display)} if wandb != "off" else {}
    return [Harmless(name, mirror, display) for name, mirror in mirrors.items()]
