"""From a Config to the parts that work together: data, splits, scaling, network and its start, recipe, trainer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nnscratch.config.config import Config
from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.download import Progress as DownloadProgress
from nnscratch.datasets.splits import limit_indices, split_indices
from nnscratch.errors import ConfigError, DataError, Problem, SettingError, ShapeError, did_you_mean
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import DEFAULT_DATA, Workplace
from nnscratch.nn.compute.communicator import ALONE, Communicator
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.examples import Examples
from nnscratch.training.recipe import Recipe
from nnscratch.training.scaling import Affine, fit_targets
from nnscratch.training.trainer import Trainer

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Splits:
    """The examples of each split; a split that does not exist is None."""

    train: Examples
    validation: Examples | None
    test: Examples | None

    def named(self, name: str) -> Examples | None:
        """The split called train, val or test."""
        return {"train": self.train, "val": self.validation, "test": self.test}[name]


@dataclass(frozen=True, eq=False)
class Assembly:
    """Data and network of a config, checked against each other; `start` and `trainer` allocate, nothing before does."""

    config: Config
    dataset: Dataset
    splits: Splits
    network: Network
    recorded: tuple[Affine, Affine] | None = None
    """The scaling of inputs and of targets that a run has already; None: the training split's own."""

    @cached_property
    def affine(self) -> Affine:
        """How stored inputs become the network's."""
        return self.recorded[0] if self.recorded else self.config.data.scaling.build().fit(self.splits.train)

    @cached_property
    def target_affine(self) -> Affine:
        """How a regression's targets become those that the network learns."""
        return self.recorded[1] if self.recorded else fit_targets(self.splits.train, self.config.data.target_scaling)

    def with_scaling(self, affine: Affine, target_affine: Affine) -> Assembly:
        """The same with the scaling that a run has already."""
        return replace(self, recorded=(affine, target_affine))

    def recipe(self) -> Recipe:
        """How to train. Raises ConfigError when the config asks for what this data cannot give."""
        return build_recipe(self.config, self.dataset, self.splits)

    def start(self, dtype: npt.DTypeLike = np.float32, workers: Workers | None = None) -> RandomStreams:
        """Gives the network the weights that training starts from, in that precision: the streams of the run."""
        return start_network(self.config, self.network, self.affine, self.splits.train, dtype, workers)

    def trainer(
        self,
        threads: int,
        dtype: npt.DTypeLike = np.float32,
        recipe: Recipe | None = None,
        communicator: Communicator = ALONE,
    ) -> Trainer:
        """A training at its very start, on that many threads from now on; as the config says, or by another recipe.

        The communicator leads to the processes that train the same together; rank 0's weights are everybody's.
        """
        recipe = recipe or self.recipe()  # before anything is allocated
        streams = self.start(dtype)
        workers = machine.share_threads(self.network, threads)
        return Trainer(self.network, recipe, self.affine, streams, workers, self.target_affine, communicator)


def prepare(config: Config, workplace: Workplace, display: Display) -> Assembly:
    """Loads the data and builds the network. Raises the UserError of whatever does not fit."""
    return assemble(config, load_dataset(config, workplace.data_dir, display.say, display.download, workplace.download))


def assemble(config: Config, dataset: Dataset) -> Assembly:
    """The config's splits of that data, and its network. Raises ConfigError when layers do not fit."""
    splits = split_dataset(config, dataset)
    return Assembly(config, dataset, splits, build_network(config, dataset.input_shape, dataset.outputs))


def load_dataset(
    config: Config, data_dir: Path, tell: Tell, progress: DownloadProgress | None = None, download: bool = True
) -> Dataset:
    """The dataset the config names. Raises DataError when it is missing or damaged.

    A data folder that somebody named and that is not there is an error before any download: it may be a slip.
    """
    path = Path(config.data.path) if config.data.path is not None else None
    needs_folder = path is None and bool(config.data.dataset.component.downloads)
    if needs_folder and data_dir != DEFAULT_DATA and not data_dir.exists():
        raise _no_data_dir(data_dir, config.data.dataset.name)
    try:
        dataset = config.data.dataset.build().load(data_dir, path, tell, download, progress)
    except OSError as error:
        raise DataError(f"cannot read {error.filename or path or data_dir}: {error.strerror or error}") from error
    for note in dataset.notes:
        tell(note)
    return dataset


def _no_data_dir(data_dir: Path, name: str) -> DataError:
    missing = data_dir
    while not missing.parent.exists():
        missing = missing.parent
    beside = [each.name for each in missing.parent.iterdir() if each.is_dir()] if missing.parent.is_dir() else []
    where = "" if missing == data_dir else f": there is no {missing.name} in {missing.parent}"
    return DataError(
        f"the data folder {data_dir} does not exist{where}{did_you_mean(missing.name, beside)}",
        f"--data-dir or NNSCRATCH_DATA_DIR says where the data is; "
        f"`nnscratch data fetch {name} --data-dir {data_dir}` puts it there",
    )


