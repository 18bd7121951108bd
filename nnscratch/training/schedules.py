"""How the learning rate changes: a factor from how far training has come, and nothing else to remember."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

from nnscratch.component import Component, setting
from nnscratch.nn.contract import broken


@dataclass(frozen=True)
class Schedule(Component):
    """factor = 1 at full learning rate. A linear warm-up may come before any schedule (Goyal et al. 2017, 2.2)."""

    kind: ClassVar[str] = "schedule"

    warmup_epochs: float = setting(0.0, "epochs over which the learning rate rises linearly from 0", ge=0)

    def __call__(self, step: int, total_steps: int, steps_per_epoch: int, history: Sequence[float] = ()) -> float:
        """The factor of step number `step`, from 0; history is each epoch's val_loss so far, else its train_loss."""
        warmup = _steps(self.warmup_epochs, steps_per_epoch)
        if step < warmup:
            return warmed_up(step, warmup)
        progress = (step - warmup) / max(total_steps - warmup, 1)
        return self.factor(progress, (step - warmup) / steps_per_epoch, history)

    def checked(self, step: int, total_steps: int, steps_per_epoch: int, history: Sequence[float] = ()) -> float:
        """The factor. Raises ContractError when it is none that a learning rate may have."""
        value: object = self(step, total_steps, steps_per_epoch, history)
        if not isinstance(value, Real) or not 0 <= float(value) < math.inf:
            own = type(self).factor if type(self).__call__ is Schedule.__call__ else type(self).__call__
            raise broken(own, value, "a factor of the learning rate: a finite number, at least 0")
        return float(value)

    def factor(self, progress: float, epoch: float, history: Sequence[float]) -> float:
        """The factor after the warm-up, for progress 0 to 1 and the epochs done, a fraction included."""
        raise NotImplementedError

    def is_idle(self, epochs: int) -> bool:
        """Whether it is meant to change the learning rate, and never does in so many epochs, whatever their losses."""
        return False


def warmed_up(step: int, warmup: float) -> float:
    """factor = (step + 1) / (warmup + 1) in step `step`, from 0, of a warm-up of so many (Goyal et al. 2017, 2.2).

    A network's first gradients are large and of little use; steps that grow in equal parts let it get over them. The
    schedule begins after it. Of a warm-up that ends within a step, that step belongs to it.
    """
    return (step + 1) / math.ceil(warmup + 1)


def _steps(epochs: float, steps_per_epoch: int) -> float:
    """epochs times steps_per_epoch, a whole number where it is one but for rounding: 1.1 * 10 is 11."""
    steps = epochs * steps_per_epoch
    return round(steps) if math.isclose(steps, round(steps), rel_tol=1e-12) else steps


@dataclass(frozen=True)
class ConstantRate(Schedule):
    """factor = 1."""

    name: ClassVar[str] = "constant"
    also_called: ClassVar[tuple[str, ...]] = ("none", "null", "fixed")
    equations: ClassVar[Mapping[str, str]] = {"factor": "1"}

    def factor(self, progress: float, epoch: float, history: Sequence[float]) -> float:
        return 1.0


@dataclass(frozen=True)
class Cosine(Schedule):
    """factor = f + (1 - f) (1 + cos(pi progress)) / 2 with f the final factor (Loshchilov & Hutter 2017, eq. 5)."""

    name: ClassVar[str] = "cosine"
    also_called: ClassVar[tuple[str, ...]] = ("cosineannealing", "cosineannealinglr", "cosinedecay")
    equations: ClassVar[Mapping[str, str]] = {"factor": "final + (1 - final) * (1 + cos(pi * progress)) / 2"}

    final: float = setting(0.0, "factor at the end", ge=0, le=1)

    def factor(self, progress: float, epoch: float, history: Sequence[float]) -> float:
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Linear(Schedule):
    """factor = 1 + (f - 1) progress with f the final factor."""

    name: ClassVar[str] = "linear"
    also_called: ClassVar[tuple[str, ...]] = ("polynomial", "lineardecay")
    equations: ClassVar[Mapping[str, str]] = {"factor": "1 + (final - 1) * progress"}

    final: float = setting(0.0, "factor at the end", ge=0, le=1)

    def factor(self, progress: float, epoch: float, history: Sequence[float]) -> float:
        return 1 + (self.final - 1) * progress


