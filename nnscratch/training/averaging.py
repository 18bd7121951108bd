"""Averages of the weights along the way, which often do better than the last weights themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import Component, setting
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.contract import broken
from nnscratch.nn.equations import Equation, in_turn


@dataclass(frozen=True)
class Averaging(Component):
    """Keeps a second vector `average`; validation, the best checkpoint and the test use it instead of theta.

    theta is here followed by the running statistics: averaged weights need statistics of their own activations.
    """

    kind: ClassVar[str] = "averaging"

    def update(self, average: Array, theta: Array, step: int, total_steps: int, scratch: Array) -> None:
        """Changes average (and theta, where the method says so) after optimizer step number `step`, from 1.

        Long vectors come in pieces, several at a time: every number is treated by itself. A step that is the last of
        `total_steps` must leave the average fit for use.
        """
        raise NotImplementedError

    def change(self, average: Array, theta: Array, step: int, total_steps: int, scratch: Array) -> None:
        """Lets `update` change them. Raises ContractError when it gives something in place of writing it."""
        given: object = self.update(average, theta, step, total_steps, scratch)  # type: ignore[func-returns-value]  # of others it may
        if given is not None:
            raise broken(type(self).update, given, "None: it writes into average")

    def worked_update(
        self, before: float, theta: float, after: float, step: int, total_steps: int
    ) -> Iterator[Equation]:
        """One number of the average by hand: before and after `update`, which saw this theta; none where it stays."""
        return iter(())


@dataclass(frozen=True)
class ExponentialMovingAverage(Averaging):
    """a += (1 - d) (theta - a),  d = min(decay, (1 + step) / (10 + step))    (after Polyak & Juditsky 1992)

    The small d of the first steps, as of TensorFlow's ExponentialMovingAverage, lets the start be forgotten soon.
    """

    name: ClassVar[str] = "ema"
    also_called: ClassVar[tuple[str, ...]] = ("exponentialmovingaverage", "polyak")
    short: ClassVar[str | None] = "decay"

    decay: float = setting(0.999, "share of the average that each step keeps", ge=0, lt=1)

    def update(self, average: Array, theta: Array, step: int, total_steps: int, scratch: Array) -> None:
        d = min(self.decay, (1 + step) / (10 + step))
        np.subtract(theta, average, out=scratch)
        scratch *= 1 - d
        average += scratch

    def worked_update(
        self, before: float, theta: float, after: float, step: int, total_steps: int
    ) -> Iterator[Equation]:
        values = {"a": before, "theta": theta, "t": step, "decay": self.decay}
        lines = {"d": "min(decay, (1 + t) / (10 + t))", "a_new": "a + (1 - d) * (theta - a)"}
        return in_turn(lines, values, {"a_new": after})


@dataclass(frozen=True)
class Lookahead(Averaging):
    """Every k steps, and after the last: a += (1 - d) (theta - a), then theta = a    (Zhang et al. 2019).

    The weights go on from their average. d = decay^k (step / total steps)^power makes the average slow only towards the
    end (Jordan 2024, "94% on CIFAR-10"); power 0 is the original, with decay^k for its 1 - alpha. In between, a stays.
    """

    name: ClassVar[str] = "lookahead"

    every: int = setting(5, "k, steps from one average to the next", ge=1)
    decay: float = setting(0.95, "share of the average that a step keeps in the end", ge=0, lt=1)
    power: float = setting(3.0, "how late the average becomes slow; 0: at once", ge=0)

    def update(self, average: Array, theta: Array, step: int, total_steps: int, scratch: Array) -> None:
        if not self._is_due(step, total_steps):
            return
        d = self.decay**self.every * (step / total_steps) ** self.power
        np.subtract(theta, average, out=scratch)
        scratch *= 1 - d
        average += scratch
        np.copyto(theta, average)

    def worked_update(
        self, before: float, theta: float, after: float, step: int, total_steps: int
    ) -> Iterator[Equation]:
        if not self._is_due(step, total_steps):
            return iter(())
        values = {"a": before, "theta": theta, "t": step, "T": total_steps, "decay": self.decay, "k": self.every}
        values["power"] = self.power
        lines = {
            "d": "decay**k * (t / T)**power",
            "a_new": "a + (1 - d) * (theta - a)",
            "theta_new": "a_new",
        }
        return in_turn(lines, values, {"a_new": after})

    def _is_due(self, step: int, total_steps: int) -> bool:
        return step % self.every == 0 or step == total_steps
