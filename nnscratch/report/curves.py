"""What happened over the epochs: one run's curves, several runs' overlaid, gradients and updates per layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nnscratch.report.formats import decimal, is_share, percent
from nnscratch.report.picture_files import save
from nnscratch.report.style import (
    AXIS,
    BLUE,
    INK,
    LETTER,
    LETTER_OF_TITLE,
    MUTED,
    SMALL,
    VERMILLION,
    WIDTH,
    add_legend,
    column,
    common_power,
    draw_line,
    dress,
    epoch_numbers,
    head,
    legend_columns,
    line_style,
    log_axis,
    new_figure,
    note,
    nothing_to_show,
    percent_axis,
    wants_log_scale,
    whole_numbers,
)
from nnscratch.report.values import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """What curves are drawn of: its title, the end of its names in a row, and whether it is a share of 1."""

    title: str
    suffix: str
    is_fraction: bool

    def has_values(self, rows: Sequence[Row]) -> bool:
        return any(np.isfinite(column(rows, f"{split}_{self.suffix}")).any() for split in ("train", "val"))

    def text(self, value: float) -> str:
        return percent(value) if self.is_fraction else decimal(value)


BOLD, THIN = 2.0, 0.9
"""Widths of the lines of validation and of training, where several runs are in one picture."""

_LOSS = Metric("Loss", "loss", is_fraction=False)
_ACCURACY = Metric("Accuracy", "accuracy", is_fraction=True)
_NO_METRIC = ("loss", "accuracy", "seconds")


def shown_metrics(rows: Sequence[Row]) -> list[Metric]:
    """What a run's rows have curves of: the loss, the accuracy if there is one, and what else was monitored."""
    return [_LOSS, *([_ACCURACY] if _ACCURACY.has_values(rows) else []), *_further(rows)]


def _further(rows: Sequence[Row]) -> list[Metric]:
    """What else was measured on validation after every epoch, because training was steered by it."""
    names = dict.fromkeys(key.removeprefix("val_") for row in rows for key in row if key.startswith("val_"))
    further = [name for name in names if name not in _NO_METRIC]
    return [Metric(_title(name), name, is_share(name)) for name in further]


