"""From stored inputs (bytes, or a table's numbers) to what a network takes: x = stored * multiplier + offset.

The statistics come from the training split alone, and the run keeps them: evaluating and predicting use the same.
The targets of a regression are scaled too: a network starts with outputs around 0 and takes small steps, so that prices
of 500,000 would be out of its reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from nnscratch.component import Component, setting
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.contract import broken
from nnscratch.training.examples import Examples


@dataclass(frozen=True)
class Affine:
    """x = stored * multiplier + offset, both broadcast over the batch; float32, for targets float64."""

    multiplier: Array
    offset: Array

    def apply(self, stored: Array, out: Array) -> Array:
        """x for a batch, written into out."""
        np.multiply(stored, self.multiplier, out=out)
        if self._shifts:
            out += self.offset
        return out

    @cached_property
    def _shifts(self) -> bool:
        return bool(self.offset.any())

    def undo(self, x: Array) -> Array:
        """Stored values for x, in a new array of the type that the scaling has."""
        return np.asarray((x.astype(np.float64) - self.offset) / self.multiplier, self.multiplier.dtype)


def affine(multiplier: Array | float, offset: Array | float) -> Affine:
    """An Affine from numbers of any float type."""
    return Affine(np.asarray(multiplier, np.float32), np.asarray(offset, np.float32))


UNCHANGED = affine(1.0, 0.0)

TargetScaling = Literal["standardize", "none"]


def fit_targets(train: Examples, scaling: TargetScaling) -> Affine:
    """How a regression's targets are scaled: each to mean 0 and deviation 1 in training, or not; labels never are."""
    if scaling == "none" or train.targets.ndim == 1:
        return UNCHANGED
    t = train.targets[train.rows].astype(np.float64)
    mean, deviation = np.mean(t, axis=0), np.std(t, axis=0)
    smallest = np.maximum(1e-12 * np.max(np.abs(t), axis=0), 1e-30)  # a constant's deviation is but rounding
    deviation = np.where(deviation > smallest, deviation, 1.0)
    # Of times and large counters, float32 alone would lose the digits that differ.
    return Affine(_rounded(1 / deviation), _rounded(-mean / deviation))


def in_two_parts(values: Array) -> tuple[Array, Array]:
    """Two float32 numbers for each float64 one, whose sum in float64 has 48 of its 53 bits: what checkpoints hold."""
    high = values.astype(np.float32)
    return high, (values - high).astype(np.float32)


def _rounded(values: Array) -> Array:
    high, low = in_two_parts(values)
    return high.astype(np.float64) + low


def fit_inputs(train: Examples, scaling: Scaling) -> Affine:
    """How inputs are scaled. Raises ContractError when a scaling gives something else than an Affine."""
    fitted: object = scaling.fit(train)
    if not isinstance(fitted, Affine):
        raise broken(type(scaling).fit, fitted, "an Affine, as `affine(multiplier, offset)` gives")
    return fitted


def scale_targets(examples: Examples, affine: Affine) -> Examples:
    """The examples with the targets that the network learns, float32; the very same when nothing changes."""
    if examples.targets.ndim == 1 or (affine is UNCHANGED and examples.targets.dtype == np.float32):
        return examples
    # In float64: a mean far above the deviation (years, prices) leaves few digits of the difference.
    t = examples.targets.astype(np.float64) * affine.multiplier + affine.offset
    return replace(examples, targets=t.astype(np.float32))


@dataclass(frozen=True)
class Scaling(Component):
    """How stored inputs become the network's inputs."""

    kind: ClassVar[str] = "scaling"

    def fit(self, train: Examples) -> Affine:
        """The transformation, from the training split's statistics."""
        raise NotImplementedError


@dataclass(frozen=True)
class NoScaling(Scaling):
    """x = stored."""

    name: ClassVar[str] = "none"
    equations: ClassVar[Mapping[str, str]] = {"x": "stored"}

    def fit(self, train: Examples) -> Affine:
        return affine(1.0, 0.0)


