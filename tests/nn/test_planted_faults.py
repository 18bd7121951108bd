"""Every kind of mistake one can make in a backward pass, planted: each is found, at its place; right layers pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.gradient_check import check_gradients, check_layers, check_loss
from nnscratch.nn.gradient_rows import ArrayCheck
from nnscratch.nn.initializers import Constant
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import (
    AveragePool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    LayerNorm,
    MaxPool,
    ReLU,
    Residual,
    Scale,
    Sigmoid,
    Softmax,
    Tanh,
)
from nnscratch.nn.losses import CrossEntropy, Loss, MeanSquaredError
from nnscratch.nn.network import Network
from nnscratch.nn.parameters import Parameters
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.nn.regularization import L2


@dataclass
class Case:
    """A network with a fault in it, or none, and where the fault is to be found."""

    layers: list[Layer]
    wrong: set[str]
    """Of the layers alone, the loss alone, or (when those are right) the network: the rows that are wrong."""
    hint: str = ""
    loss: Loss = field(default_factory=CrossEntropy)
    l2: L2 = field(default_factory=L2)
    shape: Shape = (6,)
    t: Array = field(default_factory=lambda: np.array([0, 2, 1, 2]))
    together: bool = False
    """Every layer is right alone."""


@dataclass(eq=False)
class Broken(Dense):
    """A dense layer whose backward pass is changed by `spoil`, after or in place of the right one."""

    spoil: Callable[[Any, Array, Array], Array | None] = field(default=lambda self, dy, dx: dx)

    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        return None if dx is None else self.spoil(self, dy, dx)


def dense(spoil: Callable[[Any, Array, Array], Any], wrong: set[str], hint: str = "", units: int = 6) -> Case:
    """6 -> 6 -> tanh -> [broken dense] -> tanh -> 3; what `spoil` returns is the new dx, unless it is None."""

    def changed(layer: Any, dy: Array, dx: Array) -> Array:
        result = spoil(layer, dy, dx)
        return result if isinstance(result, np.ndarray) else dx

    return Case(
        [Dense(units), Tanh(), Broken(units, spoil=changed), Tanh(), Dense(3)], {f"2.dense{w}" for w in wrong}, hint
    )


def scaled(name: str, factor: float) -> Callable[[Any, Array, Array], None]:
    def spoil(layer: Any, dy: Array, dx: Array) -> None:
        getattr(layer, name)[...] *= factor

    return spoil


def one_entry(layer: Any, dy: Array, dx: Array) -> None:
    layer.dW[17, 30] *= 1.5


def adds_up(layer: Any, dy: Array, dx: Array) -> None:
    layer.total = getattr(layer, "total", 0) + layer.dW
    layer.dW[...] = layer.total


@dataclass(eq=False)
class PlusEquals(Dense):
    def backward(self, dy: Array) -> Array | None:
        self.dW += self.x.T @ dy
        self.db[...] = dy.sum(axis=0)
        return dy @ self.W.T


@dataclass(eq=False)
class Rebinds(Dense):
    def backward(self, dy: Array) -> Array | None:
        self.dW = self.x.T @ dy
        self.db[...] = dy.sum(axis=0)
        return dy @ self.W.T


@dataclass(eq=False)
class NoBiasGradient(Dense):
    def backward(self, dy: Array) -> Array | None:
        self.dW[...] = self.x.T @ dy
        return dy @ self.W.T


@dataclass(eq=False)
class FirstWeights(Dense):
    """It keeps the weights of its first pass."""

    def forward(self, x: Array, training: bool) -> Array:
        self.x = x
        self.first = getattr(self, "first", self.W.copy())
        return x @ self.first + self.b


@dataclass(eq=False)
class InputOfThePassBefore(Dense):
    def forward(self, x: Array, training: bool) -> Array:
        self.earlier = getattr(self, "x", x)
        return super().forward(x, training)

    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        n = min(len(dy), len(self.earlier))
        self.dW[...] = self.earlier[:n].T @ dy[:n]
        return dx


@dataclass(eq=False)
class FirstBatchSize(Dense):
    """db as the mean over the first batch's number of examples times the present one."""

    def backward(self, dy: Array) -> Array | None:
        self.N = getattr(self, "N", len(dy))
        dx = super().backward(dy)
        self.db *= len(dy) / self.N
        return dx


