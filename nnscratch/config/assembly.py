"""From a Config to the parts that work together: data, splits, scaling, network and its start, recipe, trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nnscratch.config.config import Config
from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.download import Progress as DownloadProgress
from nnscratch.datasets.report import DataReport, data_report, examined
from nnscratch.datasets.sources.own_data import LargeSource
from nnscratch.datasets.splits import fold_indices, limit_indices, split_indices
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.errors import ConfigError, DataError, Problem, SettingError, ShapeError, did_you_mean
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import DEFAULT_DATA, Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.communicator import ALONE, Communicator
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.examples import Examples
from nnscratch.training.metrics.known import LOGGED, metric_of
from nnscratch.training.metrics.metric import Metric
from nnscratch.training.recipe import Recipe
from nnscratch.training.scaling import Affine, fit_targets
from nnscratch.training.trainer import Trainer

Tell = Callable[[str], None]

UPDATES_AN_EPOCH = 8
"""At least so many, where the config leaves the batch size to the data."""


@dataclass(frozen=True)
class Splits:
    """The examples of each split; a split that does not exist is None."""

    train: Examples
    validation: Examples | None
    test: Examples | None

    def named(self, name: str) -> Examples | None:
        """The split called train, val or test."""
        return {"train": self.train, "val": self.validation, "test": self.test}[name]

    def report(self, dataset: Dataset) -> DataReport:
        """What there is to say of that dataset, whose splits these are."""
        named = {"training": self.train, "validation": self.validation, "test": self.test}
        parts = {name: (each.inputs, each.targets, each.rows) for name, each in named.items() if each is not None}
        return data_report(dataset, parts)


@dataclass(frozen=True, eq=False)
class Assembly:
    """Data and network of a config, checked against each other; `start` and `trainer` allocate, nothing before does."""

    config: Config
    dataset: Dataset
    splits: Splits
    network: Network
    encoding: TableEncoding | None = None
    """How a table's rows became the inputs; None for data that are numbers as they come."""
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

    @cached_property
    def data_report(self) -> DataReport:
        """What there is to say of the data and its splits before training."""
        return self.splits.report(self.dataset)

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
        workers = machine.share_threads(self.network, threads)
        streams = self.start(dtype, workers)
        return Trainer(self.network, recipe, self.affine, streams, workers, self.target_affine, communicator)


def prepare(config: Config, workplace: Workplace, display: Display, encoding: TableEncoding | None = None) -> Assembly:
    """Loads the data and builds the network. Raises the UserError of whatever does not fit."""
    dataset = load_dataset(config, workplace.data_dir, display.say, display.download, workplace.download)
    return assemble(config, dataset, display.say, encoding)


def assemble(
    config: Config, dataset: Dataset, tell: Tell | None = None, encoding: TableEncoding | None = None
) -> Assembly:
    """The config's splits of that data, and its network; what the config leaves to the data is filled in, and told.

    A table is encoded as a run did it, else as its training rows say. Raises ConfigError when layers do not fit.
    """
    dataset, encoding = encode_dataset(config, dataset, encoding)
    splits = split_dataset(config, dataset)
    config = fitted(config, splits, tell)
    network = build_network(config, dataset.input_shape, dataset.outputs)
    return Assembly(config, dataset, splits, network, encoding)


def encode_dataset(
    config: Config, dataset: Dataset, encoding: TableEncoding | None = None
) -> tuple[Dataset, TableEncoding | None]:
    """The dataset with its table's columns as features, and how they became these; other data as they are."""
    if dataset.schema is None:
        return dataset, None
    if encoding is None:
        rows = split_dataset(config, dataset).train.rows
        encoding = TableEncoding.fit(dataset.schema, dataset.train_inputs[rows])
    return dataset.encoded(encoding), encoding


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
        dataset = examined(_loaded(config, data_dir, path, tell, download, progress))
    except OSError as error:
        raise DataError(f"cannot read {error.filename or path or data_dir}: {error.strerror or error}") from error
    for note in dataset.notes:
        tell(note)
    return dataset


