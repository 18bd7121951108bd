"""What a worker must know of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nnscratch.host.workplace import Workplace
from nnscratch.sweeps.definition import SweepDefinition
from nnscratch.sweeps.storage import open_storage
from nnscratch.sweeps.study import Study


@dataclass(frozen=True)
class Assignment:
    """What a worker must know; it can be sent to another process."""

    definition: SweepDefinition
    seed: int
    folder: Path
    storage: str | None
    lease_seconds: float
    allow_plugins: bool
    workplace: Workplace
    wandb: str | None = None
    """The mode of the trials' mirrors on W&B, in place of their configs'."""
    ranks: int = 1
    """Processes that train one trial together."""
    data: str | None = None
    """The digest of the data of all trials, where it is not for the config to say what that is."""

    def open_study(self, extend: bool = False) -> Study:
        """The study with the trials to take from."""
        shared = open_storage(self.storage, self.folder, self.definition.name)
        return Study(shared, self.definition, self.seed, self.lease_seconds, extend, self.data, self.folder)
