"""A trained network back from a run's checkpoint, with all that using it needs: nothing else of the run is read."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.sources.own_data import TrainedOn
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.datasets.tables.settings import TableSettings
from nnscratch.errors import DataError, UserError, listed
from nnscratch.host import machine
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.losses import CrossEntropy, MeanSquaredError
from nnscratch.nn.network import Network
from nnscratch.runs.belonging import require_own
from nnscratch.runs.checkpoint import epoch_of_weights, load_checkpoint
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.header import Header, header_of
from nnscratch.runs.network_record import NetworkRecord
from nnscratch.runs.training_state import require_weights, scaling_of, target_scaling_of
from nnscratch.training.examples import Examples
from nnscratch.training.scaling import Affine
from nnscratch.training.test_time_augmentation import averaged_outputs

if TYPE_CHECKING:
    from nnscratch.config.config import Config


@dataclass(frozen=True)
class LoadedRun:
    """A run's network with the weights of one checkpoint, the scaling of its inputs, and the names of its outputs."""

    run: RunDirectory
    checkpoint: Path
    epoch: int
    """The epoch the weights are from."""
    config_text: str
    """The YAML of the config that the weights were trained with."""
    record: NetworkRecord
    network: Network
    affine: Affine
    target_affine: Affine
    """How a regression's targets are scaled; `undo` makes outputs values in their own units."""
    input_shape: tuple[int, ...]
    outputs: int
    classes: tuple[str, ...] | None
    """None for regression."""
    target_names: tuple[str, ...]
    """Of regression."""
    feature_names: tuple[str, ...] | None
    """Of the columns of a table, when it had names."""
    takes_images: bool
    """Inputs are uint8 pixels (H, W, C)."""
    encoding: TableEncoding | None
    """How a table's rows become inputs; None when the run was not trained on a table."""
    white: float | None = None
    """The stored value that is the pixel 255, where pixels had more than 8 bits or were fractions."""
    one_white: bool = True
    """It is that of all its data; runs of before took arrays type by type, and pictures with numbers below 0."""
    temperature: float = 1.0
    """What the outputs are divided by before softmax; 1 where nothing was calibrated."""

    @cached_property
    def is_of_arrays(self) -> bool:
        """Whether its pictures were numbers of an array, all in the same unit; else each was a file of its own."""
        from nnscratch.config.document import parse_yaml

        with suppress(UserError):  # whatever else may be wrong with the config: the network is used without it
            node, depth = parse_yaml(self.config_text, "config").root.nearest(("data", "dataset", "name"))
            return depth > 1 and node.content == "npz"
        return False

    @property
    def trained_on(self) -> TrainedOn:
        """How the run took its data."""
        return TrainedOn(self.encoding, self.white, self.one_white)

    @property
    def white_of_files(self) -> float | None:
        """What is white in a file with pixels of more than 8 bits; None where each file's own numbers have to say it.

        The units of arrays, such as 1 or 16, are no file's.
        """
        return None if self.white and self.is_of_arrays and self.white <= 255 else self.white

    @property
    def takes_negative_pictures(self) -> bool:
        """Whether pictures with numbers below 0 may be among those it learned: these were black."""
        return not (self.one_white or self.is_of_arrays)

    # What overflows, with weights near float32's largest, is looked for in the outputs by those who use them.
    @np.errstate(all="ignore")
    def outputs_of(self, stored: Array, x: Array | None = None) -> Array:
        """The raw outputs (N, K) for inputs as the data is stored, averaged over the run's views; x holds them scaled.

        They may be in a buffer that the next call overwrites.
        """
        x = np.empty(stored.shape, np.float32) if x is None else x
        return averaged_outputs(self.network, self.affine.apply(stored, x), self.record.views)

    @np.errstate(all="ignore")
    def values(self, y: Array) -> Array:
        """The values (N, K) of a regression in their own units, from its outputs y."""
        return self.target_affine.undo(y)

    @np.errstate(all="ignore")
    def probabilities(self, y: Array) -> Array:
        """p (N, K) from the outputs y of a classifier, at the run's temperature."""
        # Losses differ in nothing else that probabilities depend on.
        loss = CrossEntropy if self.record.includes_softmax else MeanSquaredError
        return loss.probabilities(y, self.temperature)

    @cached_property
    def config(self) -> Config:
        """The config itself, which is read only where it is asked for: using the network does not need it.

        Its data may have been moved since: where that lies now, the run's own config.yaml says.
        """
        from nnscratch.config.document import read_yaml

        config = _config_of(self.config_text, self.checkpoint)
        with suppress(UserError):
            node, depth = read_yaml(self.run.config).root.nearest(("data", "path"))
            if depth == 2 and isinstance(node.content, str):
                config = config.model_copy(update={"data": config.data.model_copy(update={"path": node.content})})
        return config

    def initial_network(self, train: Examples | None) -> Network | None:
        """Another network, with the weights that training started from, made again from the run's seed.

        None when they were made from training examples and there are none here, or were another run's.
        """
        from nnscratch.config.assembly import build_network, start_network

        network = build_network(self.config, self.input_shape, self.outputs)
        if self.config.model.start_from is not None or (network.starts_from_data and train is None):
            return None
        start_network(self.config, network, self.affine, train)
        return network

    def fitted(self, dataset: Dataset) -> Dataset:
        """The dataset as the network takes it, a table encoded as in training.

        Raises DataError, with everything that differs, when the network was trained on data of another kind.
        """
        from nnscratch.config.data import encode_dataset

        dataset, _ = encode_dataset(self.config, dataset, self.encoding)
        self._check_fits(dataset)
        return dataset

    def _check_fits(self, dataset: Dataset) -> None:
        expected, found = self.classes, dataset.classes
        problems = []
        if dataset.input_shape != self.input_shape:
            problems.append(f"its inputs have shape {dataset.input_shape}, the network takes {self.input_shape}")
        if (found is None) != (expected is None):
            kinds = ("regression" if names is None else "classification" for names in (found, expected))
            problems.append("it is {}, the network was trained for {}".format(*kinds))
        elif found is None and dataset.outputs != self.outputs:
            problems.append(f"it has {dataset.outputs} targets, the network gives {self.outputs}")
        elif found is not None and expected is not None and found != expected:
            problems.append(f"its classes are {listed(found, 12)}; the network knows {listed(expected, 12)}")
        if problems:
            raise DataError(
                f"{dataset.name} ({dataset.origin}) does not fit {self.run.path}: {'; '.join(problems)}",
                "use the data the run was trained on: --data-dir says where it is",
            )


