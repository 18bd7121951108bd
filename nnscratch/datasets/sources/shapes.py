"""Shapes: drawn colour pictures in ten classes, made on the spot from a seed; nothing to download.

A picture is a background with a gradient, a few strokes as clutter, one shape of random place, size, angle and colour
over them, and noise. Difficulty scales all of these: at 1 the quickstart's small MLP ends near 90 % and a small
convolutional network near 98 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnscratch import cpu
from nnscratch.component import setting
from nnscratch.datasets.dataset import Array, Dataset, Report, Source
from nnscratch.datasets.download import Progress
from nnscratch.datasets.sources.outlines import OUTLINES, length
from nnscratch.datasets.sources.stable_numbers import StableNumbers

SIDE = 32
PER_CLASS = 20
CHUNK = PER_CLASS * len(OUTLINES)
"""Images drawn together: small enough that their working arrays stay in cache."""


@dataclass
class Shapes(Source):
    """Drawn shapes, (N, 32, 32, 3) uint8, ten classes; the same on every machine for the same seed."""

    name: ClassVar[str] = "shapes"
    reads_path: ClassVar[bool] = False
    summary: ClassVar[str] = "drawn shapes, 32 x 32 colour, 10 classes, made on the spot"

    train: int = setting(20_000, "training images; fewer are the first ones of more", ge=1, le=1_000_000)
    test: int = setting(4_000, "test images", ge=1, le=1_000_000)
    seed: int = setting(0, "which pictures are drawn", ge=0)
    difficulty: float = setting(1.0, "scales shift, size range, angle, clutter and noise", ge=0, le=2)

    def load(
        self,
        data_dir: Path,
        path: Path | None,
        report: Report,
        download: bool = True,
        progress: Progress | None = None,
    ) -> Dataset:
        """See `Source.load`; draws the pictures, reads and writes no file."""
        train_images, train_labels = self._draw_split(0, self.train)
        test_images, test_labels = self._draw_split(1, self.test)
        return Dataset(
            name=self.name,
            train_inputs=train_images,
            train_targets=train_labels,
            test_inputs=test_images,
            test_targets=test_labels,
            classes=tuple(OUTLINES),
            origin=f"drawn from seed {self.seed}",
        )

    def _draw_split(self, split: int, count: int) -> tuple[Array, Array]:
        images = np.empty((count, SIDE, SIDE, 3), np.uint8)
        labels = np.empty(count, np.int64)

        def draw(start: int) -> None:
            # A stream per chunk: neither the number of threads nor that of images changes a picture.
            chunk_images, chunk_labels = _draw_chunk(StableNumbers(self.seed, split, start // CHUNK), self.difficulty)
            stop = min(start + CHUNK, count)
            images[start:stop] = chunk_images[: stop - start]
            labels[start:stop] = chunk_labels[: stop - start]

        cpu.threaded_map(draw, range(0, count, CHUNK), min(8, cpu.usable_threads()))
        return images, labels


def _draw_chunk(numbers: StableNumbers, difficulty: float) -> tuple[Array, Array]:
    """CHUNK pictures, as many of each class, in random order: images (CHUNK, 32, 32, 3) uint8, labels (CHUNK,)."""
    labels = numbers.order(CHUNK) // PER_CLASS
    axis = (np.arange(SIDE, dtype=np.float32) + np.float32(0.5)) / np.float32(SIDE / 2) - np.float32(1)
    x, y = axis[np.newaxis, np.newaxis, :], axis[np.newaxis, :, np.newaxis]

    # Three planes (n, 32, 32) are faster to paint on than one interleaved picture.
    dark = numbers.between(0.0, 0.5, CHUNK, 1, 1, 3)
    tilt_x, tilt_y = _directions(numbers, CHUNK)
    gradient = numbers.between(0.0, 0.15, CHUNK, 1, 1) * (x * tilt_x + y * tilt_y)
    planes = [dark[..., channel] + gradient for channel in range(3)]
    for coverage in _strokes(numbers, x, y, difficulty):
        _paint(planes, coverage, numbers.between(0.0, 0.7, CHUNK, 1, 1, 3))
    _paint(planes, _shape_coverage(numbers, labels, x, y, difficulty), _bright_colours(numbers))

    # The sum of two dice: noise with a triangular distribution.
    dice = numbers.bytes(2 * 3 * CHUNK * SIDE * SIDE).reshape(2, 3, CHUNK, SIDE, SIDE)
    images = np.empty((CHUNK, SIDE, SIDE, 3), np.uint8)
    for channel, plane in enumerate(planes):
        noise = dice[0, channel].astype(np.float32)
        noise += dice[1, channel]
        noise -= np.float32(255)
        noise *= np.float32(0.15 * difficulty)
        plane *= np.float32(255)
        plane += noise
        np.maximum(plane, 0, out=plane)
        np.minimum(plane, 255, out=plane)
        images[..., channel] = plane
    return images, labels


def _shape_coverage(numbers: StableNumbers, labels: Array, x: Array, y: Array, difficulty: float) -> Array:
    """How much of each pixel (n, 32, 32) the shape covers, 0..1, which smooths its edge."""
    reach = np.float32(0.28 * difficulty)
    center_x, center_y = (numbers.between(-1, 1, CHUNK, 1, 1) * reach for _ in range(2))
    size = np.float32(0.62) + numbers.between(-1, 1, CHUNK, 1, 1) * np.float32(0.15 * difficulty)
    slope = numbers.between(-1, 1, CHUNK, 1, 1) * np.float32(0.45 * difficulty)
    cosine = 1 / np.sqrt(1 + slope * slope)
    sine = slope * cosine
    u = ((x - center_x) * cosine + (y - center_y) * sine) / size
    v = ((y - center_y) * cosine - (x - center_x) * sine) / size
    distance = np.empty_like(u)
    for label, outline in enumerate(OUTLINES.values()):
        members = labels == label
        distance[members] = outline(u[members], v[members])
    return _antialiased(distance * size)


def _strokes(numbers: StableNumbers, x: Array, y: Array, difficulty: float) -> Iterator[Array]:
    """Coverage (n, 32, 32) of one stroke after another: points near a segment of random place and direction."""
    for _ in range(round(4 * difficulty)):
        middle_x, middle_y = (numbers.between(-1, 1, CHUNK, 1, 1) for _ in range(2))
        along_x, along_y = _directions(numbers, CHUNK)
        half = numbers.between(0.1, 0.5, CHUNK, 1, 1)
        from_x, from_y = x - middle_x, y - middle_y
        along = np.minimum(np.maximum(from_x * along_x + from_y * along_y, -half), half)
        yield _antialiased(
            length(from_x - along * along_x, from_y - along * along_y) - numbers.between(0.02, 0.08, CHUNK, 1, 1)
        )


def _directions(numbers: StableNumbers, count: int) -> tuple[Array, Array]:
    """Unit vectors (n, 1, 1), (n, 1, 1), without sine or cosine."""
    x, y = (numbers.between(-1, 1, count, 1, 1) for _ in range(2))
    norm = length(x, y) + np.float32(1e-6)
    return x / norm, y / norm


def _bright_colours(numbers: StableNumbers) -> Array:
    """Colours (n, 1, 1, 3) whose strongest channel is at least 0.85."""
    colours = numbers.between(0.15, 1.0, CHUNK, 1, 1, 3)
    colours /= colours.max(axis=-1, keepdims=True)
    colours *= numbers.between(0.85, 1.0, CHUNK, 1, 1, 1)
    return colours


def _antialiased(distance: Array) -> Array:
    """1 inside, 0 outside, a ramp of one pixel between; the distance is in half pictures."""
    ramp: Array = np.float32(0.5) - distance * np.float32(SIDE / 2)
    np.maximum(ramp, 0, out=ramp)
    return np.minimum(ramp, 1, out=ramp)


def _paint(planes: list[Array], coverage: Array, colours: Array) -> None:
    for channel, plane in enumerate(planes):
        plane += coverage * (colours[..., channel] - plane)
