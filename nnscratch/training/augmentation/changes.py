"""Holes, colours, rotations and mixtures, on images that are scaled already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.nn.compute.buffers import Array
from nnscratch.training.augmentation.augmentation import Change
from nnscratch.training.augmentation.movements import reflected


@dataclass(frozen=True)
class Cutout(Change):
    """A square of size x size pixels around a random pixel becomes 0, in standardised images the mean.

    Row a and column b of that pixel are drawn for each image; k is 1 inside the square, else 0. As in DeVries & Taylor
    2017, it is cut off at the edges.
    """

    name: ClassVar[str] = "cutout"
    also_called: ClassVar[tuple[str, ...]] = ("randomerasing", "erasing")
    equations: ClassVar[Mapping[str, str]] = {
        "top": "a - floor(size / 2)",
        "left": "b - floor(size / 2)",
        "k": "(i >= top) * (top + size > i) * (j >= left) * (left + size > j)",
        "y(i, j)": "(1 - k) * x(i, j)",
    }
    short: ClassVar[str | None] = "size"

    size: int = setting(8, "height and width of the hole", ge=1)

    def misfit(self, height: int, width: int) -> str | None:
        is_larger = self.size > max(height, width)
        return f"a hole of {self.size} x {self.size} pixels in images of {height} x {width}" if is_larger else None

    def apply(self, x: Array, t: Array, classes: int, rng: np.random.Generator) -> tuple[Array, Array]:
        N, H, W, _ = x.shape
        centres = rng.integers(0, (H, W), (N, 2))
        for image, (row, column) in zip(list(x), centres.tolist(), strict=True):
            top, left = row - self.size // 2, column - self.size // 2
            image[max(top, 0) : max(top + self.size, 0), max(left, 0) : max(left + self.size, 0)] = 0
        return x, t


@dataclass(frozen=True)
class ColourJitter(Change):
    """Brightness, contrast and saturation of every image change at random:

    x + b,  m + c (x - m) with m the image's mean,  g + s (x - g) with g the pixel's mean over its channels;
    b ~ U(-brightness, brightness) in units of the scaled input, c ~ 1 + U(-contrast, contrast), s alike.
    """

    name: ClassVar[str] = "colour_jitter"
    also_called: ClassVar[tuple[str, ...]] = ("colorjitter", "jitter")
    equations: ClassVar[Mapping[str, str]] = {
        "u": "g + s * (x - g)",
        "y": "m + c * (u - m) + b",
    }

    brightness: float = setting(0.2, "largest change of brightness", ge=0)
    contrast: float = setting(0.2, "largest relative change of contrast", ge=0, le=1)
    saturation: float = setting(0.2, "largest relative change of saturation", ge=0, le=1)

    def apply(self, x: Array, t: Array, classes: int, rng: np.random.Generator) -> tuple[Array, Array]:
        limits = np.array([self.brightness, self.contrast, self.saturation])
        b, c, s = (rng.uniform(-1, 1, (len(x), 3)) * limits).T.reshape(3, len(x), 1, 1, 1).astype(x.dtype)
        if self.saturation and x.shape[3] > 1:
            grey = np.mean(x, axis=3, keepdims=True)
            x *= 1 + s
            x -= s * grey
        if self.contrast or self.brightness:
            mean = np.mean(x, axis=(1, 2, 3), keepdims=True)
            x *= 1 + c
            x += b - c * mean
        return x, t


@dataclass(frozen=True)
class Rotation(Change):
    """A turn by up to `degrees` about the centre; bilinear between pixels, reflected at the edges.

    Rows i and columns j count from the centre here; the angle a is drawn for each image.
    """

    name: ClassVar[str] = "rotation"
    also_called: ClassVar[tuple[str, ...]] = ("randomrotation", "rotate")
    equations: ClassVar[Mapping[str, str]] = {
        "u": "cos(a) * i - sin(a) * j",
        "v": "sin(a) * i + cos(a) * j",
        "y(i, j)": "x(u, v)",
    }
    short: ClassVar[str | None] = "degrees"

    degrees: float = setting(15.0, "largest angle", gt=0, le=180)

    def apply(self, x: Array, t: Array, classes: int, rng: np.random.Generator) -> tuple[Array, Array]:
        N, H, W, C = x.shape
        angle = np.deg2rad(rng.uniform(-self.degrees, self.degrees, (N, 1, 1))).astype(np.float32)
        i = np.arange(H, dtype=np.float32)[:, None] - (H - 1) / 2
        j = np.arange(W, dtype=np.float32) - (W - 1) / 2
        down = np.cos(angle) * i - np.sin(angle) * j + (H - 1) / 2
        across = np.sin(angle) * i + np.cos(angle) * j + (W - 1) / 2
        top, left = np.floor(down).astype(np.int64), np.floor(across).astype(np.int64)
        below, right = (down - top).astype(x.dtype)[..., None], (across - left).astype(x.dtype)[..., None]
        pixels = x.reshape(-1, C)
        start = np.arange(N)[:, None, None] * (H * W)

        def pixel(rows: Array, columns: Array) -> Array:
            return np.asarray(pixels[start + reflected(rows, H) * W + reflected(columns, W)])

        upper = pixel(top, left) * (1 - right) + pixel(top, left + 1) * right
        lower = pixel(top + 1, left) * (1 - right) + pixel(top + 1, left + 1) * right
        x[...] = upper * (1 - below) + lower * below
        return x, t


@dataclass(frozen=True)
class Mixup(Change):
    """x = l x_n + (1 - l) x_m and t = l t_n + (1 - l) t_m, m another example of the batch    (Zhang et al. 2018)

    l ~ Beta(alpha, alpha), one for each image. Labels become distributions (N, K), which cross_entropy and
    mean_squared_error take; train_accuracy then counts the label that has the larger share.
    """

    name: ClassVar[str] = "mixup"
    equations: ClassVar[Mapping[str, str]] = {"x": "l * x_n + (1 - l) * x_m", "t": "l * t_n + (1 - l) * t_m"}
    short: ClassVar[str | None] = "alpha"

    alpha: float = setting(0.2, "small: mostly one image; 1: any mixture", gt=0)

    def apply(self, x: Array, t: Array, classes: int, rng: np.random.Generator) -> tuple[Array, Array]:
        share = rng.beta(self.alpha, self.alpha, len(x)).astype(x.dtype)
        partner = rng.permutation(len(x))
        soft = one_hot(t, classes, x.dtype) if t.ndim == 1 else t.astype(x.dtype)
        mixed = share[:, None] * soft + (1 - share[:, None]) * soft[partner]
        share = share.reshape(-1, *[1] * (x.ndim - 1))
        others = x[partner]
        others *= 1 - share
        x *= share
        x += others
        return x, mixed


def one_hot(labels: Array, classes: int, dtype: np.dtype[np.generic]) -> Array:
    """(N, classes) with a 1 at each label."""
    table = np.zeros((len(labels), classes), dtype)
    table[np.arange(len(labels)), labels] = 1
    return table