@dataclass(eq=False)
class WholeBuffer(Dense):
    """It sums over all rows that its buffer ever had: those of a longer batch before are still there."""

    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        rows = getattr(self, "rows", np.zeros((0, dy.shape[1])))
        if len(rows) < len(dy):
            rows = np.zeros_like(dy)
        rows[: len(dy)] = dy
        self.rows = rows
        self.db[...] = rows.sum(axis=0)
        return dx


@dataclass(eq=False)
class WrongFor(Dense):
    """db is wrong for batches of some sizes."""

    sizes: Callable[[int], bool] = field(default=lambda size: False)

    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        if self.sizes(len(dy)):
            self.db *= 2
        return dx


@dataclass(eq=False)
class EarlyReturn(Dense):
    """It leaves its own gradients out, too, when nobody needs dx."""

    def backward(self, dy: Array) -> Array | None:
        return super().backward(dy) if self.needs_dx else None


@dataclass(eq=False)
class LeakyBackward(ReLU):
    def backward(self, dy: Array) -> Array | None:
        return dy * np.where(self.y > 0, 1, 0.1)


@dataclass(eq=False)
class TwiceRelu(ReLU):
    def backward(self, dy: Array) -> Array | None:
        return 2 * dy * (self.y > 0)


@dataclass(eq=False)
class TanhWithoutSquare(Tanh):
    def backward(self, dy: Array) -> Array | None:
        return np.asarray(dy * (1 - self.y))


@dataclass(eq=False)
class SlightlyWrongTanh(Tanh):
    def backward(self, dy: Array) -> Array | None:
        return np.asarray(dy * (1 - self.y**2) * (1 + 1e-5))


@dataclass(eq=False)
class SigmoidHalf(Sigmoid):
    def backward(self, dy: Array) -> Array | None:
        return dy * self.y


@dataclass(eq=False)
class SoftmaxDiagonal(Softmax):
    def backward(self, dy: Array) -> Array | None:
        return np.asarray(dy * self.y * (1 - self.y))


@dataclass(eq=False)
class DropoutWithoutFactor(Dropout):
    def backward(self, dy: Array) -> Array | None:
        return np.asarray(dy * self.kept)


@dataclass(eq=False)
class DropoutDrawnAgain(Dropout):
    def backward(self, dy: Array) -> Array | None:
        return np.asarray(dy * np.random.default_rng(1).integers(0, 2, dy.shape) * self.factor)


@dataclass(eq=False)
class DropoutWithoutStream(Dropout):
    """Every pass draws other numbers: there is nothing to differentiate."""

    def forward(self, x: Array, training: bool) -> Array:
        self.moment.step += 1
        return super().forward(x, training)


@dataclass(eq=False)
class BatchNormOfConstants(BatchNorm):
    """dx as if mean and deviation did not depend on x."""

    def backward(self, dy: Array) -> Array | None:
        super().backward(dy.copy())
        return dy * self.gamma / self.s


@dataclass(eq=False)
class BatchNormRawScale(BatchNorm):
    """dgamma of x in the place of the normalised x."""

    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy.copy())
        self.dgamma[...] = (dy * self.x).sum(axis=0)
        return dx


@dataclass(eq=False)
class BatchNormStaleMean(BatchNorm):
    """backward reads the mean of the batch before."""

    def forward(self, x: Array, training: bool) -> Array:
        self.earlier = getattr(self, "mean", np.zeros(x.shape[1]))
        return super().forward(x, training)

    def backward(self, dy: Array) -> Array | None:
        now, self.mean = self.mean, self.earlier
        dx = super().backward(dy)
        self.mean = now
        return dx


@dataclass(eq=False)
class CentredByTheBatchBefore(Layer):
    """forward subtracts the mean of the batch before."""

    name: ClassVar[str] = "centred"

    def forward(self, x: Array, training: bool) -> Array:
        earlier, self.mean = getattr(self, "mean", 0.0), x.mean(axis=0)
        return x - earlier

    def backward(self, dy: Array) -> Array | None:
        return np.asarray(dy - dy.mean(axis=0))


