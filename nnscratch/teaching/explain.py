"""`nnscratch explain CONFIG`: one training step told in formulas, shapes and numbers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnscratch.component import Component
from nnscratch.config.assembly import build_recipe
from nnscratch.config.config import Config
from nnscratch.config.preparation import prepare
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.layer import Layer
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.teaching.equations import (
    Equation,
    backward_equations,
    forward_equations,
    loss_equations,
    penalty_equation,
    update_equations,
)
from nnscratch.training.diagnosis.setting import scaled_inputs
from nnscratch.training.measurements import global_norm
from nnscratch.training.scaling import fit_targets, scale_targets
from nnscratch.training.trainer import Recipe

SMALL = 24
"""Arrays up to this size are shown in full."""


@dataclass(frozen=True)
class ArrayView:
    """An array by name: in full when it is small, else by its shape and figures."""

    name: str
    shape: tuple[int, ...]
    values: list[Any] | None
    figures: dict[str, float]

    @classmethod
    def of(cls, name: str, array: Array) -> ArrayView:
        figures = {
            "min": float(array.min()),
            "max": float(array.max()),
            "mean": float(array.mean()),
            "norm": float(np.sqrt(np.sum(np.square(array)))),
        }
        return cls(name, tuple(array.shape), array.tolist() if array.size <= SMALL else None, figures)

    @property
    def text(self) -> str:
        shape = " x ".join(map(str, self.shape))
        if self.values is not None:
            shown = np.array2string(np.array(self.values), precision=6, separator=", ", max_line_width=10_000)
            return f"{self.name} ({shape}) = {' '.join(shown.split())}"
        figures = ", ".join(f"{name} {value:.6g}" for name, value in self.figures.items())
        return f"{self.name} ({shape}): {figures}"


@dataclass(frozen=True)
class Section:
    """A part of the step: what the code's own words say, the arrays, and equations of single entries."""

    title: str
    words: str
    arrays: tuple[ArrayView, ...]
    equations: tuple[Equation, ...]


@dataclass(frozen=True)
class Explanation:
    """The step in order: forward, loss, backward, update."""

    name: str
    step: int
    examples: int
    sections: tuple[Section, ...]

    @property
    def equations(self) -> list[Equation]:
        return [equation for section in self.sections for equation in section.equations]

    @property
    def introduction(self) -> str:
        return (
            f"Training step {self.step} of {self.name}, told with {self.examples} examples, in float64. Of every array "
            "the entry with the largest value is computed by hand, from the numbers shown."
        )


