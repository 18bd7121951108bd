"""Every trial of a sweep as one line across its parameters to its value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnscratch.report.formats import metric_value, setting, told_apart
from nnscratch.report.picture_files import save
from nnscratch.report.style import INK, MUTED, SMALL, WIDTH, head, new_figure, plain, wants_log_scale
from nnscratch.report.values import Goal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

NOWHERE = -0.12  # the height of trials that have no value
MOST_TICKS, CLOSEST_TICKS = 5, 0.08  # so few values, so far apart, are the ticks themselves


@dataclass(frozen=True)
class Scale:
    """One vertical axis: where each trial crosses it (0 bottom, 1 top, None not at all) and its ticks.

    Equal numbers cross at one height; trials with the same category close to its tick, side by side.
    """

    name: str
    heights: tuple[float | None, ...]
    ticks: tuple[tuple[float, str], ...]
    is_logarithmic: bool = False


def scale_of(name: str, values: Sequence[object]) -> Scale:
    """An axis for one parameter: numbers to scale, linear or, from 1:5 on, logarithmic; words evenly spaced.

    None stands for a trial that does not have the parameter.
    """
    given = [value for value in values if value is not None]
    numbers = [float(value) for value in given if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(given) or len(set(numbers)) < 2:
        return _category_scale(name, values)
    low, high = min(numbers), max(numbers)
    logarithmic = wants_log_scale(np.array(numbers), 5.0)
    forward = np.log10 if logarithmic else np.positive
    start, span = float(forward(low)), float(forward(high) - forward(low))
    heights = tuple(
        (float(forward(float(value))) - start) / span if isinstance(value, int | float) else None for value in values
    )
    crossed = {height: setting(value) for height, value in zip(heights, values, strict=True) if height is not None}
    places = sorted(crossed)
    if len(places) <= MOST_TICKS and min(np.diff(places)) > CLOSEST_TICKS:
        return Scale(name, heights, tuple((place, crossed[place]) for place in places), logarithmic)
    ticks = []
    for place in np.linspace(0.0, 1.0, 5):
        position = start + span * float(place)
        ticks.append((float(place), f"{10**position if logarithmic else position:.2g}"))
    return Scale(name, heights, tuple(ticks), logarithmic)


def _category_scale(name: str, values: Sequence[object]) -> Scale:
    words = [None if value is None else setting(value) for value in values]
    distinct = list(dict.fromkeys(word for word in words if word is not None))
    distinct.sort()
    places = {word: (index + 0.5) / len(distinct) for index, word in enumerate(distinct)}
    heights: list[float | None] = [None] * len(words)
    for word, place in places.items():
        members = [index for index, other in enumerate(words) if other == word]
        reach = 0.25 / len(distinct) if len(members) > 1 else 0.0
        for index, offset in zip(members, np.linspace(-reach, reach, len(members)), strict=True):
            heights[index] = place + float(offset)
    return Scale(name, tuple(heights), tuple((place, word) for word, place in places.items()))


def parallel_coordinates(
    trials: Sequence[Mapping[str, object]],
    values: Sequence[float | None],
    path: Path,
    *,
    goal: Goal,
    metric: str = "value",
    statuses: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """One line per trial through its parameters to its value; good trials are dark, the best is black and bold.

    The best is the first of equals, among the completed ones when there are statuses. Trials without a value are dotted
    and end below the last axis.
    """
    if len(trials) != len(values):
        raise ValueError(f"{len(trials)} trials and {len(values)} values do not belong together")
    names = list(dict.fromkeys(name for trial in trials for name in trial))
    scales = [scale_of(name, [trial.get(name) for trial in trials]) for name in names]
    scales.append(value_scale(metric, values))
    shares = goodness(scales[-1].heights, goal)

    figure = new_figure(4.6, max(WIDTH, 1.1 * len(scales)))
    axes = figure.add_subplot()
    valued = [index for index, good in enumerate(shares) if good is not None]
    eligible = [index for index in valued if statuses is None or statuses[index] == "completed"]
    best = max(eligible, key=lambda index: shares[index] or 0.0, default=None)
    # Good trials are drawn last, on top of the others, and the best after them all.
    valued.sort(key=lambda index: (index == best, shares[index] or 0.0))
    order = [*(index for index, good in enumerate(shares) if good is None), *valued]
    for index in order:
        heights = [scale.heights[index] for scale in scales]
        good = shares[index]
        if good is None:
            heights[-1] = NOWHERE
        line = np.array([np.nan if height is None else height for height in heights])
        if index == best:
            axes.plot(line, color="black", linewidth=3.2, zorder=4, marker="o", markersize=5)
        elif good is None:
            axes.plot(line, color=MUTED, linewidth=1.0, linestyle=":", alpha=0.8)
        else:
            axes.plot(line, color=_colours()(good), linewidth=1.3, alpha=0.85)
    if len(valued) > 1:
        _draw_colour_key(figure, axes, metric)
    _draw_scales(axes, scales, anything_lost=any(good is None for good in shares))
    summary = "" if best is None else f": best {metric_value(metric, values[best])}, in black"
    head(figure, (title or "Parameters of every trial") + summary)
    return save(figure, path)


def _colours() -> Colormap:
    """From a trial's goodness in [0, 1] to its colour: the worst light, the best dark."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps["cividis_r"](np.linspace(0.05, 0.95, 256)))


