"""From a Config to the parts that work together: data, splits, scaling, network and its start, recipe, trainer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nnscratch.config.config import Config, Tell
from nnscratch.config.data import Splits, encode_dataset, fitted, load_dataset, split_dataset
from nnscratch.config.named_weights import StartingWeights, require_frozen
from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.report import DataReport
from nnscratch.datasets.sources.own_data import TrainedOn
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.errors import ConfigError, Problem, SettingError, ShapeError
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.communicator import ALONE, Communicator
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.augmentation.changes import Mixup
from nnscratch.training.examples import Examples
from nnscratch.training.metrics.known import LOGGED, metric_of
from nnscratch.training.metrics.metric import Metric
from nnscratch.training.recipe import Recipe, prepare_loss
from nnscratch.training.scaling import Affine, fit_inputs, fit_targets
from nnscratch.training.trainer import Trainer


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
    starting: StartingWeights | None = None
    """The trained weights that training starts from; None: those of the initializers."""

    @cached_property
    def affine(self) -> Affine:
        """How stored inputs become the network's."""
        return self.recorded[0] if self.recorded else fit_inputs(self.splits.train, self.config.data.scaling.build())

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
        streams = start_network(self.config, self.network, self.affine, self.splits.train, dtype, workers)
        if self.starting is not None:
            self.starting.put_into(self.network)
        return streams

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


def prepare(config: Config, workplace: Workplace, display: Display, trained_on: TrainedOn | None = None) -> Assembly:
    """Loads the data, as a run has taken it, and builds the network. Raises the UserError of whatever does not fit."""
    dataset = load_dataset(config, workplace.data_dir, display.say, display.download, workplace.download, trained_on)
    return assemble(config, dataset, display.say, None if trained_on is None else trained_on.encoding)


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


def build_network(config: Config, input_shape: tuple[int, ...], outputs: int) -> Network:
    """The network for inputs of that shape, built but not initialised. Raises ConfigError when layers do not fit."""
    model = config.model
    try:
        layers, weight_init = config.build_layers(), model.weight_init.build()
        network = Network(layers, input_shape, outputs=outputs, weight_init=weight_init, freeze=model.freeze)
    except ShapeError as error:
        path = ".".join(map(str, ("model", *error.position)))
        raise ConfigError([config.problem(path, error.reason)], error.hint) from None
    require_frozen(config, network)
    return network


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
        prepare_loss(loss, splits.train, dataset.outputs)
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
        right = np.eye(dataset.outputs)[t] if dataset.task == "classification" else t
        if any(np.isnan(metric().measure(t, each)) for each in (guess, right)):
            yield config.problem("training.monitor", f"has no meaning on this validation split: {metric.undefined}")


def _unweighable(config: Config, splits: Splits) -> Iterator[Problem]:
    """Problems of weights: a split whose examples all count nothing, an augmentation that mixes examples."""
    for name in ("train", "val", "test"):
        examples = splits.named(name)
        if examples is not None and examples.weights is not None and not examples.weights[examples.rows].any():
            yield config.problem("data.dataset", f"every weight of the {name} split is 0")
    if splits.train.weights is not None and any(each.component is Mixup for each in config.data.augment):
        yield config.problem("data.augment", "mixup mixes examples, which cannot be done with weights")


def _misfits(config: Config, dataset: Dataset, splits: Splits) -> list[Problem]:
    problems = []
    loss = config.loss.component
    if dataset.task not in loss.tasks:
        problems.append(
            config.problem(
                "loss",
                f"{loss.name} does {' and '.join(loss.tasks)}, but {dataset.name} is a {dataset.task} dataset; "
                "use mean_squared_error, or data.dataset.task: classification where the targets are classes"
                if dataset.task == "regression"
                else "use cross_entropy",
            )
        )
    size = config.training.batch_size
    if size > len(splits.train):
        message = f"{size} is larger than the training split, which has {len(splits.train)} examples"
        problems.append(config.problem("training.batch_size", message))
    problems += _unmeasurable(config, dataset, splits)
    problems += _unweighable(config, splits)
    if config.evaluation.test_time_augmentation != "none" and len(dataset.input_shape) != 3:
        message = f"needs images, but {dataset.name} has inputs {dataset.input_shape}"
        problems.append(config.problem("evaluation.test_time_augmentation", message))
    if config.data.augment and len(dataset.input_shape) != 3:
        problems.append(
            config.problem("data.augment", f"needs images, but {dataset.name} has inputs {dataset.input_shape}")
        )
        return problems
    for index, augmentation in enumerate(config.data.augment):
        if misfit := augmentation.build().misfit(*dataset.input_shape[:2]):
            problems.append(config.problem(f"data.augment.{index}", misfit))
    return problems
