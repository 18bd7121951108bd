"""The configuration of a run: from YAML text and overrides to a frozen Config in which nothing is implicit."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PrivateAttr, ValidationError
from pydantic_core import PydanticCustomError

import nnscratch.config.builtins  # noqa: F401  (importing a component is what makes its name known)
from nnscratch.config.consistency import inconsistencies
from nnscratch.config.document import parse_yaml, read_yaml
from nnscratch.config.names import EXPECTED, FOLDER_NAME, folder_name, is_folder_name
from nnscratch.config.node import Node, Place, Value, node_from_value
from nnscratch.config.override_value import SOURCE
from nnscratch.config.overrides import apply_overrides
from nnscratch.config.plugins import check_plugins
from nnscratch.config.problems import in_order, problems_of
from nnscratch.config.sections import (
    DataConfig,
    EvaluationConfig,
    Items,
    L2Config,
    ModelConfig,
    Text,
    TrainingConfig,
    WandbConfig,
    named,
    option,
)
from nnscratch.config.shorthand import write_out
from nnscratch.config.specification import Section, Specification, plain
from nnscratch.config.yaml_core import dump_yaml
from nnscratch.errors import ConfigError, Problem
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import Dense, Flatten
from nnscratch.nn.layers.activations import Activation
from nnscratch.nn.losses import Loss
from nnscratch.training.optimizers import Optimizer
from nnscratch.training.schedules import Schedule

Tell = Callable[[str], None]


def _safe_name(name: str) -> str:
    if not is_folder_name(name):
        raise PydanticCustomError("text", EXPECTED)
    return name


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
    tracking: Items[Literal["tensorboard"]] = option((), "boards that show the training, beside W&B")
    plugins: Items[Text] = option((), "Python files with components of your own (needs --allow-plugins)")

    _written: Written | None = PrivateAttr(None)

    def problem(self, path: str, message: str) -> Problem:
        """That something is wrong with the value at a dotted path, and where it, or what should hold it, is written."""
        if self._written is None:
            return Problem(path, message)
        keys = tuple(int(key) if key.isdecimal() else key for key in path.split("."))
        node, depth = self._written.root.nearest(keys)
        place = node.place if depth == len(keys) else node.key or node.place
        if depth == len(keys) and isinstance(keys[-1], int) and isinstance(node.content, dict):
            # A layer of the file with a field of the command line, which is where to look first.
            changed = [each.place for each in node.content.values() if each.place.source == SOURCE]
            place = changed[-1] if changed else place
        if depth < len(keys) and place.source == SOURCE:  # it set a neighbour of what is left to its default
            place, depth = self._written.root.place, 0
        return (place if depth else Place(place.source)).problem(path, message)

    def has_written(self, path: str) -> bool:
        """Whether a value at that dotted path is written somewhere, and is no default."""
        keys = tuple(int(key) if key.isdecimal() else key for key in path.split("."))
        return self._written is not None and self._written.root.nearest(keys)[1] == len(keys)

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


def load_config(path: Path, overrides: Sequence[str] = (), tell: Tell | None = None, leave_out: bool = False) -> Config:
    """The Config in a file, with overrides (`a.b=value`) set. Raises ConfigError with every problem.

    The run is named after the file when neither names it. `tell` is told what an override keeps, drops or leaves out:
    with `leave_out`, a field that the component it chooses does not have.
    """
    root = read_yaml(path, "`nnscratch init` writes a config, with --data PATH one that fits your data").root
    return _config(root, overrides, tell, path.stem, path.parent, leave_out)


def parse_config(text: str, source: str, overrides: Sequence[str] = (), tell: Tell | None = None) -> Config:
    """As `load_config`, from text; `source` is what the messages call it."""
    return _config(parse_yaml(text, source).root, overrides, tell, Path(source).stem)


def config_from_mapping(
    mapping: Mapping[str, object], source: str = "config", overrides: Sequence[str] = (), tell: Tell | None = None
) -> Config:
    """As `load_config`, from dicts, lists and scalars."""
    return _config(node_from_value(mapping, source), overrides, tell, source)


def left_out(path: Path, overrides: Sequence[str]) -> list[str]:
    """Those of the overrides that `load_config` leaves out, when told to. Raises ConfigError."""
    root = write_out(read_yaml(path).root, Config, [])
    return apply_overrides(root, Config, overrides, leave_out=True).left_out


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


def _how_to_begin(path: Path) -> str:
    """The command that writes a config: for the table, where one stands in the place of a config."""
    if path.suffix.lower() not in (".csv", ".tsv", ".txt"):
        return "`nnscratch init` writes a config to start from"
    written = shlex.quote(path.with_suffix(".yaml").name)
    return f"`nnscratch init {written} --data {shlex.quote(str(path))}` writes a config for it"


def _config(
    root: Node,
    overrides: Sequence[str],
    tell: Tell | None,
    name: str,
    folder: Path | None = None,
    leave_out: bool = False,
) -> Config:
    problems: list[Problem] = []
    if not isinstance(root.content, dict):
        empty = root.content is None
        message = "is empty" if empty else "is not a config: expected fields such as `data:` and `model:`"
        raise ConfigError([root.place.problem("", message)], _how_to_begin(Path(root.place.source)))
    if {"method", "parameters"} & root.content.keys() and not {"model", "data"} & root.content.keys():
        raise ConfigError([root.place.problem("", "is a sweep, not a config")], "`nnscratch sweep FILE` runs it")
    check_plugins(root, folder)
    named_in_file = _plugins(root)
    root = write_out(root, Config, problems)
    assert isinstance(root.content, dict)
    try:
        notes = apply_overrides(root, Config, overrides, leave_out).notes
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
    if config.model.layers is None and config.model.activation is None:
        notes = [*notes, "model.activation is empty: no activation; leave it out for relu, or say identity to mean it"]
    notes = [*notes, *_length_notes(config, root)]
    if tell is not None:
        for note in notes:
            tell(note)
    return config


def _length_notes(config: Config, root: Node) -> Iterator[str]:
    """What of the training's length has no effect, or not the one that is wanted."""
    training = config.training
    if training.minutes is None:
        yield from schedule_notes(config)
        return
    minutes, epochs = (root.nearest(("training", name))[0].place for name in ("minutes", "epochs"))
    if root.nearest(("training", "epochs"))[1] == 2 and minutes.source == epochs.source:
        yield f"training.epochs {training.epochs} does not count: training.minutes is set beside it"


def schedule_notes(config: Config) -> Iterator[str]:
    """That the warm-up never ends, or that nothing ever comes of another schedule than a constant one."""
    schedule, epochs = config.schedule.build(), config.training.epochs
    if 0 < epochs <= schedule.warmup_epochs:
        warmup = f"schedule.warmup_epochs {schedule.warmup_epochs:g}"
        yield f"{warmup} takes all {epochs} epochs: the learning rate only rises"
    elif schedule.is_idle(epochs):
        length = f"{epochs} epochs" if epochs > 1 else "1 epoch"
        yield f"schedule {schedule.name} never lowers the learning rate in the {length} of this training"


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