def _draw_colour_key(figure: Figure, axes: Axes, metric: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    key = figure.colorbar(ScalarMappable(Normalize(0, 1), _colours()), ax=axes, shrink=0.6, aspect=28, pad=0.02)
    key.set_ticks([0, 1], labels=["worst", "best"])
    key.ax.tick_params(labelsize=SMALL, labelcolor=INK, color=MUTED)
    key.set_label(plain(metric), fontsize=SMALL, color=INK)
    key.outline.set_visible(False)


def value_scale(metric: str, values: Sequence[float | None]) -> Scale:
    """The last axis: the value that is optimised."""
    finite = [value for value in values if value is not None and np.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    span = high - low or 1.0
    heights = tuple((value - low) / span if value is not None and np.isfinite(value) else None for value in values)
    places = np.linspace(0, 1, 5).tolist()
    ticks = tuple(zip(places, told_apart(metric, [low + span * place for place in places]), strict=True))
    return Scale(metric, heights, ticks)


def goodness(heights: Sequence[float | None], goal: Goal) -> list[float | None]:
    """How good each value is, from 0, the worst, to 1; None where there is none."""
    return [None if height is None else height if goal == "maximize" else 1.0 - height for height in heights]


def _draw_scales(axes: Axes, scales: Sequence[Scale], *, anything_lost: bool) -> None:
    box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.8}
    for place, scale in enumerate(scales):
        axes.plot([place, place], [0, 1], color=INK, linewidth=1.2, zorder=5)
        for height, label in scale.ticks:
            axes.plot([place - 0.02, place + 0.02], [height, height], color=INK, linewidth=1.2, zorder=5)
            text = plain(label, 16)
            axes.text(place + 0.04, height, text, va="center", fontsize=SMALL, color=INK, zorder=6, bbox=box)
        family, _, last = scale.name.rpartition(".")
        axes.text(place, 1.07, plain(last, 20), ha="center", va="bottom", fontsize=SMALL, fontweight="bold")
        above = " · ".join(part for part in (family, "log" if scale.is_logarithmic else "") if part)
        axes.text(place, 1.14, plain(above, 20), ha="center", va="bottom", fontsize=SMALL - 0.5, color=MUTED)
    if anything_lost:
        axes.text(len(scales) - 0.96, NOWHERE, "no value", va="center", fontsize=SMALL, color=MUTED, bbox=box)
    axes.set_xlim(-0.35, len(scales) - 0.4)
    axes.set_ylim(NOWHERE - 0.05 if anything_lost else -0.04, 1.22)
    axes.axis("off")
