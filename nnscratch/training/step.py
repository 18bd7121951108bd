"""One training step: a batch forward, the loss, backward, the update. What it does follows from (epoch, step)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np

from nnscratch.errors import DivergenceError
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.communicator import ALONE, Communicator
from nnscratch.nn.compute.row_products import RowProducts
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.losses import value_and_gradient
from nnscratch.nn.network import Network
from nnscratch.nn.parameters import Parameters
from nnscratch.training.averaging import Averaging
from nnscratch.training.batches import Part, TrainingBatches
from nnscratch.training.divergence import LARGE, guarded_step, locate, not_finite, step_diverged
from nnscratch.training.evaluation import count_correct
from nnscratch.training.halves import Halves, are_worth_it
from nnscratch.training.measurements import LayerMeasurements, sum_of_squares
from nnscratch.training.recipe import Recipe


class Onlooker(Protocol):
    """Takes the network's place on the way forward and back, doing what it would do, and so sees all of a step."""

    def forward(self, x: Array, training: bool) -> Array:
        """y for a batch x."""

    def backward(self, dy: Array) -> Array | None:
        """Fills the gradient of the parameters, for the batch of the last forward."""

    def updated(self, factor: float, l2: float) -> None:
        """The optimizer has stepped, with that factor of its learning rate and that lambda; averaging comes next."""


class StepTaken(NamedTuple):
    """What a step saw and did."""

    t: Array | None
    """The targets of this process's rows of its batch, in a buffer that the next batch overwrites; None of `Halves`."""
    w: Array | None
    """The weights of these examples, where they have any."""
    examples: int
    """In the batch, of all processes."""
    loss: float
    """Of the batch, before the update, without penalty."""
    correct: int
    """Examples whose largest output is at their label."""
    gradient_norm: float
    """Before clipping."""
    measures: Mapping[str, float] | None
    """Of every layer, gradient norm and update ratio; None in most steps."""
    asked: Sequence[bool]
    """Which of the questions somebody said yes to, of all processes."""


class Seen(NamedTuple):
    """What a process saw of a batch when the gradient is there."""

    t: Array | None
    w: Array | None
    loss: float
    correct: int
    squares: float
    """|g|^2 of the part that it owns."""


