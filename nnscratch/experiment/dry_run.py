"""`train --dry-run`: the network as a table, and what training it costs; nothing is written or allocated."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nnscratch.config.config import Config
from nnscratch.datasets.report import DataReport
from nnscratch.errors import DataError
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.layer import LayerSummary
from nnscratch.report.formats import count
from nnscratch.report.tables import plain_table
from nnscratch.results.data_text import whole_report_text
from nnscratch.results.network_table import network_table
from nnscratch.runs.starting import prepare_start
from nnscratch.runs.training_state import Best
from nnscratch.training.trainer import Trainer


@dataclass(frozen=True)
class DryRun:
    """A row per layer; FLOP of one training example; bytes of what training holds in memory."""

    layers: tuple[LayerSummary, ...]
    parameters: int
    training_flops: int
    examples: int
    epochs: int | None
    """None when a time budget decides."""
    memory: dict[str, int]
    data: DataReport
    failure = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "layers": [
                {
                    "name": layer.path,
                    "input_shape": list(layer.input_shape),
                    "output_shape": list(layer.output_shape),
                    "parameters": layer.parameters,
                    "flops": layer.flops,
                }
                for layer in self.layers
            ],
            "parameters": self.parameters,
            "training_flops_per_example": self.training_flops,
            "training_flops": None if self.epochs is None else self.training_flops * self.examples * self.epochs,
            "memory": self.memory,
            "data": self.data.to_dict(),
        }

    def to_text(self) -> str:
        total = sum(self.memory.values())
        epochs = "as many epochs as fit into training.minutes" if self.epochs is None else f"{self.epochs} epochs"
        parts = ", ".join(f"{name} {megabytes(size)}" for name, size in self.memory.items())
        epoch = self.training_flops * self.examples / 1e12
        return "\n".join(
            [
                whole_report_text(self.data),
                "",
                plain_table(network_table(self.layers)).rstrip("\n"),
                "",
                f"{count(self.parameters)} parameters",
                f"training: {self.training_flops / 1e6:,.1f} MFLOP an example, {epoch:,.3f} TFLOP an epoch of "
                + f"{count(self.examples)} examples, {epochs}",
                f"memory: about {megabytes(total)}: {parts}",
                "nothing was written",
            ]
        )


def dry_run(config: Config, workplace: Workplace, display: Display) -> DryRun:
    """What `train` would do. Raises whatever error `train` would raise before its first step.

    Data that `train` would download or unpack first is a DataError too: nothing is written here.
    """
    refuse_to_unpack(config, workplace.data_dir)
    assembly, _ = prepare_start(config, replace(workplace, download=False), display)
    network, dataset = assembly.network, assembly.dataset
    return DryRun(
        tuple(network.summaries),
        network.parameters.size,
        network.training_flops(),
        len(assembly.splits.train),
        config.training.epochs if config.training.minutes is None else None,
        {
            "dataset": sum(array.nbytes for array in dataset.arrays if array is not None),
            **Trainer.memory(network, assembly.recipe()),
            "best weights": Best.nbytes(network.parameters),
        },
        assembly.data_report,
    )


def refuse_to_unpack(config: Config, data_dir: Path) -> None:
    """Raises DataError for data that must be unpacked first: a dry run writes nothing."""
    source = config.data.dataset.build()
    path = config.data.place
    archives = source.archives(path or data_dir)
    if archives and not source.locate(data_dir, path):
        raise DataError(
            f"{source.name} is still packed, in {archives[0]}; a dry run writes nothing and does not unpack it",
            f"`nnscratch data fetch {source.name} --data-dir {shlex.quote(str(data_dir))}` unpacks it",
        )


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
