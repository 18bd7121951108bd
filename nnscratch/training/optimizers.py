"""How a gradient changes the weights. Each class is its formula on one chunk of the flat vector.

The base class cuts the vector into chunks that stay in cache, runs them on all cores, adds the gradient of L2, and
leaves frozen parameters alone. Chunk borders do not depend on the number of threads, so neither do the results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nnscratch.component import Component, setting
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.contract import broken
from nnscratch.nn.equations import Equation
from nnscratch.nn.parameters import Group, Parameters, Segment
from nnscratch.training.chunks import CHUNK, Chunk, part_of, pieces_of
from nnscratch.training.update_equations import Before, Entry


@dataclass(eq=False)
class Optimizer(Component):
    """theta changes against the gradient. `t` counts steps from 1; `rate` is the step's learning rate."""

    kind: ClassVar[str] = "optimizer"
    state_names: ClassVar[tuple[str, ...]] = ()
    """The vectors it keeps from step to step, each as long as the trainable part of theta, zero at the start."""
    steps_relatively: ClassVar[bool] = False
    """The learning rate says how large an update is beside the weights: that it is large is no sign of anything."""

    learning_rate: float = setting(0.001, "step size", gt=0)

    def state_size(self, parameters: Parameters) -> int:
        """How many numbers `bind` allocates for these parameters."""
        return len(self.state_names) * parameters.trainable_size

    def borders(self, parameters: Parameters, parts: int) -> list[int]:
        """Where the trained part of theta is cut to be updated by so many processes: equally."""
        return [parameters.trainable_size * part // parts for part in range(parts + 1)]

    def bind(
        self,
        parameters: Parameters,
        workers: Workers | None = None,
        own: slice | None = None,
        zeros: Callable[[int, npt.DTypeLike], Array] = np.zeros,
    ) -> None:
        """Allocates the state for these parameters and cuts the vectors into chunks; of an `own` part, for that alone.

        An own part lies between two `borders`. `zeros` gives the memory.
        """
        self.t = 0
        self.rate = self.main_rate = self.learning_rate
        """The learning rate of what the chunks hold, before schedule and group; `main_rate` is logged."""
        self.own = slice(0, parameters.trainable_size) if own is None else own
        """The part of theta that `step` changes."""
        size = self.own.stop - self.own.start
        self.workers = workers if workers is not None and size > 2 * CHUNK else Workers()  # else not worth the handover
        self.state = {name: zeros(size, parameters.theta.dtype) for name in self.state_names}
        self.chunks = [
            self.chunk(parameters, piece, segment.group)
            for segment in self.segments(parameters)
            for piece in pieces_of(segment)
        ]

    @property
    def strongest_decay(self) -> float:
        """The largest share of a weight that a step removes, per unit of the largest learning rate."""
        return float(getattr(self, "weight_decay", None) or 0.0)

    def without_effect(self, parameters: Parameters) -> Iterator[str]:
        """What is to be told of settings that do nothing for these parameters."""
        return iter(())

    @property
    def wholes(self) -> Sequence[slice]:
        """Where in theta those lie that no chunk has a part of: each is one of its own."""
        return ()

    def segments(self, parameters: Parameters) -> Iterable[Segment]:
        """The pieces of theta that `update` changes: all that is trained."""
        trained = (segment for segment in parameters.segments if not segment.group.frozen)
        return (part for segment in trained for part in part_of(segment, self.own))

    def chunk(self, parameters: Parameters, piece: slice, group: Group) -> Chunk:
        """That piece of theta and of all that goes with it."""
        place = slice(piece.start - self.own.start, piece.stop - self.own.start)
        state = tuple(vector[place] for vector in self.state.values())
        return Chunk(parameters.theta[piece], parameters.gradient[piece], state, group)

    def step(self, factor: float = 1.0, l2: float = 0.0) -> None:
        """One update of theta from the gradient; factor is the schedule's, l2 the lambda of the gradient lambda W."""
        self.t += 1
        self.workers.run(lambda chunk: self.change(chunk, factor, l2), self.chunks)

    def change(self, chunk: Chunk, factor: float, l2: float) -> None:
        """Step `t` of one chunk."""
        s = self.workers.scratch("optimizer", chunk.theta.shape, chunk.theta.dtype)
        if l2 and chunk.group.decay:
            np.multiply(chunk.theta, l2, out=s)
            np.add(chunk.g, s, out=chunk.g)
        given: object = self.update(chunk, self.rate * factor * chunk.group.learning_rate_scale, s)  # type: ignore[func-returns-value]  # of others it may
        if given is not None:
            raise broken(type(self).update, given, "None: it writes the new theta into chunk.theta")

    def update(self, chunk: Chunk, rate: float, s: Array) -> None:
        """The formula, on one chunk, in place; g may be overwritten, s is scratch memory of its size."""
        raise NotImplementedError

    def told_places(self, gradient: Array) -> list[int]:
        """Whose updates `explain` shows: of all that is treated alike, the number with the largest gradient."""
        return [int(np.argmax(np.abs(gradient)))] if gradient.size else []

    def worked_update(
        self, parameters: Parameters, before: Before, at: int, factor: float, l2: float
    ) -> Iterator[Equation]:
        """theta[at] of the last step by hand, which started from `before` and was given this factor and l2."""
        entry = self._entry(parameters, before, at)
        yield from entry.gradient(l2)
        yield from entry.rate(self.rate, factor)
        yield from self.worked_entry(entry)

    def worked_entry(self, entry: Entry) -> Iterator[Equation]:
        """The formula on one number; none for an optimizer that does not bring it."""
        return iter(())

    def _entry(self, parameters: Parameters, before: Before, at: int) -> Entry:
        group = next(each.group for each in parameters.segments if each.start <= at < each.stop)
        values = {"theta": before.theta[at], before.g: before.gradient[at], "t": self.t}
        old, new = ([vector[at] for vector in state.values()] for state in (before.state, self.state))
        return Entry(values, old, new, parameters.theta[at], group, {"g": before.g})


@dataclass(eq=False)
class SGD(Optimizer):
    """v = momentum v + (1 - dampening) g,   theta -= rate v                      (Polyak 1964)

    With nesterov, theta -= rate (g + momentum v) (Sutskever et al. 2013, as PyTorch). With weight_decay, before that
    and on the weights alone, theta -= rate weight_decay theta (Loshchilov & Hutter 2019). With momentum 0, theta -=
    rate g. `dampening` equal to momentum makes v a running average of gradients. Unlike PyTorch's, the first step is
    dampened too, and nesterov goes with dampening, which g alone then has not.

    Derivation: to first order L(theta - rate g) = L(theta) - rate |g|^2: no direction lowers the loss faster. v sums
    the gradients of the past, each weighted by the momentum once more per step: what they agree on grows.
    """

    name: ClassVar[str] = "sgd"
    also_called: ClassVar[tuple[str, ...]] = ("momentum", "nesterov", "gradientdescent")

    learning_rate: float = setting(0.01, "step size", gt=0)
    momentum: float = setting(0.0, "share of the velocity that each step keeps", ge=0, lt=1)
    dampening: float = setting(0.0, "share of the gradient that does not enter the velocity", ge=0, lt=1)
    nesterov: bool = setting(False, "look ahead: step by gradient plus momentum times velocity")
    weight_decay: float = setting(0.0, "share of each weight removed per unit of learning rate", ge=0)

    state_names: ClassVar[tuple[str, ...]] = ("velocity",)

    def contradictions(self) -> Iterator[tuple[str, str]]:
        for field, given in (("nesterov", self.nesterov), ("dampening", self.dampening)):
            if given and not self.momentum:
                yield field, "has no effect without momentum: set momentum too (0.9 is usual), or leave this out"

    def update(self, chunk: Chunk, rate: float, s: Array) -> None:
        theta, g, (v,) = chunk.theta, chunk.g, chunk.state
        chunk.decay(rate * self.weight_decay)
        if not self.momentum:
            np.multiply(g, rate, out=s)
            theta -= s
            return
        v *= self.momentum
        if self.dampening:
            np.multiply(g, 1 - self.dampening, out=s)
            v += s
        else:
            v += g
        if self.nesterov:
            np.multiply(v, self.momentum, out=s)
            s += g
            s *= rate
        else:
            np.multiply(v, rate, out=s)
        theta -= s

    def worked_entry(self, entry: Entry) -> Iterator[Equation]:
        yield from entry.decay(self.weight_decay)
        values = entry.values | {"mu": self.momentum, "delta": self.dampening, "v": entry.before[0]}
        lines = {"theta_new": "theta - alpha * g"}
        if self.momentum:
            lines = {
                "v_new": "mu * v + (1 - delta) * g" if self.dampening else "mu * v + g",
                "theta_new": "theta - alpha * " + ("(g + mu * v_new)" if self.nesterov else "v_new"),
            }
        yield from entry.in_turn(lines, values, {"v_new": entry.after[0], "theta_new": entry.theta})


@dataclass(eq=False)
class RMSProp(Optimizer):
    """v = decay v + (1 - decay) g^2,   theta -= rate g / (sqrt(v) + epsilon)         (Hinton 2012, lecture 6e)

    Kept as V = v / (1 - decay): V = decay V + g^2, one multiplication less.

    Derivation: dividing by the root of the mean square makes a step about `rate` for every weight, whatever the
    size of its gradients.
    """

    name: ClassVar[str] = "rmsprop"

    decay: float = setting(0.9, "share of the mean square that each step keeps", ge=0, lt=1)
    epsilon: float = setting(1e-8, "keeps the division finite", gt=0)

    state_names: ClassVar[tuple[str, ...]] = ("mean_square",)

    def update(self, chunk: Chunk, rate: float, s: Array) -> None:
        theta, g, (V,) = chunk.theta, chunk.g, chunk.state
        c = math.sqrt(1 - self.decay)
        np.square(g, out=s)
        V *= self.decay
        V += s
        np.sqrt(V, out=s)
        s += self.epsilon / c
        np.divide(g, s, out=s)
        s *= rate / c
        theta -= s

    def worked_entry(self, entry: Entry) -> Iterator[Equation]:
        v, v_new = ((1 - self.decay) * state[0] for state in (entry.before, entry.after))
        values = entry.values | {"rho": self.decay, "epsilon": self.epsilon, "v": v}
        lines = {"v_new": "rho * v + (1 - rho) * g**2", "theta_new": "theta - alpha * g / (sqrt(v_new) + epsilon)"}
        yield from entry.in_turn(lines, values, {"v_new": v_new, "theta_new": entry.theta})


@dataclass(eq=False)
class Adam(Optimizer):
    """m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2                (Kingma & Ba 2015, algorithm 1)

    theta -= rate m^ / (sqrt(v^) + epsilon),   m^ = m / (1 - beta1^t),   v^ = v / (1 - beta2^t)

    Kept as M = m / (1 - beta1) and V = v / (1 - beta2), so that each takes one multiplication and one addition:
    M = beta1 M + g,   V = beta2 V + g^2,   theta -= a M / (sqrt(V) + epsilon / c)   with
    c = sqrt((1 - beta2) / (1 - beta2^t)),   a = rate (1 - beta1) / (1 - beta1^t) / c.

    Derivation: from zero, m = (1 - beta1) sum_i beta1^(t - i) g_i, whose weights sum to 1 - beta1^t. Dividing by that
    makes m^ a true average, from the first step on; so for v^.
    """

    name: ClassVar[str] = "adam"

    beta1: float = setting(0.9, "share of the mean gradient that each step keeps", ge=0, lt=1)
    beta2: float = setting(0.999, "share of the mean squared gradient that each step keeps", ge=0, lt=1)
    epsilon: float = setting(1e-8, "keeps the division finite", gt=0)

    state_names: ClassVar[tuple[str, ...]] = ("mean", "mean_square")

    def update(self, chunk: Chunk, rate: float, s: Array) -> None:
        theta, g, (M, V) = chunk.theta, chunk.g, chunk.state
        c = math.sqrt((1 - self.beta2) / (1 - self.beta2**self.t))
        a = rate * (1 - self.beta1) / (1 - self.beta1**self.t) / c
        M *= self.beta1
        M += g
        np.square(g, out=s)
        V *= self.beta2
        V += s
        np.sqrt(V, out=s)
        s += self.epsilon / c
        np.divide(M, s, out=s)
        s *= a
        theta -= s

    def worked_entry(self, entry: Entry) -> Iterator[Equation]:
        (m, v), (m_new, v_new) = (((1 - self.beta1) * M, (1 - self.beta2) * V) for M, V in (entry.before, entry.after))
        values = entry.values | {"beta1": self.beta1, "beta2": self.beta2, "epsilon": self.epsilon, "m": m, "v": v}
        lines = {
            "m_new": "beta1 * m + (1 - beta1) * g",
            "v_new": "beta2 * v + (1 - beta2) * g**2",
            "m_hat": "m_new / (1 - beta1**t)",
            "v_hat": "v_new / (1 - beta2**t)",
            "theta_new": "theta - alpha * m_hat / (sqrt(v_hat) + epsilon)",
        }
        yield from entry.in_turn(lines, values, {"m_new": m_new, "v_new": v_new, "theta_new": entry.theta})


@dataclass(eq=False)
class AdamW(Adam):
    """theta -= rate weight_decay theta on the weights, and then as Adam, whose moments do not see this decay.

    Loshchilov & Hutter 2019, algorithm 2, with the learning rate multiplied in, as PyTorch does.

    Derivation: a penalty in the loss would pass through sqrt(v^) and decay large gradients' weights less; taken from
    theta itself, every weight decays by the same share.
    """

    name: ClassVar[str] = "adamw"

    weight_decay: float = setting(0.01, "share of each weight removed per unit of learning rate", ge=0)

    def update(self, chunk: Chunk, rate: float, s: Array) -> None:
        chunk.decay(rate * self.weight_decay)
        super().update(chunk, rate, s)

    def worked_entry(self, entry: Entry) -> Iterator[Equation]:
        yield from entry.decay(self.weight_decay)
        yield from super().worked_entry(entry)


@dataclass(eq=False)
class Lion(Optimizer):
    """theta -= rate (sign(beta1 m + (1 - beta1) g) + weight_decay theta),   then m = beta2 m + (1 - beta2) g

    Every weight moves by the same amount (Chen et al. 2023, algorithm 2): use a tenth of Adam's learning rate. Kept as
    M = m / (1 - beta2): M = beta2 M + g, and the sign is that of beta1 (1 - beta2) / (1 - beta1) M + g.

    Derivation: g weighted by beta1 m + (1 - beta1) g forgets fast for the step, m forgets slowly for what is kept; the
    sign alone was found by a search over programs, not derived.
    """

    name: ClassVar[str] = "lion"

    learning_rate: float = setting(0.0001, "step size", gt=0)
    beta1: float = setting(0.9, "share of the mean gradient in a step", ge=0, lt=1)
    beta2: float = setting(0.99, "share of the mean gradient that each step keeps", ge=0, lt=1)
    weight_decay: float = setting(0.0, "share of each weight removed per unit of learning rate", ge=0)

    state_names: ClassVar[tuple[str, ...]] = ("mean",)

    def update(self, chunk: Chunk, rate: float, s: Array) -> None:
        theta, g, (M,) = chunk.theta, chunk.g, chunk.state
        chunk.decay(rate * self.weight_decay)
        np.multiply(M, self.beta1 * (1 - self.beta2) / (1 - self.beta1), out=s)
        s += g
        np.sign(s, out=s)
        s *= rate
        theta -= s
        M *= self.beta2
        M += g

    def worked_entry(self, entry: Entry) -> Iterator[Equation]:
        yield from entry.decay(self.weight_decay)
        m, m_new = ((1 - self.beta2) * state[0] for state in (entry.before, entry.after))
        values = entry.values | {"beta1": self.beta1, "beta2": self.beta2, "m": m}
        lines = {
            "theta_new": "theta - alpha * sign(beta1 * m + (1 - beta1) * g)",
            "m_new": "beta2 * m + (1 - beta2) * g",
        }
        yield from entry.in_turn(lines, values, {"theta_new": entry.theta, "m_new": m_new})