def split_dataset(config: Config, dataset: Dataset) -> Splits:
    """Training, validation (stratified, from the config's seed) and test examples."""
    targets = dataset.train_targets
    pool = np.arange(len(targets)) if config.data.limit is None else limit_indices(targets, config.data.limit)
    rng = RandomStreams(config.seed).stream("validation split")
    train, validation = split_indices(targets[pool], config.data.validation, rng, dataset.task == "classification")
    test: Examples | None = None
    if dataset.test_inputs is not None and dataset.test_targets is not None:
        rows = np.arange(len(dataset.test_targets))
        if config.data.limit is not None:
            rows = limit_indices(dataset.test_targets, config.data.limit)
        test = Examples(dataset.test_inputs, dataset.test_targets, rows)
    inputs = dataset.train_inputs
    held_out = Examples(inputs, targets, pool[validation]) if len(validation) else None
    return Splits(Examples(inputs, targets, pool[train]), held_out, test)


def build_network(config: Config, input_shape: tuple[int, ...], outputs: int) -> Network:
    """The network for inputs of that shape, built but not initialised. Raises ConfigError when layers do not fit."""
    try:
        return Network(
            config.build_layers(), input_shape, outputs=outputs, weight_init=config.model.weight_init.build()
        )
    except ShapeError as error:
        path = ".".join(map(str, ("model", *error.position)))
        raise ConfigError([config.problem(path, error.reason)], error.hint) from None


def start_network(
    config: Config,
    network: Network,
    affine: Affine,
    train: Examples | None,
    dtype: npt.DTypeLike = np.float32,
    workers: Workers | None = None,
) -> RandomStreams:
    """Allocates the weights and gives them their starting values, from the config's seed: the streams of the run.

    Weights that start from data see some training examples, the same in every precision. Without examples (other
    weights are to be loaded) these are as their initializer leaves them.
    """
    streams = RandomStreams(config.seed)
    network.initialize(streams, dtype, workers)
    if network.starts_from_data and train is not None:
        rows = streams.stream("data that weights start from").permutation(train.rows)[:4096]
        x = affine.apply(train.inputs[rows], np.empty((len(rows), *train.inputs.shape[1:]), np.float32))
        network.fit_to(x.astype(dtype, copy=False))
    return streams


def build_recipe(config: Config, dataset: Dataset, splits: Splits) -> Recipe:
    """How to train. Raises ConfigError when the config asks for what this data cannot give."""
    problems = list(_misfits(config, dataset, splits))
    if problems:
        raise ConfigError(problems)
    training = config.training
    loss = config.loss.build()
    try:
        loss.prepare(splits.train.targets[splits.train.rows], dataset.outputs)
    except SettingError as error:
        raise ConfigError([config.problem(f"loss.{error.field}", error.reason)], error.hint) from None
    return Recipe(
        loss=loss,
        optimizer=config.optimizer.build(),
        epochs=training.epochs,
        batch_size=training.batch_size,
        l2=config.l2.build(),
        schedule=config.schedule.build(),
        augmentations=[augmentation.build() for augmentation in config.data.augment],
        averaging=training.averaging.build() if training.averaging is not None else None,
        clip_norm=training.clip_norm,
        clip_value=training.clip_value,
        test_time_augmentation=config.evaluation.test_time_augmentation,
    )


def monitored_value(config: Config, dataset: Dataset) -> str | None:
    """The value that decides which epoch is best; None without a validation split."""
    if config.data.validation == 0:
        return None
    return config.training.monitor or ("val_accuracy" if dataset.task == "classification" else "val_loss")


def _misfits(config: Config, dataset: Dataset, splits: Splits) -> list[Problem]:
    problems = []
    loss = config.loss.component
    if dataset.task not in loss.tasks:
        problems.append(
            config.problem(
                "loss",
                f"{loss.name} does {' and '.join(loss.tasks)}, but {dataset.name} is a {dataset.task} dataset; "
                "use mean_squared_error",
            )
        )
    size = config.training.batch_size
    if size > len(splits.train):
        message = f"{size} is larger than the training split, which has {len(splits.train)} examples"
        problems.append(config.problem("training.batch_size", message))
    if config.training.monitor == "val_accuracy" and dataset.task == "regression":
        problems.append(config.problem("training.monitor", "regression has no accuracy; use val_loss"))
    if config.evaluation.test_time_augmentation != "none" and len(dataset.input_shape) != 3:
        message = f"needs images, but {dataset.name} has inputs {dataset.input_shape}"
        problems.append(config.problem("evaluation.test_time_augmentation", message))
    if config.data.augment and len(dataset.input_shape) != 3:
        problems.append(
            config.problem("data.augment", f"needs images, but {dataset.name} has inputs {dataset.input_shape}")
        )
    return problems