def load_run(path: Path, checkpoint: str = "best") -> LoadedRun:
    """The network of the run in that folder. `checkpoint` is best, last or a file.

    Raises UserError when there is no such run or checkpoint, or when the file is damaged, of another network or of a
    run with another config.
    """
    run = RunDirectory.open(path)
    file = _checkpoint_file(run, checkpoint)
    saved = load_checkpoint(file)
    header = header_of(saved, file)
    require_own(run, file, header.config)
    # Checkpoints from before it was kept have no record: their config says the same.
    record = header.network or NetworkRecord.of(_config_of(header.config, file))
    input_shape, outputs = tuple(header.input_shape), header.outputs
    affine = scaling_of(saved, file, input_shape)
    target_affine = target_scaling_of(saved, file, outputs)
    try:
        network = record.build(input_shape, outputs)
    except UserError as error:
        raise UserError(f"{file}: {error.message}", error.hint) from None
    require_weights(network, saved, file)
    network.load(saved.section("parameters"), saved.section("state"))
    return LoadedRun(
        run=run,
        checkpoint=file,
        epoch=header.epoch,
        config_text=header.config,
        record=record,
        network=network,
        affine=affine,
        target_affine=target_affine,
        input_shape=input_shape,
        outputs=outputs,
        classes=_names(header.classes),
        target_names=_names(header.target_names) or tuple(f"y{index}" for index in range(outputs)),
        feature_names=_names(header.feature_names),
        takes_images=header.images,
        white=header.white,
        one_white=bool(header.one_white),
        encoding=header.table_encoding if header.network else _encoding(header, _config_of(header.config, file)),
        temperature=header.temperature or 1.0,
    )


def _encoding(header: Header, config: Config) -> TableEncoding | None:
    """How the run's table becomes inputs; before that was recorded, tables were numbers as they are."""
    if header.table_encoding is None and issubclass(config.data.dataset.component, TableSettings):
        return TableEncoding.of_numbers(header.feature_names or ())
    return header.table_encoding


def use_threads_of(loaded: LoadedRun, wanted: int | None) -> int:
    """Sets and gives the number of threads: what is wanted, else what the run was trained with."""
    threads = machine.choose_threads(wanted, loaded.run.read_meta().machine)
    machine.share_threads(loaded.network, threads)
    return threads


def _checkpoint_file(run: RunDirectory, checkpoint: str) -> Path:
    file = {"best": run.best, "last": run.last}.get(checkpoint, Path(checkpoint))
    if file.is_file():
        return file
    if checkpoint not in ("best", "last"):
        raise UserError(f"there is no checkpoint {file}", "--checkpoint takes best, last or the path of a file")
    others = sorted(each.name for each in run.checkpoints.glob("*.npz"))
    if not others:
        raise UserError(
            f"{run.path} has no checkpoint yet: it stopped before its first epoch was saved",
            f"train it: {shlex.join(['nnscratch', 'train', str(run.config)])}",
        )
    hint = f"choose one: --checkpoint {'last' if run.last.is_file() else shlex.quote(str(run.checkpoints / others[0]))}"
    if checkpoint == "best" and epoch_of_weights(run.last):  # it was there, and is in last.npz
        hint = f"{shlex.join(['nnscratch', 'train', '--resume', str(run.path)])} writes it again; or {hint}"
    raise UserError(f"{run.path} has no checkpoint {file.name}; there is {', '.join(others)}", hint)


def _config_of(text: str, file: Path) -> Config:
    from nnscratch.config.config import parse_config

    return parse_config(text, f"{file}: config")


def _names(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
