"""What training did to the weights: histograms before and after, the first layer as images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnscratch.report.picture_files import save
from nnscratch.report.style import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    SMALL,
    WIDTH,
    add_legend,
    common_power,
    dress,
    head,
    new_figure,
    nothing_to_show,
    plain,
    plain_apart,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 24
MOST_FILTERS = 96
LETTER = 0.095  # inches: how wide a bold letter of 9 points is


def weight_histograms(
    initial: Mapping[str, NDArray[Any]],
    final: Mapping[str, NDArray[Any]],
    path: Path,
    *,
    title: str = "",
    width: float = WIDTH,
) -> Figure:
    """One panel per parameter array: its values at initialisation (grey) and at the end (blue outline).

    Of more than 24 arrays the matrices and kernels are shown first.
    """
    names = list(final)
    if len(names) > MOST_PANELS:
        chosen = sorted(names, key=lambda name: np.ndim(final[name]) < 2)[:MOST_PANELS]
        names = [name for name in names if name in chosen]
    columns = 3 if len(names) > 4 and width >= 6 else max(min(len(names), 2 if width >= 3 else 1), 1)
    rows = max(-(-len(names) // columns), 1)
    figure = new_figure(0.9 + 1.75 * rows, width)
    handles: list[Any] = []
    letters = int(width / columns / LETTER) - 2
    for index, (name, title_of_panel) in enumerate(zip(names, plain_apart(names, letters), strict=True)):
        axes = figure.add_subplot(rows, columns, index + 1)
        handles = _draw_histograms(axes, initial.get(name), final[name]) or handles
        dress(axes, title=title_of_panel, grid=None)
        axes.title.set_fontsize(SMALL + 0.5)
        axes.tick_params(labelsize=SMALL - 0.5)
        axes.locator_params(axis="x", nbins=5 if width / columns > 2.2 else 3)
        common_power(axes.xaxis, (-2, 4))
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
    if handles:
        add_legend(figure, handles, ["at initialisation", "at the end"], columns=2)
    hidden = len(final) - len(names)
    head(figure, (title or "Weights before and after training") + (f" ({hidden} more not shown)" if hidden else ""))
    return save(figure, path)


def _draw_histograms(axes: Axes, before: NDArray[Any] | None, after: NDArray[Any]) -> list[Any]:
    """The two artists for the legend; empty when there is nothing finite to draw."""
    old, new = (_finite(array) for array in (before, after))
    together = np.concatenate([old, new])
    if not together.size:
        nothing_to_show(axes, "no finite value")
        return []
    lost = np.size(after) - new.size
    low, high = float(together.min()), float(together.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, int(np.clip(2 * np.sqrt(new.size), 12, 60)) + 1)
    heights = [np.histogram(part, edges)[0] / max(part.size, 1) for part in (old, new)]
    # Each is scaled to its own peak: a constant start would flatten the end to nothing.
    shapes = [part / max(float(part.max()), 1e-12) for part in heights]
    first = axes.stairs(shapes[0], edges, fill=True, facecolor=FAINT, edgecolor=MUTED, linewidth=0.6, hatch="////")
    if old.size and old.min() == old.max():  # a bar would be as wide as its bin, and beside the value
        first.remove()
        axes.vlines(old[0], 0, 1, color=MUTED, linewidth=3.0)
    second = axes.stairs(shapes[1], edges, color=BLUE, linewidth=1.8)
    axes.set_ylim(0, 1.3)
    axes.text(0.99, 0.98, f"std {_spread(old)} → {_spread(new)}" + (f"\n{lost} not finite" if lost else ""),
              ha="right", va="top", transform=axes.transAxes, fontsize=SMALL - 1, color=INK)  # fmt: skip
    return [first, second]


def _finite(array: NDArray[Any] | None) -> NDArray[np.float64]:
    values = np.zeros(0) if array is None else np.asarray(array, dtype=np.float64).ravel()
    return values[np.isfinite(values)]


def _spread(values: NDArray[np.float64]) -> str:
    return f"{float(values.std()):.2g}" if values.size else "-"


def filter_images(W: NDArray[Any], input_shape: Sequence[int]) -> NDArray[np.float64]:
    """(units, H, W, C) in [0, 1], C 1 or 3, of the first layer's weights; 0.5 is a weight of zero.

    W is dense, (H*W*C, units), or a kernel (h, w, C, channels). Each unit is scaled by its own largest weight. Depths
    other than 1 and 3 are averaged to grey.
    """
    weights = np.asarray(W, dtype=np.float64)
    if weights.ndim == 2:
        height, width, depth = (*input_shape, 1)[:3]
        if weights.shape[0] != height * width * depth:
            raise ValueError(f"{weights.shape[0]} inputs are no image of {height} x {width} x {depth}")
        weights = weights.reshape(height, width, depth, -1)
    elif weights.ndim != 4:
        raise ValueError(f"weights of shape {weights.shape} are neither dense nor a convolution")
    units = np.nan_to_num(np.moveaxis(weights, -1, 0))
    if units.shape[-1] not in (1, 3):
        units = units.mean(axis=-1, keepdims=True)
    largest = np.abs(units).max(axis=(1, 2, 3), keepdims=True)
    images: NDArray[np.float64] = 0.5 + 0.5 * units / np.maximum(largest, 1e-12)
    return images


def first_layer_weights(
    W: NDArray[Any], input_shape: Sequence[int], path: Path, *, title: str = "", width: float = WIDTH
) -> Figure:
    """What each unit of the first layer looks for, as an image: grey is zero, bright positive, dark negative.

    W is dense, (H*W*C, units), or a kernel (h, w, C, channels); `input_shape` is (H, W, C). Of more than 96 units those
    with the largest weights are shown, in falling order.
    """
    images = filter_images(W, input_shape)
    norms = np.linalg.norm(np.nan_to_num(np.asarray(W, dtype=np.float64)).reshape(-1, len(images)), axis=0)
    order = np.argsort(-norms, kind="stable")[:MOST_FILTERS]
    columns = max(min(12, -(-len(order) // 2)), 1) if len(order) < 24 else 12
    # Small kernels are enlarged, or the gaps would outweigh them.
    enlarged = images[order].repeat(scale := max(24 // images.shape[2], 1), axis=1).repeat(scale, axis=2)
    mosaic = tile(enlarged, columns)
    figure = new_figure(max(width * mosaic.shape[0] / mosaic.shape[1], 0.8) + 0.55, width)
    axes = figure.add_subplot()
    axes.imshow(mosaic.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    axes.axis("off")
    shown = f"the {len(order)} strongest of {len(images)} units" if len(order) < len(images) else f"{len(order)} units"
    head(figure, title or plain(f"First layer: {shown}", 90))
    return save(figure, path)


def tile(images: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """Images (N, H, W, C) side by side on white, `columns` to a row, with a gap between them."""
    number, height, width, depth = images.shape
    gap = max(width // 12, 2)
    rows = -(-number // columns)
    canvas = np.ones((rows * (height + gap) - gap, columns * (width + gap) - gap, depth))
    for index, image in enumerate(images):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas
