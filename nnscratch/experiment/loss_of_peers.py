"""What is noted in a run when another process of its training is lost."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from nnscratch.errors import UserError
from nnscratch.experiment.observer import Observer, Training, TrainingSummary
from nnscratch.host.workplace import Workplace
from nnscratch.runs.continuing import command_to_continue
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.meta import Meta, Status


class LossOfPeers(Observer):
    """Knows the run while it is trained; the thread that learns of the loss asks it, while the training waits."""

    def __init__(self) -> None:
        self._run: RunDirectory | None = None

    def begin(self, training: Training) -> None:
        self._run = training.run

    def end(self, status: Status, summary: TrainingSummary | None) -> None:
        self._run = None

    def note(self, error: str) -> str | None:
        """Has the run say that it failed, and why; how to go on with it, or None when nothing is trained."""
        run = self._run
        if run is None:
            return None
        meta = Meta()
        with suppress(UserError):  # the terminal is told in any case
            meta = run.read_meta()
            run.write_meta(replace(meta, status="failed", error=error))
        words = Workplace(Path(meta.data_dir)).words_to_repeat() if meta.data_dir else []
        return f"continue with: {command_to_continue(run, meta, words)}"
