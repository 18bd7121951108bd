"""Muon: the hidden matrices of a network step equally far in every direction."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nnscratch.component import setting
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.equations import Equation, entry, in_turn
from nnscratch.nn.parameters import Group, Parameters, Placement, Segment
from nnscratch.training.chunks import Chunk
from nnscratch.training.optimizers import SGD, Optimizer
from nnscratch.training.update_equations import Before

COEFFICIENTS = 3.4445, -4.7750, 2.0315

NUMBERS_PER_PRODUCT = 40
"""An iteration on a matrix whose shorter side is so long takes about as long as all of SGD's passes over it."""


@dataclass(eq=False)
class Muon(Optimizer):
    """V = momentum V + G,   W -= rate orthogonal(G + momentum V)    for hidden weights W (n_in, K)

    After Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks". The filters of a convolution
    are the columns of one such matrix, n_in = kernel^2 C. All else, biases and the last matrix (the output layer), is
    trained as `sgd` with nesterov does, with the three settings that begin with sgd.

    orthogonal(G) = P Q^T, from the singular values G = P S Q^T, leaves every direction but makes all of them equally
    long. Newton and Schulz's iteration gets close to that with products alone. From X = G / |G|, again and again,

        A = X^T X,   X = X (a + b A + c A A)          a, b, c = 3.4445, -4.7750, 2.0315

    takes every singular value s to a s + b s^3 + c s^5: after five times, those that were above 0.002 of |G| are
    between 0.68 and 1.21, which is near enough to 1 (Jordan's coefficients favour speed).

    With normalize, W is brought to the length |W| = sqrt(K) before each step. It is meant for layers that batch_norm
    follows: there the length of W means nothing, and the rate sets how far W turns: it is about the tangent of the
    angle, or, of n_in < K, sqrt(K / n_in) times that.

    Derivation: of all steps -D with no singular value of D above 1, the one that lowers the loss most to first order
    has the largest sum_ij D_ij G_ij = trace(D^T P S Q^T) = trace((Q^T D^T P) S). It is at most the sum of the S, and
    D = P Q^T reaches that.
    """

    name: ClassVar[str] = "muon"

    learning_rate: float = setting(0.02, "step size of the hidden matrices", gt=0)
    momentum: float = setting(0.95, "share of the velocity that each step of a hidden matrix keeps", ge=0, lt=1)
    iterations: int = setting(5, "times the iteration is repeated", ge=1)
    normalize: bool = setting(False, "bring W to length sqrt(K) before each step")
    weight_decay: float = setting(0.0, "share of each weight removed per unit of its learning rate", ge=0)
    sgd_learning_rate: float = setting(0.1, "step size of all other parameters", gt=0)
    sgd_momentum: float = setting(0.9, "momentum of all other parameters", ge=0, lt=1)
    sgd_weight_decay: float | None = setting(None, "their weight_decay; left out: the same", ge=0)

    state_names: ClassVar[tuple[str, ...]] = ("velocity",)
    formula_in: ClassVar[tuple[str, ...]] = ("_turn", "_orthogonal")
    steps_relatively: ClassVar[bool] = True

    def contradictions(self) -> Iterator[tuple[str, str]]:
        if self.normalize and self.weight_decay:
            yield "weight_decay", "has no effect on matrices whose length `normalize` sets: use sgd_weight_decay"

    @property
    def strongest_decay(self) -> float:
        return max(self.weight_decay, self.sgd_weight_decay or 0.0)

    def without_effect(self, parameters: Parameters) -> Iterator[str]:
        if not hidden_names(parameters):
            yield (
                "this network has no hidden matrix for muon: all of it is trained as sgd does, by sgd_learning_rate; "
                "learning_rate, momentum and iterations have no effect"
            )

    def borders(self, parameters: Parameters, parts: int) -> list[int]:
        """Cut so that no hidden matrix is, and everybody has about as many operations as far as that goes."""
        places, costs = [0], [0.0]
        for each in sorted(hidden_matrices(parameters), key=lambda matrix: matrix.place.start):
            size, shorter = each.place.stop - each.place.start, min(math.prod(each.shape[:-1]), each.shape[-1])
            between = costs[-1] + each.place.start - places[-1]
            places += [each.place.start, each.place.stop]
            costs += [between, between + size * (1 + self.iterations * shorter / NUMBERS_PER_PRODUCT)]
        costs.append(costs[-1] + parameters.trainable_size - places[-1])
        places.append(parameters.trainable_size)
        return [_nearest(costs[-1] * part / parts, places, costs) for part in range(parts + 1)]

    def bind(
        self,
        parameters: Parameters,
        workers: Workers | None = None,
        own: slice | None = None,
        zeros: Callable[[int, npt.DTypeLike], Array] = np.zeros,
    ) -> None:
        theirs = slice(0, parameters.trainable_size) if own is None else own
        hidden = hidden_matrices(parameters)
        self.hidden = [each for each in hidden if theirs.start <= each.place.start < theirs.stop]
        super().bind(parameters, workers, own, zeros)
        self.rate = self.sgd_learning_rate
        self.main_rate = self.learning_rate if hidden else self.rate
        decay = self.weight_decay if self.sgd_weight_decay is None else self.sgd_weight_decay
        self.sgd = SGD(self.sgd_learning_rate, self.sgd_momentum, nesterov=self.sgd_momentum > 0, weight_decay=decay)
        self.matrices = [self.chunk(parameters, each.place, each.group) for each in self.hidden]
        # Shared out in this order: the longest work last would leave the other threads waiting for it.
        self.matrices.sort(key=lambda matrix: -matrix.theta.size)

    @property
    def wholes(self) -> Sequence[slice]:
        return [each.place for each in self.hidden]

    def chunk(self, parameters: Parameters, piece: slice, group: Group) -> Chunk:
        """That piece of theta; a hidden matrix as such."""
        chunk = super().chunk(parameters, piece, group)
        hidden = next((each for each in self.hidden if each.place == piece), None)
        if hidden is None:
            return chunk
        shape = math.prod(hidden.shape[:-1]), hidden.shape[-1]
        theta, g, V = (vector.reshape(shape) for vector in (chunk.theta, chunk.g, *chunk.state))
        return Chunk(theta, g, (V,), group)

    def segments(self, parameters: Parameters) -> Iterator[Segment]:
        """What is trained, without the hidden matrices."""
        for segment in super().segments(parameters):
            inside = [each.place for each in self.hidden if segment.start <= each.place.start < segment.stop]
            edges = sorted(edge for place in inside for edge in (place.start, place.stop))
            borders = [segment.start, *edges, segment.stop]
            for start, stop in zip(borders[::2], borders[1::2], strict=True):
                if start < stop:
                    yield Segment(segment.group, start, stop)

    def step(self, factor: float = 1.0, l2: float = 0.0) -> None:
        super().step(factor, l2)
        self.workers.run(lambda matrix: self.change(matrix, factor, l2), self.matrices)

    def change(self, chunk: Chunk, factor: float, l2: float) -> None:
        if chunk.theta.ndim == 2:
            self._turn(chunk, self.learning_rate * factor * chunk.group.learning_rate_scale, l2)
        else:
            super().change(chunk, factor, l2)

    def update(self, chunk: Chunk, rate: float, s: Array) -> None:
        self.sgd.update(chunk, rate, s)

    def _turn(self, matrix: Chunk, rate: float, l2: float) -> None:
        """The formula, on one hidden matrix, in place."""
        W, G, (V,) = matrix.theta, matrix.g, matrix.state
        X = self._buffer("direction", W)
        if l2 and matrix.group.decay:
            G += np.multiply(W, l2, out=X)
        V *= self.momentum
        V += G
        np.multiply(V, self.momentum, out=X)
        X += G
        X = self._orthogonal(X, self.iterations)
        if self.normalize:
            length = float(np.linalg.norm(W))
            W *= math.sqrt(W.shape[1]) / length if length else 1.0
        matrix.decay(rate * self.weight_decay)
        X *= rate
        W -= X

    def _orthogonal(self, G: Array, iterations: int) -> Array:
        """P Q^T nearly, written over G = P S Q^T; zero stays zero."""
        X = G if G.shape[0] >= G.shape[1] else G.T  # the smaller of X^T X and X X^T; both lead to the same
        length = float(np.linalg.norm(X))
        if length:
            X /= length
        a, b, c = COEFFICIENTS
        A = self._buffer("A", X[: X.shape[1]])
        B, XB = self._buffer("B", A), self._buffer("XB", X)
        for _ in range(iterations):
            np.matmul(X.T, X, out=A)
            np.matmul(A, A, out=B)
            B *= c
            A *= b
            B += A
            np.matmul(X, B, out=XB)
            X *= a
            X += XB
        return G

    def _buffer(self, name: str, like: Array) -> Array:
        return self.workers.scratch(name, like.shape, like.dtype)

    def told_places(self, gradient: Array) -> list[int]:
        in_hidden = np.zeros(len(gradient), bool)
        for each in self.hidden:
            in_hidden[each.place] = True
        parts = (np.where(part, np.abs(gradient), -1) for part in (in_hidden, ~in_hidden) if part.any())
        return [int(np.argmax(part)) for part in parts]

    def worked_update(
        self, parameters: Parameters, before: Before, at: int, factor: float, l2: float
    ) -> Iterator[Equation]:
        told = self._entry(parameters, before, at)
        yield from told.gradient(l2)
        hidden = next((each for each in self.hidden if each.place.start <= at < each.place.stop), None)
        yield from told.rate(self.learning_rate if hidden else self.rate, factor)
        if hidden is None:
            yield from self.sgd.worked_entry(told)
            return
        shape = math.prod(hidden.shape[:-1]), hidden.shape[-1]
        W, G, V = (
            vector[hidden.place].reshape(shape) for vector in (before.theta, before.gradient, self.state["velocity"])
        )
        D = G + (l2 * W if hidden.group.decay else 0) + self.momentum * V
        i, j = (int(each) for each in np.unravel_index(at - hidden.place.start, shape))
        told.values.update({"mu": self.momentum, "v": told.before[0], "D_ij": D.ravel()})
        lines = {
            "v_new": "mu * v + g",
            "D": "g + mu * v_new",
            "D_norm": "sqrt(sum_ij(D_ij**2))",
            "X_first": "D / D_norm",
        }
        yield from told.in_turn(lines, known={"v_new": told.after[0]})
        yield from self._worked_direction(D, i, j)
        told.values["O"] = self._orthogonal(D.copy(), self.iterations)[i, j]
        if self.normalize:
            told.values.update({"W_ij": W.ravel(), "K": shape[1]})
            yield from told.in_turn({"W_norm": "sqrt(sum_ij(W_ij**2))"})
            yield from told.replaced("theta", "theta_scaled", "theta * sqrt(K) / W_norm")
        yield from told.decay(self.weight_decay)
        yield from told.in_turn({"theta_new": "theta - alpha * O"}, known={"theta_new": told.theta})

    def _worked_direction(self, D: Array, i: int, j: int) -> Iterator[Equation]:
        """O[i, j] by the last of the iterations."""
        made = self._orthogonal(D.copy(), self.iterations)[i, j]
        X = self._orthogonal(D.copy(), self.iterations - 1)
        place, note = (i, j), f"X after {self.iterations - 1} of {self.iterations} iterations from D / |D|"
        if D.shape[0] < D.shape[1]:
            X, i, j, note = X.T, j, i, note + ", transposed"
        A = X.T @ X
        a, b, c = COEFFICIENTS
        B = b * A + c * A @ A
        k = int(np.argmax(np.abs(X[i] * B[:, j])))  # the largest term of the sum below
        values = {"X_ij": X[:, j], "X_ik": X[:, k], "A_jl": A[j], "A_lk": A[:, k], "b": b, "c": c}
        lines = {"A": "sum_i(X_ij * X_ik)", "B": "b * A + c * sum_l(A_jl * A_lk)"}
        yield from in_turn(lines, values, at=(j, k))
        values = {"a": a, "X": X[i, j], "X_ik": X[i], "B_kj": B[:, j]}
        yield Equation.of(entry("O", *place), "a * X + sum_k(X_ik * B_kj)", values, made, note)


def _nearest(cost: float, places: Sequence[int], costs: Sequence[float]) -> int:
    """The place up to which the costs come nearest to that; a hidden matrix, every second piece, is not cut."""
    index = min(max(bisect_left(costs, cost), 1), len(costs) - 1)
    if index % 2:
        return places[index - 1] + round(cost - costs[index - 1])
    return places[index] if costs[index] - cost <= cost - costs[index - 1] else places[index - 1]


def hidden_names(parameters: Parameters) -> list[str]:
    """The trained arrays of two axes or more, in the order of the layers, without that of the last layer."""
    matrices = [name for name, shape in parameters.shapes.items() if len(shape) > 1]
    return [name for name in matrices[:-1] if name in parameters.trainable_names]


def hidden_matrices(parameters: Parameters) -> list[Placement]:
    """Where they lie, once there is memory for them."""
    placements = dict(zip(parameters.shapes, parameters.placements, strict=True))
    return [placements[name] for name in hidden_names(parameters)]