@dataclass(eq=False)
class LayerNormWithoutMean(LayerNorm):
    def backward(self, dy: Array) -> Array | None:
        super().backward(dy.copy())
        return np.asarray(dy * self.gamma / self.s)


@dataclass(eq=False)
class ConvNotTurned(Conv):
    """dx correlates with W as it is, and not turned around."""

    def backward(self, dy: Array) -> Array | None:
        self.method.set_weights(self.W[::-1, ::-1], self.workers)
        return super().backward(dy)


@dataclass(eq=False)
class ConvBiasOfOneImage(Conv):
    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        self.db[...] = dy[0].sum(axis=(0, 1))
        return dx


@dataclass(eq=False)
class MaxPoolToAll(MaxPool):
    def backward(self, dy: Array) -> Array | None:
        return np.repeat(np.repeat(dy, 2, axis=1), 2, axis=2)


@dataclass(eq=False)
class AveragePoolOfSums(AveragePool):
    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        return None if dx is None else 4 * dx


@dataclass(eq=False)
class ResidualWithoutShortcut(Residual):
    def backward(self, dy: Array) -> Array | None:
        return self.paths[0].backward(dy.copy())


@dataclass(eq=False)
class WritesOverInput(Scale):
    def forward(self, x: Array, training: bool) -> Array:
        x *= self.factor
        return x


@dataclass(eq=False)
class WritesOverGradient(Scale):
    def backward(self, dy: Array) -> Array | None:
        dy *= self.factor
        return dy


@dataclass(eq=False)
class OutputNotAskedFor(Layer):
    """It needs y again and does not say so."""

    def forward(self, x: Array, training: bool) -> Array:
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy: Array) -> Array | None:
        return np.asarray(dy * (1 - self.y**2))


@dataclass(eq=False)
class InputNotAskedFor(Layer):
    """It needs x again and says that it does not."""

    backward_needs_input: ClassVar[bool] = False

    def forward(self, x: Array, training: bool) -> Array:
        self.x = x
        return np.square(x)

    def backward(self, dy: Array) -> Array | None:
        return np.asarray(2 * dy * self.x)


@dataclass(eq=False)
class SumLoss(CrossEntropy):
    def __call__(self, y: Array, t: Array) -> tuple[float, Array]:
        value, dy = super().__call__(y, t)
        return value, dy * len(y)


@dataclass(eq=False)
class HardGradient(CrossEntropy):
    """The gradient forgets smoothing, class weights and mixtures."""

    def __call__(self, y: Array, t: Array) -> tuple[float, Array]:
        value, _ = super().__call__(y, t)
        labels = t if t.ndim == 1 else t.argmax(axis=1)
        return value, CrossEntropy()(y, labels)[1]


@dataclass(eq=False)
class SquaredWithoutTwo(MeanSquaredError):
    def __call__(self, y: Array, t: Array) -> tuple[float, Array]:
        value, dy = super().__call__(y, t)
        return value, dy / 2


@dataclass(frozen=True)
class BrokenL2(L2):
    factor: float = 1.0
    biases: bool = False

    def add_gradient(self, parameters: Parameters, batch_size: int) -> None:
        for segment in parameters.segments:
            if segment.group.decay or self.biases:
                piece = slice(segment.start, segment.stop)
                parameters.gradient[piece] += self.strength * self.factor * parameters.theta[piece]


def with_loss(loss: Loss, **more: Any) -> Case:
    return Case([Dense(3)], {"loss dy"}, loss=loss, **more)


def prepared(loss: CrossEntropy) -> CrossEntropy:
    loss.prepare(np.array([0, 1, 2]), 3)
    return loss


def images(layer: Layer, *wrong: str) -> Case:
    return Case([layer, Tanh(), Flatten(), Dense(3)], {f"0.{layer.name}{each}" for each in wrong}, shape=(6, 6, 2))


SHARES = np.array([[0.7, 0.3, 0], [0, 0.2, 0.8], [0.5, 0, 0.5], [1, 0, 0]])
AGAIN = "in every pass"

