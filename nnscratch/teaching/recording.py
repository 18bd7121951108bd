"""A training step told while it is taken: every layer forward, the loss, every layer back, one weight's update.

What is shown of a layer, loss or optimizer is its own: its docstring's words and its `worked...` equations.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from nnscratch.component import Component
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.equations import Equation, FormulaError
from nnscratch.nn.layer import Layer
from nnscratch.teaching.explanation import ArrayView, Node, Phase, Section
from nnscratch.training.measurements import global_norm
from nnscratch.training.step import StepTaken
from nnscratch.training.trainer import Trainer
from nnscratch.training.update_equations import Before, clipping_equations


class Recording:
    """Looks on while a trainer takes a step; once it is taken, `sections` tells it.

    The network's layers are listened to from now on. What is told of one is made as soon as it has done its work, since
    later work overwrites the numbers; so an inner layer comes before its outer one.
    """

    def __init__(self, trainer: Trainer, example: int, shown: int) -> None:
        """Equations are of that example of the batch, from 0; arrays show so many from it on."""
        self.trainer, self.network, self.recipe = trainer, trainer.network, trainer.recipe
        self.example, self.shown = example, slice(example, example + shown)
        self.network.skip_input_gradient(False)  # training has no use for it, a reader has
        self._forward: list[Section] = []
        self._backward: list[Section] = []
        self._updates: list[Section] = []
        self._passed: dict[str, dict[str, ArrayView]] = {}
        """Of every layer, by its path, the example's x, y, dy and dx."""
        self._returned = self._kept = np.empty(0)
        """What a layer returned last, and a copy of it."""
        for layer in self.network.walk():
            self._listen(layer)

    def forward(self, x: Array, training: bool) -> Array:
        """y for a batch x."""
        y = self.network.forward(x, training)
        self._y = y.copy()
        return y

    def backward(self, dy: Array) -> Array | None:
        """Fills the gradient of the parameters, for the batch of the last forward."""
        self._dy = dy.copy()
        dx = self.network.backward(dy)
        parameters = self.network.parameters
        self._penalty = list(self.recipe.l2.worked(parameters, len(self._dy)))
        self._gradient = parameters.gradient[: parameters.trainable_size].copy()
        self._before = Before.of(parameters, self.recipe.optimizer.state)
        return dx

    def updated(self, factor: float, l2: float) -> None:
        """Tells the updates of the weights that the optimizer shows: it has stepped, and averaging comes next."""
        self.recipe.clip(self._before.gradient, global_norm(self._gradient))
        for at in self.recipe.optimizer.told_places(self._gradient):
            self._updates.append(self._update(at, factor, l2))
        average = self.trainer.average
        self._average_before = None if average is None else average.copy()
        self._theta = self.network.parameters.theta.copy()

    def sections(self, taken: StepTaken, step: int, total_steps: int) -> tuple[Section, ...]:
        """The step in order, once it is taken: number `step`, from 1, of so many."""
        y, dy, t, shown = self._y, self._dy, taken.t, self.shown
        assert t is not None  # of a step with an onlooker
        worked = self.recipe.loss.worked(y, t, taken.loss, dy, taken.w, self.example)
        arrays = [("y", y[shown]), ("t", t[shown]), ("dy", dy[shown])]
        loss = _section("loss", "", self.recipe.loss, arrays, [*worked, *self._penalty])
        return *self._forward, loss, *self._backward, *self._updates, *self._averaging(step, total_steps)

    def graph(self) -> tuple[Node, ...]:
        """The network, once the step is taken, with what the example was on its way."""
        return tuple(map(self._node, self.network.layers))

    def _node(self, layer: Layer) -> Node:
        passed = self._passed[layer.path]
        chains = tuple(tuple(map(self._node, chain.layers)) for chain in layer.children())
        weights = tuple((name, array.shape) for name, array in self._own(layer, self.network.parameters.theta))
        dy, dx = passed.get("dy"), passed.get("dx")
        return Node(layer.path, weights, passed["x"], passed["y"], dy, dx, chains, layer.joins)

    def _pass(self, layer: Layer, **arrays: Array) -> None:
        views = {name: ArrayView.of(name, array[self.example]) for name, array in arrays.items()}
        self._passed.setdefault(layer.path, {}).update(views)

    def _listen(self, layer: Layer) -> None:
        forward, backward, parameters = layer.forward, layer.backward, self.network.parameters
        given = made = np.empty(0)

        def forward_and_tell(x: Array, training: bool) -> Array:
            nonlocal given, made
            given = self._kept if x is self._returned else x.copy()  # the layer may write over it
            y = forward(x, training)
            made = y.copy()
            self._returned, self._kept = y, made
            arrays = [("x", given[self.shown]), *self._own(layer, parameters.theta), ("y", made[self.shown])]
            equations = layer.worked_forward(given, made, self.example)
            self._forward.append(_section("forward", layer.path, layer, arrays, equations))
            self._pass(layer, x=given, y=made)
            return y

        def backward_and_tell(dy: Array) -> Array | None:
            arriving = dy.copy()
            dx = backward(dy)
            gradients = [(f"d {name}", array) for name, array in self._own(layer, parameters.gradient)]
            passed = [] if dx is None else [("dx", dx[self.shown])]
            arrays = [("dy", arriving[self.shown]), *gradients, *passed]
            equations = layer.worked_backward(given, made, arriving, dx, self.example)
            self._backward.append(_section("backward", layer.path, layer, arrays, equations))
            self._pass(layer, dy=arriving, **({} if dx is None else {"dx": dx}))
            return dx

        layer.forward, layer.backward = forward_and_tell, backward_and_tell  # type: ignore[method-assign]  # of this one layer, while it is told of

    def _own(self, layer: Layer, vector: Array) -> Iterator[tuple[str, Array]]:
        """The layer's own arrays, without those of layers inside it, by their short names."""
        for name, array in self.network.parameters.named(vector).items():
            owner, _, short = name.rpartition(".")
            if owner == layer.path:
                yield short, array

    def _update(self, at: int, factor: float, l2: float) -> Section:
        """One weight's update."""
        parameters, recipe, before = self.network.parameters, self.recipe, self._before
        clipping = list(clipping_equations(self._gradient, at, recipe.clip_norm, recipe.clip_value))
        if clipping:
            before = replace(before, g=clipping[-1].name)
        equations = [*clipping, *recipe.optimizer.worked_update(parameters, before, at, factor, l2)]
        vectors = {"theta before": before.theta, "g": self._gradient, "theta after": parameters.theta}
        arrays = [(name, vector[at : at + 1]) for name, vector in vectors.items()]
        arrays.append(("all theta after", parameters.theta))
        return _section("update", self._name(at), recipe.optimizer, arrays, equations)

    def _averaging(self, step: int, total_steps: int) -> Iterator[Section]:
        """The average of the weight with the largest gradient, when weights are averaged."""
        averaging, before, after = self.recipe.averaging, self._average_before, self.trainer.average
        if averaging is None or before is None or after is None or not self._gradient.size:
            return
        theta = self.network.parameters.theta
        at = int(np.argmax(np.abs(self._gradient)))
        equations = averaging.worked_update(before[at], self._theta[at], after[at], step, total_steps)
        arrays = [("all theta after", theta), ("their average", after[: theta.size])]
        yield _section("average", self._name(at), averaging, arrays, equations)

    def _name(self, at: int) -> str:
        """`1.dense.weight[3, 2]`, of a place in theta."""
        for name, positions in self.network.parameters.named(np.arange(self.network.parameters.size)).items():
            if positions.size and positions.flat[0] <= at <= positions.flat[-1]:
                index = np.unravel_index(at - positions.flat[0], positions.shape)
                return f"{name}[{', '.join(str(int(each)) for each in index)}]"
        raise IndexError(at)


def _section(
    phase: Phase, place: str, component: Component, arrays: Iterable[tuple[str, Array]], equations: Iterable[Equation]
) -> Section:
    words = inspect.cleandoc(type(component).__doc__ or "").partition("\n\nDerivation:")[0]
    try:
        worked = tuple(equations)
    except FormulaError as error:
        raise FormulaError(f"{phase} {place}".rstrip() + f": {error.message}", error.hint) from None
    return Section(phase, place, words, tuple(ArrayView.of(name, array) for name, array in arrays), worked)
