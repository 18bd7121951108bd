"""Where a command works, with how many threads, and who is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnscratch.experiment.mirrors.wandb import Mirror
from nnscratch.host.interruption import StopRequest

DEFAULT_DATA = Path("data")


@dataclass(frozen=True)
class Workplace:
    """Where a command works, with how many threads, and who is told: nothing of the experiment itself."""

    data_dir: Path
    runs_dir: Path = Path("runs")
    threads: int | None = None
    plots: bool = True
    download: bool = True
    wandb: str | None = None
    """The mode of the mirror on W&B, in place of the config's."""
    mirrors: Sequence[Mirror] = ()
    stop: StopRequest | None = None
    """One that is listening already; left out: the training listens itself."""

    def words_to_repeat(self) -> list[str]:
        """What of them a command line needs to find the same data again."""
        return [] if self.data_dir == DEFAULT_DATA else ["--data-dir", str(self.data_dir)]