def explain(config: Config, workplace: Workplace, display: Display, *, sample: int = 2, step: int = 1) -> Explanation:
    """Does the step, after `step` - 1 real ones, with the first `sample` examples of its batch."""
    machine.set_blas_threads(machine.choose_threads(workplace.threads))
    prepared = prepare(config, workplace, display)
    network, train = prepared.network, prepared.splits.train
    train = scale_targets(train, fit_targets(train, config.data.target_scaling))
    recipe = build_recipe(config, prepared.dataset, prepared.splits)
    affine = config.data.scaling.build().fit(train)
    streams = RandomStreams(config.seed)
    network.initialize(streams, np.float64)
    order = train.rows.copy()
    streams.stream("shuffle", 0).shuffle(order)
    if network.starts_from_data:
        network.fit_to(scaled_inputs(train, affine, order[:1000]).astype(np.float64))
    recipe.optimizer.bind(network.parameters, Workers(1))
    network.skip_input_gradient(False)

    size, steps = config.training.batch_size, -(-len(train) // config.training.batch_size)

    def batch(index: int, most: int) -> tuple[Array, Array]:
        rows = np.take(order, np.arange(index * size, index * size + min(size, most, len(order))), mode="wrap")
        t = train.targets[rows]
        return scaled_inputs(train, affine, rows).astype(np.float64), t if t.ndim == 1 else t.astype(np.float64)

    def factor(number: int) -> float:
        return recipe.schedule(number, recipe.epochs * steps, steps)

    for number in range(step - 1):
        network.moment.step = number
        x, t = batch(number, size)
        _, dy = recipe.loss(network.forward(x, training=True), t)
        network.backward(dy)
        recipe.clip(network.parameters.gradient[: network.parameters.trainable_size])
        recipe.optimizer.step(factor(number), recipe.l2.coefficient(len(t)))
    network.moment.step = step - 1
    x, t = batch(step - 1, sample)
    sections = tuple(_sections(network, recipe, x, t, factor(step - 1)))
    return Explanation(config.name, step, len(t), sections)


def _sections(network: Network, recipe: Recipe, x: Array, t: Array, factor: float) -> Iterator[Section]:
    inputs, outputs = [], []
    y = x
    for layer in network.layers:
        inputs.append(y.copy())
        y = layer.forward(y.copy(), True)  # a copy: it may write over what it is given
        outputs.append(y.copy())
        arrays = [("x", inputs[-1]), *_parameters(network, layer, network.parameters.theta), ("y", outputs[-1])]
        yield _section(f"forward {layer.path}", layer, arrays, list(forward_equations(layer, inputs[-1], outputs[-1])))

    y = outputs[-1]
    value, dy = recipe.loss(y.copy(), t)
    dy = dy.copy()
    equations = list(loss_equations(recipe.loss, y, t, value, dy))
    decaying = [each for each in network.parameters.segments if each.group.decay and not each.group.frozen]
    coefficient = recipe.l2.coefficient(len(t))
    if coefficient:
        weights = np.concatenate([network.parameters.theta[each.start : each.stop] for each in decaying])
        penalty = recipe.l2.penalty(network.parameters, len(t))
        equations.append(penalty_equation(coefficient, float(np.dot(weights, weights)), penalty))
    yield _section("loss", recipe.loss, [("y", y), ("t", t), ("dy", dy)], equations)

    for layer, given, made in reversed(list(zip(network.layers, inputs, outputs, strict=True))):
        arriving = dy.copy()
        passed = layer.backward(dy.copy())
        dx = None if passed is None else passed.copy()
        gradients = dict(_parameters(network, layer, network.parameters.gradient))
        arrays = [("dy", arriving), *((f"d {name}", each) for name, each in gradients.items())]
        arrays += [("dx", dx)] if dx is not None else []
        found = list(backward_equations(layer, given, made, arriving, dx, gradients))
        yield _section(f"backward {layer.path}", layer, arrays, found)
        if dx is None:
            break
        dy = dx
    yield _update(network, recipe, len(t), factor)


def _update(network: Network, recipe: Recipe, batch_size: int, factor: float) -> Section:
    """The update of the weight with the largest gradient."""
    parameters, optimizer = network.parameters, recipe.optimizer
    trainable = parameters.gradient[: parameters.trainable_size]
    equations = []
    at = int(np.argmax(np.abs(trainable)))
    raw = float(trainable[at])
    norm = global_norm(trainable)
    recipe.clip(trainable, norm)
    clipped = float(trainable[at])
    if recipe.clip_norm is not None and norm > recipe.clip_norm:
        numbers = f"{raw:.9g} * {recipe.clip_norm:.9g} / {norm:.9g}"
        equations.append(Equation("g_clipped", "g * c / G", numbers, raw * recipe.clip_norm / norm, "G the norm of g"))
    segment = next(each for each in parameters.segments if each.start <= at < each.stop)
    coefficient = recipe.l2.coefficient(batch_size) if segment.group.decay else 0.0
    theta = float(parameters.theta[at])
    g = clipped + coefficient * theta
    if coefficient:
        numbers = f"{clipped:.9g} + {coefficient:.9g} * ({theta:.9g})"
        equations.append(Equation("g", "dL + lamda * theta", numbers, g, "the penalty's share of the gradient"))
    before = {"g": g, "theta": theta, **{name: float(vector[at]) for name, vector in optimizer.state.items()}}
    optimizer.step(factor, recipe.l2.coefficient(batch_size))
    after = {"theta": float(parameters.theta[at])}
    rate = optimizer.learning_rate * factor * segment.group.learning_rate_scale
    equations += update_equations(optimizer, rate, before, after, segment.group.decay)
    positions = parameters.named(np.arange(parameters.size))
    name = next(name for name, array in positions.items() if (array == at).any())
    index = ", ".join(str(int(i[0])) for i in np.nonzero(positions[name] == at))
    arrays = [("theta before", np.array([theta])), ("g", np.array([g])), ("theta after", np.array([after["theta"]]))]
    return _section(f"update {name}[{index}]", optimizer, arrays, equations)


def _section(title: str, component: Component, arrays: list[tuple[str, Array]], equations: list[Equation]) -> Section:
    words = inspect.cleandoc(type(component).__doc__ or "").partition("\n\nDerivation:")[0]
    return Section(title, words, tuple(ArrayView.of(name, array) for name, array in arrays), tuple(equations))


def _parameters(network: Network, layer: Layer, vector: Array) -> list[tuple[str, Array]]:
    """The layer's own arrays by their short names, copies of their views of a vector."""
    prefix = layer.path + "."
    named = network.parameters.named(vector)
    return [(name.removeprefix(prefix), array.copy()) for name, array in named.items() if name.startswith(prefix)]