@dataclass(frozen=True)
class StepDecay(Schedule):
    """factor = gamma^floor(epoch / every)."""

    name: ClassVar[str] = "step"
    also_called: ClassVar[tuple[str, ...]] = ("steplr", "multisteplr")
    equations: ClassVar[Mapping[str, str]] = {"factor": "gamma**floor(epoch / every)"}

    every: int = setting(10, "epochs between two drops", ge=1)
    gamma: float = setting(0.1, "what each drop multiplies by", gt=0, le=1)

    def factor(self, progress: float, epoch: float, history: Sequence[float]) -> float:
        return self.gamma ** math.floor(epoch / self.every)

    def is_idle(self, epochs: int) -> bool:
        return 0 < epochs <= self.every + self.warmup_epochs


@dataclass(frozen=True)
class Exponential(Schedule):
    """factor = gamma^epoch, smoothly within an epoch too."""

    name: ClassVar[str] = "exponential"
    also_called: ClassVar[tuple[str, ...]] = ("exponentiallr", "exponentialdecay")
    equations: ClassVar[Mapping[str, str]] = {"factor": "gamma**epoch"}

    gamma: float = setting(0.95, "what an epoch multiplies by", gt=0, le=1)

    def factor(self, progress: float, epoch: float, history: Sequence[float]) -> float:
        return float(self.gamma**epoch)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Cosine up from `start` to 1 until `peak`, cosine down to `final` (Smith & Topin 2018).

    Progress is step / T for T steps, so `final` would be step T's; PyTorch's reaches it in the last, with T - 1.
    """

    name: ClassVar[str] = "one_cycle"
    also_called: ClassVar[tuple[str, ...]] = ("onecyclelr",)
    equations: ClassVar[Mapping[str, str]] = {
        "up": "1 + (start - 1) * (1 + cos(pi * progress / peak)) / 2",
        "down": "final + (1 - final) * (1 + cos(pi * (progress - peak) / (1 - peak))) / 2",
        "factor": "(progress < peak) * up + (progress >= peak) * down",
    }

    peak: float = setting(0.3, "progress at which the full rate is reached", gt=0, lt=1)
    start: float = setting(0.04, "factor at the beginning", ge=0, le=1)
    final: float = setting(0.0001, "factor at the end", ge=0, le=1)

    def factor(self, progress: float, epoch: float, history: Sequence[float]) -> float:
        if progress < self.peak:
            return _cosine_between(self.start, 1.0, progress / self.peak)
        return _cosine_between(1.0, self.final, (progress - self.peak) / (1 - self.peak))


def _cosine_between(first: float, last: float, progress: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Triangular(Schedule):
    """Linear up from `start` to 1 until `peak`, linear down to `final`."""

    name: ClassVar[str] = "triangular"
    also_called: ClassVar[tuple[str, ...]] = ("cyclic", "cycliclr")
    equations: ClassVar[Mapping[str, str]] = {
        "up": "start + (1 - start) * progress / peak",
        "down": "1 + (final - 1) * (progress - peak) / (1 - peak)",
        "factor": "(progress < peak) * up + (progress >= peak) * down",
    }

    peak: float = setting(0.2, "progress at which the full rate is reached", gt=0, lt=1)
    start: float = setting(0.2, "factor at the beginning", ge=0, le=1)
    final: float = setting(0.0, "factor at the end", ge=0, le=1)

    def factor(self, progress: float, epoch: float, history: Sequence[float]) -> float:
        if progress < self.peak:
            return self.start + (1 - self.start) * progress / self.peak
        return 1 + (self.final - 1) * (progress - self.peak) / (1 - self.peak)


@dataclass(frozen=True)
class ReduceOnPlateau(Schedule):
    """factor = gamma^k, k the times that `patience` epochs in a row brought no val_loss below the best so far.

    Without validation data it is train_loss that counts; never `training.monitor`.
    """

    name: ClassVar[str] = "reduce_on_plateau"
    also_called: ClassVar[tuple[str, ...]] = ("reducelronplateau", "plateau")
    equations: ClassVar[Mapping[str, str]] = {"factor": "gamma**k"}

    patience: int = setting(
        5, "epochs without a lower val_loss (train_loss without validation data) before the rate drops", ge=1
    )
    gamma: float = setting(0.1, "what each drop multiplies by", gt=0, lt=1)
    minimum_change: float = setting(0.0, "how much lower that loss must be to count", ge=0)

    def is_idle(self, epochs: int) -> bool:
        return 0 < epochs <= self.patience + 1

    def factor(self, progress: float, epoch: float, history: Sequence[float]) -> float:
        best, waited, drops = math.inf, 0, 0
        for value in history:
            if value < best - self.minimum_change:
                best, waited = value, 0
            else:
                waited += 1
            if waited == self.patience:
                drops, waited = drops + 1, 0
        return float(self.gamma**drops)
