"""The sections of a config: which fields there are, with their defaults, their bounds and what they mean."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, Field, Strict
from pydantic_core import PydanticCustomError

from nnscratch.component import Component, catalogue
from nnscratch.config.specification import Section, Specification
from nnscratch.datasets.dataset import Source
from nnscratch.errors import did_you_mean
from nnscratch.host.workplace import at_home
from nnscratch.nn.initializers import Initializer
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers.activations import Activation
from nnscratch.nn.regularization import L2
from nnscratch.training.augmentation.augmentation import Augmentation
from nnscratch.training.averaging import Averaging
from nnscratch.training.metrics.known import monitorable
from nnscratch.training.scaling import Scaling, TargetScaling

ComponentType = TypeVar("ComponentType", bound=Component)
ItemType = TypeVar("ItemType")

Items = Annotated[tuple[ItemType, ...], Strict(False)]  # YAML has lists, which a strict tuple would refuse
PositiveInteger = Annotated[int, Field(ge=1)]
PositiveNumber = Annotated[float, Field(gt=0)]
Text = Annotated[str, Field(min_length=1)]


def _output_name(name: str) -> str:
    allowed = ["linear", *catalogue(Activation)]
    if name not in allowed:
        raise PydanticCustomError(
            "text",
            f"unknown activation `{name[:60]}`{did_you_mean(name[:60], allowed)} (allowed: {', '.join(allowed)})",
        )
    return name


def _scaling_for(dataset: Specification[Source] | None) -> Specification[Scaling]:
    return Specification.named(Scaling, (dataset.component if dataset is not None else Source).default_scaling)


def _monitored_value(name: str) -> str:
    allowed = monitorable()
    if name not in allowed:
        close = did_you_mean(name[:60], allowed)
        raise PydanticCustomError("text", f"unknown value `{name[:60]}`{close} (allowed: {', '.join(allowed)})")
    return name


def option(default: object, help: str, **bounds: float) -> Any:
    """A field that may be left out."""
    return Field(default=default, description=help, **bounds)  # type: ignore[call-overload]  # ge, gt, le or lt


def named(base: type[ComponentType], name: str, help: str) -> Any:
    """A field whose default is the component of that name."""
    return Field(default_factory=partial(Specification.named, base, name), description=help)


class FoldConfig(Section):
    """One of several equal parts of the training data: held out, and scored in place of the test split."""

    number: PositiveInteger = Field(description="which part, from 1")
    of: int = Field(description="how many parts there are", ge=2)


class DataConfig(Section):
    """What is learned from."""

    dataset: Specification[Source] = Field(description="the data: a name, or {name: csv, target: price}")
    path: Text | None = option(None, "folder or file of your own data")
    validation: float = option(0.1, "share of the training data kept for validation; 0: none", ge=0, lt=1)
    scaling: Specification[Scaling] = Field(
        default_factory=lambda data: _scaling_for(data.get("dataset")),
        description="what inputs are scaled to (default: unit, for a table standardize)",
    )
    target_scaling: TargetScaling = option(
        "standardize",
        "what a regression learns: targets of mean 0 and deviation 1 (losses are of these, predictions in their own "
        "units), or as they are",
    )
    augment: Items[Specification[Augmentation]] = option((), "random changes of every training image")
    in_memory: bool | None = option(
        None,
        "pictures and arrays of your own: in memory, or decoded once into a file that is mapped; left out: by size",
    )
    limit: PositiveInteger | None = option(
        None, "only N training and test examples: the first; with classes, the first of each, in proportion"
    )
    fold: FoldConfig | None = option(
        None, "hold out one of equal parts of the training data as the test split: what `train --folds` sets"
    )

    @property
    def place(self) -> Path | None:
        """Where one's own data lies."""
        return at_home(self.path) if self.path is not None else None


class StartConfig(Section):
    """Which trained weights training starts from."""

    short: ClassVar[str | None] = "run"

    run: Text = Field(description="a run, whose best weights are taken, a checkpoint of it, or its safetensors export")
    fresh: Items[Text] = option((), "layers, or single weights, that start anew: the last one, for other classes")


