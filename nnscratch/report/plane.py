"""What a network makes of a plane of two features: whose class is where, how sure it is, and what each unit sees."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnscratch.report.formats import decimals
from nnscratch.report.picture_files import save
from nnscratch.report.style import (
    INK,
    SMALL,
    WIDTH,
    add_legend,
    dress,
    few_ticks,
    head,
    legend_columns,
    line_style,
    new_figure,
    width_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = NDArray[Any]

MOST_UNITS = 24
PALEST, STRONGEST = 0.12, 0.62
"""How much of its colour a class has where the network is least and most sure."""


@dataclass(frozen=True)
class Plane:
    """Two features as axes, with the grid's values of each, and examples in it: points (N, 2) and targets (N,).

    Targets are labels of `classes`; numbers where there are none.
    """

    x: Values
    y: Values
    points: Values
    targets: Values
    features: tuple[str, str]
    classes: tuple[str, ...]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """From left to right and from below to above."""
        return float(self.x[0]), float(self.x[-1]), float(self.y[0]), float(self.y[-1])

    @property
    def height(self) -> float:
        """How high a picture of it is, by its width: as the features are when these are of one size, else 3/4."""
        left, right, below, above = self.extent
        ratio = (above - below) / (right - left)
        return ratio if 0.4 <= ratio <= 1.6 else 0.75

    @property
    def labels(self) -> tuple[str, ...]:
        """What the legend explains."""
        return self.classes

    def dress(self, axes: Axes) -> list[Any]:
        """Axes with the examples, each class with its colour and marker; the artists for the legend."""
        size = float(np.clip(9000 / max(len(self.points), 1), 7, 26))
        look: dict[str, Any] = {"s": size, "edgecolors": "white", "linewidths": 0.5, "zorder": 3}
        dress(axes, x=self.features[0], y=self.features[1], grid=None)
        left, right, below, above = self.extent
        axes.set(xlim=(left, right), ylim=(below, above))
        few_ticks(axes)
        axes.set_box_aspect(self.height)
        if not self.classes:
            low, high = float(self.targets.min()), float(self.targets.max())
            axes.scatter(
                self.points[:, 0], self.points[:, 1], c=self.targets, cmap="cividis", vmin=low, vmax=high, **look
            )
            return []
        handles = []
        for label in range(len(self.classes)):
            style, where = line_style(label), self.points[self.targets == label]
            handles.append(axes.scatter(where[:, 0], where[:, 1], color=style.color, marker=style.marker, **look))
        return handles

    def paint(self, axes: Axes, outputs: Values) -> list[Any]:
        """Colours and lines below whatever else is in the axes; the artists, by which they are taken away again."""
        look: dict[str, Any] = {"extent": self.extent, "origin": "lower", "aspect": "auto", "interpolation": "bilinear"}
        if not self.classes:
            return self._paint_numbers(axes, outputs[..., 0], look)
        made: list[Any] = [axes.imshow(_colours(outputs), zorder=0, **look)]
        number = outputs.shape[-1]
        for label in range(number if number > 2 else 1):
            others = np.delete(outputs, label, axis=-1).max(axis=-1)
            lead = outputs[..., label].astype(np.float64) - others
            if lead.min() < 0 < lead.max():
                made.append(axes.contour(self.x, self.y, lead, [0.0], colors=INK, linewidths=1.4, zorder=2))
        return made

    def _paint_numbers(self, axes: Axes, values: Values, look: dict[str, Any]) -> list[Any]:
        low, high = float(self.targets.min()), float(self.targets.max())
        made: list[Any] = [axes.imshow(values, cmap="cividis", vmin=low, vmax=high, zorder=0, **look)]
        if values.min() < values.max():
            made.append(axes.contour(self.x, self.y, values, 8, colors="white", linewidths=0.8, zorder=1))
        return made


def map_of(
    plane: Plane,
    outputs: Values,
    path: Path,
    *,
    units: tuple[Values, Values] | None = None,
    title: str = "",
    width: float = WIDTH,
) -> Figure:
    """The plane coloured by class, the fainter the less sure, a line where classes meet, and the examples.

    `outputs` (G, G, K) are probabilities, or numbers to predict, which are drawn as colours with lines of equal value.
    `units` are W x + b and the activation of every unit of the first hidden layer, (G, G, units) each: a panel for each
    below, dashed where the sum is zero. Of more than 24 units those that vary most are shown.
    """
    shown = np.empty(0, int) if units is None else _most_varied(units[1])
    columns = min(max(len(shown), 1), 6 if width >= 6 else 3)
    rows = -(-len(shown) // columns)
    main = min(0.72 * width if width >= 6 else width, 6.0) * plane.height + 0.9
    below = rows * (width / columns * plane.height + 0.25) + (0.5 if rows else 0)
    figure = new_figure(main + below, width)
    above: Any = figure
    if units is not None:
        parts: Any = figure.subfigures(2, 1, height_ratios=[main, below])
        above, panels = parts
        _draw_units(panels, plane, *units, shown, (rows, columns))
    axes = above.add_subplot()
    handles = plane.dress(axes)
    painted = plane.paint(axes, outputs)
    if not plane.classes and len(painted) > 1:
        levels = painted[-1].levels
        axes.clabel(painted[-1], fontsize=SMALL - 1, fmt=dict(zip(levels, decimals(levels), strict=True)))
    if handles:
        add_legend(above, handles, plane.labels, columns=legend_columns(max(map(len, plane.labels)), width))
    head(figure, title)
    return save(figure, path)


def _colours(p: Values) -> Values:
    """(G, G, 3): the colour of the most probable class, nearer to white the closer its probability is to 1 / K."""
    from matplotlib.colors import to_rgb

    number = p.shape[-1]
    of_class = np.array([to_rgb(line_style(label).color) for label in range(number)])
    sure = (p.max(axis=-1) - 1 / number) / (1 - 1 / number) if number > 1 else np.ones(p.shape[:-1])
    share = (PALEST + (STRONGEST - PALEST) * np.clip(sure, 0, 1))[..., np.newaxis]
    colours: Values = 1 - share * (1 - of_class[p.argmax(axis=-1)])
    return colours


def _most_varied(y: Values) -> Values:
    spread = np.nan_to_num(y.reshape(-1, y.shape[-1]).std(axis=0))
    return np.sort(np.argsort(-spread, kind="stable")[:MOST_UNITS])


def _draw_units(figure: Any, plane: Plane, sums: Values, y: Values, shown: Values, grid: tuple[int, int]) -> None:
    hidden = y.shape[-1] - len(shown)
    said = "First hidden layer, unit by unit: blue below zero, red above, dashed W x + b = 0"
    letters = int(0.98 * 72 * width_of(figure) / (0.56 * SMALL))
    lines = textwrap.wrap(said + (f" ({hidden} more not shown)" if hidden else ""), letters)
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=SMALL + 0.5, color=INK)
    for place, unit in enumerate(shown):
        axes = figure.add_subplot(*grid, place + 1)
        values, total = y[..., unit], sums[..., unit]
        largest = max(float(np.abs(values).max()), 1e-12)
        axes.imshow(
            values, cmap="RdBu_r", vmin=-largest, vmax=largest, extent=plane.extent, origin="lower", aspect="auto"
        )
        if total.min() < 0 < total.max():
            axes.contour(plane.x, plane.y, total, [0.0], colors=INK, linewidths=1.0, linestyles="--")
        axes.set_box_aspect(plane.height)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(f"unit {unit}", loc="left", fontsize=SMALL - 0.5, color=INK, pad=2)
