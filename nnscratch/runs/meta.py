"""meta.json: what a run says of itself. Nothing in it is needed to use the run, so all of it may be missing or odd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from nnscratch.datasets.sources.own_data import OWN_DATA
from nnscratch.errors import UserError
from nnscratch.host.machine import Machine
from nnscratch.runs.records import read_record

FORMAT = 1
"""Grows when a reader of the format before would misunderstand what is written; a new field alone is no reason."""

Status = Literal["running", "completed", "interrupted", "pruned", "diverged", "failed", "killed", "unknown"]
"""How a run stands. `pruned`: a sweep ended it early. Never written: `killed` (it says running, but no process holds
it) and `unknown` (it says nothing)."""


@dataclass(frozen=True)
class Data:
    """What a run was trained on: its name, where it was, its SHA-256, and the examples of each split."""

    name: str | None = None
    origin: str | None = None
    digest: str | None = None
    train: int = 0
    validation: int = 0
    test: int = 0

    @property
    def label(self) -> str:
        """What people call it: one's own data by its file or folder, other data by its name; `-` when not known."""
        return Path(self.place).name or self.place

    @property
    def place(self) -> str:
        """One's own data by its whole path, other data by its name."""
        return (self.origin if self.name in OWN_DATA else None) or self.name or "-"


@dataclass(frozen=True)
class Origin:
    """The trained weights that a run started from: the run, the epoch they are from, and the file's SHA-256."""

    run: str | None = None
    epoch: int = 0
    digest: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a training that went to its end."""

    run: str
    epochs: int
    best: Mapping[str, int | float | None]
    """The row of the best epoch; with `epoch` 0 alone when nothing was trained."""
    test_loss: float | None = None
    test_accuracy: float | None = None
    parameters: int = 0
    train_seconds: float = 0.0
    train_samples: int = 0


@dataclass(frozen=True)
class Meta:
    """All of meta.json, in its order."""

    format: int = 0
    """0: written before there was a number."""
    name: str | None = None
    status: Status = "unknown"
    command: Sequence[str] = ()
    commands_before: Sequence[Sequence[str]] = ()
    """Those that this process goes on from, the first first."""
    started: str | None = None
    seed: int | None = None
    dataset: Data = Data()
    data_dir: str | None = None
    """The folder of datasets that it was trained with."""
    parameters: int | None = None
    machine: Machine = field(default_factory=Machine)
    plugins: Mapping[str, str] | None = None
    """The SHA-256 of each plugin by its file's name."""
    started_from: Origin | None = None
    """The run that its weights are from; None: they were drawn."""
    updated: str | None = None
    epochs: int | None = None
    train_seconds: float | None = None
    error: str | None = None
    """Why it failed or diverged."""
    result: Outcome | None = None

    @classmethod
    def read(cls, values: object, file: Path) -> Meta:
        """What the values of that meta.json say. Raises UserError when this version would misunderstand them."""
        meta = read_record(cls, values)
        if meta.format > FORMAT:
            raise UserError(f"{file} was written by a newer version of nnscratch", "use that version")
        return meta

    def to_dict(self) -> dict[str, Any]:
        """Plain values in this format, without those that there are none of."""
        return {name: value for name, value in asdict(self).items() if value is not None} | {"format": FORMAT}