FAULTS: dict[str, Case] = {
    "sign of dW": dense(scaled("dW", -1), {".weight"}, "the sign is flipped"),
    "sign of db": dense(scaled("db", -1), {".bias"}, "the sign is flipped"),
    "sign of dx": dense(lambda layer, dy, dx: -dx, {" dx"}, "the sign is flipped"),
    "dW doubled": dense(scaled("dW", 2), {".weight"}, "2 times the right one"),
    "dW divided by the batch size": dense(scaled("dW", 1 / 4), {".weight"}, "1/4 of the right one, 4 being the batch"),
    "db times the batch size": dense(scaled("db", 4), {".bias"}, "4 times the right one, 4 being the batch size"),
    "dx divided by the batch size": dense(lambda layer, dy, dx: dx / len(dx), {" dx"}, "1/4 of the right one"),
    "dW transposed": dense(
        lambda layer, dy, dx: layer.dW.__setitem__(..., layer.dW.T.copy()), {".weight"}, "transposed"
    ),
    "dx by W in place of W^T": dense(lambda layer, dy, dx: dy @ layer.W, {" dx"}, "dx is dy W"),
    "dx left 0": dense(lambda layer, dy, dx: 0 * dx, {" dx"}, "every entry is 0"),
    "dW not a number": dense(scaled("dW", np.nan), {".weight"}),
    "one wrong entry of dW": dense(one_entry, {".weight"}, "few of its entries", units=40),
    "one wrong entry of dx": dense(
        lambda layer, dy, dx: dx + 0.01 * (np.arange(dx.size) == 5).reshape(dx.shape), {" dx"}
    ),
    "dW summed over the passes": dense(adds_up, {".weight"}),
    "dW += in place of =": Case([PlusEquals(3)], {"0.dense.weight"}, AGAIN),
    "dW rebound": Case([Rebinds(3)], {"0.dense.weight"}, "self.dW[...] = ..."),
    "no db": Case([NoBiasGradient(3)], {"0.dense.bias"}, AGAIN),
    "weights of the first pass": Case([FirstWeights(3)], {"0.dense.weight"}),
    "input of the pass before": Case([InputOfThePassBefore(3)], {"0.dense.weight"}),
    "batch size of the first pass": Case([FirstBatchSize(3)], {"0.dense.bias"}),
    "rows of a longer batch before": Case([WholeBuffer(3)], {"0.dense.bias"}),
    "wrong in a short batch": Case([WrongFor(3, sizes=lambda size: size < 4)], {"0.dense.bias"}, "2 times"),
    "wrong in a batch of one": Case([WrongFor(3, sizes=lambda size: size == 1)], {"0.dense.bias"}, "2 times"),
    "wrong in an odd batch": Case([WrongFor(3, sizes=lambda size: size % 2 == 1)], {"0.dense.bias"}, "2 times"),
    "wrong in a large batch": Case([WrongFor(3, sizes=lambda size: size > 4)], {"0.dense.bias"}, "2 times"),
    "left out with dx": Case([EarlyReturn(3)], {"0.dense.weight", "0.dense.bias"}),
    "relu with a leak": Case([Dense(6), LeakyBackward(), Dense(3)], {"1.relu dx"}),
    "all on kinks": Case([Dense(6, weight_init=Constant(0.0)), TwiceRelu(), Dense(3)], {"1.relu dx"}, "2 times"),
    "tanh without its square": Case([Dense(6), TanhWithoutSquare(), Dense(3)], {"1.tanh dx"}),
    "tanh off by a hundred-thousandth": Case([Dense(6), SlightlyWrongTanh(), Dense(3)], {"1.tanh dx"}, "1.00001 times"),
    "sigmoid without 1 - y": Case([Dense(6), SigmoidHalf(), Dense(3)], {"1.sigmoid dx"}),
    "softmax without its Jacobian": Case([Dense(3), SoftmaxDiagonal()], {"1.softmax dx"}, loss=MeanSquaredError()),
    "dropout without its factor": Case([Dropout(0.5), Dense(3)], {"0.dropout dx"}),
    "dropout drawn again": Case([DropoutDrawnAgain(0.5), Dense(3)], {"0.dropout dx"}),
    "batch_norm of constants": Case([BatchNormOfConstants(), Dense(3)], {"0.batch_norm dx"}),
    "batch_norm, dgamma of x": Case([BatchNormRawScale(), Dense(3)], {"0.batch_norm.scale"}),
    "batch_norm, mean of the batch before": Case(
        [BatchNormStaleMean(), Dense(3)], {"0.batch_norm.scale", "0.batch_norm dx"}
    ),
    "centred by the batch before": Case([CentredByTheBatchBefore(), Dense(3)], {"0.centred dx"}),
    "layer_norm without its mean": Case([LayerNormWithoutMean(), Dense(3)], {"0.layer_norm dx"}),
    "conv not turned around": images(ConvNotTurned(3), " dx"),
    "conv, db of one image": images(ConvBiasOfOneImage(3), ".bias"),
    "max_pool to every pixel": images(MaxPoolToAll(2), " dx"),
    "average_pool not divided": images(AveragePoolOfSums(2), " dx"),
    "residual without its shortcut": Case([ResidualWithoutShortcut((Dense(6), Tanh())), Dense(3)], {"0.residual dx"}),
    "input overwritten inside a residual": Case(
        [Residual((WritesOverInput(2.0), Tanh())), Dense(3)], {"0.residual dx"}
    ),
    "dy overwritten inside a residual": Case(
        [Residual((Tanh(), WritesOverGradient(2.0))), Dense(3)], {"0.residual dx"}
    ),
    "input overwritten that dense needs": Case(
        [Dense(6), Tanh(), WritesOverInput(2.0), Dense(3)], {"0.dense.weight", "0.dense.bias", "input"}, together=True
    ),
    "output overwritten by the next": Case(
        [Dense(6), OutputNotAskedFor(), Scale(2.0), Dense(3)], {"1. dx"}, "y again without asking for it"
    ),
    "input overwritten by others": Case(
        [Dense(6), InputNotAskedFor(), Dense(3)], {"1. dx"}, "backward_needs_input = True"
    ),
    "loss not divided by the batch": with_loss(SumLoss(), hint="4 times the right one"),
    "gradient without label smoothing": with_loss(HardGradient(label_smoothing=0.1)),
    "gradient without class weights": with_loss(prepared(HardGradient(class_weights=(1, 2, 3)))),
    "gradient of the likelier label under mixup": with_loss(HardGradient(), t=SHARES),
    "square without the 2": with_loss(SquaredWithoutTwo(), hint="0.5 times the right one"),
    "l2 doubled": Case([Dense(3)], {"0.dense.weight"}, l2=BrokenL2(0.1, factor=2), together=True),
    "l2 on biases": Case([Dense(3)], {"0.dense.bias"}, l2=BrokenL2(0.1, biases=True), together=True),
    "l2 not divided by the batch": Case([Dense(3)], {"0.dense.weight"}, l2=BrokenL2(0.1, True), together=True),
}
FAULTS["dropout without its factor"].layers[0] = DropoutWithoutFactor(0.5)


