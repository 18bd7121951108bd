"""`nnscratch explain CONFIG`: one training step told in formulas, shapes and numbers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnscratch.component import Component
from nnscratch.config.advice import AGAINST_DIVERGENCE
from nnscratch.config.assembly import prepare
from nnscratch.config.config import Config
from nnscratch.errors import DivergenceError, UsageError
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layer import Layer
from nnscratch.nn.network import Network
from nnscratch.teaching.equations import (
    Equation,
    backward_equations,
    forward_equations,
    loss_equations,
    penalty_equation,
    update_equations,
)
from nnscratch.training.measurements import global_norm
from nnscratch.training.recipe import Recipe
from nnscratch.training.step import StepTaken
from nnscratch.training.trainer import Trainer

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
    """So many are shown of arrays with a row for each."""
    batch: int
    """Examples of the step."""
    sections: tuple[Section, ...]

    @property
    def equations(self) -> list[Equation]:
        return [equation for section in self.sections for equation in section.equations]

    @property
    def introduction(self) -> str:
        shown = f", of which arrays show the first {self.examples}" if self.examples < self.batch else ""
        return (
            f"Training step {self.step} of {self.name}, with the {self.batch} examples of its batch{shown}, in "
            "float64. Of every array the entry with the largest value is computed by hand, from the numbers shown."
        )


def explain(config: Config, workplace: Workplace, display: Display, *, sample: int = 2, step: int = 1) -> Explanation:
    """Trains up to the step, takes it, and tells it; of arrays over the batch the first `sample` examples are shown.

    Raises UsageError when training is over before that step.
    """
    assembly = prepare(config, workplace, display)
    trainer = assembly.trainer(machine.choose_threads(workplace.threads), np.float64)
    batches = trainer.batches(assembly.splits.train)
    steps, epochs = len(batches), config.training.epochs
    if step > epochs * steps:
        raise UsageError(
            f"--step {step}: {config.name} trains for {epochs * steps:,} steps, {epochs} epochs of {steps:,} batches"
        )
    epoch, index = divmod(step - 1, steps)
    try:
        trainer.run_until(epoch, index, assembly.splits.train, assembly.splits.validation)
        told = ToldStep(trainer, sample)
        with np.errstate(all="ignore"):
            taken = trainer.step(batches, epoch, index, trainer.progress.losses, told)
    except DivergenceError as error:
        raise DivergenceError(error.message, AGAINST_DIVERGENCE) from None
    return Explanation(config.name, step, min(sample, len(taken.t)), len(taken.t), tuple(told.sections(taken)))


class ToldStep:
    """Tells a step while it is taken, in the network's place: layer by layer forward and back, then the update."""

    def __init__(self, trainer: Trainer, shown: int) -> None:
        self.trainer, self.network, self.recipe, self.shown = trainer, trainer.network, trainer.recipe, shown
        self.network.skip_input_gradient(False)  # training has no use for it, a reader has
        self._forward: list[Section] = []
        self._backward: list[Section] = []
        self._update: list[Section] = []
        self._passed: list[tuple[Layer, Array, Array]] = []
        """Every layer with its x and y."""

    def forward(self, x: Array, training: bool) -> Array:
        network, shown = self.network, self.shown
        self.penalty = self.recipe.l2.penalty(network.parameters, len(x))
        y = x.copy()
        for layer in network.layers:
            x = y
            y = layer.forward(x.copy(), training).copy()  # copies: it may write over its input, the next over y
            self._passed.append((layer, x, y))
            arrays = [("x", x[:shown]), *_parameters(network, layer, network.parameters.theta), ("y", y[:shown])]
            self._forward.append(_section(f"forward {layer.path}", layer, arrays, list(forward_equations(layer, x, y))))
        self.y = y
        return y.copy()

    def backward(self, dy: Array) -> Array | None:
        network, shown = self.network, self.shown
        self.dy = dy.copy()
        dx: Array | None = self.dy
        for layer, x, y in reversed(self._passed):
            if dx is None:
                break
            dy = dx
            passed = layer.backward(dy.copy())
            dx = None if passed is None else passed.copy()
            gradients = dict(_parameters(network, layer, network.parameters.gradient))
            arrays = [("dy", dy[:shown]), *((f"d {name}", each) for name, each in gradients.items())]
            arrays += [("dx", dx[:shown])] if dx is not None else []
            found = list(backward_equations(layer, x, y, dy, dx, gradients))
            self._backward.append(_section(f"backward {layer.path}", layer, arrays, found))
        self.gradient = self.trainer.step.gradient.copy()
        self.theta = network.parameters.theta.copy()
        self.memory = {name: vector.copy() for name, vector in self.recipe.optimizer.state.items()}
        return dx

    def updated(self, factor: float, l2: float) -> None:
        """The update of the weight with the largest gradient."""
        parameters, recipe, optimizer = self.network.parameters, self.recipe, self.recipe.optimizer
        if not self.gradient.size:  # all is frozen
            return
        at = int(np.argmax(np.abs(self.gradient)))
        equations = list(_clipping(self.gradient, at, recipe))
        segment = next(each for each in parameters.segments if each.start <= at < each.stop)
        coefficient = l2 if segment.group.decay else 0.0
        theta, clipped = float(self.theta[at]), equations[-1].value if equations else float(self.gradient[at])
        g = clipped + coefficient * theta
        if coefficient:
            numbers = f"{clipped:.9g} + {coefficient:.9g} * ({theta:.9g})"
            equations.append(Equation("g", "dL + lamda * theta", numbers, g, "the penalty's share of the gradient"))
        before = {"g": g, "theta": theta, **{name: float(vector[at]) for name, vector in self.memory.items()}}
        after = {"theta": float(parameters.theta[at])}
        rate = optimizer.learning_rate * factor * segment.group.learning_rate_scale
        equations += update_equations(optimizer, rate, before, after, segment.group.decay)
        positions = parameters.named(np.arange(parameters.size))
        name = next(name for name, array in positions.items() if (array == at).any())
        index = ", ".join(str(int(i[0])) for i in np.nonzero(positions[name] == at))
        arrays = [("theta before", np.array([theta])), ("g", np.array([g]))]
        arrays += [("theta after", np.array([after["theta"]])), ("all theta after", parameters.theta)]
        self._update.append(_section(f"update {name}[{index}]", optimizer, arrays, equations))

    def sections(self, taken: StepTaken) -> Iterator[Section]:
        """The step in order, once it is taken: forward, loss, backward, update, and averaging when there is any."""
        recipe, shown = self.recipe, self.shown
        yield from self._forward
        equations = list(loss_equations(recipe.loss, self.y, taken.t, taken.loss, self.dy))
        l2 = recipe.l2.coefficient(len(taken.t))
        if l2:
            equations.append(penalty_equation(l2, 2 * self.penalty / l2, self.penalty))
        arrays = [("y", self.y[:shown]), ("t", taken.t[:shown]), ("dy", self.dy[:shown])]
        yield _section("loss", recipe.loss, arrays, equations)
        yield from self._backward
        yield from self._update
        if recipe.averaging is not None and self.trainer.average is not None:
            theta, size = self.network.parameters.theta, self.network.parameters.size
            arrays = [("all theta after", theta), ("their average", self.trainer.average[:size])]
            yield _section("average", recipe.averaging, arrays, [])


