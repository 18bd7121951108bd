"""A look at the data: images with what the network made of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnscratch.report.picture_files import save
from nnscratch.report.style import GREEN, INK, NARROW, SMALL, VERMILLION, WIDTH, head, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RIGHT, WRONG = "✓", "✗"
WIDE = 6.0  # inches: from here on eight images stand side by side
LINE = SMALL * 1.4 / 72  # inches from one line of text to the next


def as_rgb(image: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of an image (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); other depths as the mean of the channels.

    Alpha is dropped.
    """
    pixels = image[..., None] if image.ndim == 2 else image
    if pixels.shape[-1] not in (1, 3, 4):
        pixels = pixels.mean(axis=-1, keepdims=True)
    if pixels.shape[-1] == 1:
        pixels = np.repeat(pixels, 3, axis=-1)
    return np.ascontiguousarray(pixels[..., :3]).astype(np.uint8)


def image_png(image: NDArray[Any]) -> bytes:
    """One uint8 image as a small PNG, pixel for pixel, as an HTML page embeds it."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(as_rgb(image)).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def predictions(
    images: NDArray[Any],
    true: ArrayLike,
    predicted: ArrayLike,
    confidence: ArrayLike,
    classes: Sequence[str],
    path: Path,
    *,
    columns: int | None = None,
    title: str = "",
    width: float = WIDTH,
) -> Figure:
    """A grid of images with predictions: right ones have a tick and a thin frame, wrong ones a cross, a dashed frame.

    Images are uint8 (N, H, W) or (N, H, W, C); `true` and `predicted` (N,) class numbers; `confidence` (N,) in [0, 1].
    The order is the caller's.
    """
    from matplotlib.patches import Rectangle

    truth, guess = np.asarray(true, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    probability = np.asarray(confidence, dtype=np.float64)
    total = len(images)
    if not len(truth) == len(guess) == len(probability) == total:
        raise ValueError("every image needs one true class, one predicted class and one confidence")
    columns = columns or (8 if width >= WIDE else 4)
    columns = max(min(columns, total), 1)
    rows = max(-(-total // columns), 1)
    aspect = images.shape[1] / images.shape[2] if total else 1.0
    cell_width = 1.16  # an image is 1 wide
    inches = min(width / (columns * cell_width), 1.6)
    cell_height = aspect + (0.2 + LINE * (3 if np.any(truth != guess) else 2)) / inches
    figure = new_figure(rows * cell_height * inches + 0.5, max(columns * cell_width * inches, min(width, NARROW)))
    axes = figure.add_subplot()
    letters = max(int(17 * inches), 8)
    for index in range(total):
        left, top = (index % columns) * cell_width, (index // columns) * cell_height
        right = truth[index] == guess[index]
        axes.imshow(as_rgb(images[index]), extent=(left, left + 1, top + aspect, top), interpolation="nearest")
        axes.add_patch(
            Rectangle((left, top), 1, aspect, fill=False, edgecolor=GREEN if right else VERMILLION,
                      linewidth=1.5 if right else 3.0, linestyle="-" if right else (0, (3, 1.2)))
        )  # fmt: skip
        lines = [f"{RIGHT if right else WRONG} {classes[guess[index]]}", f"{100 * probability[index]:.0f} % sure"]
        lines += [] if right else [f"is {classes[truth[index]]}"]
        text = "\n".join(plain(line, letters) for line in lines)
        axes.text(left, top + aspect + 0.06 / inches, text, va="top", fontsize=SMALL, color=INK, linespacing=1.25)
    axes.set_xlim(-0.05, columns * cell_width)
    axes.set_ylim(rows * cell_height, -0.05)
    axes.set_aspect("equal")
    axes.axis("off")
    correct = int(np.count_nonzero(truth == guess))
    head(figure, title or f"{correct} of these {total} right")
    return save(figure, path)