def _title(name: str) -> str:
    words = [word.upper() if word in ("f1", "r2", "roc", "auc") else word for word in name.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def curves(
    epochs: Sequence[Row], path: Path, *, best_epoch: int | None = None, title: str = "", width: float = WIDTH
) -> Figure:
    """Loss, accuracy and what else was monitored, training against validation, with the learning rate below.

    Rows are those of metrics.csv. What no row has (accuracy in regression, validation without a split) is left out.
    Less than 6 inches wide, the panels stand below each other.
    """
    metrics = shown_metrics(epochs)
    rates = column(epochs, "learning_rate")
    has_rates = bool(np.isfinite(rates).any())

    across = min(len(metrics), 2) if width >= 6 else 1
    down = -(-len(metrics) // across)
    heights = [*(3.4 for _ in range(down)), *([1.0] if has_rates else [])]
    figure = new_figure(0.6 + 0.9 * sum(heights), width)
    grid = figure.add_gridspec(len(heights), across, height_ratios=heights)
    shown: dict[str, Line2D] = {}
    for index, metric in enumerate(metrics):
        is_alone = across > 1 and index % across == 0 and index == len(metrics) - 1
        axes = figure.add_subplot(grid[index // across, slice(None) if is_alone else index % across])
        shown.update(_draw_metric(axes, epochs, metric, best_epoch, width / (1 if is_alone else across)))
    if has_rates:
        _draw_rates(figure.add_subplot(grid[-1, :]), epoch_numbers(epochs), rates, best_epoch)
    if shown:
        add_legend(figure, list(shown.values()), list(shown), columns=legend_columns(max(map(len, shown)), width))
    head(figure, title)
    return save(figure, path)


def _draw_metric(
    axes: Axes, rows: Sequence[Row], metric: Metric, best_epoch: int | None, width: float
) -> dict[str, Line2D]:
    """The lines drawn, by what the legend calls them; the panel is so many inches wide."""
    room = (width - AXIS - LETTER_OF_TITLE * len(metric.title)) / LETTER
    numbers = epoch_numbers(rows)
    shown: dict[str, Line2D] = {}
    drawn = []
    for split, label, color, dashes, marker in (
        ("train", "training", BLUE, "-", "o"),
        ("val", "validation", VERMILLION, "--", "s"),
    ):
        values = column(rows, f"{split}_{metric.suffix}")
        if not np.isfinite(values).any():
            continue
        drawn.append(values)
        shown[label] = draw_line(axes, numbers, values, color, dashes, marker)
    dress(axes, title=metric.title, x="epoch", grid="y")
    if not drawn:
        nothing_to_show(axes, "no finite value was recorded")
        return shown
    if metric.is_fraction:
        percent_axis(axes)
    elif wants_log_scale(np.concatenate(drawn)):
        log_axis(axes)
    whole_numbers(axes)
    _span_epochs(axes, numbers)
    if best_epoch is not None and best_epoch in numbers:
        at_best = float(drawn[-1][int(np.argmax(numbers == best_epoch))])
        axes.axvline(best_epoch, color=MUTED, linestyle=":", linewidth=1.4, zorder=1)
        if np.isfinite(at_best):
            (shown["best epoch"],) = axes.plot(
                [best_epoch], [at_best], linestyle=":", color=MUTED, linewidth=1.4, marker="*", markersize=13,
                markerfacecolor="white", markeredgecolor=INK, zorder=5,
            )  # fmt: skip
            best = metric.text(at_best)
            notes = (f"{best} at the best epoch, {best_epoch}", f"{best} at epoch {best_epoch}", f"best {best}", "")
            note(axes, next(each for each in notes if len(each) <= room or not each))
    _note_divergence(axes, rows, numbers, metric)
    return shown


def _draw_rates(axes: Axes, numbers: Values, rates: Values, best_epoch: int | None) -> None:
    draw_line(axes, numbers, rates, INK, "-", ".", 1.5)
    dress(axes, x="epoch", y="learning\nrate")
    # The label is ours, not a user's, and its line break is meant.
    axes.set_ylabel("learning\nrate", fontsize=SMALL + 0.5, color=INK)
    axes.set_xlabel("")
    # A cosine ends near zero but is at home on a linear axis; steps by tens are not.
    if wants_log_scale(rates) and np.nanmedian(rates) < 0.05 * np.nanmax(rates):
        log_axis(axes)
    else:
        axes.set_ylim(bottom=0, top=max(1.15 * float(np.nanmax(rates)), 1e-12))
        axes.locator_params(axis="y", nbins=3)
        common_power(axes.yaxis, (-2, 3))
    whole_numbers(axes)
    _span_epochs(axes, numbers)
    if best_epoch is not None:
        axes.axvline(best_epoch, color=MUTED, linestyle=":", linewidth=1.4)


def _span_epochs(axes: Axes, numbers: Values) -> None:
    """The same epochs in every panel, also where the finite values end early."""
    margin = max(0.03 * float(numbers[-1] - numbers[0]), 0.4)
    axes.set_xlim(float(numbers[0]) - margin, float(numbers[-1]) + margin)


def _note_divergence(axes: Axes, rows: Sequence[Row], numbers: Values, metric: Metric) -> None:
    """Say where the training loss stopped being finite, which a line that just ends does not."""
    if metric is not _LOSS:
        return
    recorded = np.array([row.get("train_loss") is not None for row in rows])
    broken = recorded & ~np.isfinite(column(rows, "train_loss"))
    if broken.any():
        first = int(numbers[int(np.argmax(broken))])
        axes.text(
            0.98, 0.97, f"not finite from epoch {first}", ha="right", va="top", transform=axes.transAxes,
            fontsize=SMALL + 0.5, color=VERMILLION, fontweight="bold",
        )  # fmt: skip


def compare_curves(runs: Mapping[str, Sequence[Row]], path: Path) -> Figure:
    """Validation curves of several runs in one picture (bold), their training curves behind (thin).

    A run without a validation split is drawn by its training curve alone, as thin as the others'.
    """
    metrics = [_LOSS, *([_ACCURACY] if any(_ACCURACY.has_values(rows) for rows in runs.values()) else [])]
    columns = 1 if max(map(len, runs), default=0) > 36 else 2
    figure = new_figure(3.6 + 0.22 * (-(-len(runs) // columns)))
    handles: dict[str, Line2D] = {}
    for index, metric in enumerate(metrics):
        axes = figure.add_subplot(1, len(metrics), index + 1)
        everything: list[Values] = []
        for position, (name, rows) in enumerate(runs.items()):
            style, numbers = line_style(position), epoch_numbers(rows)
            train, validation = (column(rows, f"{split}_{metric.suffix}") for split in ("train", "val"))
            main, width = (validation, BOLD) if np.isfinite(validation).any() else (train, THIN)
            if main is validation and np.isfinite(train).any():
                axes.plot(numbers, train, color=style.color, linewidth=THIN, alpha=0.45)
            everything += [train, main]
            line = draw_line(axes, numbers, main, style.color, style.dashes, style.marker, width)
            if np.isfinite(main).any() or name not in handles:  # the legend's line is one that is seen
                handles[name] = line
        dress(axes, title=metric.title, x="epoch")
        whole_numbers(axes)
        if metric.is_fraction:
            percent_axis(axes)
        elif everything and wants_log_scale(np.concatenate(everything)):
            log_axis(axes)
    if handles:
        add_legend(figure, list(handles.values()), list(handles), columns=columns)
    has_validation = any(np.isfinite(column(rows, "val_loss")).any() for rows in runs.values())
    head(figure, "Validation (bold) and training (thin)" if has_validation else "Training")
    return save(figure, path)


def band_curves(groups: Mapping[str, Sequence[Sequence[Row]]], path: Path, *, title: str = "") -> Figure:
    """For each group of runs the mean validation curve, in a band from the lowest to the highest of its runs.

    Training curves are drawn where there is one group alone, and of a group without a validation split.
    """
    everything = [rows for runs in groups.values() for rows in runs]
    metrics = [_LOSS, *([_ACCURACY] if any(map(_ACCURACY.has_values, everything)) else [])]
    lines = []
    for name, runs in groups.items():
        is_validated = any(np.isfinite(column(rows, "val_loss")).any() for rows in runs)
        lines += [(f"{name}, validation: mean and range", runs, "val")] if is_validated else []
        lines += [(f"{name}, training: mean and range", runs, "train")] if len(groups) == 1 or not is_validated else []
    figure = new_figure(3.6 + 0.22 * len(groups))
    handles: dict[str, Line2D] = {}
    for index, metric in enumerate(metrics):
        axes = figure.add_subplot(1, len(metrics), index + 1)
        drawn: list[Values] = []
        for position, (label, runs, split) in enumerate(lines):
            table = _side_by_side([column(rows, f"{split}_{metric.suffix}") for rows in runs])
            numbers = np.arange(1, table.shape[1] + 1)[np.isfinite(table).any(axis=0)]
            values, style = table[:, numbers - 1], line_style(position)
            axes.fill_between(
                numbers,
                np.nanmin(values, axis=0),
                np.nanmax(values, axis=0),
                color=style.color,
                alpha=0.18,
                linewidth=0,
            )
            mean = np.nanmean(values, axis=0)
            line = draw_line(axes, numbers, mean, style.color, style.dashes, style.marker)
            if len(numbers) or label not in handles:
                handles[label] = line
            drawn.append(values.ravel())
        dress(axes, title=metric.title, x="epoch")
        whole_numbers(axes)
        if metric.is_fraction:
            percent_axis(axes)
        elif drawn and wants_log_scale(np.concatenate(drawn)):
            log_axis(axes)
    add_legend(figure, list(handles.values()), list(handles), columns=2)
    head(figure, title or "Means, and bands from the lowest to the highest run")
    return save(figure, path)


def _side_by_side(curves: Sequence[Values]) -> Values:
    """A row per run, as long as the longest; NaN where another has gone further."""
    table = np.full((len(curves), max(map(len, curves))), np.nan)
    for row, values in zip(table, curves, strict=True):
        row[: len(values)] = values
    return table


def learning_rate_range(
    rates: Sequence[float], losses: Sequence[float], path: Path, *, suggestion: float | None = None, title: str = ""
) -> Figure:
    """Loss against a learning rate that grew step by step, with the rate to choose marked."""
    x, y = np.asarray(rates, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    y = np.where(np.isfinite(y), y, np.nan)
    figure = new_figure(3.6)
    axes = figure.add_subplot()
    draw_line(axes, x, y, BLUE, "-", "o")
    dress(axes, x="learning rate (logarithmic)", y="loss", grid="both")
    if wants_log_scale(x, 1.0):
        log_axis(axes, axis="x")
    finite = y[np.isfinite(y)]
    if finite.size:
        # The explosion at the end is the point of the test, but it must not flatten everything before it.
        low, high = float(finite.min()), float(finite[: max(finite.size // 10, 1)].max())
        reach = max(high - low, 1e-9)
        axes.set_ylim(low - 0.12 * reach, high + 0.6 * reach)
    if suggestion is not None:
        axes.axvline(suggestion, color=VERMILLION, linestyle="--", linewidth=2)
        note(axes, f"suggested: {suggestion:.2g}")
    head(figure, title or "Learning-rate range test")
    return save(figure, path)
