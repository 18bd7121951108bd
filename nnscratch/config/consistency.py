"""What must fit together in a config, as far as it can be known before any data is read.

The checks read the canonical values, not the Config: they speak up beside the type errors, not after them.
"""

from __future__ import annotations

from collections.abc import Iterator

from nnscratch.component import catalogue
from nnscratch.config.node import KeyPath, Node
from nnscratch.config.problems import is_misspelt
from nnscratch.errors import Problem
from nnscratch.nn.losses import Loss
from nnscratch.training.metrics.known import metric_of


def inconsistencies(root: Node) -> Iterator[Problem]:
    """A problem for every pair of values that contradict each other."""
    yield from _model(root)
    yield from _validation(root)
    yield from _loss(root)
    yield from _fold(root)
    every = _given(root, "training", "checkpoint_every")
    if every is not None and not any(_given(every, unit) for unit in ("epochs", "steps", "minutes")):
        path = ("training", "checkpoint_every")
        yield (every.key or every.place).problem(path, "set at least one of epochs, steps, minutes")


def _model(root: Node) -> Iterator[Problem]:
    model = _given(root, "model")
    if model is None or not isinstance(model.content, dict):
        return
    hidden, layers = _given(model, "hidden_layers"), _given(model, "layers")
    both = {"hidden_layers", "layers"}
    # A canonical config has both; where one of them is there and empty, its lines are commented out.
    is_canonical = both <= model.content.keys()
    others = [key for key in model.content if key not in both]
    is_written = any(is_misspelt(name, others) for name in ("hidden_layers", "layers"))
    if hidden is None and layers is None and not is_written and not is_canonical:
        message = "needs hidden_layers (a list of widths, [] for a linear model) or layers (a list of layers)"
        yield (model.key or model.place).problem(("model",), message)
    if layers is None:
        return
    place = layers.key or layers.place
    where = f" (line {place.line})" if place.line is not None else f" ({place.source})"
    if hidden is not None:
        message = f"cannot be combined with model.layers{where}; keep one of hidden_layers and layers"
        yield _at_key(hidden, ("model", "hidden_layers"), message)
    for field, instead in (("activation", "put it between the layers"), ("output", "put it after the last layer")):
        if (node := _given(model, field)) is not None:
            yield _at_key(node, ("model", field), f"has no effect beside model.layers{where}; {instead}")


def _validation(root: Node) -> Iterator[Problem]:
    validation = _given(root, "data", "validation")
    if validation is None or validation.content != 0 or isinstance(validation.content, bool):
        return
    needing = [(("training", field), _given(root, "training", field)) for field in ("early_stopping", "monitor")]
    calibrate = _given(root, "evaluation", "calibrate")
    if calibrate is not None and calibrate.content != "none":
        needing.append((("evaluation", "calibrate"), calibrate))
    for path, node in needing:
        if node is not None:
            yield _at_key(node, path, "needs a validation split, but data.validation is 0")


def _loss(root: Node) -> Iterator[Problem]:
    name = _given(root, "loss", "name")
    text = name.content if name is not None else "cross_entropy"
    loss = catalogue(Loss).get(text) if isinstance(text, str) else None
    if loss is None:
        return
    task = _given(root, "data", "dataset", "task")
    regression = task is not None and task.content == "regression"
    if regression and "regression" not in loss.tasks:
        place = (name or task or root).place
        others = [other.name for other in catalogue(Loss).values() if "regression" in other.tasks]
        yield place.problem(
            ("loss",), f"{loss.name} is for classes, but data.dataset.task is regression; use {others[0]}"
        )
    monitor = _given(root, "training", "monitor")
    metric = metric_of(monitor.content) if monitor is not None and isinstance(monitor.content, str) else None
    if monitor is not None and metric is not None:
        tasks = ("regression",) if regression else loss.tasks
        if metric.task not in tasks:
            message = f"must be val_loss or a figure of {tasks[0]}, which has no {metric.title}"
            yield monitor.place.problem(("training", "monitor"), message)
    calibrate = _given(root, "evaluation", "calibrate")
    if calibrate is not None and calibrate.content == "temperature" and (regression or not loss.includes_softmax):
        message = "temperature divides what goes into softmax: it needs classes and the loss cross_entropy"
        yield calibrate.place.problem(("evaluation", "calibrate"), message)
    layers = _given(root, "model", "layers")
    if loss.includes_softmax and layers is not None and isinstance(layers.content, list) and layers.content:
        last = _given(layers.content[-1], "name")
        if last is not None and last.content == "softmax":
            path = ("model", "layers", len(layers.content) - 1)
            yield last.place.problem(path, f"the loss {loss.name} includes softmax; leave this last layer out")


def _fold(root: Node) -> Iterator[Problem]:
    number, of = _given(root, "data", "fold", "number"), _given(root, "data", "fold", "of")
    if number is None or of is None or not isinstance(number.content, int) or not isinstance(of.content, int):
        return
    if number.content > of.content:
        yield number.place.problem(("data", "fold", "number"), f"{number.content}, but there are {of.content} folds")


def _given(root: Node, *path: str) -> Node | None:
    """The node at a path when it is there and not null."""
    node, depth = root.nearest(path)
    return node if depth == len(path) and node.content is not None else None


def _at_key(node: Node, path: KeyPath, message: str) -> Problem:
    return (node.key or node.place).problem(path, message)
