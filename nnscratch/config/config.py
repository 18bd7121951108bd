"""The configuration of a run: from YAML text and overrides to a frozen Config in which nothing is implicit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, Field, PrivateAttr, Strict, ValidationError
from pydantic_core import PydanticCustomError

import nnscratch.config.builtins  # noqa: F401  (importing a component is what makes its name known)
from nnscratch.component import Component, catalogue
from nnscratch.config.consistency import inconsistencies
from nnscratch.config.document import parse_yaml, read_yaml
from nnscratch.config.names import EXPECTED, FOLDER_NAME, folder_name, is_folder_name
from nnscratch.config.node import Node, Place, Value, node_from_value
from nnscratch.config.overrides import apply_overrides
from nnscratch.config.plugins import check_plugins
from nnscratch.config.problems import in_order, problems_of
from nnscratch.config.shorthand import write_out
from nnscratch.config.specification import Section, Specification, plain
from nnscratch.config.yaml_core import dump_yaml
from nnscratch.datasets.dataset import Source
from nnscratch.errors import ConfigError, Problem, did_you_mean
from nnscratch.nn.initializers import Initializer
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import Dense, Flatten
from nnscratch.nn.layers.activations import Activation
from nnscratch.nn.losses import Loss
from nnscratch.nn.regularization import L2
from nnscratch.training.augmentation.augmentation import Augmentation
from nnscratch.training.averaging import Averaging
from nnscratch.training.optimizers import Optimizer
from nnscratch.training.scaling import Scaling, TargetScaling
from nnscratch.training.schedules import Schedule

ComponentType = TypeVar("ComponentType", bound=Component)
ItemType = TypeVar("ItemType")

Tell = Callable[[str], None]

Items = Annotated[tuple[ItemType, ...], Strict(False)]  # YAML has lists, which a strict tuple would refuse
PositiveInteger = Annotated[int, Field(ge=1)]
PositiveNumber = Annotated[float, Field(gt=0)]
Text = Annotated[str, Field(min_length=1)]


def _safe_name(name: str) -> str:
    if not is_folder_name(name):
        raise PydanticCustomError("text", EXPECTED)
    return name


def _output_name(name: str) -> str:
    allowed = ["linear", *catalogue(Activation)]
    if name not in allowed:
        raise PydanticCustomError(
            "text",
            f"unknown activation `{name[:60]}`{did_you_mean(name[:60], allowed)} (allowed: {', '.join(allowed)})",
        )
    return name


def option(default: object, help: str, **bounds: float) -> Any:
    """A field that may be left out."""
    return Field(default=default, description=help, **bounds)  # type: ignore[call-overload]


def named(base: type[ComponentType], name: str, help: str) -> Any:
    """A field whose default is the component of that name."""
    return Field(default_factory=partial(Specification.named, base, name), description=help)


class DataConfig(Section):
    """What is learned from."""

    dataset: Specification[Source] = Field(description="the data: a name, or {name: csv, target: price}")
    path: Text | None = option(None, "folder or file of your own data")
    validation: float = option(0.1, "share of the training data kept for validation; 0: none", ge=0, lt=1)
    scaling: Specification[Scaling] = named(Scaling, "unit", "what inputs are scaled to")
    target_scaling: TargetScaling = option(
        "standardize",
        "what a regression learns: targets of mean 0 and deviation 1 (losses are of these, predictions in their own "
        "units), or as they are",
    )
    augment: Items[Specification[Augmentation]] = option((), "random changes of every training image")
    limit: PositiveInteger | None = option(
        None, "only N training and test examples: the first; with classes, the first of each, in proportion"
    )


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
    batch_size: PositiveInteger = option(128, "examples per update")
    monitor: Literal["val_accuracy", "val_loss"] | None = option(
        None, "what makes weights the best; left out: val_accuracy, for regression val_loss"
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


@dataclass(frozen=True)
class Written:
    """Where the parts of a config are written. It makes no difference: all of these are equal."""

    root: Node = field(compare=False)


class Config(Section):
    """Everything that decides a run. Components are specifications: `config.optimizer.build()` gives the optimizer."""

    name: Annotated[str, AfterValidator(_safe_name)] = Field(
        description="name of the run and its folder; left out: the file's name",
        json_schema_extra={"pattern": FOLDER_NAME},
    )
    seed: int = option(42, "equal seeds give equal runs", ge=0)
    data: DataConfig = Field(description="what is learned from")
    model: ModelConfig = Field(description="the network")
    loss: Specification[Loss] = named(Loss, "cross_entropy", "what is minimised")
    l2: L2Config = option(L2Config(), "penalty on large weights: its strength, or more fields")
    optimizer: Specification[Optimizer] = named(Optimizer, "adam", "how gradients change weights")
    schedule: Specification[Schedule] = named(Schedule, "constant", "how the learning rate changes")
    training: TrainingConfig = option(TrainingConfig(), "how long and how it learns")
    evaluation: EvaluationConfig = option(EvaluationConfig(), "how it is measured")
    wandb: WandbConfig = option(WandbConfig(), "the mirror on Weights & Biases")
    plugins: Items[Text] = option((), "Python files with components of your own (needs --allow-plugins)")

    _written: Written | None = PrivateAttr(None)

    def problem(self, path: str, message: str) -> Problem:
        """That something is wrong with the value at a dotted path, and where it, or what should hold it, is written."""
        if self._written is None:
            return Problem(path, message)
        keys = tuple(int(key) if key.isdecimal() else key for key in path.split("."))
        node, depth = self._written.root.nearest(keys)
        place = node.place if depth == len(keys) else node.key or node.place
        return (place if depth else Place(place.source)).problem(path, message)

    def build_layers(self) -> list[Layer]:
        """New layers in order: those of `model.layers`, or the plain network that `model.hidden_layers` asks for."""
        model = self.model
        if model.layers is not None:
            return [layer.build() for layer in model.layers]
        layers: list[Layer] = [Flatten()]
        for units in model.hidden_layers or ():
            layers.append(Dense(units))
            if model.activation is not None:
                layers.append(model.activation.build())
        layers.append(Dense())
        # A loss that includes softmax takes the numbers before it.
        included = "softmax" if self.loss.component.includes_softmax else "linear"
        if model.output not in (None, "linear", included):
            layers.append(Specification.named(Activation, model.output).build())
        return layers

    def to_dict(self) -> dict[str, Value]:
        """Every field in canonical form, as plain values."""
        value = plain(self)
        assert isinstance(value, dict)
        return value

    def to_yaml(self) -> str:
        """The canonical form as YAML, which loads again to an equal Config."""
        return dump_yaml(self.to_dict())

    def digest(self) -> str:
        """SHA-256 over the canonical form, in hexadecimal: equal for equal configs, however they were written."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def load_config(path: Path, overrides: Sequence[str] = (), tell: Tell | None = None) -> Config:
    """The Config in a file, with overrides (`a.b=value`) set. Raises ConfigError with every problem.

    The run is named after the file when neither names it. `tell` is told what an override dropped.
    """
    return _config(read_yaml(path).root, overrides, tell, path.stem, path.parent)