@dataclass(frozen=True)
class Unit(Scaling):
    """x in [0, 1]: bytes / 255; numbers of a table by their column's range, (x - min) / (max - min)."""

    name: ClassVar[str] = "unit"
    also_called: ClassVar[tuple[str, ...]] = ("minmax", "minmaxscaler", "scale", "rescale")
    equations: ClassVar[Mapping[str, str]] = {
        "x": "stored / 255",
        "x_table": "(stored - min) / (max - min)",
    }

    def fit(self, train: Examples) -> Affine:
        if train.inputs.dtype == np.uint8:
            return affine(1 / 255, 0.0)
        table = train.inputs[train.rows]
        low, high = table.min(axis=0).astype(np.float64), table.max(axis=0).astype(np.float64)
        width = np.where(high > low, high - low, 1.0)
        return affine(1 / width, -low / width)


@dataclass(frozen=True)
class Standardize(Scaling):
    """x = (stored - mean) / deviation, per input number or, for images, per colour channel (LeCun et al. 1998, 4.3).

    A pixel's deviation counts as at least a tenth of the whole image's: a border pixel that is lit in one image of
    60,000 must not outweigh all others. A constant column of a table gets deviation 1.
    """

    name: ClassVar[str] = "standardize"
    also_called: ClassVar[tuple[str, ...]] = ("standard", "standardscaler", "zscore", "normalize")
    equations: ClassVar[Mapping[str, str]] = {"x": "(stored - mean) / deviation"}
    short: ClassVar[str | None] = "per"

    per: Literal["pixel", "channel"] = setting("pixel", "statistics per input number, or per colour channel of images")

    def fit(self, train: Examples) -> Affine:
        mean, variance = moments(train)
        if self.per == "channel" and mean.ndim == 3:
            axes = (0, 1)
            variance = np.mean(variance + np.square(mean), axes) - np.square(np.mean(mean, axes))
            mean = np.mean(mean, axes)
        deviation = np.sqrt(np.maximum(variance, 0))
        if train.inputs.dtype == np.uint8:
            whole = np.sqrt(np.mean(variance + np.square(mean)) - np.square(np.mean(mean)))
            deviation = np.maximum(deviation, 0.1 * whole)
        deviation = np.where(deviation > SMALLEST_DEVIATION, deviation, 1.0)
        return affine(1 / deviation, -mean / deviation)


SMALLEST_DEVIATION = 1e-38
"""Of what deviates less, all is rounding, and 1 / deviation is no float32."""
SMALLEST = 1e-30
"""Sums of squares below this may have lost some of them, as float32."""


def moments(examples: Examples, block: int = 512) -> tuple[Array, Array]:
    """Mean and variance of every input number over the split, in float64, reading a block of rows at a time."""
    origin = examples.inputs[examples.rows[0]].astype(np.float64)  # differences from it: no cancellation far from zero
    total, squares = _sums(examples, origin.astype(np.float32), block)
    if not np.isfinite(squares).all() or (examples.inputs.dtype != np.uint8 and np.any(squares < SMALLEST)):
        total, squares = _sums(examples, origin, block)  # of magnitudes whose squares no float32 holds
    mean = total / len(examples)
    return origin + mean, np.maximum(squares / len(examples) - np.square(mean), 0)


def _sums(examples: Examples, origin: Array, block: int) -> tuple[Array, Array]:
    """Of every input number over the split, the sums of the differences from its origin, and of their squares."""
    total, squares = np.zeros(origin.shape), np.zeros(origin.shape)
    with np.errstate(over="ignore"):
        for start in range(0, len(examples), block):
            difference = examples.inputs[examples.rows[start : start + block]] - origin
            total += np.sum(difference, axis=0, dtype=np.float64)
            np.square(difference, out=difference)
            squares += np.sum(difference, axis=0, dtype=np.float64)
    return total, squares