def _loaded(
    config: Config, data_dir: Path, path: Path | None, tell: Tell, download: bool, progress: DownloadProgress | None
) -> Dataset:
    source, in_memory = config.data.dataset.build(), config.data.in_memory
    if isinstance(source, LargeSource):
        return source.load(data_dir, path, tell, download, progress, in_memory)
    if in_memory is False:
        raise ConfigError([config.problem("data.in_memory", f"{source.name} is always read into memory; leave it out")])
    return source.load(data_dir, path, tell, download, progress)


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
    """Training, validation (the data's own, or held out: stratified, from the config's seed) and test examples."""
    limit, fraction, names = config.data.limit, config.data.validation, dataset.example_names

    def limited(inputs: Array | None, targets: Array | None, split: str) -> Examples | None:
        if inputs is None or targets is None:
            return None
        rows = np.arange(len(targets)) if limit is None else limit_indices(targets, limit)
        return Examples(inputs, targets, rows, names=names.get(split))

    pool = limited(dataset.train_inputs, dataset.train_targets, "train")
    assert pool is not None
    test = limited(dataset.test_inputs, dataset.test_targets, "test")
    is_labelled = dataset.task == "classification"
    if config.data.fold is not None:
        number, of = config.data.fold.number, config.data.fold.of
        rng = RandomStreams(config.seed).stream("folds")
        rest, inside = fold_indices(pool.targets[pool.rows], number, of, rng, is_labelled)
        pool, test = replace(pool, rows=pool.rows[rest]), replace(pool, rows=pool.rows[inside])
    if fraction > 0 and dataset.validation_inputs is not None:
        return Splits(pool, limited(dataset.validation_inputs, dataset.validation_targets, "val"), test)
    rng = RandomStreams(config.seed).stream("validation split")
    train, validation = split_indices(pool.targets[pool.rows], fraction, rng, is_labelled)
    held_out = replace(pool, rows=pool.rows[validation]) if len(validation) else None
    return Splits(replace(pool, rows=pool.rows[train]), held_out, test)


def fitted(config: Config, splits: Splits, tell: Tell | None = None) -> Config:
    """The config with what it leaves to the data: below 1,024 training examples a batch is an eighth of them.

    So an epoch makes eight updates or more. A batch size that is written stays as it is.
    """
    training, size = config.training, max(len(splits.train) // UPDATES_AN_EPOCH, 1)
    if "batch_size" in training.model_fields_set or size >= training.batch_size:
        return config
    if tell is not None:
        tell(
            f"batch_size {size} in place of {training.batch_size}, for {UPDATES_AN_EPOCH} updates an epoch of "
            f"{len(splits.train)} training examples (training.batch_size overrules)"
        )
    return config.model_copy(update={"training": training.model_copy(update={"batch_size": size})})


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
        monitored=_monitored_metric(config, dataset),
        test_time_augmentation=config.evaluation.test_time_augmentation,
    )


def monitored_value(config: Config, dataset: Dataset) -> str | None:
    """The value that decides which epoch is best; None without a validation split."""
    if config.data.validation == 0:
        return None
    return config.training.monitor or ("val_accuracy" if dataset.task == "classification" else "val_loss")


def _monitored_metric(config: Config, dataset: Dataset) -> Metric | None:
    """The metric to compute after every epoch; loss and accuracy are logged anyway."""
    value = monitored_value(config, dataset) or "val_loss"
    metric = metric_of(value)
    return metric() if metric is not None and value.partition("_")[2] not in LOGGED else None


def _unmeasurable(config: Config, dataset: Dataset, splits: Splits) -> Iterator[Problem]:
    """A problem when the monitored metric has no meaning for this data."""
    value = config.training.monitor
    metric = metric_of(value) if value is not None else None
    if metric is None:
        return
    if metric.task != dataset.task:
        yield config.problem("training.monitor", f"{dataset.task} has no {metric.title}; use val_loss")
    elif splits.validation is not None:
        t = splits.validation.targets[splits.validation.rows]
        guess = np.full((len(t), dataset.outputs), 1 / dataset.outputs)
        if np.isnan(metric()(t, guess)):
            yield config.problem("training.monitor", f"has no meaning on this validation split: {metric.undefined}")


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
    problems += _unmeasurable(config, dataset, splits)
    if config.evaluation.test_time_augmentation != "none" and len(dataset.input_shape) != 3:
        message = f"needs images, but {dataset.name} has inputs {dataset.input_shape}"
        problems.append(config.problem("evaluation.test_time_augmentation", message))
    if config.data.augment and len(dataset.input_shape) != 3:
        problems.append(
            config.problem("data.augment", f"needs images, but {dataset.name} has inputs {dataset.input_shape}")
        )
    return problems