class ModelConfig(Section):
    """The network: `hidden_layers` for a plain one, or `layers` for any other."""

    hidden_layers: Items[PositiveInteger] | None = option(None, "widths of dense layers; []: a linear model")
    activation: Specification[Activation] | None = option(None, "after every hidden layer (default: relu)")
    weight_init: Specification[Initializer] = named(Initializer, "he", "how weights start")
    output: Annotated[str, AfterValidator(_output_name)] | None = option(
        None, "after the last layer: softmax, linear or an activation; left out: what the loss expects"
    )
    layers: Items[Specification[Layer]] | None = option(
        None, "every layer in order; nothing is added, a bare `dense` takes its width from the data"
    )
    start_from: StartConfig | None = option(None, "a run whose trained weights these start as, or more fields")
    freeze: Items[Text] = option((), "layers, or single weights, that are not trained: `0.conv`, `2.dense.weight`")


class L2Config(Section):
    """A penalty on large weights: strength / 2 * sum W^2 is added to the loss."""

    short: ClassVar[str | None] = "strength"

    strength: float = option(0.0, "lambda; 0: no penalty", ge=0)
    divide_by_batch: bool = option(False, "divide the penalty by the batch size")

    def build(self) -> L2:
        """The penalty itself."""
        return L2(self.strength, self.divide_by_batch)


class EarlyStoppingConfig(Section):
    """Stops when the monitored value no longer improves, and keeps the best weights."""

    short: ClassVar[str | None] = "patience"

    patience: PositiveInteger = Field(description="epochs without improvement before training stops")
    minimum_change: float = option(0.0, "how much better a value must be to count", ge=0)


class CheckpointConfig(Section):
    """When a checkpoint is written, besides the start and the end; whichever comes first."""

    short: ClassVar[str | None] = "epochs"

    epochs: PositiveInteger | None = option(None, "every so many epochs")
    steps: PositiveInteger | None = option(None, "every so many updates")
    minutes: PositiveNumber | None = option(None, "every so many minutes")


class TrainingConfig(Section):
    """How long and how the network learns."""

    epochs: int = option(20, "passes over the training data", ge=0)
    minutes: PositiveNumber | None = option(
        None, "train about so long instead: the epochs that fit are timed at the start, and kept as `epochs`"
    )
    batch_size: PositiveInteger = option(
        128, "examples per update; left out: 128, or an eighth of the training split where that is less"
    )
    monitor: Annotated[str, AfterValidator(_monitored_value)] | None = Field(
        default=None,
        description="what makes weights the best: val_loss, or val_ and a metric, which is then computed after every "
        "epoch; left out: val_accuracy, for regression val_loss",
        json_schema_extra={"anyOf": [{"enum": [*monitorable()]}, {"type": "null"}]},
    )
    early_stopping: EarlyStoppingConfig | None = option(None, "a patience in epochs, or more fields")
    clip_norm: PositiveNumber | None = option(None, "scale the gradient down to this norm")
    clip_value: PositiveNumber | None = option(None, "cut every gradient entry to this size")
    averaging: Specification[Averaging] | None = option(None, "average the weights over the steps")
    checkpoint_every: CheckpointConfig = option(
        CheckpointConfig(minutes=1), "a number of epochs, {steps: ...} or {minutes: ...}"
    )
    keep_last: PositiveInteger = option(1, "how many of the latest checkpoints are kept")


class EvaluationConfig(Section):
    """How the trained network is measured."""

    test_time_augmentation: Literal["none", "flip", "flip_translate"] = option(
        "none", "average the predictions for changed copies of every image"
    )
    calibrate: Literal["none", "temperature"] = option(
        "none", "temperature: divide the outputs by the number that suits validation best, so that probabilities hold"
    )
    test: bool = option(
        True, "score the test split when training is over; false while settings are still chosen by validation"
    )


class WandbConfig(Section):
    """The mirror on Weights & Biases; `off` never imports it."""

    short: ClassVar[str | None] = "mode"

    mode: Literal["off", "offline", "online"] = option("off", "off, offline or online")
    project: Text | None = option(None, "project of the run")
    entity: Text | None = option(None, "user or team")
    group: Text | None = option(None, "group of the run")
    tags: Items[Text] = option((), "tags of the run")
