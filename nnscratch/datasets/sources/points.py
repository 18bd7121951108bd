"""Points that are made on the spot, of so few numbers that they can be drawn, and what a network makes of them too.

Moons, circles, xor and spiral lie in a plane and have classes; sine has one feature, and a number to predict.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.datasets.dataset import Array, Dataset, Report, Source
from nnscratch.datasets.download import Progress
from nnscratch.datasets.sources.stable_numbers import StableNumbers

DIGITS = 4
"""Decimals that are kept: machines differ in the last bit of a sine, and not in these."""


@dataclass
class Points(Source):
    """Features (N, D) and targets, drawn from a seed; the same on every machine."""

    reads_path: ClassVar[bool] = False
    default_scaling: ClassVar[str] = "standardize"
    feature_names: ClassVar[tuple[str, ...]] = ("x1", "x2")

    train: int = setting(400, "training points; fewer are the first ones of more", ge=1, le=1_000_000)
    test: int = setting(200, "test points", ge=1, le=1_000_000)
    noise: float = setting(0.1, "the deviation of what is added", ge=0, le=10)
    seed: int = setting(0, "which points are drawn", ge=0)

    def points(self, u: Array, noise: Array) -> tuple[Array, Array]:
        """Features (N, D) and targets, from uniform numbers u (N, 2) in [0, 1) and noise (N, 2) to be added."""
        raise NotImplementedError

    def load(
        self,
        data_dir: Path,
        path: Path | None,
        report: Report,
        download: bool = True,
        progress: Progress | None = None,
    ) -> Dataset:
        """See `Source.load`; draws the points, reads and writes no file."""
        train_inputs, train_targets = self._split(0, self.train)
        test_inputs, test_targets = self._split(1, self.test)
        return Dataset(
            name=self.name,
            train_inputs=train_inputs,
            train_targets=train_targets,
            test_inputs=test_inputs,
            test_targets=test_targets,
            classes=self.class_names,
            origin=f"drawn from seed {self.seed}",
            feature_names=self.feature_names,
            target_names=None if self.class_names else ("y",),
        )

    def _split(self, split: int, count: int) -> tuple[Array, Array]:
        # A stream for each purpose: noise must not move the points, nor their number change those before.
        u = StableNumbers(self.seed, split, 0).between(0, 1, count, 2).astype(np.float64)
        noise = self.noise * StableNumbers(self.seed, split, 1).normal(count, 2).astype(np.float64)
        inputs, targets = self.points(u, noise)
        return _rounded(inputs), targets if self.class_names else _rounded(targets)


def _rounded(values: Array) -> Array:
    return np.round(values, DIGITS).astype(np.float32)


def _around(angle: Array) -> Array:
    """The points (N, 2) of the unit circle at those angles."""
    return np.column_stack([np.cos(angle), np.sin(angle)])


@dataclass
class Moons(Points):
    """Two half circles of radius 1 that reach into each other: no straight line parts them."""

    name: ClassVar[str] = "moons"
    summary: ClassVar[str] = "two half moons in the plane, made on the spot"
    class_names: ClassVar[tuple[str, ...] | None] = ("upper", "lower")

    noise: float = setting(0.15, "the deviation of what is added to both features", ge=0, le=10)

    def points(self, u: Array, noise: Array) -> tuple[Array, Array]:
        """The upper: (cos a, sin a); the lower: (1 - cos a, 1/2 - sin a); a from 0 to pi, in turn."""
        label = np.arange(len(u)) % 2
        moon = _around(np.pi * u[:, 0])
        return np.where(label[:, np.newaxis] == 0, moon, [1, 0.5] - moon) + noise, label


@dataclass
class Circles(Points):
    """A circle of radius 1 around one of radius 1/2: the one feature to know would be the distance from the middle."""

    name: ClassVar[str] = "circles"
    summary: ClassVar[str] = "a circle around another in the plane, made on the spot"
    class_names: ClassVar[tuple[str, ...] | None] = ("outer", "inner")

    def points(self, u: Array, noise: Array) -> tuple[Array, Array]:
        """r (cos a, sin a), r = 1 and 1/2 in turn, a from 0 to 2 pi."""
        label = np.arange(len(u)) % 2
        return (1 - label[:, np.newaxis] / 2) * _around(2 * np.pi * u[:, 0]) + noise, label


@dataclass
class XOR(Points):
    """Points of a square by whether their two signs differ: no single neuron can tell (Minsky & Papert 1969)."""

    name: ClassVar[str] = "xor"
    summary: ClassVar[str] = "a square's four quarters, opposite ones alike, made on the spot"
    class_names: ClassVar[tuple[str, ...] | None] = ("alike", "different")

    noise: float = setting(0.05, "the deviation of what is added to both features", ge=0, le=10)

    def points(self, u: Array, noise: Array) -> tuple[Array, Array]:
        """(x1, x2), both uniform in [-1, 1); the class is that of the signs, before noise."""
        x = 2 * u - 1
        return x + noise, ((x[:, 0] < 0) != (x[:, 1] < 0)).astype(np.int64)


@dataclass
class Spiral(Points):
    """Three arms that wind around each other (after Lang & Witbrock 1988): few units cannot follow them."""

    name: ClassVar[str] = "spiral"
    summary: ClassVar[str] = "three arms of a spiral in the plane, made on the spot"
    class_names: ClassVar[tuple[str, ...] | None] = ("first", "second", "third")

    train: int = setting(600, "training points; fewer are the first ones of more", ge=1, le=1_000_000)
    noise: float = setting(0.04, "the deviation of what is added to both features", ge=0, le=10)

    def points(self, u: Array, noise: Array) -> tuple[Array, Array]:
        """r (cos a, sin a), a = 3/2 pi r + 2/3 pi k for arm k, r from 0.1 to 1."""
        label = np.arange(len(u)) % 3
        r = 0.1 + 0.9 * u[:, :1]
        return r * _around(1.5 * np.pi * r[:, 0] + 2 / 3 * np.pi * label) + noise, label


@dataclass
class Sine(Points):
    """One feature x from -pi to pi and the number sin(x), with noise: what a fitted curve can be looked at with."""

    name: ClassVar[str] = "sine"
    summary: ClassVar[str] = "a noisy sine to be fitted, made on the spot"
    feature_names: ClassVar[tuple[str, ...]] = ("x",)

    train: int = setting(200, "training points; fewer are the first ones of more", ge=1, le=1_000_000)
    noise: float = setting(0.15, "the deviation of what is added to the number", ge=0, le=10)

    def points(self, u: Array, noise: Array) -> tuple[Array, Array]:
        """x (N, 1), uniform, and sin(x) (N, 1)."""
        x = np.pi * (2 * u[:, :1] - 1)
        return x, np.sin(x) + noise[:, :1]
