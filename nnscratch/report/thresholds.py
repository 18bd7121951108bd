"""How a classifier ranks: what every threshold gives, as ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnscratch.report.picture_files import save
from nnscratch.report.style import (
    BLACK,
    FAINT,
    WIDTH,
    add_legend,
    dress,
    head,
    line_style,
    new_figure,
    note,
    nothing_to_show,
    percent_axis,
    plain_apart,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 7
"""Of more classes, those that do worst are named, and the others drawn behind in grey."""
MOST_POINTS = 1000


@dataclass(frozen=True, eq=False)
class RankedClass:
    """A class against all others at every threshold, the highest first, and the areas under its two curves."""

    name: str
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    false_positive_rate: NDArray[np.float64]
    roc_auc: float
    average_precision: float


def roc_and_precision_recall(
    classes: Sequence[RankedClass], path: Path, *, title: str = "", width: float = WIDTH
) -> Figure:
    """ROC curve and precision-recall curve of every class side by side; less than 6 inches wide, below each other.

    A class without examples, or that all examples are of, has no such curve and is left out.
    """
    drawn = [each for each in classes if np.isfinite(each.roc_auc)]
    worst = sorted(drawn, key=lambda each: each.average_precision)[:NAMED]
    named = [each for each in drawn if each in worst]
    across = 2 if width >= 6 else 1
    rows_of_legend = -(-(len(named) + (len(named) < len(drawn))) // across)
    figure = new_figure((4.0 if across == 2 else 7.4) + 0.22 * rows_of_legend, width)
    left, right = (figure.add_subplot(2 // across, across, place) for place in (1, 2))
    dress(left, title="ROC curve", x="false positive rate", y="recall (true positive rate)", grid="both")
    dress(right, title="Precision and recall", x="recall", y="precision", grid="both")
    for axes in (left, right):
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.02)
        percent_axis(axes)
        percent_axis(axes, axis="x")
    if not drawn:
        nothing_to_show(left, "all examples are of one class")
        nothing_to_show(right, "all examples are of one class")
        return save(figure, path)
    left.plot([0, 1], [0, 1], color=BLACK, linestyle=":", linewidth=1.2)
    note(left, "dotted: chance")
    others = [each for each in drawn if not any(each is one for one in named)]
    behind = [_draw(left, right, each, color=FAINT, linestyle="-", linewidth=1.2) for each in others]
    handles: list[Any] = []
    for index, each in enumerate(named):
        style = line_style(index)
        handles.append(_draw(left, right, each, color=style.color, linestyle=style.dashes, linewidth=2.0))
    names = plain_apart([each.name for each in named], 14 if across == 2 else 10)
    labels = [
        f"{name}: AUC {each.roc_auc:.3f}, AP {each.average_precision:.3f}"
        for name, each in zip(names, named, strict=True)
    ]
    if others:
        handles.append(behind[0])
        many = f"the {len(others)} other classes, which do" if len(others) > 1 else "the other class, which does"
        labels.append(f"{many} better")
    add_legend(figure, handles, labels, columns=min(2 if across == 2 else 1, len(labels)))
    head(figure, title or "What every threshold gives")
    return save(figure, path)


def _draw(left: Axes, right: Axes, ranked: RankedClass, **looks: Any) -> Any:
    chosen = np.unique(np.linspace(0, len(ranked.recall) - 1, MOST_POINTS).astype(int))
    recall = ranked.recall[chosen]
    left.plot(np.append(0.0, ranked.false_positive_rate[chosen]), np.append(0.0, recall), **looks)
    # In steps, as the average precision adds them up, from recall 0 on.
    precision = ranked.precision[chosen]
    (line,) = right.plot(np.append(0.0, recall), np.append(precision[0], precision), drawstyle="steps-pre", **looks)
    return line
