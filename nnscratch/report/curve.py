"""What a network makes of one feature: the fitted curve, or the probability of every class, among the examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnscratch.report.picture_files import save
from nnscratch.report.style import (
    WIDTH,
    add_legend,
    dress,
    few_ticks,
    head,
    legend_columns,
    line_style,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = NDArray[Any]


@dataclass(frozen=True)
class Line:
    """A feature as axis, with the grid's values, and examples along it: points (N,), targets (N, K) with K names.

    Of a classifier the targets are 1 for the class and 0 for the others, as its probabilities should be.
    """

    x: Values
    points: Values
    targets: Values
    feature: str
    names: tuple[str, ...]
    are_classes: bool

    height = 0.6
    """How high a picture of it is, by its width."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What the legend explains."""
        return self.names

    def dress(self, axes: Axes) -> list[Any]:
        """Axes with the examples, each target with its colour; the artists for the legend."""
        probability = "probability" if self.are_classes else ", ".join(self.names[:3])
        dress(axes, x=self.feature, y=probability, grid="both")
        size = float(np.clip(9000 / max(len(self.points), 1), 7, 26))
        handles = []
        for index in range(len(self.names)):
            style, t = line_style(index), self.targets[:, index]
            # Of a class its own examples alone: those of others would all lie below it.
            own = t > 0 if self.are_classes else np.ones(len(t), bool)
            alpha = 0.25 if self.are_classes else 0.55
            axes.scatter(self.points[own], t[own], s=size, color=style.color, marker=style.marker, alpha=alpha,
                         linewidths=0)  # fmt: skip
            handles.append(axes.plot([], [], color=style.color, linestyle=style.dashes, linewidth=2.4)[0])
        low, high = float(self.targets.min()), float(self.targets.max())
        margin = 0.15 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
        axes.set_xlim(float(self.x[0]), float(self.x[-1]))
        few_ticks(axes)
        return handles

    def paint(self, axes: Axes, outputs: Values, strength: float = 1.0) -> list[Any]:
        """The curves (G, K), of that strength; the artists, by which they are taken away again."""
        made: list[Any] = []
        for index in range(len(self.names)):
            style = line_style(index)
            color = style.color if len(self.names) > 1 else line_style(1).color
            made += axes.plot(
                self.x, outputs[:, index], color=color, linestyle=style.dashes, alpha=strength,
                linewidth=2.4 if strength == 1 else 1.2, zorder=4,
            )  # fmt: skip
        return made


def curve_of(
    line: Line,
    outputs: Values,
    before: tuple[Line, Mapping[int, Values]],
    path: Path,
    *,
    epoch: int = 0,
    title: str = "",
    width: float = WIDTH,
) -> Figure:
    """The curves that a network has learned by that epoch, and those of some epochs before, the earlier the fainter.

    These stand by their numbers, and may be on another grid, whose line comes with them.
    """
    coarse, earlier = before
    figure = new_figure(max(line.height * width, 2.4) + 0.8, width)
    axes = figure.add_subplot()
    handles, labels = line.dress(axes), line.labels
    curves = [line.paint(axes, outputs)[0]]
    for place, values in enumerate(earlier.values()):
        curves.append(coarse.paint(axes, values, 0.25 + 0.45 * place / max(len(earlier) - 1, 1))[0])
    if len(handles) == 1:  # the colour says nothing, but how strong it is does
        handles, labels = curves, tuple(f"epoch {each}" for each in (epoch, *earlier))
    add_legend(figure, handles, labels, columns=legend_columns(max(map(len, labels)), width))
    head(figure, title)
    return save(figure, path)