class TrainingStep:
    """A network's step from one theta to the next; epoch and step count from 0:

        x, t, w = batch(epoch, step),  y = f(x),  L, dy = loss(y, t, w),  g = dL / dtheta, clipped
        theta = optimizer(theta, g + lambda W, rate * factor),  average = averaging(average, theta)

    It depends on (epoch, step), on the losses of the epochs before, and on what steps change: the parameters' values,
    the optimizer's memory and `average`. Nothing else is kept, so that any step can be asked for.

    Processes that share the batch take the step together. With rows n of N, each has n / N of L and of dy, so that the
    sum over the processes is L and g. Then each updates a part of theta, and is sent the others' (Rajbhandari et al.
    2020, stage 1): time and memory of the optimizer are divided by the number of processes.
    """

    def __init__(self, network: Network, recipe: Recipe, workers: Workers, communicator: Communicator = ALONE) -> None:
        self.network, self.recipe, self.communicator = network, recipe, communicator
        network.moment.communicator = communicator
        parameters = network.parameters
        self.products = None if communicator.size == 1 else RowProducts(communicator)
        # Layers of others may change W or dW themselves, each process its own.
        self._knows_layers = all(type(layer).__module__.startswith("nnscratch.") for layer in network.walk())
        if self.products is not None:
            communicator.copy_from_first(parameters.values)
            network.move(self._memory(), communicator.zeros(parameters.size, parameters.theta.dtype))
            communicator.wait()
        self.borders = recipe.optimizer.borders(parameters, communicator.size)
        self.own = slice(*self.borders[communicator.rank : communicator.rank + 2])
        self.halves: Halves | None = None
        if communicator.size == 1 and are_worth_it(network, recipe, workers):
            self.halves = Halves(network, recipe, workers)
        else:
            recipe.optimizer.bind(parameters, workers, self.own)
        self.gradient = parameters.gradient[: parameters.trainable_size]
        self.theta = parameters.theta[: parameters.trainable_size]
        self.measurements = LayerMeasurements(parameters, workers)
        self.average: Array | None = None
        """theta and the running statistics, averaged over the steps."""
        if recipe.averaging:
            own = None if self.halves is None else self.halves.average
            self.average = np.empty_like(parameters.values) if own is None else own
            np.copyto(self.average, parameters.values)
        self._scratch = np.empty_like(parameters.values) if recipe.averaging else None
        self._state_before = np.empty_like(parameters.state)

    def rest(self) -> None:
        """Ends what is kept running from step to step; the next step begins it anew."""
        if self.halves is not None:
            self.halves.end()

    def _memory(self) -> Array:
        """Where theta and the running statistics are to be: with all processes in one, when they write parts alone."""
        parameters, communicator = self.network.parameters, self.communicator
        size, dtype = parameters.values_size, parameters.theta.dtype
        all_write = parameters.state.size or self.recipe.averaging is not None or not self._knows_layers
        values = None if all_write else communicator.common(size, dtype)
        return communicator.zeros(size, dtype) if values is None else values

    @staticmethod
    def size(parameters: Parameters, recipe: Recipe) -> int:
        """How many numbers a step holds for itself, beside parameters and optimizer: what `__init__` allocates."""
        averaged = 2 * parameters.values_size if recipe.averaging else 0
        return averaged + parameters.values_size - parameters.size + LayerMeasurements.size(parameters)

    def __call__(
        self,
        batches: TrainingBatches,
        epoch: int,
        step: int,
        losses: Sequence[float],
        onlooker: Onlooker | None = None,
        questions: Sequence[bool] = (),
    ) -> StepTaken:
        """Takes the step. `questions` are put to all processes at once: whether somebody says yes.

        Raises DivergenceError, the weights as they were, when the loss, a gradient or the next weights are not finite.
        """
        if self.halves is not None and onlooker is None:
            with self.network.workers.none_but_this():
                return self._in_halves(self.halves, batches, epoch, step, losses, questions)
        network = self.network
        # Running statistics see a batch before its loss is known.
        np.copyto(self._state_before, network.parameters.state)
        seen = self._gradient(batches, epoch, step, network if onlooker is None else onlooker)
        return self._update(seen, batches, epoch, step, losses, onlooker, questions)

    def _in_halves(
        self,
        halves: Halves,
        batches: TrainingBatches,
        epoch: int,
        step: int,
        losses: Sequence[float],
        questions: Sequence[bool],
    ) -> StepTaken:
        """The step of two processes: gradient and update at once, where nothing has to be known in between."""
        recipe, steps, total = self.recipe, batches.steps, batches.size(step)
        np.copyto(self._state_before, self.network.parameters.state)
        loss, correct, bound = halves.rows(batches, epoch, step)
        factor, l2 = self._factor_and_l2(batches, epoch, step, losses)
        may_clip = recipe.clip_norm is not None and not bound <= recipe.clip_norm
        is_safe = self._is_safe(loss, bound, factor, l2) and self._has_finite_state()
        if epoch + step == 0 or may_clip or not is_safe:
            seen = Seen(None, None, loss, correct, halves.gradient(total))
            return self._update(seen, batches, epoch, step, losses, None, questions, halves)
        measured = self.measurements.is_due(step, steps)
        norm = math.sqrt(halves.learn(epoch * steps + step, total, factor, l2, measured))
        measures = halves.measures() if measured else None
        return StepTaken(None, None, total, loss, correct, norm, measures, questions)

    def _update(
        self,
        seen: Seen,
        batches: TrainingBatches,
        epoch: int,
        step: int,
        losses: Sequence[float],
        onlooker: Onlooker | None,
        questions: Sequence[bool],
        halves: Halves | None = None,
    ) -> StepTaken:
        """What comes after the gradient; with `halves`, the optimizer's step is theirs."""
        recipe, communicator, own = self.recipe, self.communicator, self.gradient[self.own]
        number, steps = epoch * batches.steps + step, batches.steps
        own_sums = np.array([seen.loss, seen.correct, seen.squares, *questions], np.float64)
        loss, correct, squares, *said = communicator.sum(own_sums).tolist()
        norm = math.sqrt(squares) if squares >= 0 else math.nan
        if not (math.isfinite(loss) and math.isfinite(norm) and self._has_finite_state()):
            raise self._diverged(batches, epoch, step)

        measured = self.measurements.is_due(step, steps)
        if measured:
            communicator.all_gather(self.gradient, self.borders)
            self.measurements.before_update()
            communicator.wait()  # until nobody needs the weights from before
        factor, l2 = self._factor_and_l2(batches, epoch, step, losses)
        # Checked, and taken back if need be, when it is the first or something is large.
        is_safe = number > 0 and self._is_safe(loss, norm, factor, l2)
        if halves is not None and is_safe:
            halves.update(factor, l2, norm)
        else:
            recipe.clip(own, norm)
            if is_safe:
                recipe.optimizer.step(factor, l2)
            else:
                self._guarded_update(factor, l2, epoch, step)
        communicator.all_gather(self.theta, self.borders)
        if onlooker is not None:
            onlooker.updated(factor, l2)
        if recipe.averaging and self.average is not None:
            self._update_average(recipe.averaging, self.average, number + 1, recipe.epochs * steps)
        measures = self.measurements.after_update() if measured else None
        asked = [count > 0 for count in said]
        return StepTaken(seen.t, seen.w, batches.size(step), loss, int(correct), norm, measures, asked)

    def _factor_and_l2(
        self, batches: TrainingBatches, epoch: int, step: int, losses: Sequence[float]
    ) -> tuple[float, float]:
        """The schedule's factor of the learning rate, and the lambda of the gradient lambda W."""
        factor = self.recipe.learning_rate_factor(epoch * batches.steps + step, batches.steps, losses)
        return factor, self.recipe.l2.coefficient(batches.size(step))

    def _is_safe(self, loss: float, norm: float, factor: float, l2: float) -> bool:
        """Whether a step after the first leaves the weights finite, as nothing is large."""
        optimizer = self.recipe.optimizer
        rate = max(optimizer.learning_rate, optimizer.rate) * factor
        # With more than 2, weights that nothing but penalty or decay changes grow from step to step.
        decay = max(l2, optimizer.strongest_decay)
        return rate * decay < 1 and all(abs(each) < LARGE for each in (loss, norm, rate, l2))

    def _has_finite_state(self) -> bool:
        """Whether the running statistics are finite, which may overflow where normalised outputs do not."""
        state = self.network.parameters.state
        return not state.size or bool(np.isfinite(state).all())

    def _gradient(self, batches: TrainingBatches, epoch: int, step: int, passes: Onlooker | Network) -> Seen:
        """Forward and back with this process's rows of the batch."""
        moment, part = self.network.moment, batches.part(step)
        moment.step, moment.first_row, moment.counts = epoch * batches.steps + step, part.start, part.count > 0
        x, t = batches.batch(epoch, step)
        y = passes.forward(x, training=True)
        w = batches.weights(step)
        correct = count_correct(y, batches.labels(t)) if part.count else 0
        value, dy = value_and_gradient(self.recipe.loss, y, t, w)
        if part.count != part.total:
            value, dy = value * (part.count / part.total), np.multiply(dy, part.count / part.total, out=dy)
        self._backward(passes, dy, part)
        # A loss of one's own may give one of NumPy's numbers.
        return Seen(t, w, float(value), correct, sum_of_squares(self.gradient[self.own]))

    def optimizer_state(self) -> dict[str, Array]:
        """The optimizer's memory of the whole trained part of theta, by name; all processes ask for it together."""
        parts = self.recipe.optimizer.state
        if self.communicator.size == 1:
            return parts
        whole = {}
        for name, vector in parts.items():
            whole[name] = np.zeros(self.borders[-1], vector.dtype)
            whole[name][self.own] = vector
            self.communicator.all_gather(whole[name], self.borders)
        return whole

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Inside, the network holds the averaged weights when there are any; afterwards the trained ones again."""
        if self.average is None or self._scratch is None:
            yield
            return
        values = self.network.parameters.values
        np.copyto(self._scratch, values)
        np.copyto(values, self.average)
        try:
            yield
        finally:
            np.copyto(values, self._scratch)

    def _backward(self, passes: Onlooker | Network, dy: Array, part: Part) -> None:
        """gradient[own] = that of the whole batch; the rest of it is of these rows, or anything."""
        if self.products is None:
            passes.backward(dy)
            return
        self.products.expect(part.start, part.count, part.total)
        self.network.moment.row_sums = self.products if self._knows_layers else None
        passes.backward(dy)
        self.network.moment.row_sums = None
        self.products.reduce_scatter(self.gradient, self.borders)

    def _update_average(self, averaging: Averaging, average: Array, number: int, total: int) -> None:
        parameters, workers = self.network.parameters, self.network.workers

        def update(average: Array, values: Array) -> None:
            scratch = workers.scratch("averaging", values.shape, values.dtype)
            averaging.change(average, values, number, total, scratch)

        # What is frozen is its own average.
        for part in slice(0, parameters.trainable_size), slice(parameters.size, None):
            workers.elementwise(update, average[part], parameters.values[part])

    def _guarded_update(self, factor: float, l2: float, epoch: int, step: int) -> None:
        parameters = self.network.parameters
        place = guarded_step(self.recipe.optimizer, parameters, factor, l2, self.communicator)
        if place is not None:
            np.copyto(parameters.state, self._state_before)
            raise step_diverged(f"{place} after the update", epoch, step)

    def _diverged(self, batches: TrainingBatches, epoch: int, step: int) -> DivergenceError:
        """The error that names the first array that is not finite, found by repeating the step."""
        parameters, state = self.network.parameters, self.network.parameters.state
        # Two processes round in other places than one: what overflowed between them may not do so again.
        met = not_finite(parameters.named(parameters.gradient)) if self.halves is not None else None
        np.copyto(state, self._state_before)
        x, t = batches.batch(epoch, step)
        place = locate(self.network, self.recipe.loss, x.copy(), t, self.communicator)
        place = place or (met and f"the gradient of {met}")
        np.copyto(state, self._state_before)
        return step_diverged(place, epoch, step)