def parse_config(text: str, source: str, overrides: Sequence[str] = (), tell: Tell | None = None) -> Config:
    """As `load_config`, from text; `source` is what the messages call it."""
    return _config(parse_yaml(text, source).root, overrides, tell, Path(source).stem)


def config_from_mapping(
    mapping: Mapping[str, object], source: str = "config", overrides: Sequence[str] = (), tell: Tell | None = None
) -> Config:
    """As `load_config`, from dicts, lists and scalars."""
    return _config(node_from_value(mapping, source), overrides, tell, source)


def flatten(config: Config) -> dict[str, Value]:
    """Every value by its dotted path (`optimizer.learning_rate`, `model.layers.0.units`); a list of scalars is one."""
    flat: dict[str, Value] = {}

    def visit(path: str, value: Value) -> None:
        if isinstance(value, dict) and value:
            for key, item in value.items():
                visit(f"{path}.{key}" if path else key, item)
        elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            for index, item in enumerate(value):
                visit(f"{path}.{index}", item)
        else:
            flat[path] = value

    visit("", config.to_dict())
    return flat


def differences(left: Config, right: Config) -> dict[str, tuple[Value, Value]]:
    """The paths whose values differ, with both values; None for a path that one side does not have."""
    a, b = flatten(left), flatten(right)
    return {path: (a.get(path), b.get(path)) for path in dict.fromkeys((*a, *b)) if a.get(path) != b.get(path)}


def _config(root: Node, overrides: Sequence[str], tell: Tell | None, name: str, folder: Path | None = None) -> Config:
    problems: list[Problem] = []
    if not isinstance(root.content, dict):
        empty = root.content is None
        message = "is empty" if empty else "is not a config: expected fields such as `data:` and `model:`"
        raise ConfigError([root.place.problem("", message)], "`nnscratch init` writes a config to start from")
    check_plugins(root, folder)
    named_in_file = _plugins(root)
    root = write_out(root, Config, problems)
    assert isinstance(root.content, dict)
    try:
        notes = apply_overrides(root, Config, overrides)
    except ConfigError as error:
        problems.extend(error.problems)
        notes = []
    if _plugins(root) != named_in_file:
        problems.append(root.content["plugins"].place.problem("plugins", "cannot be overridden: write it in the file"))
    _fill_in(root.content, name)
    config: Config | None = None
    try:
        config = Config.model_validate(root.plain())
    except ValidationError as error:
        problems.extend(problems_of(error, root, Config))
    problems.extend(inconsistencies(root))
    if problems or config is None:
        raise ConfigError(in_order(problems))
    config._written = Written(root)
    if tell is not None:
        for note in notes:
            tell(note)
    return config


def _plugins(root: Node) -> Value:
    listed = root.child("plugins")
    return listed.plain() if listed is not None else None


def _fill_in(content: dict[str, Node], name: str) -> None:
    """Defaults that depend on something else: the name on the file, the activation on the form of the model."""
    nowhere = Place("default")
    if "name" not in content:
        content["name"] = Node(folder_name(name, "run"), nowhere, nowhere)
    model = content.get("model")
    if model is not None and isinstance(model.content, dict) and model.content.get("activation") is None:
        layers = model.content.get("layers")
        if layers is None or layers.content is None:
            model.content["activation"] = Node({"name": Node("relu", nowhere)}, nowhere, nowhere)