def _clipping(gradient: Array, at: int, recipe: Recipe) -> Iterator[Equation]:
    """Entry `at` of a gradient that is clipped by its norm and by value, as far as that changes it."""
    g, norm = float(gradient[at]), global_norm(gradient)
    if recipe.clip_norm is not None and norm > recipe.clip_norm:
        numbers = f"{g:.9g} * {recipe.clip_norm:.9g} / {norm:.9g}"
        g *= recipe.clip_norm / norm
        yield Equation("g_clipped", "g * c / G", numbers, g, "G the norm of g")
    if recipe.clip_value is not None and abs(g) > recipe.clip_value:
        numbers = f"max(-{recipe.clip_value:.9g}, min({recipe.clip_value:.9g}, {g:.9g}))"
        g = math.copysign(recipe.clip_value, g)
        yield Equation("g_clipped", "max(-c, min(c, g))", numbers, g)


def _section(title: str, component: Component, arrays: list[tuple[str, Array]], equations: list[Equation]) -> Section:
    words = inspect.cleandoc(type(component).__doc__ or "").partition("\n\nDerivation:")[0]
    return Section(title, words, tuple(ArrayView.of(name, array) for name, array in arrays), tuple(equations))


def _parameters(network: Network, layer: Layer, vector: Array) -> list[tuple[str, Array]]:
    """The layer's own arrays by their short names, copies of their views of a vector."""
    prefix = layer.path + "."
    named = network.parameters.named(vector)
    return [(name.removeprefix(prefix), array.copy()) for name, array in named.items() if name.startswith(prefix)]
