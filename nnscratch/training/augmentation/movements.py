"""Flips and translations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.nn.compute.buffers import Array
from nnscratch.training.augmentation.augmentation import Movement, Origins


@dataclass(frozen=True)
class Flip(Movement):
    """Left and right change places, with probability p.

    y(i, j) is the pixel of row i and column j, from 0 to H - 1 and W - 1; so it is below.
    """

    name: ClassVar[str] = "flip"
    also_called: ClassVar[tuple[str, ...]] = ("horizontalflip", "randomhorizontalflip", "hflip", "mirror", "randomflip")
    equations: ClassVar[Mapping[str, str]] = {"y(i, j)": "x(i, W - 1 - j)"}
    short: ClassVar[str | None] = "probability"

    probability: float = setting(0.5, "share of the images that are flipped", ge=0, le=1)

    def move(self, origins: Origins, epoch: int, rows: Array, rng: np.random.Generator) -> None:
        mirror(origins, rng.random(len(rows)) < self.probability)


@dataclass(frozen=True)
class AlternatingFlip(Movement):
    """Every image is flipped in every other epoch, half of them in the even ones.

    So two epochs show each image both ways, where random flips show half of them the same way twice in a row (Jordan
    2024, "94% on CIFAR-10 in 3.29 seconds", section 3.6).
    """

    name: ClassVar[str] = "alternating_flip"
    equations: ClassVar[Mapping[str, str]] = Flip.equations

    def move(self, origins: Origins, epoch: int, rows: Array, rng: np.random.Generator) -> None:
        mirror(origins, (_bit(rows) + epoch) % 2 == 1)


@dataclass(frozen=True)
class Translate(Movement):
    """A shift by up to `pixels` in each direction; what comes into view is the image's reflection at its edge.

    a and b are whole numbers from -pixels to pixels, m leads back into the image: m(-1) is 1, m(H) is H - 2. The same
    as padding with reflections and cropping at random (He et al. 2016, section 4.2, with zeros).
    """

    name: ClassVar[str] = "translate"
    also_called: ClassVar[tuple[str, ...]] = ("randomcrop", "crop", "shift", "translation", "randomtranslation")
    equations: ClassVar[Mapping[str, str]] = {"y(i, j)": "x(m(i + a), m(j + b))"}
    short: ClassVar[str | None] = "pixels"

    pixels: int = setting(4, "largest shift", ge=1)

    def move(self, origins: Origins, epoch: int, rows: Array, rng: np.random.Generator) -> None:
        shift = rng.integers(-self.pixels, self.pixels, (2, len(rows), 1), endpoint=True)
        origins.down = _shifted(origins.down, shift[0])
        origins.across = _shifted(origins.across, shift[1])


def mirror(origins: Origins, chosen: Array) -> None:
    """Flips the chosen images (N,) left to right."""
    origins.across[chosen] = origins.across[chosen, ::-1]


def reflected(index: Array, size: int) -> Array:
    """Indices beyond 0..size-1 led back as by mirrors at the first and last: -1 is 1, size is size - 2."""
    period = max(2 * (size - 1), 1)
    index = np.abs(index) % period
    return np.asarray(np.minimum(index, period - index))


def _shifted(origins: Array, shift: Array) -> Array:
    size = origins.shape[1]
    places = reflected(np.arange(size) + shift, size)
    return np.asarray(np.take_along_axis(origins, places, axis=1))


def _bit(rows: Array) -> Array:
    """0 or 1 for every example number, as if at random, and always the same (the finaliser of splitmix64)."""
    z = rows.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) & np.uint64(1)).astype(np.int64)