def checked(case: Case) -> tuple[list[ArrayCheck], list[ArrayCheck]]:
    """What is not right: alone, and end to end. Biases are not 0, where an error would hide."""
    network = Network(case.layers, case.shape)
    network.initialize(RandomStreams(1), np.float64)
    rng = np.random.default_rng(0)
    if not any(isinstance(layer, TwiceRelu) for layer in case.layers):
        network.parameters.theta += 0.1 * rng.standard_normal(network.parameters.size)
    x = rng.standard_normal((4, *case.shape))
    alone = [*check_layers(network, x), check_loss(case.loss, network.forward(x, training=True), case.t)]
    together = check_gradients(network, case.loss, x, case.t, case.l2)
    return [row for row in alone if row.verdict != "right"], [row for row in together if row.verdict != "right"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_at_its_place(fault: str) -> None:
    case = FAULTS[fault]
    alone, together = checked(case)
    found = together if case.together else alone
    assert {row.name for row in found} == case.wrong
    assert {row.verdict for row in found} == {"wrong"}
    assert not (alone if case.together else ())
    for row in found:
        assert case.hint in row.hint


def test_there_are_many_kinds_of_planted_faults() -> None:
    assert len(FAULTS) >= 50


def test_a_layer_that_draws_other_numbers_in_every_pass_is_not_taken_for_checked() -> None:
    alone, _ = checked(Case([DropoutWithoutStream(0.5), Dense(3)], set()))
    assert [row.name for row in alone] == ["0.dropout dx"]
