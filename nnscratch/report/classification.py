"""How a classifier does, class by class: confusion matrix, precision and recall, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnscratch.report.formats import percent
from nnscratch.report.picture_files import save
from nnscratch.report.style import (
    BLACK,
    BLUE,
    INK,
    MUTED,
    ORANGE,
    SKY,
    SMALL,
    TEXT,
    VERMILLION,
    WIDTH,
    add_legend,
    dress,
    head,
    new_figure,
    percent_axis,
    plain_apart,
)
from nnscratch.report.values import ClassScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


def row_fractions(counts: ArrayLike) -> NDArray[np.float64]:
    """Each row of a (K, K) matrix of counts divided by its sum; a row without examples stays zero."""
    table = np.asarray(counts, dtype=np.float64)
    fractions: NDArray[np.float64] = table / np.maximum(table.sum(axis=1, keepdims=True), 1.0)
    return fractions


def confusion_matrix(
    counts: ArrayLike, classes: Sequence[str], path: Path, *, title: str = "", width: float = WIDTH
) -> Figure:
    """True classes down, predicted across; colour is the share of the true class, numbers are counts.

    Counts are (K, K) integers. Above 20 classes the numbers go, above 40 only every few classes are named.
    """
    from matplotlib.colors import PowerNorm

    table = np.asarray(counts)
    size = len(classes)
    if table.shape != (size, size):
        raise ValueError(f"{size} classes need a {size} x {size} matrix, not {table.shape}")
    fractions = row_fractions(table)
    width = max(width, min(width + 0.06 * (size - 20), 12.0))
    is_narrow = width < 6
    figure = new_figure(width if is_narrow else 0.875 * width, width)
    axes = figure.add_subplot()
    # The square root lifts confusions of a few per cent off the white, where most of the news is.
    image = axes.imshow(fractions, cmap="Blues", norm=PowerNorm(0.5, 0.0, 1.0), interpolation="nearest")
    dress(axes, x="predicted", y="true", grid=None)
    _name_classes(axes, classes, width)
    for edge in np.arange(size - 1) + 0.5 if size <= 50 else ():
        axes.axhline(edge, color="white", linewidth=0.8)
        axes.axvline(edge, color="white", linewidth=0.8)
    if size <= (10 if is_narrow else 20):
        _write_counts(axes, table, fractions, font=min(10.5, 17 * width / size))
    if not is_narrow:
        _add_colour_scale(figure, image, axes)
    total = max(int(table.sum()), 1)
    head(figure, title or f"Predictions: {percent(float(np.trace(table)) / total)} of {int(table.sum()):,} right")
    return save(figure, path)


def _name_classes(axes: Axes, classes: Sequence[str], width: float) -> None:
    size, is_narrow = len(classes), width < 6
    most = int(4 * width) if is_narrow else 34
    every = 1 if size <= (most if is_narrow else 40) else -(-size // most)
    places = range(0, size, every)
    names = plain_apart([classes[place] for place in places], 10 if is_narrow else 16)
    font = SMALL if is_narrow else TEXT if size <= 12 else SMALL if size <= 20 else SMALL - 0.5
    if size > 20 or is_narrow:
        axes.set_xticks(places, names, fontsize=font, rotation=90)
    elif max(map(len, names)) > 4:
        axes.set_xticks(places, names, fontsize=font, rotation=40, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(places, names, fontsize=font)
    axes.set_yticks(places, names, fontsize=font)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _add_colour_scale(figure: Figure, image: AxesImage, axes: Axes) -> None:
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=28, pad=0.02, ticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 1])
    bar.ax.set_yticklabels(["0", "1 %", "5 %", "10 %", "25 %", "50 %", "100 %"])
    bar.ax.tick_params(labelsize=SMALL, labelcolor=INK, color=MUTED)
    bar.ax.minorticks_off()
    bar.set_label("share of the true class", fontsize=SMALL + 0.5, color=INK)
    bar.outline.set_visible(False)


def _write_counts(axes: Axes, counts: NDArray[Any], fractions: NDArray[np.float64], *, font: float) -> None:
    for row, column in np.ndindex(*counts.shape):
        number, share = int(counts[row, column]), fractions[row, column]
        if number == 0:
            continue
        color = "white" if share > 0.3 else INK
        weight = "bold" if row == column else "normal"
        axes.text(
            column, row, f"{number}", ha="center", va="center", fontsize=font, color=color, fontweight=weight
        ).set_in_layout(False)  # within the axes, which the layout knows


def per_class(scores: Sequence[ClassScores], path: Path, *, title: str = "", width: float = WIDTH) -> Figure:
    """Precision, recall and F1 of every class, best F1 on top: bars, or one mark each above 20 classes."""
    ordered = sorted(scores, key=lambda score: score.f1)
    places = np.arange(len(ordered))
    series = (
        ("F1", BLUE, "", "D", [score.f1 for score in ordered]),
        ("recall", ORANGE, "////", ">", [score.recall for score in ordered]),
        ("precision", SKY, "....", "o", [score.precision for score in ordered]),
    )
    bars = len(ordered) <= 20
    figure = new_figure(1.5 + (0.42 if bars else 0.17) * len(ordered), width)
    axes = figure.add_subplot()
    handles: list[Any] = []
    for index, (_, color, hatch, marker, values) in enumerate(series):
        if bars:
            handles.append(axes.barh(places + 0.27 * (index - 1), values, 0.25, color=color, hatch=hatch,
                                     edgecolor="white" if not hatch else INK, linewidth=0.4))  # fmt: skip
        else:
            handles += axes.plot(values, places, marker, color=color, markersize=5, markeredgecolor=INK,
                                 markeredgewidth=0.5, clip_on=False)  # fmt: skip
    shown = plain_apart([score.name for score in ordered], 18 if width >= 6 else 12)
    names = [f"{name} ({score.support:,})" for name, score in zip(shown, ordered, strict=True)]
    dress(axes, grid="x" if bars else "both")
    axes.set_yticks(places, names, fontsize=TEXT if bars else 7.0, color=INK)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.set_xlim(0, 1)
    percent_axis(axes, axis="x")
    add_legend(figure, handles[::-1], [name for name, *_ in series][::-1], columns=3)
    head(figure, title or "Scores by class (examples)")
    return save(figure, path)


def reliability(
    confidences: ArrayLike,
    accuracies: ArrayLike,
    counts: ArrayLike,
    error: float,
    path: Path,
    *,
    title: str = "",
    width: float = 6.4,
) -> Figure:
    """Accuracy against confidence in equal bins of [0, 1], and how many predictions fall in each.

    Per bin: mean confidence, accuracy, number of predictions; empty bins may hold NaN. `error` is the expected
    calibration error, for the title. Bars below the diagonal mean
    that the network is surer than it should be.
    """
    accuracy, number = np.asarray(accuracies, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    confidence = np.asarray(confidences, dtype=np.float64)
    used = number > 0
    edges = np.linspace(0.0, 1.0, len(number) + 1)
    middle, bar = (edges[:-1] + edges[1:]) / 2, 0.92 / len(number)

    figure = new_figure(width + (0.2 if width >= 6 else 0.6), width)
    grid = figure.add_gridspec(2, 1, height_ratios=[4, 1])
    axes, below = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    bars = axes.bar(middle[used], accuracy[used], bar, color=SKY, edgecolor=INK, linewidth=0.6)
    gap = (confidence - accuracy)[used]
    gaps = axes.bar(middle[used], gap, bar, bottom=accuracy[used], facecolor="#D55E0033",
                    edgecolor=VERMILLION, hatch="////", linewidth=0.8)  # fmt: skip
    (diagonal,) = axes.plot([0, 1], [0, 1], color=BLACK, linestyle="--", linewidth=1.4)
    dress(axes, y="accuracy", grid="y")
    axes.set_ylim(0, 1)
    below.bar(middle[used], number[used] / max(number.sum(), 1.0), bar, color=MUTED)
    dress(below, x="confidence", y="share")
    for panel in (axes, below):
        panel.set_xlim(0, 1)
        percent_axis(panel)
        percent_axis(panel, axis="x")
    labels = ["accuracy", "gap to confidence", "perfectly calibrated"]
    add_legend(figure, [bars, gaps, diagonal], labels, columns=3)
    head(figure, f"{title or 'Reliability'}: calibration error (ECE) {percent(error)}")
    return save(figure, path)
