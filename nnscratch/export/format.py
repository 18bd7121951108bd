"""What a format of an export is: a class that writes a run's network, and can ask what it wrote for answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nnscratch.component import Component
from nnscratch.nn.compute.buffers import Array
from nnscratch.runs.checkpoint import DIGEST_LENGTH
from nnscratch.runs.loaded import LoadedRun
from nnscratch.version import VERSION

ENCODED = "its inputs are the run's encoded features, not the table's columns: see docs/export.md"


@dataclass(frozen=True, eq=False)
class Answers:
    """Of a classifier the classes' probabilities (N, K) and the label of each example, of a regression its values."""

    numbers: Array
    labels: Array | None = None


class Format(Component):
    """One way out; a new one is a class in a module here, which `export` imports."""

    kind: ClassVar[str] = "export format"
    default: ClassVar[str] = ""
    """What the file, or the folder, in the run is called unless somebody names another."""

    def require(self, loaded: LoadedRun) -> None:
        """Raises UserError when this network cannot be written, or a library is missing; nothing is written before."""

    def takes_encoded_features(self, loaded: LoadedRun) -> bool:
        """Whether it takes not what a table's columns hold, but what the run's encoding makes of them."""
        return False

    def note(self, loaded: LoadedRun) -> str:
        """What has to be known of its inputs before it is asked; "" where they are as they were in training."""
        return ENCODED if self.takes_encoded_features(loaded) else ""

    def write(self, loaded: LoadedRun, path: Path) -> None:
        """Writes it to a path where nothing is."""
        raise NotImplementedError

    def answer(self, path: Path, loaded: LoadedRun, stored: Array) -> Answers:
        """What is written there says, as anybody would ask it, of inputs as the run's data is stored."""
        raise NotImplementedError


def description(loaded: LoadedRun) -> dict[str, str]:
    """What every export says of itself, as text by name; lists are JSON."""
    said: dict[str, object] = {
        "producer": f"nnscratch {VERSION}",
        "run": loaded.run.name,
        "checkpoint": loaded.checkpoint.name,
        "epoch": loaded.epoch,
        "digest": digest(loaded),
        "input_shape": loaded.input_shape,
        "white": loaded.white,
        "classes": loaded.classes,
        "target_names": None if loaded.classes else loaded.target_names,
        "feature_names": loaded.feature_names,
        "encoding": None if loaded.encoding is None else loaded.encoding.to_dict(),
    }
    known = {name: value for name, value in said.items() if value is not None}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in known.items()}


def digest(loaded: LoadedRun) -> str:
    """The SHA-256 that the checkpoint ends with, of all before it: which weights these are."""
    with loaded.checkpoint.open("rb") as file:
        file.seek(-DIGEST_LENGTH, 2)
        return file.read().decode()
