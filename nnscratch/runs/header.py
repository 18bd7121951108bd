"""The JSON header of a training's checkpoint: what using its arrays, and going on from them, needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from nnscratch.datasets.sources.own_data import TrainedOn
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.host.machine import Machine
from nnscratch.runs.checkpoint import Checkpoint, damaged
from nnscratch.runs.meta import Data
from nnscratch.runs.network_record import NetworkRecord
from nnscratch.runs.records import read_record
from nnscratch.training.progress import Progress

LARGEST = 1 << 40
"""Numbers of an example: more than any machine holds."""
MOST_OUTPUTS = 1 << 20
"""Each has a name, and a network without weights may claim any number of them."""
LONGEST_NAME = 10_000
"""Letters of a class or a column; an array of names takes four bytes for each, and has them all as long."""
NOT_IN_ALL = ("progress", "optimizer_steps", "encoding", "temperature", "white", "one_white", "network")
"""What `best`, a run not trained on a table or on deep pixels, or one from before it was kept does not have."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """Fields without a default must be there and right; the others are for people, and for comparing machines."""

    kind: Literal["last", "best"]
    """What a training goes on from, or weights alone."""
    config: str
    """Its YAML: what the weights were trained with, whatever has become of the run's config.yaml."""
    input_shape: Sequence[int]
    outputs: int
    classes: Sequence[str] | None
    """None for regression."""
    target_names: Sequence[str] | None
    feature_names: Sequence[str] | None
    images: bool
    """Inputs are uint8 pixels (H, W, C)."""
    best_epoch: int
    """The epoch of the best weights so far; 0 before there are any."""
    white: float | None = None
    """The stored value that is the pixel 255, where pixels had more than 8 bits or were fractions."""
    one_white: bool | None = None
    """It is that of all data; runs of before took arrays type by type, and pictures with numbers below 0."""
    dataset: Data = Data()
    machine: Machine = field(default_factory=Machine)
    progress: Mapping[str, Any] | None = None
    """How far training has come, as `Progress.from_dict` takes it."""
    optimizer_steps: int | None = None
    network: NetworkRecord | None = None
    """The network that the config describes; None in checkpoints from before it was kept."""
    encoding: Mapping[str, Any] | None = None
    """How a table's rows become inputs, as `TableEncoding.from_dict` takes it."""

    temperature: float | None = None
    """What outputs are divided by before softmax, when the weights were calibrated."""

    @property
    def table_encoding(self) -> TableEncoding | None:
        """How a table's rows become inputs; None without a table, and before there was such a thing."""
        return None if self.encoding is None else TableEncoding.from_dict(self.encoding)

    @property
    def trained_on(self) -> TrainedOn:
        """How the run took its data."""
        return TrainedOn(self.table_encoding, self.white, bool(self.one_white))

    @property
    def epoch(self) -> int:
        """The epoch that the checkpoint's weights are from."""
        return self.best_epoch if self.progress is None or self.kind == "best" else int(self.progress["epoch"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without those that not every checkpoint has."""
        return {key: value for key, value in asdict(self).items() if value is not None or key not in NOT_IN_ALL}


def header_of(checkpoint: Checkpoint, file: Path) -> Header:
    """The header of a checkpoint. Raises UserError when it lacks what using the checkpoint needs."""
    try:
        header = read_record(Header, checkpoint.header)
        if header.classes is not None and len(header.classes) != header.outputs:
            raise ValueError(f"there are {len(header.classes)} classes for {header.outputs} outputs")
        inputs = math.prod(header.input_shape)
        if not 0 < inputs <= LARGEST or min(header.input_shape) < 1 or not 0 < header.outputs <= MOST_OUTPUTS:
            raise ValueError(f"no network takes {tuple(header.input_shape)} and gives {header.outputs}")
        if header.temperature is not None and not 0 < header.temperature < math.inf:
            raise ValueError(f"there is no temperature {header.temperature}")
        for names, number, what in (
            (header.target_names, header.outputs, "targets"),
            (header.feature_names, inputs, "inputs"),
        ):
            if names is not None and len(names) != number:
                raise ValueError(f"there are {len(names)} names for {number} {what}")
        for name in (*(header.classes or ()), *(header.target_names or ()), *(header.feature_names or ())):
            if len(name) > LONGEST_NAME:
                raise ValueError(f"there is a name of {len(name):,} letters: {name[:20]!r}...")
        if header.network is not None and header.network.views != "none" and len(header.input_shape) != 3:
            raise ValueError(f"views are of pictures, not of inputs of shape {tuple(header.input_shape)}")
        if header.network is None and checkpoint.header.get("network") is not None:
            raise ValueError("the network is not one")
        if header.encoding is not None and len(TableEncoding.from_dict(header.encoding).features) != inputs:
            raise ValueError(f"the encoding of its table does not give {inputs} inputs")
        if header.kind == "last":
            Progress.from_dict(header.progress or {})
    except ValueError as error:
        raise damaged(file, f"in its header, {error}") from None
    return header
